"""Exceptions of the in-process core: interrupts and their priorities, SVC, faults, lockup, returns."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.engines.unicorn.interface import StopKind

from .conftest import RAM

if TYPE_CHECKING:
    from .conftest import MakeRig

CORES = ("cortex-m0plus", "cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")
MAIN = ("cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")

SVC = """
function reset
    movs r0, #1
    movs r1, #2
    svc 5
    put 0, r0
    put 4, r1
    cpsid i
    b .
function svc
    mrs r2, ipsr
    put 8, r2
    mov r2, lr
    put 12, r2
    mov r3, sp
    movs r2, #42
    str r2, [r3]         @ the frame's r0
    bx lr
"""


@pytest.mark.parametrize("core", CORES)
def test_svc_enters_its_handler_and_returns_behind_it(make_rig: MakeRig, core: str) -> None:
    rig = make_rig(SVC, core=core)
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(4) == [42, 2, 11, 0xFFFFFFF9]


PSP = """
function reset
    ldr r0, =RAM + 0x4000
    msr psp, r0
    movs r0, #CONTROL
    msr control, r0
    isb
    mov r0, sp
    put 0, r0
    svc 0
    mov r0, sp
    put 4, r0
    mrs r0, control
    put 8, r0
    svc 0
    b .
function svc
    mov r0, lr
    put 12, r0
    mrs r0, control
    put 16, r0
    mrs r0, psp
    put 20, r0
    mov r0, sp
    put 24, r0
    push {lr}
    pop {pc}
