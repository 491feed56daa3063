"""What every engine owes, with a real firmware: power, flash operations, cuts to the byte, resets, RAM."""

from __future__ import annotations

import re
import socket
from typing import TYPE_CHECKING

import pytest

from brownout.bench.uart_stream import stream_elf
from brownout.board import load_board
from brownout.device import Device
from brownout.engines.base import PowerEvent, PowerEventKind, PowerState
from brownout.engines.controller import geometry_of
from brownout.engines.factory import create_engine
from brownout.errors import CutNotFired, DeadlineError, ElfError, StateError, ViolationError
from brownout.evidence import MANIFEST, EvidenceKey, TimelineKind, parse_timeline, read_evidence
from brownout.flash import Erase, FlashModel, Phase, Program, TornStyle
from brownout.power import Cut, OperationTrigger, parse_replay
from brownout.symbols import Symbols
from brownout.uplink import Modem

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board

    from .conftest import ProbeFactory

pytestmark = pytest.mark.emulator

AREA = 0x10000
"""Offset in the array that the tests write to: in no region that matters."""
TIMEOUT_S = 20.0


@pytest.fixture(params=["qemu", "renode"])
def engine_name(request: pytest.FixtureRequest) -> str:
    if request.param == "renode":
        request.getfixturevalue("renode")
    return str(request.param)


def start(device: Device) -> None:
    device.power_on()
    device.wait_for_line("probe ready\n", TIMEOUT_S)


def order(device: Device, command: str) -> str:
    """Give the probe a command and return what it answers."""
    device.console.spawn.send(f"{command}\n")
    return str(device.wait_for_line(r"([0-9a-f]*) done\n", TIMEOUT_S)[1])


def pattern(word: int, length: int) -> bytes:
    """What the probe programs for `p OFFSET LENGTH WORD`."""
    return b"".join((word + at & 0xFFFFFFFF).to_bytes(4, "little") for at in range(0, length, 4))


def test_operations_reach_the_array_and_are_counted(probe: ProbeFactory) -> None:
    device = probe()
    start(device)
    assert order(device, f"p{AREA:x} 40 11223344") == "00000000"
    assert device.flash.image()[AREA : AREA + 0x40] == pattern(0x11223344, 0x40)
    assert order(device, f"n20 {AREA + 0x1000:x}") == "00000000"
    assert device.flash.model.ordinal == 1 + 0x20
    assert order(device, f"e{AREA:x}") == "00000000"
    assert device.flash.image()[AREA : AREA + 0x1000] == b"\xff" * 0x1000
    device.check()


def test_refused_operations_report_their_status(probe: ProbeFactory) -> None:
    device = probe()
    start(device)
    assert order(device, f"p{AREA + 2:x} 4 0") == "00000003"
    assert order(device, "p400000 4 0") == "00000003"
    assert order(device, "pfffffffc 8 0") == "00000003"
    with pytest.raises(ViolationError, match="3 flash rule"):
        device.check()


def test_the_firmware_never_sees_a_status_half_written(probe: ProbeFactory) -> None:
    # A status written word by word with struct.pack_into() read 0, OK, for an instant: one time in twenty.
    device = probe()
    start(device)
    assert order(device, "n400 400000") == "00000400"


@pytest.mark.parametrize("phase", list(Phase))
@pytest.mark.parametrize("erase", [False, True], ids=["program", "erase"])
def test_a_cut_leaves_exactly_the_bytes_of_the_model(
    probe: ProbeFactory, board: Board, phase: Phase, *, erase: bool
) -> None:
    device = probe(seed=77)
    start(device)
    order(device, f"p{AREA:x} 100 a5a50000")
    cut = Cut(trigger=OperationTrigger(number=1), phase=phase, torn=TornStyle.RANDOM)
    device.arm_cut(cut)
    device.console.spawn.send(f"e{AREA:x}\n" if erase else f"p{AREA + 0x100:x} 100 0\n")
    fired = device.wait_for_cut(TIMEOUT_S)
    assert (fired.session, fired.ordinal) == (1, 2)
    assert device.engine.state is PowerState.OFF

    model = FlashModel(geometry_of(board.flash), seed=77)
    model.power_on()
    model.apply(Program(offset=AREA, data=pattern(0xA5A50000, 0x100)))
    operation = (
        Erase(offset=AREA, length=0x1000) if erase else Program(offset=AREA + 0x100, data=pattern(0, 0x100))
    )
    model.apply(operation, cut=phase, torn=TornStyle.RANDOM)
    assert device.flash.image() == bytes(model.shadow)
    # The firmware was stopped while it waited for the status.
    assert device.console.text() == "probe ready\n00000000 done"

    start(device)
    model.power_on()
    assert device.flash.image() == bytes(model.shadow)
    assert "done" not in device.console.text(session_only=True)
    device.check()


