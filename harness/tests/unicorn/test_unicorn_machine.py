"""The in-process machine: stops, resets, registers of the core, unknown peripherals, the UART."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.engines.unicorn import Machine, create_machine
from brownout.engines.unicorn.interface import StopKind
from brownout.errors import EngineError, StateError

from .conftest import CONTROLLER, RAM, SEED, Port, tiny_board

if TYPE_CHECKING:
    from .conftest import MakeRig

LOOP = """
function reset
    movs r0, #0
1:  adds r0, #1
    nop
    b 1b
"""


def test_a_budget_ends_the_run_and_time_counts_halfwords(make_rig: MakeRig) -> None:
    rig = make_rig(LOOP)
    stop = rig.run(1000)
    assert stop.kind is StopKind.BUDGET
    # 4 halfwords before the first branch, then 3 a turn; a block is executed whole.
    assert stop.time == rig.machine.time == 4 + 3 * 332
    assert rig.machine.registers().r[0] == 333
    assert rig.run(0).time == stop.time


def test_running_in_slices_is_running_at_once(make_rig: MakeRig) -> None:
    whole, sliced = make_rig(LOOP), make_rig(LOOP)
    whole.run(10_000)
    while sliced.machine.time < whole.machine.time:
        sliced.run(1)
    assert sliced.machine.time == whole.machine.time
    assert sliced.machine.registers() == whole.machine.registers()
    assert sliced.machine.state_digest() == whole.machine.state_digest()


def test_a_branch_to_itself_is_a_spin(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n movs r0, #3\nspin: b .\n")
    stop = rig.run()
    assert (stop.kind, stop.pc) == (StopKind.SPIN, rig.symbols["spin"])
    assert stop.time < 10


def test_a_loop_of_one_instruction_that_ends_is_not_a_spin(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r0, =pops
    orr r0, #1
    movs r1, #5
1:  push {r0}
    subs r1, #1
    bne 1b
    ldr r0, =end
    str r0, [sp, #16]
    b pops
    .balign 4
pops: pop {pc}
function end
    movs r0, #1
    put 0, r0
    b .
""")
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 1


def test_power_lost_ends_everything(make_rig: MakeRig) -> None:
    rig = make_rig(
        "function reset\n movs r0, #2\n movs r1, #0\n movs r2, #0\n bl flash_command\n b .\n" + CONTROLLER
    )
    rig.port.lose_power_at = 1
    assert rig.run().kind is StopKind.POWER_LOST
    with pytest.raises(StateError, match="the power is off"):
        rig.run()
    rig.port.lose_power_at = 0
    rig.power_on()
    assert rig.run().kind is StopKind.SPIN


