"""Flash operations of the machine: the reference controller, new code in old places, stray stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.engines.unicorn.interface import StopKind
from brownout.flash import Erase, Operation, Program, ViolationKind

from .conftest import BLOCK, CONTROLLER, FLASH

if TYPE_CHECKING:
    from .conftest import Assemble, MakeRig, Rig

PROGRAM = (
    """
function reset
    ldr r5, =0x21fff010
    ldr r4, =0x11223344
    str r4, [r5]
    ldr r4, =0x55667788
    str r4, [r5, #4]
    movs r0, #1
    ldr r1, =0x1100
    movs r2, #8
    bl flash_command
    put 0, r0
    ldr r4, =0x21001104
    ldr r4, [r4]
    put 4, r4
    movs r0, #2
    ldr r1, =0x1000
    ldr r2, =0x1000
    bl flash_command
    put 8, r0
    movs r0, #1
    ldr r1, =0x1102
    movs r2, #8
    bl flash_command
    put 12, r0
    b .
"""
    + CONTROLLER
)


def test_commands_reach_the_model_and_the_array(make_rig: MakeRig) -> None:
    rig = make_rig(PROGRAM)
    pcs: list[int] = []
    rig.port.on_operation = lambda _operation: pcs.append(rig.machine.operation_pc)
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(4) == [0, 0x55667788, 0, 3]
    data = bytes.fromhex("4433221188776655")
    assert rig.port.operations == [
        Program(offset=0x1100, data=data),
        Erase(offset=0x1000, length=0x1000),
        Program(offset=0x1102, data=data),
    ]
    doorbell = (rig.symbols["flash_command"] & ~1) + 14
    assert pcs == [doorbell] * 3
    assert rig.machine.array == rig.port.model.shadow


@pytest.mark.parametrize("native", [True, False])
def test_pause_comes_back_after_the_operation_and_changes_nothing(make_rig: MakeRig, *, native: bool) -> None:
    plain = make_rig(PROGRAM, native=native)
    end = plain.run()
    rig = make_rig(PROGRAM, native=native)
    rig.port.on_operation = lambda _operation: rig.machine.pause()
    seen = []
    while (stop := rig.run()).kind is StopKind.PAUSED:
        seen.append((len(rig.port.operations), rig.machine.array == rig.port.model.shadow))
    assert seen == [(1, True), (2, True), (3, True)]
    assert stop == end
    assert rig.machine.state_digest() == plain.machine.state_digest()


def test_the_entropy_comes_from_the_seed(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n b .\n")
    first = rig.machine.read(BLOCK + 0x110, 32)
    rig.machine.reset()
    assert rig.machine.read(BLOCK + 0x110, 32) == first != bytes(32)
    rig.machine.power_on(rig.sectors, ram_seed=99)
    assert rig.machine.read(BLOCK + 0x110, 32) != first


def test_a_store_past_the_controller_is_found_by_the_model(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r0, =0x21002010
    ldr r1, =0x12345678
    str r1, [r0]
    ldr r2, [r0]
    put 0, r2
    b .
""")
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 0x12345678
    (violation,) = rig.port.model.check_array(rig.machine.array)
    assert (violation.kind, violation.offset) == (ViolationKind.BYPASS, 0x2010)
    assert any("bypassed the controller" in line for line in rig.machine.log)
    rig.power_on()  # the sector is put right although its bytes object is the one that was placed
    assert rig.machine.array == rig.port.model.shadow