def test_two_cuts_in_a_row_and_the_same_replay_give_the_same_bytes(
    probe: ProbeFactory, engine_name: str
) -> None:
    images = []
    for _ in range(2):
        device = probe(seed=5)
        for cut in ("op=3/torn", "op=2/torn/all_unstable"):
            device.arm_cut(cut)
            start(device)
            device.console.spawn.send(f"p{AREA:x} 100 0\np{AREA + 0x100:x} 100 0\np{AREA + 0x200:x} 100 0\n")
            device.wait_for_cut(TIMEOUT_S)
        images.append(device.flash.image())
        assert str(device.replay) == f"mps2-an385:{engine_name}:5:op=3/torn/random:op=2/torn/all_unstable"
        assert parse_replay(str(device.replay)) == device.replay
    assert images[0] == images[1]


def test_a_cut_that_does_not_fire_is_an_error(probe: ProbeFactory) -> None:
    device = probe()
    device.arm_cut("region=kernel.erase#2/torn")
    start(device)
    order(device, "e20000")
    with pytest.raises(CutNotFired, match="1 of 2 matched"):
        device.wait_for_cut(0.3)
    device.console.spawn.send("e21000\n")
    assert device.wait_for_cut(TIMEOUT_S).ordinal == 2


def test_input_from_before_the_receiver_was_enabled_is_not_left_lying(probe: ProbeFactory) -> None:
    # QEMU's main loop does not notice that the firmware enables the receiver: the engine has to wake it.
    device = probe()
    for _ in range(3):
        device.power_on()
        device.console.spawn.send("m\n")
        device.wait_for_line("done", TIMEOUT_S)
        device.cut_power()


def test_input_that_the_power_cut_off_is_never_heard(probe: ProbeFactory) -> None:
    # Renode keeps it over a reset: in its terminal, and in a queue until virtual time goes on.
    device = probe()
    for _ in range(3):
        start(device)
        device.console.spawn.send(f"e{AREA:x}\n" * 200)
        device.cut_power()
        start(device)
        order(device, "m")
        assert device.flash.model.ordinal == 0
        device.cut_power()


ECHO = (
    0x4806,  # ldr r0, =base of the UART
    0x2110, 0x6101,  # movs r1, #16; str r1, [r0, #0x10]: the smallest divider
    0x2103, 0x6081,  # movs r1, #3; str r1, [r0, #0x08]: transmitter and receiver on
    0x6802, 0x2302,  # ldr r2, [r0]; movs r3, #2
    0x6842, 0x421A, 0xD0FC,  # wait: ldr r2, [r0, #0x04]; tst r2, r3; beq wait
    0x6802, 0x6002, 0xE7F9,  # ldr r2, [r0]; str r2, [r0]; b wait
    0xBF00,  # nop: the literal is aligned
)  # fmt: skip


def test_every_byte_passes_the_uplink_both_ways(engine_name: str, tmp_path: Path) -> None:
    # QEMU's multiplexer would take Ctrl-A and the byte behind it for itself, and end at Ctrl-A x.
    board = load_board("mps2-an385")
    boot = tmp_path / "echo.elf"
    boot.write_bytes(stream_elf(board, ECHO))
    engine = create_engine(engine_name, board, boot, seed=1)
    sent = b"".join(bytes([1, byte, byte]) for byte in range(256)) + bytes(2000)
    with socket.create_server(("127.0.0.1", 0)) as server:
        modem = Modem(server.getsockname())
        try:
            engine.add_listener(modem)
            connection, _ = server.accept()
            with connection:
                connection.settimeout(TIMEOUT_S)
                modem.wait_connected(TIMEOUT_S)
                engine.on()
                connection.sendall(sent)
                received = b""
                while len(received) < len(sent) and (data := connection.recv(4096)):
                    received += data
                assert received == sent
        finally:
            engine.close()
            modem.close()


