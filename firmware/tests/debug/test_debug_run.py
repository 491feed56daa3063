"""Runs a compiled app on a Cortex-M3 (Unicorn) under the agent: it must not do other things when watched."""

import random

import pytest
from firmware.tests.debug.debug_machine import Access, Machine
from firmware.tests.debug.debug_world import (
    BREAKPOINT,
    CODE,
    CONTROL,
    DATA,
    HALTED,
    LR,
    MEMORY_FAULT,
    OK,
    PC,
    READ,
    STACK_TOP,
    STEP,
    THUMB,
    WATCH_ACCESS,
    WATCH_READ,
    WATCH_WRITE,
    WRITE,
    World,
)

STACK_LIMIT = DATA + 0x1000
LIMIT = 100_000


class Reference:
    """The example's life without a debugger: addresses, accesses, final registers and data."""

    def __init__(self, code: bytes) -> None:
        machine = Machine()
        machine.write(CODE, code)
        machine.registers[13:17] = [STACK_TOP, 0, CODE, THUMB]
        self.trace: list[int] = []
        self.accesses: list[list[Access]] = []
        while (end := machine.run([], 1, self.trace)) is None:
            self.accesses.append(machine.accesses)
            assert len(self.trace) < LIMIT
        assert end.kind == "breakpoint"
        self.end = machine.registers
        self.data = machine.read(STACK_TOP, 0x1000)


@pytest.fixture(scope="module")
def reference(example_code: bytes) -> Reference:
    """See there."""
    return Reference(example_code)


@pytest.fixture
def app(world: World, example_code: bytes) -> World:
    """The example, halted before its first instruction."""
    world.poke(CODE, example_code)
    world.set_registers(sp=STACK_TOP, pc=CODE, xpsr=THUMB)
    assert world.attach(READ | WRITE | CONTROL) == OK
    world.halt()
    return world


def check_end(app: World, reference: Reference, example_code: bytes) -> None:
    """The app is at its end, as without a debugger, and its code is what it was."""
    assert app.registers() == reference.end
    assert app.peek(STACK_TOP, 0x1000) == reference.data
    app.command("detach 0")
    assert app.peek(CODE, len(example_code)) == example_code


def test_example_is_worth_it(reference: Reference, example_code: bytes) -> None:
    halfwords = {bytes(example_code[i : i + 2]) for i in range(0, len(example_code), 2)}
    executed = {example_code[pc - CODE + 1] for pc in reference.trace}
    assert len(reference.trace) > 1000
    assert any(half[1] == 0xE8 and half[0] & 0xF0 == 0xD0 for half in halfwords), "no TBB"
    assert {0xBF, 0xBD, 0xB5, 0xE8, 0xE9, 0x47, 0xF0} <= executed | {half[1] for half in halfwords}


def test_steps_take_the_path_of_the_core(app: World, reference: Reference, example_code: bytes) -> None:
    for expected in reference.trace[:2500]:
        assert app.registers()[PC] == expected
        stop = app.step()
        assert stop.reason == STEP
        assert stop.registers == tuple(app.registers())
    app.done(2)
    app.run()
    stop = app.take_stop()
    assert stop.reason == BREAKPOINT
    check_end(app, reference, example_code)


def test_breakpoints_stop_each_time(app: World, reference: Reference, example_code: bytes) -> None:
    r = random.Random(2)
    points = set(r.sample(sorted(set(reference.trace)), 12))
    for point in points:
        app.done(8, 0, point, 2)
    for index, pc in enumerate(reference.trace):
        if pc in points and index > 0:
            stop = app.resume()
            assert stop is not None
            assert (stop.reason, stop.address, stop.registers[PC]) == (BREAKPOINT, pc, pc)
    stop = app.resume()
    assert stop is not None
    assert stop.registers[PC] == reference.end[PC]
    check_end(app, reference, example_code)


def test_steps_over_and_onto_breakpoints_are_steps(
    app: World, reference: Reference, example_code: bytes
) -> None:
    """A client need not remove a breakpoint before a step: not the one at pc, not the one it ends at."""
    for point in sorted(set(reference.trace[:600]))[:32]:
        app.done(8, 0, point, 2)
    for expected in reference.trace[:600]:
        assert app.registers()[PC] == expected
        assert app.step().reason == STEP
    app.command("detach 0")
    assert app.peek(CODE, len(example_code)) == example_code


