"""The RSP core against scripted GDB sessions, and against garbage."""

import itertools
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldlink.debug import rsp
from fieldlink.debug.rsp.packet import Token, checksum
from fieldlink.errors import LocalProtocolError

REGIONS = (
    rsp.MemoryRegion(kind="ram", base=0x20020000, size=0x10000),
    rsp.MemoryRegion(kind="rom", base=0x21050000, size=0x10000),
)
REGISTERS = bytes(range(68))
SUPPORTED = b"qSupported:multiprocess+;swbreak+;hwbreak+;vContSupported+"


def server(*, acks: bool = False) -> rsp.RspServer:
    core = rsp.RspServer(REGIONS)
    ask(core, SUPPORTED)
    if not acks:
        assert ask(core, b"QStartNoAckMode") == [b"OK"]
    return core


def replies(data: bytes) -> list[bytes]:
    return [item.data for item in rsp.PacketDecoder().feed(data) if isinstance(item, rsp.Packet)]


def ask(core: rsp.RspServer, packet: bytes) -> list[bytes]:
    """Replies that the core gives without its owner."""
    core.receive_data(rsp.encode_packet(packet))
    assert core.next_command() is None
    return replies(core.data_to_send())


def command(core: rsp.RspServer, packet: bytes) -> rsp.Command:
    core.receive_data(rsp.encode_packet(packet))
    found = core.next_command()
    assert found is not None
    return found


# ---- packets


@given(data=st.binary(max_size=600), cuts=st.lists(st.integers(0, 1300), max_size=5))
def test_a_packet_survives_any_cut(data, cuts):
    wire = rsp.encode_packet(data)
    decoder = rsp.PacketDecoder()
    bounds = [0, *sorted(min(cut, len(wire)) for cut in cuts), len(wire)]
    items = [item for start, end in itertools.pairwise(bounds) for item in decoder.feed(wire[start:end])]
    assert items == [rsp.Packet(data=data)]


@given(garbage=st.binary(max_size=300).filter(lambda data: b"$" not in data), data=st.binary(max_size=50))
def test_garbage_before_a_packet_is_skipped(garbage, data):
    items = rsp.PacketDecoder().feed(garbage + rsp.encode_packet(data))
    assert items[-1] == rsp.Packet(data=data)
    assert not any(isinstance(item, rsp.Packet | rsp.Damaged) for item in items[:-1])


@pytest.mark.parametrize("damage", [b"$g#00", b"$g#zz", b"$g#+7", b"$g}#" + b"%02x" % checksum(b"g}")])
def test_damage_is_answered_with_a_nack(damage):
    core = server(acks=True)
    core.data_to_send()
    core.receive_data(damage)
    assert core.next_command() is None
    assert core.data_to_send() == b"-"


def test_an_oversized_packet_is_refused_and_the_next_one_works():
    core = server()
    core.receive_data(b"$" + b"m" * (3 * rsp.PACKET_LIMIT) + b"#00")
    assert replies(core.data_to_send()) == [b"E16"]
    assert command(core, b"m20020000,4") == rsp.ReadMemory(address=0x20020000, length=4)


def test_a_broken_off_packet_gives_way_to_the_next():
    items = rsp.PacketDecoder().feed(b"$m2002" + rsp.encode_packet(b"g"))
    assert items[-1] == rsp.Packet(data=b"g")
    assert isinstance(items[0], rsp.Damaged)


def test_acks_until_they_are_switched_off_and_a_nack_repeats():
    core = rsp.RspServer(REGIONS)
    core.receive_data(rsp.encode_packet(b"qAttached"))
    assert core.next_command() is None
    assert core.data_to_send() == b"+" + rsp.encode_packet(b"1")
    core.receive_data(b"-")
    assert core.data_to_send() == rsp.encode_packet(b"1")
    core.receive_data(b"+" + rsp.encode_packet(b"QStartNoAckMode"))
    assert core.next_command() is None
    assert core.data_to_send() == b"+$OK#9a"
    core.receive_data(b"+" + rsp.encode_packet(b"qAttached"))
    assert core.next_command() is None
    assert core.data_to_send() == rsp.encode_packet(b"1")