def test_a_reset_through_aircr_keeps_ram_and_counts(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r0, =RAM
    ldr r1, [r0]
    ldr r2, =0x600df00d
    str r2, [r0]
    str r1, [r0, #4]
    cmp r1, r2
    beq done
    set 0xe000ed08, 0x200       @ a vector table somewhere
    set 0xe000ed0c, 0x12340004  @ without the key nothing happens
    set 0xe000ed0c, 0x05fa0004
wait: dsb
    b wait
done:
    b .
""")
    before = rig.word(0)
    stop = rig.run()
    assert (stop.kind, stop.pc) == (StopKind.RESET, rig.symbols["reset"])
    assert (rig.machine.resets, rig.machine.vtor) == (1, 0)
    assert (rig.word(0), rig.word(4)) == (0x600DF00D, before)
    assert rig.machine.registers().r[:13] == (0,) * 13
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(4) == 0x600DF00D
    assert any("without the key" in line for line in rig.machine.log)


def test_reset_from_outside_is_the_same(make_rig: MakeRig) -> None:
    rig = make_rig(LOOP)
    rig.run(100)
    time = rig.machine.time
    rig.machine.reset()
    assert rig.machine.registers().pc == rig.symbols["reset"]
    assert (rig.machine.time, rig.machine.resets) == (time, 1)


@pytest.mark.parametrize("label", ["inside", "target"])
def test_code_in_a_stop_range_is_not_executed(make_rig: MakeRig, label: str) -> None:
    rig = make_rig("""
function reset
    movs r0, #1
    movs r1, #1
inside:
    movs r0, #2
    b target
    nop
target:
    movs r0, #3
    b .
""")
    plain = rig.run().time
    start = rig.symbols[label]
    rig.machine.stop_at([(start, start + 2)])
    rig.power_on()
    stop = rig.run()
    assert (stop.kind, stop.pc) == (StopKind.ARRIVED, start)
    assert rig.machine.registers().r[0] == {"inside": 1, "target": 2}[label]
    assert stop.time == {"inside": 2, "target": 4}[label]
    assert rig.run().kind is StopKind.SPIN  # and on from there
    assert rig.machine.time == plain
    rig.machine.stop_at([])
    rig.power_on()
    assert rig.run().kind is StopKind.SPIN


def test_a_store_to_a_marker_word_stops(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r0, =RAM
    movs r1, #7
    str r1, [r0, #4]
    b 1f
1:  strb r1, [r0, #9]
    b 2f
2:  movs r1, #8
    b .
""")
    rig.machine.stop_at([], [RAM + 8])
    stop = rig.run()
    assert stop.kind is StopKind.ARRIVED
    assert (rig.word(8) >> 8 & 0xFF, rig.machine.registers().r[1]) == (7, 7)
    assert rig.run().kind is StopKind.SPIN


def test_unknown_registers_read_the_boards_default_and_are_logged_once(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r0, =0x40012340
    movs r2, #5
1:  ldr r1, [r0]
    str r1, [r0, #4]
    subs r2, #1
    bne 1b
    put 0, r1
    ldr r0, =0xe0042000
    ldr r1, [r0]
    put 4, r1
    b .
""")
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(2) == [0x5A5A5A5A, 0x5A5A5A5A]
    assert len(rig.machine.log) == 3
    assert rig.machine.log[0].startswith("read of 0x40012340")


@pytest.mark.parametrize(
    ("core", "cpuid"), [("cortex-m0plus", 0x410CC601), ("cortex-m3", 0x412FC231), ("cortex-m33", 0x410FD213)]
)
def test_cpuid_tells_the_core(make_rig: MakeRig, core: str, cpuid: int) -> None:
    rig = make_rig("function reset\n ldr r0, =0xe000ed00\n ldr r0, [r0]\n put 0, r0\n b .\n", core=core)
    rig.run()
    assert rig.word(0) == cpuid


def test_a_core_executes_its_own_instructions_only(make_rig: MakeRig) -> None:
    # Unicorn's UC_MODE_MCLASS runs everything as an M33, which divides.
    divide = "movs r0, #8\n movs r1, #2\n .inst.n 0xfbb0, 0xf0f1\n"
    source = f"function reset\n {divide} put 0, r0\n b .\nfunction hard\n b .\n"
    assert make_rig(source, core="cortex-m3").run().kind is StopKind.SPIN
    assert make_rig(source, core="cortex-m0plus").run().kind is StopKind.FAULT


def test_mpu_and_priority_registers_store(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    set 0xe000ed9c, 0x20000013
    ldr r0, [r6]
    put 0, r0
    ldr r0, =0xe000ed90
    ldr r0, [r0]
    put 4, r0
    ldr r1, =0xe000e405
    movs r0, #0xff
    strb r0, [r1]
    ldr r0, =0xe000e404
    ldr r0, [r0]
    put 8, r0
    b .
""")
    rig.run()
    assert rig.words(3) == [0x20000013, 0x800, 0xF000]


UART = """
function reset
    set 0x40004010, 16
    set 0x40004008, 3
    ldr r0, =0x40004000
1:  ldr r1, [r0, #4]
    lsls r1, r1, #30
    bpl 1b
    ldr r1, [r0]
    str r1, [r0]
    cmp r1, #'!'
    bne 1b
    b .
"""


def test_the_uart_is_polled(make_rig: MakeRig) -> None:
    rig = make_rig(UART)
    rig.machine.feed("console", b"hello!")
    assert rig.run().kind is StopKind.SPIN
    assert rig.machine.output("console") == b"hello!"
    rig.power_on()
    assert rig.machine.output("console") == b""
    assert rig.run(1000).kind is StopKind.BUDGET
    with pytest.raises(EngineError, match="no UART 'uplink'"):
        rig.machine.output("uplink")


def test_the_uart_interrupts(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    set 0x40004008, 0x0b
    set 0xe000e100, 1
1:  wfi
    b 1b
function irq0
    ldr r0, =0x40004000
    movs r1, #2
    str r1, [r0, #12]
    ldr r1, [r0]
    str r1, [r0]
    bx lr
""")
    assert rig.run().kind is StopKind.SLEEP
    rig.machine.feed("console", b"abc")
    assert rig.run().kind is StopKind.SLEEP
    assert rig.machine.output("console") == b"abc"


def test_a_trace_sees_every_instruction(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n movs r0, #2\n1: subs r0, #1\n bne 1b\n b .\n")
    rig.run()
    time, seen = rig.machine.time, list[int]()
    rig.machine.trace(seen.append)
    rig.power_on()
    rig.run()
    start = rig.symbols["reset"] & ~1
    assert seen == [start, start + 2, start + 4, start + 2, start + 4, start + 6]
    assert rig.machine.time == time
    rig.machine.trace(None)
    rig.power_on()
    rig.run()
    assert len(seen) == 6


def test_a_reset_vector_that_is_not_code_locks_up() -> None:
    board = tiny_board()
    machine = create_machine(board, rom=[(0, bytes(8))], port=Port(board), vector_table=0)
    machine.power_on([b"\xff" * 0x1000] * 16, ram_seed=SEED)
    stop = machine.run(100)
    assert stop.kind is StopKind.LOCKUP
    assert "reset vector 0x00000000" in stop.detail
    machine.close()


def test_what_cannot_be_built_says_why() -> None:
    board = tiny_board()
    with pytest.raises(EngineError, match=r"ROM at 0x20000000.*overlaps the memory at 0x20000000"):
        Machine(board, rom=[(RAM, b"x")], port=Port(board), vector_table=0)
    with pytest.raises(EngineError, match="a peripheral is there that takes no image"):
        Machine(board, rom=[(0x40004000, b"x")], port=Port(board), vector_table=0)
    machine = create_machine(board, rom=[], port=Port(board))
    with pytest.raises(StateError, match="the power is off"):
        machine.run(1)
    with pytest.raises(EngineError, match="flash contents of 1 sectors: expected 16"):
        machine.power_on([b""], ram_seed=1)
    machine.close()