@pytest.mark.parametrize(
    ("kind", "reason", "where", "length"),
    [
        (2, WATCH_WRITE, "global", 4),
        (3, WATCH_READ, "global", 4),
        (4, WATCH_ACCESS, "global", 8),
        (2, WATCH_WRITE, "global", 1),
        (2, WATCH_WRITE, "stack", 4),
        (4, WATCH_ACCESS, "stack", 8),
    ],
)
def test_watchpoints_stop_before_each_access_and_nowhere_else(
    app: World, reference: Reference, example_code: bytes, kind: int, reason: int, where: str, length: int
) -> None:
    """Every access of the example to the watched bytes, and none to their neighbours."""
    touched = sorted(
        {access.address for accesses in reference.accesses for access in accesses if is_in(access, where)}
    )
    r = random.Random(f"{kind} {where} {length}")
    for address in r.sample(touched, 3):
        watched = [
            pc
            for pc, accesses in zip(reference.trace, reference.accesses, strict=True)
            if any(
                access.meets(address, length) and kind in (4, 2 if access.is_write else 3)
                for access in accesses
            )
        ]
        app.done(8, kind, address, length)
        for pc in watched[:60]:
            stop = app.resume()
            assert stop is not None
            assert (stop.reason, stop.address, stop.registers[PC]) == (reason, address, pc)
        if len(watched) <= 60:
            stop = app.resume()
            assert stop is not None
            assert stop.registers[PC] == reference.end[PC]
            assert app.registers() == reference.end
        start_over(app, example_code)
    app.command("detach 0")
    assert app.areas() == []


def is_in(access: Access, where: str) -> bool:
    """Whether an access is to globals, far from the stack, or to the stack."""
    return access.address >= STACK_TOP if where == "global" else STACK_LIMIT < access.address < STACK_TOP


def start_over(app: World, example_code: bytes) -> None:
    """A new session, a new life."""
    app.command("detach 0")
    app.sent[0].clear()
    app.poke(CODE, example_code)
    app.poke(STACK_TOP, bytes(0x1000))
    app.set_registers(sp=STACK_TOP, pc=CODE, xpsr=THUMB)
    assert app.attach(READ | WRITE | CONTROL) == OK
    app.halt()


def test_step_at_a_watchpoint_passes_it(app: World, reference: Reference) -> None:
    """As GDB does it: the stop comes before the access, one step executes it."""
    address = next(
        access.address
        for accesses in reference.accesses
        for access in accesses
        if access.is_write and is_in(access, "global")
    )
    app.done(8, 2, address, 4)
    stop = app.resume()
    assert stop is not None
    assert stop.reason == WATCH_WRITE
    before = stop.registers[PC]
    assert app.step().reason == STEP
    assert app.registers()[PC] != before


def test_random_debugging_changes_nothing(app: World, reference: Reference, example_code: bytes) -> None:
    """Breakpoints, watchpoints, steps, halts in the middle: the app ends as it does alone."""
    r = random.Random(9)
    places = sorted(set(reference.trace))
    for _ in range(400):
        what = r.randrange(7)
        if what == 0:
            app.call(8, r.randrange(2), r.choice(places), 2)
        elif what == 1:
            app.call(9, r.randrange(2), r.choice(places), 2)
        elif what == 2:
            app.call(8, r.randrange(2, 5), STACK_TOP - 64 + r.randrange(0x400), r.choice((1, 2, 4, 8)))
        elif what == 3 and r.random() < 0.5:
            app.command("detach 0")
            assert app.attach(READ | WRITE | CONTROL) == OK
            app.halt()
        elif what == 4:
            app.step()
        elif app.resume(limit=r.randrange(1, 60)) is None:
            app.request(1)
            assert app.sent[0][0] == [1, 0, b""]
            app.sent[0].clear()
        assert not app.is_running()
        if app.registers()[PC] == reference.end[PC]:
            break
    app.command("detach 0")
    app.attach(READ | WRITE | CONTROL)
    app.halt()
    if app.registers()[PC] != reference.end[PC]:
        app.resume()
    check_end(app, reference, example_code)


def test_breakpoint_set_while_it_runs(app: World, reference: Reference) -> None:
    app.done(2)
    app.run(200)
    later = next(pc for pc in reference.trace[200:] if reference.trace.index(pc) > 200)
    app.done(8, 0, later, 2)
    app.run()
    assert app.take_stop().registers[PC] == later