def test_a_reset_restarts_on_the_same_flash_in_the_same_session(probe: ProbeFactory) -> None:
    device = probe()
    start(device)
    order(device, f"p{AREA:x} 10 0")
    before = order(device, "m")
    device.console.spawn.send("r\n")
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    assert device.engine.resets == 1
    assert device.flash.model.session == 1
    assert device.flash.image()[AREA : AREA + 0x10] == pattern(0, 0x10)
    assert order(device, "m") != before
    assert order(device, f"p{AREA + 0x10:x} 10 0") == "00000000"
    assert [line.text for line in device.console.lines() if line.mark] == [
        "--- power on, session 1 ---",
        "--- reset, session 1 ---",
    ]
    device.check()


def test_ram_does_not_survive_and_is_reproducible(probe: ProbeFactory) -> None:
    seen = []
    for seed in (1, 1, 2):
        device = probe(seed=seed)
        runs = []
        for _ in range(2):
            start(device)
            runs.append(order(device, "m"))
            device.cut_power()
        seen.append(runs)
    assert seen[0] == seen[1]
    different = [words for runs in seen[1:] for words in runs]
    assert len({words[:16] for words in different}) == 4
    assert len({words[16:] for words in different}) == 4


def test_a_store_past_the_controller_is_found(probe: ProbeFactory) -> None:
    device = probe()
    start(device)
    order(device, f"s{AREA:x} 55")
    with pytest.raises(ViolationError, match=f"bypassed the controller at flash offset {AREA:#x}"):
        device.check()


def test_a_store_that_an_erase_would_hide_is_found(probe: ProbeFactory) -> None:
    device = probe()
    start(device)
    order(device, f"p{AREA + 0x100:x} 4 0")
    order(device, f"s{AREA:x} 55")
    order(device, f"e{AREA:x}")
    assert device.flash.image()[AREA : AREA + 4] == b"\xff" * 4
    with pytest.raises(ViolationError, match="bypassed the controller"):
        device.check()


def test_memory_can_be_read_while_the_firmware_runs(probe: ProbeFactory, board: Board) -> None:
    device = probe()
    start(device)
    words = order(device, "m")
    memory = device.read_memory(0x20000000, 8)
    assert "".join(memory[at : at + 4][::-1].hex() for at in (0, 4)) == words[:16]
    assert len(device.read_memory(board.memory["kernel_ram"].base, 0xC000)) == 0xC000
    device.cut_power()
    with pytest.raises(StateError, match="the power is off"):
        device.read_memory(0, 4)


def test_misuse_and_timeouts_are_named(probe: ProbeFactory) -> None:
    device = probe()
    with pytest.raises(StateError, match="no cut is armed"):
        device.wait_for_cut(0)
    with pytest.raises(StateError, match="has no power"):
        device.console.spawn.send("m")
    start(device)
    with pytest.raises(StateError, match="it is on"):
        device.power_on()
    with pytest.raises(StateError, match="power is on"):
        device.load(b"\0")
    with pytest.raises(
        DeadlineError, match=r"no text like 'gibberish' within 0\.3 s; power on; last .*probe ready"
    ):
        device.wait_for_line("gibberish", 0.3)
    device.cut_power()
    device.cut_power()
    device.close()
    device.close()


def test_snapshot_and_restore_bring_the_flash_back(probe: ProbeFactory) -> None:
    device = probe(seed=3)
    device.load(b"factory!", AREA)
    factory = device.snapshot()
    start(device)
    order(device, f"e{AREA:x}")
    order(device, f"s{AREA + 0x2000:x} 0")
    device.restore(factory, seed=4)
    assert device.engine.state is PowerState.OFF
    assert device.seed == 4
    assert device.flash.image()[AREA : AREA + 8] == b"factory!"
    start(device)
    device.check()


class Recorder:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.events: list[tuple[PowerEventKind, int]] = []

    def power_changed(self, event: PowerEvent) -> None:
        self.events.append((event.kind, event.session))


