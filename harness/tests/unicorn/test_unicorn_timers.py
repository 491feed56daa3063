"""SysTick, the cycle counter, sleep: all on virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.engines.unicorn.interface import StopKind
from brownout.engines.unicorn.timers import SysTick

if TYPE_CHECKING:
    from .conftest import MakeRig

TICKS = """
function reset
    set 0xe000e014, 999
    set 0xe000e018, 0
    set 0xe000e010, 7
    movs r4, #0
1:  WAIT
    cmp r4, #3
    bne 1b
    put 0, r4
    set 0xe000e010, 0
    cpsid i
    b .
function systick
    adds r4, #1
    bx lr
"""


@pytest.mark.parametrize("wait", ["wfi", "nop", "wfe"])
def test_systick_interrupts_after_each_period(make_rig: MakeRig, wait: str) -> None:
    rig = make_rig(TICKS.replace("WAIT", wait))
    stop = rig.run()
    assert stop.kind is StopKind.SPIN
    assert rig.word(0) == 3
    assert 3000 <= stop.time < 3060


def test_a_spin_that_systick_ends_lets_the_time_pass(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    set 0xe000e014, 0xffffff
    set 0xe000e018, 0
    set 0xe000e010, 7
    b .
function systick
    cpsid i
    put 0, lr
    b .
""")
    stop = rig.run(100_000_000)
    assert (stop.kind, rig.word(0)) == (StopKind.SPIN, 0xFFFFFFF9)
    assert 0x1000000 <= stop.time < 0x1000040


def test_sleep_without_any_event_is_for_ever(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n cpsid i\n1: wfi\n b 1b\n")
    assert rig.run().kind is StopKind.SLEEP
    assert rig.run().kind is StopKind.SLEEP


def test_sleep_is_ended_by_a_masked_interrupt_that_is_not_taken(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    cpsid i
    set 0xe000e014, 99
    set 0xe000e018, 0
    set 0xe000e010, 7
    wfi
    movs r0, #1
    put 0, r0
    b .
function systick
    b .
""")
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 1


def test_a_budget_can_end_in_a_sleep_that_goes_on(make_rig: MakeRig) -> None:
    rig = make_rig(TICKS.replace("WAIT", "wfi"))
    for _ in range(100):
        stop = rig.run(100)
        if stop.kind is not StopKind.BUDGET:
            break
    assert stop.kind is StopKind.SPIN
    whole = make_rig(TICKS.replace("WAIT", "wfi"))
    assert whole.run().time == stop.time


def test_sev_ends_the_next_wfe(make_rig: MakeRig) -> None:
    rig = make_rig(
        "function reset\n cpsid i\n sev\n wfe\n movs r0, #1\n put 0, r0\n"
        " wfe\n movs r0, #2\n put 0, r0\n b .\n"
    )
    assert rig.run().kind is StopKind.SLEEP
    assert rig.word(0) == 1


def test_an_undefined_instruction_after_wfe_is_not_taken_for_it(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n sev\n wfe\nbad: udf 0\nfunction hard\n b .\n")
    stop = rig.run()
    assert stop.kind is StopKind.FAULT
    assert f"undefined instruction at {rig.symbols['bad']:#010x}" in stop.detail


def test_the_cycle_counter_counts_virtual_time(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    set 0xe000edfc, 0x01000000
    set 0xe0001004, 0
    set 0xe0001000, 1
    ldr r0, =0xe0001004
    ldr r2, =5000
1:  ldr r1, [r0]
    cmp r1, r2
    blo 1b
    put 0, r1
    b .
""")
    stop = rig.run()
    assert stop.kind is StopKind.SPIN
    assert 5000 <= rig.word(0) < 5010
    assert stop.time - rig.word(0) < 60


class Clock:
    def __init__(self) -> None:
        self.now = 0

    def __call__(self) -> int:
        return self.now


def test_systick_registers() -> None:
    clock = Clock()
    tick = SysTick(clock)
    tick.write(4, 9)
    tick.write(8, 0)
    tick.write(0, 5)  # polled: no interrupt
    assert tick.due is None
    assert tick.read(8) == 0  # the first step reloads it
    clock.now = 1
    assert tick.read(8) == 9
    clock.now = 10
    assert (tick.read(8), tick.read(0)) == (0, 0x10005)
    assert tick.read(0) == 5  # COUNTFLAG is cleared by the read
    clock.now = 35
    assert (tick.read(8), tick.read(0)) == (5, 0x10005)
    tick.write(0, 4)
    clock.now = 99
    assert (tick.read(8), tick.read(0)) == (5, 4)  # it stands still
    tick.write(0, 7)
    assert tick.due == 104
    saved = tick.save()
    clock.now = 1000
    other = SysTick(clock)
    other.load(saved)
    assert other.due == 1005
    assert other.save() == saved
    assert not other.take_interrupt()
    clock.now = 1005
    assert other.take_interrupt()
    assert not other.take_interrupt()


def test_systick_with_reload_0_stops_at_0() -> None:
    clock = Clock()
    tick = SysTick(clock)
    tick.write(4, 9)
    tick.write(0, 7)
    tick.write(4, 0)
    clock.now = 10
    assert tick.take_interrupt()
    clock.now = 1000
    assert tick.due is None
    assert not tick.take_interrupt()
    tick.write(4, 9)
    assert tick.due == 1010