"""


@pytest.mark.parametrize("core", MAIN)
@pytest.mark.parametrize("control", [2, 3], ids=["privileged", "unprivileged"])
def test_thread_code_on_the_process_stack_comes_back_to_it(
    make_rig: MakeRig, core: str, control: int
) -> None:
    rig = make_rig(PSP.replace("CONTROL", str(control), 1), core=core)
    assert rig.run().kind is StopKind.SPIN
    stack = RAM + 0x4000
    assert rig.words(7) == [stack, stack, control, 0xFFFFFFFD, control & 1, stack - 0x20, 0x20008000]
    registers = rig.machine.registers()
    assert (registers.psp, registers.msp, registers.control) == (stack, 0x20008000, control)


NESTING = """
function reset
    set 0xe000e100, 0x0c        @ interrupts 2 and 3 on
    set 0xe000e400, PRIORITIES  @ their priorities
    ldr r5, =RAM
    movs r0, #0
    str r0, [r5, #0x40]
    set 0xe000e200, 0x04        @ pend 2
    isb
    cpsid i
    b .
function note
    ldr r4, =RAM + 0x100
    ldr r2, [r5, #0x40]
    lsls r1, r2, #2
    str r0, [r5, r1]
    adds r2, #1
    str r2, [r5, #0x40]
    bx lr
function irq2
    push {r4, lr}
    movs r0, #2
    bl note
    set 0xe000e200, 0x08        @ pend 3 inside
    movs r0, #22
    bl note
    pop {r4, pc}
function irq3
    push {r4, lr}
    movs r0, #3
    bl note
    pop {r4, pc}
"""


def nested(make_rig: MakeRig, priorities: int, core: str) -> list[int]:
    source = NESTING.replace("PRIORITIES", f"{priorities:#010x}")
    rig = make_rig(source, core=core)
    assert rig.run().kind is StopKind.SPIN
    return rig.words(rig.word(0x40))


@pytest.mark.parametrize("core", CORES)
def test_an_interrupt_of_higher_priority_preempts_a_handler(make_rig: MakeRig, core: str) -> None:
    assert nested(make_rig, 0x40800000, core) == [2, 3, 22]


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("priorities", [0x80400000, 0x40400000], ids=["lower", "equal"])
def test_an_interrupt_of_lower_or_equal_priority_waits(make_rig: MakeRig, core: str, priorities: int) -> None:
    assert nested(make_rig, priorities, core) == [2, 22, 3]


def test_priority_grouping_decides_what_preempts(make_rig: MakeRig) -> None:
    grouped = "    set 0xe000ed0c, 0x05fa0600\n"  # PRIGROUP 6: one bit of preemption
    source = NESTING.replace("PRIORITIES", "0x40600000").replace(
        "    set 0xe000e100", grouped + "    set 0xe000e100", 1
    )
    rig = make_rig(source)
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(3) == [2, 22, 3]


MASKED = """
function reset
    set 0xe000e100, 0x04
    set 0xe000e400, 0x00400000  @ interrupt 2: priority 0x40
    MASK
    set 0xe000e200, 0x04
    ldr r5, =RAM
    movs r0, #1
    str r0, [r5]
    nop
    b 1f
1:  movs r0, #2
    str r0, [r5, #4]
    UNMASK
    isb
    movs r0, #3
    str r0, [r5, #8]
    cpsid i
    b .
function irq2
    ldr r1, =RAM
    ldr r0, [r1]
    str r0, [r1, #16]
    ldr r0, [r1, #4]
    str r0, [r1, #20]
    ldr r0, [r1, #8]
    str r0, [r1, #24]
    bx lr
"""


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("mask", "unmask"),
    [
        ("cpsid i", "cpsie i"),
        ("cpsid f", "cpsie f"),
        ("movs r0, #0x40\n msr basepri, r0", "movs r0, #0x50\n msr basepri, r0"),
        ("movs r0, #0x20\n msr basepri, r0", "movs r0, #0\n msr basepri, r0"),
    ],
    ids=["primask", "faultmask", "basepri raised", "basepri off"],
)
def test_a_masked_interrupt_comes_right_after_it_is_unmasked(
    make_rig: MakeRig, mask: str, unmask: str, *, native: bool
) -> None:
    rig = make_rig(MASKED.replace("UNMASK", unmask).replace("MASK", mask), native=native)
    garbage = rig.word(8)
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(3) == [1, 2, 3]
    assert [rig.word(16), rig.word(20), rig.word(24)] == [1, 2, garbage]


PENDSV = """
function reset
    set 0xe000ed20, 0x00e00000
    set 0xe000ed04, 0x10000000
    isb
    put 0, r0
    cpsid i
    b .
function pendsv
    movs r0, #77
    mov r1, sp
    str r0, [r1]
    bx lr
"""


@pytest.mark.parametrize("core", CORES)
def test_pendsv_is_pended_through_icsr(make_rig: MakeRig, core: str) -> None:
    rig = make_rig(PENDSV, core=core)
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 77


FAULT = """
function reset
    ENABLE
    movs r0, #9
    CAUSE
    b .
function hard
    movs r1, #3
    b report
function memmanage
    movs r1, #4
    b report
function bus
    movs r1, #5
    b report
function usage
    movs r1, #6
function report
    put 0, r1
    ldr r2, =0xe000ed28
    ldr r0, [r2]
    put 4, r0
    ldr r0, [r2, #4]
    put 8, r0
    ldr r0, [r2, #16]
    put 12, r0
    mrs r0, msp
    ldr r0, [r0, #24]
    put 16, r0
    cpsid i
    b .
"""
ALL_HANDLERS = "set 0xe000ed24, 0x00070000"
CAUSES = {
    "bus": ("ldr r2, =0x30000000\ncause: ldr r3, [r2]", 5, 0x8200),
    "bus store": ("ldr r2, =0x30000000\ncause: str r3, [r2]", 5, 0x8200),
    "store to ROM": ("ldr r2, =0x100\ncause: str r3, [r2]", 5, 0x8200),
    "undefined": ("cause: udf 0", 6, 0x10000),
    "even address": ("ldr r2, =0x200\n bx r2", 6, 0x20000),
    "execute nothing": ("ldr r2, =0x30000001\n bx r2", 5, 0x100),
    "execute a register": ("ldr r2, =0x40004001\n bx r2", 4, 0x1),
}


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("cause", CAUSES)
def test_a_fault_goes_to_its_handler_or_escalates(make_rig: MakeRig, cause: str, *, enabled: bool) -> None:
    code, handler, status = CAUSES[cause]
    rig = make_rig(FAULT.replace("CAUSE", code).replace("ENABLE", ALL_HANDLERS if enabled else ""))
    stop = rig.run()
    assert stop.kind is StopKind.FAULT
    names = {4: "MemManage", 5: "BusFault", 6: "UsageFault"}
    assert stop.detail.startswith(names[handler] if enabled else "HardFault")
    assert rig.run().kind is StopKind.SPIN
    entered, cfsr, hfsr, bfar, pc = rig.words(5)
    assert (entered, cfsr) == (handler if enabled else 3, status)
    assert hfsr == (0 if enabled else 0x40000000)
    if status & 0x8000:
        assert bfar == (0x100 if "ROM" in cause else 0x30000000)
    if "cause" in rig.symbols:
        assert pc == rig.symbols["cause"]


def test_bkpt_is_a_hard_fault_with_debugevt(make_rig: MakeRig) -> None:
    rig = make_rig(FAULT.replace("CAUSE", "cause: bkpt 0").replace("ENABLE", ""))
    assert rig.run().kind is StopKind.FAULT
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 3
    assert rig.word(8) == 0x80000000
    assert rig.word(16) == rig.symbols["cause"]


def test_a_fault_can_be_repaired_and_gone_on_from(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    movs r0, #1
    udf 0
    movs r0, #2
    put 0, r0
    cpsid i
    b .
function hard
    mrs r0, msp
    ldr r1, [r0, #24]
    adds r1, #2
    str r1, [r0, #24]
    bx lr
""")
    assert rig.run().kind is StopKind.FAULT
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 2


def test_an_interrupted_it_block_goes_on_where_it_was(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    ldr r2, =0x30000000
    movs r0, #0
    cmp r0, r0
    itte eq
    addeq r0, #1
    ldreq r3, [r2]
    movne r0, #9
    put 0, r0
    cpsid i
    b .
function hard
    mrs r0, msp
    ldr r1, =RAM
    str r1, [r0, #8]     @ r2: an address that exists
    cmp r1, r0
    bx lr
""")
    assert rig.run().kind is StopKind.FAULT
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 1


def test_a_fault_in_the_hard_fault_handler_locks_up(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n udf 0\nfunction hard\n udf 1\n")
    assert rig.run().kind is StopKind.FAULT
    stop = rig.run()
    assert stop.kind is StopKind.LOCKUP
    assert "undefined instruction at" in stop.detail
    assert rig.run().kind is StopKind.LOCKUP


def test_a_fault_without_a_vector_locks_up(make_rig: MakeRig) -> None:
    stop = make_rig("function reset\n udf 0\n").run()
    assert stop.kind is StopKind.LOCKUP
    assert "vector 0x00000000 of HardFault" in stop.detail


def test_a_stack_outside_memory_locks_up_in_the_end(make_rig: MakeRig) -> None:
    rig = make_rig(
        "function reset\n ldr r0, =0x30000000\n mov sp, r0\n svc 0\nfunction hard\n push {r0}\n b .\n"
    )
    kinds = [rig.run().kind for _ in range(2)]
    assert kinds == [StopKind.FAULT, StopKind.LOCKUP]


@pytest.mark.parametrize("core", MAIN)
def test_a_wrong_exception_return_is_a_fault(make_rig: MakeRig, core: str) -> None:
    rig = make_rig("function reset\n svc 0\n b .\nfunction svc\n ldr r0, =0xfffffff5\n bx r0\n", core=core)
    stop = rig.run()
    assert "exception return 0xfffffff5 from exception 11" in stop.detail


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m33"])
def test_an_exception_return_in_thread_mode_is_a_fault(make_rig: MakeRig, core: str) -> None:
    rig = make_rig("function reset\n ldr r0, =0xfffffff9\n bx r0\nfunction hard\n b .\n", core=core)
    stop = rig.run()
    assert stop.kind is StopKind.FAULT
    assert "execution of 0xfffffff8" in stop.detail


@pytest.mark.parametrize("core", ["cortex-m3", "cortex-m33"])
def test_a_start_of_erased_flash_is_a_fault(make_rig: MakeRig, core: str) -> None:
    """A boot that jumps where an erased vector table says."""
    rig = make_rig("function reset\n ldr r0, =0xffffffff\n bx r0\nfunction hard\n b .\n", core=core)
    stop = rig.run()
    assert stop.kind is StopKind.FAULT
    assert "execution of 0xfffffffe" in stop.detail


def test_svc_from_a_handler_of_higher_priority_is_a_hard_fault(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    set 0xe000ed1c, 0x80000000
    set 0xe000e100, 1
    set 0xe000e200, 1
    nop
    b .
function irq0
    svc 0
function hard
    b .
""")
    stop = rig.run()
    assert stop.kind is StopKind.FAULT
    assert "SVC" in stop.detail


@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m7"])
def test_floating_point_registers_survive_an_interrupt(make_rig: MakeRig, core: str) -> None:
    rig = make_rig(
        """
function reset
    ldr r0, =0x3f800000
    vmov s0, r0
    vmov s15, r0
    svc 0
    vmov r0, s0
    put 0, r0
    vmov r0, s15
    put 4, r0
    mov r0, sp
    put 8, r0
    cpsid i
    b .
function svc
    mov r0, lr
    put 12, r0
    movs r0, #0
    vmov s0, r0
    vmov s15, r0
    bx lr
""",
        core=core,
    )
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(4) == [0x3F800000, 0x3F800000, 0x20008000, 0xFFFFFFE9]


def test_a_line_that_stays_up_interrupts_again(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    movs r5, #0
    set 0x40004008, 0x0a        @ receive, with its interrupt
    set 0xe000e100, 1
1:  cmp r5, #3
    bne 1b
    put 0, r5
    cpsid i
    b .
function irq0
    adds r5, #1
    cmp r5, #3
    bne 1f
    set 0x4000400c, 2
1:  bx lr
""")
    rig.machine.feed("console", b"x")
    assert rig.run().kind is StopKind.SPIN
    assert rig.word(0) == 3


def test_clearing_an_interrupt_whose_line_is_up_does_not_help(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    set 0xe000e280, 1
    ldr r0, =0xe000e200
    ldr r0, [r0]
    put 0, r0
    set 0x4000400c, 2           @ now the UART lets go of it
    set 0xe000e280, 1
    ldr r0, =0xe000e200
    ldr r0, [r0]
    put 4, r0
    b .
""")
    rig.machine.feed("console", b"x")
    rig.machine.stop_at([(rig.symbols["reset"] & ~1, rig.symbols["reset"] + 1)])
    rig.run()
    rig.machine.stop_at([])
    uart = rig.machine._fabric.peripherals["uart0"]
    uart.write(8, 4, 0x0A)
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(2) == [1, 0]


def test_a_stack_that_is_not_aligned_to_8_comes_back_as_it_was(make_rig: MakeRig) -> None:
    rig = make_rig("""
function reset
    sub sp, #4
    svc 0
    mov r0, sp
    put 0, r0
    b .
function svc
    mov r0, sp
    put 4, r0
    ldr r0, [sp, #28]
    put 8, r0
    bx lr
""")
    assert rig.run().kind is StopKind.SPIN
    assert rig.words(2) == [0x20007FFC, 0x20007FD8]
    assert rig.word(8) >> 9 & 1 == 1