def test_listeners_hear_every_change_in_order(probe: ProbeFactory) -> None:
    device = probe()
    recorder = Recorder()
    device.engine.add_listener(recorder)
    start(device)
    device.console.spawn.send("r\n")
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    device.power_cycle()
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    device.close()
    kinds = PowerEventKind
    assert recorder.events == [(kinds.ON, 1), (kinds.RESET, 1), (kinds.CUT, 1), (kinds.ON, 2), (kinds.CUT, 2)]


class Broken:
    """A listener that fails."""

    def power_changed(self, event: PowerEvent) -> None:
        if event.kind is PowerEventKind.ON:
            raise RuntimeError("no")


def test_a_listener_that_fails_leaves_the_power_off(probe: ProbeFactory, engine_name: str) -> None:
    device = probe()
    device.engine.add_listener(Broken())
    with pytest.raises(RuntimeError, match="no"):
        device.power_on()
    assert device.engine.state is PowerState.OFF
    if engine_name == "qemu":  # Renode stays, stopped, for the next power-on
        assert device.engine.process_id is None  # type: ignore[attr-defined]


def test_evidence_is_complete(probe: ProbeFactory, engine_name: str, tmp_path: Path) -> None:
    device = probe(seed=9)
    device.arm_cut("op=1/after")
    start(device)
    device.console.spawn.send(f"p{AREA:x} 4 0\n")
    device.wait_for_cut(TIMEOUT_S)
    device.save_evidence(tmp_path / "evidence")
    saved = {path.name: path for path in (tmp_path / "evidence").iterdir()}
    evidence = read_evidence(tmp_path / "evidence")
    assert set(saved) == {MANIFEST, *evidence.files.values()}
    without = {EvidenceKey.LINK, EvidenceKey.TRACE, EvidenceKey.PROCESSOR}  # no modem, no sweep, no power
    assert set(evidence.files) == set(EvidenceKey) - without
    assert (evidence.seed, evidence.engine, evidence.replay) == (9, engine_name, str(device.replay))
    assert re.fullmatch(r"\d+(\.\d+)+", evidence.engine_version)
    assert saved["flash-before.bin"].read_bytes() == bytes([0xFF]) * device.board.flash.size
    assert f"--replay {device.replay}" in evidence.command
    timeline = parse_timeline(saved["timeline.jsonl"].read_text())
    (cut,) = evidence.cuts
    assert (cut.session, cut.operation) == (1, 1)
    kinds = [event.kind for event in timeline]
    assert kinds[0] is TimelineKind.POWER_ON
    assert kinds[-2:] == [TimelineKind.FLASH, TimelineKind.POWER_CUT]
    assert timeline[-2].text.endswith("power lost (after)")
    assert cut.time_s == pytest.approx(timeline[-2].time_s, abs=1e-5)
    assert "probe ready" in [event.text for event in timeline if event.kind is TimelineKind.NOTE]
    assert "probe ready" in saved["uart.log"].read_text()
    assert "--- power cut, session 1 ---" in saved["uart.log"].read_text()
    assert saved["flash.bin"].read_bytes() == device.flash.image()
    assert '"cut": "after"' in saved["operations.jsonl"].read_text()
    assert saved["replay.txt"].read_text().splitlines() == [
        f"replay mps2-an385:{engine_name}:9:op=1/after",
        "cut op=1/after: fired in session 1 at operation 1 of it (1 in all)",
    ]


def test_evidence_of_a_running_board_says_where_its_processor_is(probe: ProbeFactory, tmp_path: Path) -> None:
    device = probe()
    start(device)
    order(device, "n2 0")
    device.save_evidence(tmp_path)
    text = (tmp_path / "processor.txt").read_text()
    registers = device.engine.registers()
    # It waits for the next command.
    symbols = Symbols([device.boot])
    assert symbols.name(registers.pc).startswith(("reset_handler+", "get_char"))
    assert re.match(r"8 samples.*:\n  \dx pc 0x[0-9a-f]{8} (reset_handler\+|get_char)", text)
    assert f"  sp {registers.sp:#010x}\n" in text
    assert re.search(r"^  -> 0x[0-9a-f]{8} (ldr|lsls|tst|b)", text, re.M)


def test_a_boot_image_that_does_not_fit_is_refused(board: Board, tmp_path: Path) -> None:
    with pytest.raises(ElfError, match="cannot be read"):
        Device(board, tmp_path / "boot.elf")