@given(stream=st.lists(st.one_of(
    st.binary(max_size=40),
    st.binary(max_size=40).map(rsp.encode_packet),
    st.sampled_from([
        b"g", b"?", b"c", b"s", b"vCont;c", b"vCont;", b"m", b"m0,ffffffff", b"mffffffff,1", b"X0,1:", b"G00",
        b"p11", b"P0=", b"Z0,,", b"Z9,0,2", b"qXfer:features:read:target.xml:zz,1", b"qRcmd,zz", b"k",
        b"D", b"vKill;1", b"R00", b"vCont;s:7", b"C05;zz", b"m 1,2", b"m-1,2", b"m1_0,2",
    ]).map(rsp.encode_packet),
    st.sampled_from([b"\x03", b"+", b"-", b"$", b"#"]),
), max_size=30))  # fmt: skip
def test_no_input_raises_and_everything_is_answered(stream):
    core = server()
    for data in stream:
        core.receive_data(data)
        while (found := core.next_command()) is not None:
            answer(core, found)
    core.stopped(rsp.StopReport(signal=rsp.Signal.TRAP, registers=REGISTERS))
    while (found := core.next_command()) is not None:
        answer(core, found)
        core.stopped(rsp.StopReport(signal=rsp.Signal.TRAP, registers=REGISTERS))
    core.data_to_send()
    core.receive_data(b"#00" + rsp.encode_packet(b"qAttached"))  # whatever was open, is closed
    core.receive_data(rsp.encode_packet(b"qAttached"))
    assert core.next_command() is None
    assert b"1" in replies(core.data_to_send())


def answer(core: rsp.RspServer, found: rsp.Command) -> None:
    match found:
        case rsp.ReadAllRegisters() | rsp.ReadRegister() | rsp.ReadMemory():
            core.answer_bytes(REGISTERS)
        case rsp.QueryStop():
            core.answer_stop(rsp.StopReport(signal=rsp.Signal.TRAP, registers=REGISTERS))
        case rsp.Monitor():
            core.answer_monitor("text")
        case rsp.Resume() | rsp.Interrupt() | rsp.Restart() | rsp.Kill(wants_answer=False):
            pass
        case _:
            core.answer_ok()


# ---- queries


def test_features_and_unknown_packets():
    core = rsp.RspServer(REGIONS)
    (features,) = ask(core, SUPPORTED)
    assert set(features.split(b";")) >= {
        b"PacketSize=4000", b"QStartNoAckMode+", b"qXfer:features:read+", b"qXfer:memory-map:read+",
        b"vContSupported+", b"swbreak+", b"hwbreak+",
    }  # fmt: skip
    for unknown in (b"vMustReplyEmpty", b"QNonStop:1", b"qTStatus", b"qXfer:exec-file:read::0,10", b""):
        assert ask(core, unknown) == [b""], unknown
    assert not core.extended
    assert ask(core, b"!") == [b"OK"]
    assert core.extended
    assert ask(core, b"qSymbol::") == [b"OK"]
    assert ask(core, b"Hg0") == [b"OK"]
    assert ask(core, b"qfThreadInfo") + ask(core, b"qsThreadInfo") == [b"m1", b"l"]


def read_document(core: rsp.RspServer, name: bytes, piece: int) -> bytes:
    document, offset = b"", 0
    while True:
        (reply,) = ask(core, b"qXfer:%s:%x,%x" % (name, offset, piece))
        document, offset = document + reply[1:], offset + piece
        if reply[:1] == b"l":
            return document


def test_documents_are_read_in_pieces():
    core = server()
    description = read_document(core, b"features:read:target.xml", 100)
    assert description == rsp.target_description()
    tree = ET.fromstring(description.decode())  # noqa: S314 - our own document
    assert [entry.get("name") for entry in tree.iter("reg")] == list(rsp.REGISTER_NAMES)
    assert tree.findtext("osabi") == "none"
    memory = ET.fromstring(read_document(core, b"memory-map:read:", 64).decode())  # noqa: S314
    assert [(entry.get("type"), int(entry.get("start", ""), 0)) for entry in memory] == [
        ("ram", 0x20020000), ("rom", 0x21050000),
    ]  # fmt: skip
    assert ask(core, b"qXfer:features:read:other.xml:0,10") == [b"E00"]


