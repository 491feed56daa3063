"""The same run is the same to the byte: native and Python counter, new and used machine, saved and loaded."""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pytest

from brownout.engines.unicorn.interface import Stop, StopKind

from .conftest import CONTROLLER

if TYPE_CHECKING:
    from brownout.engines.unicorn import Registers
    from brownout.flash import Operation

    from .conftest import MakeRig, Rig

# Interrupts, sleep, flash commands, the UART, a reset; ends in a spin after some thousand steps.
BUSY = (
    """
    .equ TICKS, RAM + 0x200
function reset
    ldr r0, =TICKS
    movs r1, #0
    str r1, [r0]
    set 0x40004008, 3
    set 0xe000e014, 776
    set 0xe000e018, 0
    set 0xe000e010, 7
    movs r4, #0
loop:
    ldr r0, =0x21fff010
    str r4, [r0]
    movs r0, #1
    lsls r1, r4, #2
    movs r2, #4
    bl flash_command
    wfi
    movs r0, #200
1:  subs r0, #1
    bne 1b
    adds r4, #1
    cmp r4, #6
    bne loop
    ldr r0, =RAM + 0x300
    ldr r1, [r0]
    ldr r2, =0xcafe0001
    str r2, [r0]
    cmp r1, r2
    beq done
    set 0xe000ed0c, 0x05fa0004
2:  dsb
    b 2b
done:
    cpsid i
    b .
function systick
    ldr r0, =TICKS
    ldr r1, [r0]
    adds r1, #1
    str r1, [r0]
    ldr r2, =0x40004000
    str r1, [r2]
    bx lr
"""
    + CONTROLLER
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    stops: tuple[Stop, ...]
    operations: tuple[Operation, ...]
    times: tuple[int, ...]
    digests: tuple[bytes, ...]
    output: bytes
    registers: Registers
    ram: bytes
    flash: bytes


def record(rig: Rig, *, power_on: bool = True) -> Run:
    """The whole run, with a digest at each operation."""
    times: list[int] = []
    digests: list[bytes] = []
    stops: list[Stop] = []
    rig.port.operations.clear()

    def on_operation(_operation: Operation) -> None:
        times.append(rig.machine.time)
        rig.machine.pause()

    rig.port.on_operation = on_operation
    if power_on:
        rig.power_on()
    while not stops or stops[-1].kind is not StopKind.SPIN:
        assert len(stops) < 100
        stops.append(rig.run())
        digests.append(rig.machine.state_digest())
    return Run(
        stops=tuple(stops),
        operations=tuple(rig.port.operations),
        times=tuple(times),
        digests=tuple(digests),
        output=rig.machine.output("console"),
        registers=rig.machine.registers(),
        ram=rig.machine.read(0x20000000, 0x10000),
        flash=bytes(rig.machine.array),
    )


def test_the_busy_program_does_what_it_is_for(make_rig: MakeRig) -> None:
    run = record(make_rig(BUSY))
    assert [stop.kind for stop in run.stops].count(StopKind.PAUSED) == 12
    assert [stop.kind for stop in run.stops].count(StopKind.RESET) == 1
    assert len(run.output) > 10
    assert len(set(run.digests)) == len(run.digests)


def test_python_and_machine_code_count_the_same(make_rig: MakeRig) -> None:
    native, python = make_rig(BUSY, native=True), make_rig(BUSY, native=False)
    assert (native.machine.native, python.machine.native) == (True, False)
    assert record(native) == record(python)


@pytest.mark.parametrize("core", ["cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m33"])
def test_a_used_machine_is_as_a_new_one(make_rig: MakeRig, core: str) -> None:
    fresh, used = make_rig(BUSY, core=core), make_rig(BUSY, core=core)
    start = fresh.port.model.snapshot()
    wanted = record(fresh)
    used.run(1234)  # left in the middle of something
    for _ in range(3):
        used.port.model.restore(start)
        used.machine.feed("console", b"left over")
        assert record(used) == wanted


def test_a_saved_machine_goes_on_where_it_was(make_rig: MakeRig) -> None:
    rig = make_rig(BUSY)
    rig.port.on_operation = lambda _operation: rig.machine.pause()
    for _ in range(4):
        assert rig.run().kind is StopKind.PAUSED
    state = pickle.loads(pickle.dumps(rig.machine.save()))  # noqa: S301 - our own
    digest, flash = rig.machine.state_digest(), rig.port.model.snapshot()
    wanted = record(rig, power_on=False)
    other = make_rig(BUSY, native=False)
    other.run(500)
    for target in (rig, other):
        target.port.model.restore(flash)
        target.machine.load(state, flash.array.sectors)
        assert target.machine.state_digest() == digest
        run = record(target, power_on=False)
        assert (run.stops, run.operations, run.digests) == (wanted.stops, wanted.operations, wanted.digests)
        assert (run.ram, run.flash, run.registers) == (wanted.ram, wanted.flash, wanted.registers)


@pytest.mark.parametrize("control", [0, 1, 2, 3])
@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m4", "cortex-m33"])
@pytest.mark.parametrize("handler", [False, True])
def test_all_modes_and_stacks_are_saved(make_rig: MakeRig, core: str, control: int, *, handler: bool) -> None:
    source = f"""
function reset
    ldr r0, =RAM + 0x4000
    msr psp, r0
    movs r0, #0x30
    msr basepri, r0
    movs r0, #{control}
    msr control, r0
    isb
    push {{r0}}
    {"svc 0" if handler else "nop"}
1:  adds r0, #1
    b 1b
function svc
    push {{r0, lr}}
1:  adds r0, #1
    b 1b
"""
    rig = make_rig(source, core=core)
    rig.run(300)
    state, registers, digest = rig.machine.save(), rig.machine.registers(), rig.machine.state_digest()
    assert registers.basepri == 0x30
    assert registers.control == (control & 1 if handler else control)
    rig.run(300)
    later = rig.machine.registers()
    rig.machine.load(state, rig.sectors)
    assert rig.machine.registers() == registers
    assert rig.machine.state_digest() == digest
    rig.run(300)
    assert rig.machine.registers() == later


def test_a_machine_saved_anywhere_ends_at_the_same_time(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n movs r0, #1\n nop\n b 1f\n1: b .\n")
    for budget in range(1, 8):
        rig.power_on()
        rig.run(budget)
        state = rig.machine.save()
        wanted = rig.run()
        rig.machine.load(state, rig.sectors)
        assert rig.run() == wanted


def test_the_digest_sees_what_decides_and_not_the_time(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n ldr r1, =RAM\n1: ldr r0, [r1]\n b 1b\n")
    rig.run(100)
    first = rig.machine.state_digest()
    rig.run(99)
    assert rig.machine.time > 100
    assert rig.machine.state_digest() == first
    state = rig.machine.save()
    rig.machine.load(replace(state, ram=(b"x" + state.ram[0][1:],)), rig.sectors)
    changed = rig.machine.state_digest()
    assert changed != first
    rig.machine.feed("console", b"y")
    assert rig.machine.state_digest() != changed


def test_the_digest_sees_a_running_cycle_counter(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n set 0xe0001000, 1\n1: movs r0, #0\n b 1b\n")
    rig.run(100)
    first = rig.machine.state_digest()
    rig.run(100)
    assert rig.machine.state_digest() != first


def test_ram_starts_as_seeded_garbage(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n b .\n")
    first = rig.machine.read(0x20000000, 64)
    rig.power_on()
    assert rig.machine.read(0x20000000, 64) == first
    rig.machine.power_on(rig.sectors, ram_seed=8)
    assert rig.machine.read(0x20000000, 64) != first
