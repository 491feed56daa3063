"""Requests, permissions and messages of the debug agent, with an app that does not run."""

import random
from typing import TYPE_CHECKING

import cbor2
import pytest
from firmware.tests.debug.debug_world import (
    ALL,
    BAD_ADDRESS,
    BREAKPOINT,
    CODE,
    CONTROL,
    DATA,
    DONE,
    EXITED,
    HALTED,
    MALFORMED,
    NO_RESOURCES,
    NOT_FOUND,
    NOT_PERMITTED,
    OK,
    PC,
    READ,
    RESET,
    SIZE,
    SP,
    STACK_OVERFLOW,
    STACK_TOP,
    STATE,
    THUMB,
    UNKNOWN,
    USAGE_FAULT,
    WOULD_BLOCK,
    WRITE,
    WRONG_STATE,
    World,
    decode_stop,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

BKPT = bytes.fromhex("00be")
NOPS = bytes.fromhex("00bf") * 64
REGISTERS = [*range(0x100, 0x10D), STACK_TOP - 512, CODE + 0x41, CODE + 0x20, THUMB]

READS = [(4,), (6, CODE, 4), (11,)]
WRITES = [(5, bytes(68)), (7, DATA, b"x")]
CONTROLS = [(1,), (2,), (3,), (8, 2, DATA + 0x4000, 4), (9, 2, DATA + 0x4000, 4)]
PATCHES = [(8, 0, CODE, 2), (9, 0, CODE, 2), (8, 1, CODE, 2), (9, 1, CODE, 2)]
RESETS = [(10, 0), (10, 1)]


@pytest.fixture
def app(world: World) -> World:
    """An app of NOPs and a session that may do everything."""
    world.poke(CODE, NOPS)
    world.set_registers(REGISTERS)
    world.command("image")
    assert world.attach() == OK
    return world


def test_hello_and_status(app: World) -> None:
    hello = app.done(0)
    assert hello[:4] == bytes((1, 0, 0, 0))
    assert [int.from_bytes(hello[i : i + 4], "little") for i in range(4, 20, 4)] == [CODE, SIZE, DATA, SIZE]
    assert app.done(11) == bytes(12)
    app.halt()
    app.done(8, 0, CODE, 2)
    app.done(8, 2, DATA + 0x4000, 4)
    assert app.done(0)[1] == 1
    assert app.done(11)[:4] == bytes((1, HALTED, 1, 1))


def test_requests_need_their_permission(world: World) -> None:
    world.poke(CODE, NOPS)
    needs: list[tuple[int, Sequence[tuple[object, ...]]]] = []
    needs += [
        (READ, READS),
        (WRITE, WRITES),
        (CONTROL, CONTROLS),
        (WRITE | CONTROL, PATCHES),
        (RESET, RESETS),
    ]
    for permissions in range(16):
        world.set_registers(REGISTERS)
        assert world.attach(permissions) == OK
        for needed, requests in needs:
            for request in requests:
                before = (world.peek(CODE, 64), world.peek(DATA, 8), world.registers(), len(world.resets))
                status, data = world.call(*request)
                if permissions & needed == needed:
                    assert status != NOT_PERMITTED, (permissions, request)
                else:
                    assert (status, data) == (NOT_PERMITTED, b""), (permissions, request)
                    after = (world.peek(CODE, 64), world.peek(DATA, 8), world.registers(), len(world.resets))
                    assert after == before, (permissions, request)
                world.sent[0].clear()
        assert world.call(0)[0] == DONE
        assert world.call(12)[0] == DONE
        assert (world.command("controlling") == OK) == (permissions & CONTROL != 0)
        world.command("detach 0")


def test_one_session_controls_and_one_reads(app: World) -> None:
    assert app.attach(session=0) == STATE
    for permissions in (WRITE, CONTROL, RESET, ALL):
        assert app.attach(permissions, session=1) == STATE
    assert app.attach(READ, session=1) == OK
    app.halt()
    app.sent[1].clear()
    app.command("detach 1")
    assert not app.is_running(), "the end of a session that only reads changed the app"
    app.command("detach 0")
    assert app.is_running()
    assert app.command("controlling") == NOT_FOUND


def test_stop_shows_registers_stack_and_code(app: World) -> None:
    stack = random.Random(1).randbytes(1024)
    app.poke(STACK_TOP - 512, stack)
    app.done(8, 0, CODE + 0x20, 2)
    stop = app.halt()
    assert (stop.reason, stop.registers) == (HALTED, tuple(REGISTERS))
    assert (stop.stack_address, stop.stack) == (STACK_TOP - 512, stack[:128])
    assert stop.code_address <= CODE + 0x20 < stop.code_address + len(stop.code)
    assert len(stop.code) == 32
    assert stop.code == NOPS[:32], "a stop shows the program, not its patches"


@pytest.mark.parametrize(
    ("sp", "length"),
    [(DATA + SIZE - 12, 64), (DATA + SIZE, 0), (DATA - 4, 4), (0, 0), (0xFFFFFFFC, 0), (DATA, 128)],
)
def test_stack_window_ends_where_memory_ends(app: World, sp: int, length: int) -> None:
    app.set_registers(REGISTERS, sp=sp)
    assert len(app.halt().stack) == length


@pytest.mark.parametrize("offset", [0, 4, 60, 64, 100])
def test_stack_window_has_the_whole_line_that_sp_is_in(app: World, offset: int) -> None:
    """GDB reads the stack in lines of 64 bytes: one that begins below sp would cost a round trip a stop."""
    app.set_registers(REGISTERS, sp=STACK_TOP - 512 + offset)
    stop = app.halt()
    assert stop.stack_address == STACK_TOP - 512 + offset // 64 * 64
    assert stop.stack == app.peek(stop.stack_address, 128)


@pytest.mark.parametrize("pc", [CODE, CODE + 2, CODE + SIZE - 2, 0, 0xFFFFFFFE, DATA])
def test_code_window_lies_in_memory(app: World, pc: int) -> None:
    app.set_registers(REGISTERS, pc=pc)
    stop = app.halt()
    if CODE <= pc < CODE + SIZE:
        assert stop.code_address <= pc < stop.code_address + len(stop.code)
        assert stop.code == app.peek(stop.code_address, len(stop.code))


def test_halt_is_answered_by_a_stop_every_time(app: World) -> None:
    for _ in range(3):
        assert app.halt().reason == HALTED
        assert not app.is_running()


def test_registers(app: World) -> None:
    data = app.done(4)
    assert [int.from_bytes(data[i : i + 4], "little") for i in range(0, 68, 4)] == REGISTERS
    changed = b"".join(
        (value ^ 0x40 if i < 13 else value).to_bytes(4, "little") for i, value in enumerate(REGISTERS)
    )
    assert app.call(5, changed)[0] == WRONG_STATE
    app.halt()
    app.done(5, changed)
    assert app.done(4) == changed
    bad_stack = changed[: 4 * SP] + (16).to_bytes(4, "little") + changed[4 * PC - 4 :]
    assert app.call(5, bad_stack)[0] == BAD_ADDRESS
    assert app.done(4) == changed


def test_memory_that_is_not_the_apps(app: World) -> None:
    for address, length in ((0, 4), (CODE - 1, 2), (DATA + SIZE - 1, 2), (0xFFFFFFFF, 2), (DATA, 901)):
        assert app.call(6, address, length) == (BAD_ADDRESS, b"")
    for address in (0, CODE - 1, DATA + SIZE - 1, 0xFFFFFFFF):
        assert app.call(7, address, b"ab")[0] == BAD_ADDRESS
        assert app.call(8, 0, address, 2)[0] == BAD_ADDRESS
    assert app.call(8, 0, CODE + 1, 2)[0] == BAD_ADDRESS
    assert app.call(8, 0, CODE, 5)[0] == BAD_ADDRESS
    assert len(app.done(6, DATA, 900)) == 900
    assert app.done(6, DATA, 0) == b""


def test_patches_are_invisible(app: World) -> None:
    """Random inserts, removals, reads and writes against a plain copy of memory."""
    r = random.Random(3)
    model = bytearray(r.randbytes(128))
    app.poke(CODE, bytes(model))
    points: set[tuple[int, int]] = set()
    for _ in range(3000):
        address, length = CODE + r.randrange(120), r.randrange(9)
        offset = address - CODE
        what = r.randrange(4)
        kind = r.randrange(2)
        if what == 0 and len({point for point, _ in points}) < 30:
            app.done(8, kind, address & ~1, 2)
            points.add((address & ~1, kind))
        elif what == 1:
            app.done(9, kind, address & ~1, 2)
            points.discard((address & ~1, kind))
        elif what == 2:
            assert app.done(6, address, length) == bytes(model[offset : offset + length])
        else:
            data = r.randbytes(length)
            app.done(7, address, data)
            model[offset : offset + length] = data
        real = bytearray(model)
        for point, _ in points:
            real[point - CODE : point - CODE + 2] = BKPT
        assert app.peek(CODE, 128) == bytes(real)
    app.command("detach 0")
    assert app.peek(CODE, 128) == bytes(model)


def test_number_of_breakpoints_is_limited(app: World) -> None:
    for i in range(32):
        app.done(8, 0, CODE + 2 * i, 2)
    assert app.call(8, 0, CODE + 64, 2)[0] == NO_RESOURCES
    app.done(8, 1, CODE, 2)
    app.done(8, 0, CODE, 2)
    app.done(9, 0, CODE + 2, 2)
    app.done(8, 0, CODE + 64, 2)


def test_watch_areas(app: World) -> None:
    app.done(8, 2, DATA + 0x401C, 4)
    app.done(8, 2, DATA + 0x401C, 4)
    app.done(8, 4, DATA + 0x411E, 4)
    assert app.areas() == [(DATA + 0x4000, 32, False), (DATA + 0x4100, 64, True)]
    app.done(8, 3, DATA + 0x4008, 1)
    assert app.areas()[0] == (DATA + 0x4000, 32, True), "overlapping areas must be equally strict"
    app.done(9, 3, DATA + 0x4008, 1)
    assert app.areas()[0] == (DATA + 0x4000, 32, False)
    app.done(8, 2, DATA + 0x6000, 4)
    app.done(8, 2, DATA + 0x7000, 4)
    app.done(8, 2, DATA + 0x8000, 4)
    assert app.call(8, 2, DATA + 0x9000, 4)[0] == NO_RESOURCES
    for address, length in ((0, 4), (DATA + SIZE - 2, 4), (DATA + 0x4000, 0), (CODE + SIZE - 2, 4)):
        assert app.call(8, 2, address, length)[0] == BAD_ADDRESS
    app.command("detach 0")
    assert app.areas() == []


def test_areas_stay_away_from_the_stack(app: World) -> None:
    """The core pushes exception frames with the app's rights: a frame in an area would be lost."""
    for address in (STACK_TOP - 4, STACK_TOP - 40, DATA):
        app.done(8, 2, address, 4)
        assert app.areas() == []
        app.done(9, 2, address, 4)
    app.run(2)  # the step that was under way
    app.done(8, 2, STACK_TOP, 4)
    assert app.areas() == [(STACK_TOP, 32, False)]


def test_state_of_the_app_is_respected(app: World) -> None:
    assert app.call(2)[0] == WRONG_STATE
    assert app.call(3)[0] == WRONG_STATE
    app.halt()
    app.done(2)
    assert app.is_running()
    assert app.call(2)[0] == WRONG_STATE


@pytest.mark.parametrize("reason", [EXITED, STACK_OVERFLOW])
def test_app_that_cannot_go_on(app: World, reason: int) -> None:
    assert app.trap(reason, 5)
    stop = app.take_stop()
    assert (stop.reason, stop.address) == (reason, 5)
    assert app.call(2)[0] == WRONG_STATE
    assert app.call(3)[0] == WRONG_STATE
    app.command("detach 0")
    assert app.resets == ["app"]
    assert app.is_running()


def test_traps_without_a_session_are_the_kernels(world: World) -> None:
    assert not world.trap(USAGE_FAULT)
    world.attach(READ)
    assert not world.trap(BREAKPOINT)
    assert world.is_running()


def test_reset_of_the_app_keeps_breakpoints(app: World) -> None:
    app.done(8, 0, CODE + 8, 2)
    app.halt()
    app.set_registers(REGISTERS, pc=CODE + 12)
    app.poke(CODE + 16, b"overwritten")
    app.done(10, 0)
    assert app.resets == ["app"]
    assert app.sent[0] == []
    assert not app.is_running()
    assert app.registers() == REGISTERS
    assert app.peek(CODE, 32) == NOPS[:8] + BKPT + NOPS[10:32]
    app.command("detach 0")
    assert app.peek(CODE, 32) == NOPS[:32]
    app.attach()
    app.done(10, 1)
    assert app.resets == ["app", "device"]


def test_stop_follows_its_reply(app: World) -> None:
    app.command("room 0 1")
    assert app.request(1) == OK
    assert [message[0] for message in app.sent[0]] == [1]
    assert app.request(0) == WOULD_BLOCK
    app.command("room 0 5")
    app.command("poll")
    assert [message[0] for message in app.sent[0]] == [1, 2]


def test_answers_wait_for_room_and_are_not_lost(app: World) -> None:
    """Random room: every request is answered once, in order, and the stop comes behind the resume's reply."""
    r = random.Random(5)
    app.halt()
    for _ in range(200):
        app.sent[0].clear()
        app.command("room 0 0")
        expected = []
        for request in ((6, DATA + r.randrange(64), r.randrange(20)), (2,), (1,), (11,)):
            while (status := app.request(*request)) != OK:
                assert status == WOULD_BLOCK
                app.command(f"room 0 {r.randrange(2):x}")
                app.command("poll")
            expected += [1, 2] if request == (1,) else [1]
        app.command("output 6162")  # no room: dropped
        app.command("room 0 ff")
        app.command("poll")
        assert [message[0] for message in app.sent[0]] == expected


def test_stop_of_a_trap_survives_a_full_link(app: World) -> None:
    app.halt()
    app.done(2)
    app.command("room 0 0")
    assert app.request(4) == OK
    assert app.trap(USAGE_FAULT)
    app.command("output 6162")
    for _ in range(3):
        app.command("poll")
        assert app.request(0) == WOULD_BLOCK
    app.command("room 0 9")
    app.command("poll")
    assert [message[0] for message in app.sent[0]] == [1, 2]
    assert decode_stop(app.sent[0].pop()).reason == USAGE_FAULT
    assert int.from_bytes(app.done(11)[8:12], "little") == 2


def test_output_without_room_is_dropped(app: World) -> None:
    app.command("room 0 0")
    app.command("output 6162")
    app.command("room 0 9")
    app.command("poll")
    assert app.sent[0] == []
    assert int.from_bytes(app.done(11)[8:12], "little") == 2


def test_reader_sees_stops_and_output(app: World) -> None:
    assert app.attach(READ, session=1) == OK
    app.halt()
    assert decode_stop(app.sent[1].pop()).reason == HALTED
    app.command(f"output {b'hello'.hex()}")
    assert app.sent == [[[3, b"hello"]], [[3, b"hello"]]]


def test_session_that_may_not_read_sees_nothing(world: World) -> None:
    world.poke(CODE, NOPS)
    world.set_registers(REGISTERS)
    world.attach(CONTROL)
    stop = world.halt()
    assert (stop.reason, stop.registers, stop.stack, stop.code) == (HALTED, (0,) * 17, b"", b"")
    world.command(f"output {b'secret'.hex()}")
    assert world.sent[0] == []


def test_upgrade_is_told_once(app: World) -> None:
    app.command("notice")
    app.command("notice")
    assert app.sent[0] == [[4, 1]]
    app.command("detach 0")
    app.sent[0].clear()
    app.attach()
    app.command("notice")
    assert app.sent[0] == [[4, 1]]


def test_malformed_and_unknown_requests(app: World) -> None:
    assert app.call(13)[0] == UNKNOWN
    assert app.call(200, 3)[0] == UNKNOWN
    assert app.call(8, 5, CODE, 2)[0] == UNKNOWN
    assert app.call(9, 9, CODE, 2)[0] == UNKNOWN
    assert app.call(10, 2)[0] == UNKNOWN
    for message in ([], ["x"], [5, b"short"], [6, CODE], [6, CODE, 2**32], [1, 1]):
        assert app.command(f"request 0 {cbor2.dumps(message).hex()}") == MALFORMED, message
    for raw in ("", "80", "00", "8101ff", "8118", "ff", "9f01ff00"):
        assert app.command(f"request 0 {raw}") == MALFORMED, raw
    assert app.sent[0] == []


def test_random_bytes_do_no_harm(app: World) -> None:
    r = random.Random(11)
    valid = [cbor2.dumps(list(request)) for request in (*READS, *WRITES, *CONTROLS, *PATCHES)]
    for _ in range(3000):
        message = bytearray(r.choice(valid))
        for _ in range(r.randrange(1, 4)):
            message[r.randrange(len(message))] = r.randrange(256)
        status = app.command(f"request 0 {bytes(message[: r.randrange(len(message) + 1)]).hex()}")
        assert status in (OK, MALFORMED)
        app.sent[0].clear()
    app.command("detach 0")
    assert BKPT not in app.peek(CODE, 128)
    assert app.areas() == []
    assert app.is_running()


def test_detach_by_request_leaves_the_app_running(app: World) -> None:
    app.done(8, 0, CODE + 4, 2)
    app.done(8, 2, DATA + 0x4000, 4)
    app.halt()
    app.done(12)
    assert app.is_running()
    assert app.peek(CODE, 16) == NOPS[:16]
    assert app.areas() == []
    assert app.halt().reason == HALTED, "the session itself goes on"