# ---- commands


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (b"?", rsp.QueryStop()),
        (b"g", rsp.ReadAllRegisters()),
        (b"G" + REGISTERS.hex().encode(), rsp.WriteAllRegisters(data=REGISTERS)),
        (b"pf", rsp.ReadRegister(number=15)),
        (b"P10=00000001", rsp.WriteRegister(number=16, data=b"\0\0\0\1")),
        (b"m20020000,40", rsp.ReadMemory(address=0x20020000, length=64)),
        (b"M20020000,2:0102", rsp.WriteMemory(address=0x20020000, data=b"\1\2")),
        (b"X20020000,3:$#}", rsp.WriteMemory(address=0x20020000, data=b"$#}")),
        (b"vCont;s:1;c", rsp.Resume(step=True)),
        (b"vCont;c", rsp.Resume(step=False)),
        (b"c20020040", rsp.Resume(step=False, address=0x20020040)),
        (b"S05;20020040", rsp.Resume(step=True, address=0x20020040)),
        (b"Z0,20020040,2", rsp.InsertPoint(kind=0, address=0x20020040, length=2)),
        (b"z4,20030000,4", rsp.RemovePoint(kind=4, address=0x20030000, length=4)),
        (b"qRcmd," + b"reset app".hex().encode(), rsp.Monitor(text="reset app")),
        (b"D", rsp.Detach()),
        (b"vKill;1", rsp.Kill(wants_answer=True)),
        (b"k", rsp.Kill(wants_answer=False)),
        (b"R00", rsp.Restart()),
    ],
)
def test_commands(packet, expected):
    assert command(server(), packet) == expected


@pytest.mark.parametrize(
    "packet",
    [b"m20020000", b"m20020000,zz", b"mffffffff,2", b"M0,2:01", b"X0,2:a", b"p11", b"P0=01", b"G00",
     b"Z5,0,2", b"Z0,0", b"vCont;x", b"vCont;c:7", b"qRcmd,abc", b"m+1,2", b"m0x10,2"],
)  # fmt: skip
def test_wrong_arguments_are_an_error_reply(packet):
    assert ask(server(), packet) == [b"E16"]


def test_a_stop_answers_resume_with_registers_and_cause():
    core = server()
    assert command(core, b"vCont;c") == rsp.Resume(step=False)
    assert core.running
    core.console(b"hi\n")
    core.stopped(
        rsp.StopReport(signal=rsp.Signal.TRAP, registers=REGISTERS, cause="watch", watched=0x20030000)
    )
    output, stop = replies(core.data_to_send())
    assert output == b"O" + b"hi\n".hex().encode()
    assert stop.startswith(b"T05watch:20030000;00:00010203;")
    assert b"0f:3c3d3e3f;" in stop
    assert stop.endswith(b"thread:1;")
    core.stopped(rsp.StopReport(signal=rsp.Signal.TRAP, registers=REGISTERS))
    assert core.data_to_send() == b""  # GDB waits for nothing


def test_swbreak_only_for_a_gdb_that_asked():
    report = rsp.StopReport(signal=rsp.Signal.TRAP, registers=REGISTERS, cause="swbreak")
    for asks, core in ((True, server()), (False, rsp.RspServer(REGIONS))):
        command(core, b"c")
        core.stopped(report)
        (stop,) = replies(core.data_to_send())
        assert (b"swbreak:;" in stop) is asks


def test_output_before_a_resume_is_kept_for_it():
    core = server()
    core.console(b"early")
    assert core.data_to_send() == b""
    command(core, b"vCont;c")
    assert replies(core.data_to_send()) == [b"O" + b"early".hex().encode()]


def test_while_running_only_interrupt_detach_and_kill_come_through():
    core = server()
    core.receive_data(b"\x03")
    assert core.next_command() is None  # nothing runs
    command(core, b"vCont;c")
    core.receive_data(rsp.encode_packet(b"g"))
    assert core.next_command() is None
    core.receive_data(b"\x03\x03")
    assert core.next_command() == rsp.Interrupt()
    core.stopped(rsp.StopReport(signal=rsp.Signal.INT, registers=REGISTERS))
    assert replies(core.data_to_send())[0].startswith(b"T02")
    assert core.next_command() == rsp.ReadAllRegisters()


def test_ctrl_c_inside_binary_data_is_data():
    assert rsp.PacketDecoder().feed(rsp.encode_packet(b"X0,1:\x03")) == [rsp.Packet(data=b"X0,1:\x03")]
    assert rsp.PacketDecoder().feed(b"\x03") == [Token.INTERRUPT]


def test_a_command_waits_for_the_answer_to_the_one_before():
    core = server()
    core.receive_data(rsp.encode_packet(b"g") + rsp.encode_packet(b"?"))
    assert core.next_command() == rsp.ReadAllRegisters()
    assert core.next_command() is None
    core.answer_error(rsp.ErrorNumber.BUSY)
    assert core.next_command() == rsp.QueryStop()
    core.answer_stop(rsp.StopReport(signal=rsp.Signal.TRAP, registers=REGISTERS))
    with pytest.raises(LocalProtocolError, match="waits for no answer"):
        core.answer_ok()