def test_watchpoint_on_the_stack_set_while_it_runs(app: World, reference: Reference) -> None:
    app.done(2)
    app.run(100)
    assert app.is_running()
    address = next(
        access.address
        for accesses in reference.accesses[300:]
        for access in accesses
        if access.is_write and is_in(access, "stack")
    )
    app.done(8, 2, address, 4)
    if not app.sent[0]:
        app.run()
    stop = app.take_stop()
    assert (stop.reason, stop.address) == (WATCH_WRITE, address)


def test_halt_ends_a_step_that_takes_its_time(app: World) -> None:
    """A step into a system call that sleeps: its end stays patched no longer than the step lasts."""
    app.poke(CODE, bytes.fromhex("00df 00bf 00bf"))  # svc 0; nop; nop
    app.done(3)
    assert app.peek(CODE, 4) == bytes.fromhex("00df 00be")
    assert app.halt().reason == HALTED
    assert app.peek(CODE, 4) == bytes.fromhex("00df 00bf")


@pytest.mark.parametrize(
    ("code", "lr"),
    [("fee7", 0), ("fff7feff", CODE + 5), ("7047", CODE)],  # b . ; bl . ; bx lr with lr = here
)
def test_branch_to_itself(app: World, code: str, lr: int) -> None:
    app.poke(CODE, bytes.fromhex(code))
    app.set_registers(sp=STACK_TOP, pc=CODE, lr=CODE | 1 if code == "7047" else 0, xpsr=THUMB)
    assert app.step().registers[PC] == CODE
    assert app.registers()[LR] & ~1 == lr & ~1
    app.done(8, 0, CODE, 2)
    for _ in range(2):
        stop = app.resume()
        assert stop is not None
        assert (stop.reason, stop.registers[PC]) == (BREAKPOINT, CODE)
    app.done(9, 0, CODE, 2)
    app.done(8, 2, STACK_TOP - 8, 4)
    app.done(2)
    app.run(500)
    assert app.is_running()
    assert app.halt().reason == HALTED
    assert app.peek(CODE, len(code) // 2) == bytes.fromhex(code)


def test_own_breakpoint_of_the_app_is_passed(app: World) -> None:
    app.poke(CODE, bytes.fromhex("00bf 01be 00bf 02be"))
    for place in (2, 6):
        stop = app.resume()
        assert stop is not None
        assert (stop.reason, stop.registers[PC]) == (BREAKPOINT, CODE + place)
    app.set_registers(sp=STACK_TOP, pc=CODE + 2, xpsr=THUMB)
    assert app.step().registers[PC] == CODE + 4


EXCLUSIVE = {
    # again: ldrex r0, [r1, #4]; adds r0, #1; strex r2, r0, [r1, #4]; cmp r2, #0; bne again; bkpt
    "word": ("51e8010f 0130 41e80102 002a f7d1 00be", 4, 4),
    # The same with ldrexh, strexh and ldrexb, strexb at [r1].
    "halfword": ("d1e85f0f 0130 c1e8520f 002a f7d1 00be", 0, 2),
    "byte": ("d1e84f0f 0130 c1e8420f 002a f7d1 00be", 0, 1),
}
SHARED = STACK_TOP + 0x100


def exclusive_app(app: World, which: str) -> tuple[int, int]:
    code, offset, size = EXCLUSIVE[which]
    app.poke(CODE, bytes.fromhex(code))
    app.poke(SHARED, bytes.fromhex("ffffff01 ffffff01"))
    app.set_registers(sp=STACK_TOP, pc=CODE, r1=SHARED, r2=7, xpsr=THUMB)
    return SHARED + offset, size


@pytest.mark.parametrize("which", EXCLUSIVE)
def test_steps_through_an_exclusive_access_come_to_its_end(app: World, which: str) -> None:
    address, size = exclusive_app(app, which)
    before = int.from_bytes(app.peek(address, 4), "little")
    places = [app.step().registers[PC] - CODE for _ in range(5)]
    assert places == [4, 6, 10, 12, 14], "the store was tried again"
    assert app.registers()[2] == 0
    mask = (1 << 8 * size) - 1
    expected = before & ~mask | (before + 1) & mask
    assert int.from_bytes(app.peek(address, 4), "little") == expected


def test_continue_by_steps_comes_through_an_exclusive_access(app: World) -> None:
    exclusive_app(app, "word")
    app.done(8, 2, STACK_TOP - 8, 4)  # on the stack: served by stepping
    stop = app.resume(2000)
    assert stop is not None
    assert (stop.reason, stop.registers[PC]) == (BREAKPOINT, CODE + 14)


@pytest.mark.parametrize("what", ["write", "clrex", "svc", "other address", "no load", "resume"])
def test_an_exclusive_store_still_fails_where_it_must(app: World, what: str) -> None:
    # ldrex r0, [r1]; (nop.w, clrex or svc and nop); strex r2, r0, [r1] or [r3]
    middle = {"clrex": "bff32f8f", "svc": "00df00bf"}.get(what, "aff30080")
    app.poke(CODE, bytes.fromhex(f"51e8000f {middle} {'43' if what == 'other address' else '41'}e80002 00bf"))
    app.poke(SHARED, bytes(8))
    app.set_registers(sp=STACK_TOP, pc=CODE, r1=SHARED, r3=SHARED + 4, r2=7, xpsr=THUMB)
    if what == "resume":
        app.done(8, 0, CODE + 8, 2)
        assert app.resume() is not None
    elif what == "no load":
        app.set_registers(sp=STACK_TOP, pc=CODE + 8, r1=SHARED, r2=7, xpsr=THUMB)
    else:
        while app.registers()[PC] != CODE + 8:
            app.step()
    if what == "write":
        app.done(7, SHARED, b"\x05\0\0\0")
    app.set_registers([99, *app.registers()[1:]])
    assert app.step().registers[2] == 1
    assert app.peek(SHARED, 8) == (b"\x05" if what == "write" else b"\0") + bytes(7)


def test_an_exclusive_store_to_code_is_the_cores_to_refuse(app: World) -> None:
    exclusive_app(app, "word")
    before = app.peek(CODE + 0x100, 8)
    app.set_registers(sp=STACK_TOP, pc=CODE, r1=CODE + 0x100, r2=7, xpsr=THUMB)
    for _ in range(3):
        app.step()
    assert app.registers()[2] == 1  # this machine has no read-only code; what matters is who did it
    assert app.peek(CODE + 0x100, 8) == before


def test_own_breakpoint_in_an_it_block(app: World) -> None:
    """BKPT is never skipped, and the block goes on behind it."""
    app.poke(CODE, bytes.fromhex("0cbf 00be 0120 0221 03be"))  # ite eq; bkpt; mov r0, #1; mov r1, #2; bkpt
    for flags, r0 in ((0, 1), (0x40000000, 0)):
        app.set_registers(sp=STACK_TOP, pc=CODE, xpsr=THUMB | flags)
        stop = app.resume()
        assert stop is not None
        assert stop.registers[PC] == CODE + 2
        stop = app.resume()
        assert stop is not None
        assert (stop.registers[PC], stop.registers[0], stop.registers[1]) == (CODE + 8, r0, 2)


def test_fault_is_a_stop_and_no_watchpoint(app: World) -> None:
    app.poke(CODE, bytes.fromhex("08600160"))  # str r0, [r1]; str r1, [r0]
    app.done(8, 2, DATA + 0x8000, 4)
    app.set_registers(sp=STACK_TOP, pc=CODE, r1=DATA + 0x8010, xpsr=THUMB)
    stop = app.resume()
    assert stop is not None
    assert (stop.reason, stop.registers[PC]) == (MEMORY_FAULT, CODE + 2), "the neighbour was not passed"
    stop = app.resume()
    assert stop is not None
    assert stop.reason == MEMORY_FAULT, "a fault stays one"


def test_read_watchpoint_among_code(app: World) -> None:
    """The area stops fetches too: code around a watched constant runs on."""
    app.poke(CODE, bytes.fromhex("0248 00bf 00bf 0148 00bf 00be 78563412"))  # ldr r0, [pc, ..] twice
    app.done(8, 3, CODE + 12, 4)
    for place in (0, 6):
        stop = app.resume()
        assert stop is not None
        assert (stop.reason, stop.registers[PC]) == (WATCH_READ, CODE + place)
    stop = app.resume()
    assert stop is not None
    assert (stop.reason, stop.registers[0]) == (BREAKPOINT, 0x12345678)


def test_fault_beside_a_watchpoint_is_a_fault(app: World) -> None:
    """The access meets the area and leaves memory: it is passed once, and then it is what it is."""
    app.poke(CODE, bytes.fromhex("d1e90023"))  # ldrd r2, r3, [r1]
    app.done(8, 3, DATA + 0xFFE0, 1)
    app.set_registers(sp=STACK_TOP, pc=CODE, r1=DATA + 0xFFFC, xpsr=THUMB)
    app.done(2)
    app.run(50)
    stop = app.take_stop()
    assert (stop.reason, stop.registers[PC]) == (MEMORY_FAULT, CODE)