def test_unaligned_stray_stores_change_each_byte_once(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r0, =0x21000fff
    ldr r1, =0x12345678
    str r1, [r0]
    b .
""")
    assert rig.run().kind is StopKind.SPIN
    assert bytes(rig.machine.array[0xFFE:0x1004]) == bytes.fromhex("ff78563412ff")


def routine(assemble: Assemble, result: int) -> bytes:
    code, symbols = assemble(f"function reset\n movs r0, #{result}\n bx lr\n")
    start = symbols["reset"] & ~1
    return code[start : start + 4]


CALL_TWICE = (
    """
    .equ CODE, 0x21003001
function reset
    ldr r4, =CODE
    movs r6, #5
1:  blx r4
    subs r6, #1
    bne 1b
    put 0, r0
    movs r0, #2
    ldr r1, =0x3000
    ldr r2, =0x1000
    bl flash_command
    ldr r0, =0x21fff010
    ldr r1, =NEW
    str r1, [r0]
    movs r0, #1
    ldr r1, =0x3000
    movs r2, #4
    bl flash_command
    blx r4
    put 4, r0
    b .
"""
    + CONTROLLER
)


def two_routines(make_rig: MakeRig, assemble: Assemble) -> Rig:
    new = int.from_bytes(routine(assemble, 2), "little")
    flash = b"\xff" * 0x3000 + routine(assemble, 1)
    return make_rig(CALL_TWICE.replace("=NEW", f"={new:#x}"), flash=flash)


def test_code_that_is_programmed_anew_runs_as_the_new_code(make_rig: MakeRig, assemble: Assemble) -> None:
    rig = two_routines(make_rig, assemble)
    before = rig.sectors
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(2) == [1, 2]
    # And a machine that ran the new code runs the old one when it gets the old flash again.
    rig.machine.power_on(before, ram_seed=1)
    rig.machine.run(60)
    assert rig.word(0) == 1


def test_code_in_ram_is_forgotten_with_the_ram(make_rig: MakeRig, assemble: Assemble) -> None:
    one, two = (int.from_bytes(routine(assemble, result), "little") for result in (1, 2))
    rig = make_rig(f"""
function reset
    ldr r4, =RAM + 0x1000
    ldr r0, =0x21000000
    ldr r0, [r0]
    str r0, [r4]
    adds r4, #1
    blx r4
    put 0, r0
    ldr r0, ={two:#x}
    str r0, [r4, #-1]
    blx r4
    put 4, r0
    b .
""")
    sectors = [b"\xff" * 0x1000] * 15
    for code, result in ((one, 1), (two, 2), (one, 1)):
        rig.machine.power_on([code.to_bytes(4, "little").ljust(0x1000, b"\xff"), *sectors], ram_seed=1)
        assert rig.run().kind is StopKind.SPIN
        assert rig.words(2) == [result, 2]


def test_an_operation_on_a_marker_word_stops(make_rig: MakeRig) -> None:
    rig = make_rig(PROGRAM)
    rig.machine.stop_at([], [FLASH + 0x1104])
    assert rig.run().kind is StopKind.ARRIVED
    assert len(rig.port.operations) == 1


READS = """
function reset
    ldr r4, =0x21001104
    ldr r5, [r4]
    ldr r4, =0x21002ffc
    ldrb r5, [r4]
    ldr r4, =0x2100fffc
    ldr r5, [r4]
    b .
    .ltorg
"""


@pytest.mark.parametrize("native", [True, False])
def test_what_code_read_of_the_array_is_told_once(make_rig: MakeRig, *, native: bool) -> None:
    rig = make_rig(READS, native=native)
    assert rig.run().kind is StopKind.SPIN
    assert rig.machine.take_read_ranges() == ((0x1000, 0x3000), (0xF000, 0x10000))
    assert rig.machine.take_read_ranges() == ()


def test_nothing_is_operated_after_the_power_is_lost(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r3, =0x21fff000
    movs r0, #2
    str r0, [r3, #4]
    ldr r1, =0x1000
    str r1, [r3, #12]
    movs r1, #0
    str r1, [r3, #8]
    ldr r2, =0x40009000
    ldr r4, =RAM
    str r0, [r2]
    str r0, [r4]
    str r0, [r2]
    b .
""")
    rig.port.lose_power_at = 1
    garbage = rig.word(0)
    operations: list[Operation] = rig.port.operations
    assert rig.run().kind is StopKind.POWER_LOST
    assert (len(operations), rig.word(0)) == (1, garbage)
