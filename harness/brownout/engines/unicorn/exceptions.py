"""Exceptions: which one comes next, how faults escalate, when the core locks up."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.core import XPSR_EXCEPTION
from brownout.engines.unicorn.nvic import FIRST_IRQ
from brownout.engines.unicorn.system import (
    BUS_FAULT,
    DEBUG_MONITOR,
    HARD_FAULT,
    MEM_MANAGE,
    NMI,
    SEVONPEND,
    SVCALL,
    USAGE_FAULT,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from brownout.engines.unicorn.core import Core
    from brownout.engines.unicorn.system import SystemControl

# CFSR
IACCVIOL, DACCVIOL, MMARVALID = 1 << 0, 1 << 1, 1 << 7
IBUSERR, PRECISERR, UNSTKERR, STKERR, BFARVALID = 1 << 8, 1 << 9, 1 << 11, 1 << 12, 1 << 15
UNDEFINSTR, INVSTATE, INVPC, NOCP, UNALIGNED = 1 << 16, 1 << 17, 1 << 18, 1 << 19, 1 << 24
# HFSR
_VECTTBL, _FORCED, _DEBUGEVT = 1 << 1, 1 << 30, 1 << 31
_DFSR_BKPT: Final = 1 << 1
_NAMES: Final = {
    HARD_FAULT: "HardFault",
    MEM_MANAGE: "MemManage",
    BUS_FAULT: "BusFault",
    USAGE_FAULT: "UsageFault",
    DEBUG_MONITOR: "DebugMonitor",
    SVCALL: "SVCall",
}
_HARD_PRIORITY: Final = -1
_VALID_RETURNS: Final = (0xFFFFFFE1, 0xFFFFFFE9, 0xFFFFFFED, 0xFFFFFFF1, 0xFFFFFFF9, 0xFFFFFFFD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """What a fault sets: its exception, bits of CFSR, the address register, and words for people."""

    exception: int
    status: int
    text: str
    address: int | None = None
    hard_status: int = 0


class Exceptions:
    """Exception state machine of one core. After `lockup` is set nothing runs any more."""

    def __init__(self, core: Core, system: SystemControl, load: Callable[[int, int], bytes]) -> None:
        self._core = core
        self._system = system
        self._load = load
        self.lockup = ""
        self.event = False
        """The event register of WFE."""

    def reset(self) -> None:
        """As after power-on."""
        self.lockup = ""
        self.event = False

    # -- interrupts ------------------------------------------------------------------------------------

    def waiting(self) -> tuple[int, int] | None:
        """Number and priority of a pending exception that only the masks can hold back."""
        number = self._system.next_pending()
        if number is None:
            return None
        priority = self._system.priority(number)
        return (number, priority) if priority < self._system.active_priority() else None

    def may_enter(self, priority: int) -> bool:
        """Whether the masks let an exception of this priority through, too."""
        return priority < self._system.execution_priority()

    def wakes(self, *, event: bool) -> bool:
        """Whether WFI (`event`: WFE) ends now; PRIMASK does not hold it back."""
        if event and self.event:
            self.event = False
            return True
        if event and self._system.scr & SEVONPEND and self._system.pending:
            return True
        waiting = self.waiting()
        if waiting is None:
            return False
        basepri = self._core.masks()[1] & self._system.group_mask
        return not basepri or waiting[1] < basepri

    def interrupt(self, number: int) -> str:
        """Enter a pending exception between two instructions. Returns what was a fault in doing so, or
        nothing.
        """
        return self._enter(number, self._core.pc)

    # -- what instructions cause -----------------------------------------------------------------------

    def supervisor_call(self) -> str:
        """SVC; the core stands behind it."""
        if self._system.priority(SVCALL) < self._system.execution_priority():
            return self._enter(SVCALL, self._core.pc)
        return self.fault(
            Fault(exception=HARD_FAULT, status=0, hard_status=_FORCED, text="SVC that its priority forbids")
        )

    def breakpoint(self) -> str:
        """BKPT; the core stands before it."""
        system = self._system
        system.dfsr |= _DFSR_BKPT
        if system.is_enabled(DEBUG_MONITOR) and (
            system.priority(DEBUG_MONITOR) < system.execution_priority()
        ):
            return self._enter(DEBUG_MONITOR, self._core.pc)
        return self.fault(
            Fault(exception=HARD_FAULT, status=0, hard_status=_DEBUGEVT, text="breakpoint instruction")
        )

    def leave(self, exc_return: int) -> str:
        """A branch to `exc_return` in handler mode. Returns what was a fault in doing so, or nothing."""
        system, number = self._system, self._core.exception
        if exc_return not in _VALID_RETURNS or not system.end(number):
            text = f"exception return {exc_return:#010x} from exception {number}"
            return self.fault(Fault(exception=USAGE_FAULT, status=INVPC, text=text))
        if number != NMI and number != HARD_FAULT:
            self._core.clear_faultmask()
        self.event = True
        try:
            self._core.leave(exc_return)
        except LookupError as error:
            return self.fault(
                Fault(exception=BUS_FAULT, status=UNSTKERR, text=f"no memory to unstack from: {error}")
            )
        back = self._core.exception
        if bool(back) != (exc_return & 0xF == 1) or (back and back not in system.active):
            text = f"exception return to exception {back}, which is not active"
            return self.fault(Fault(exception=USAGE_FAULT, status=INVPC, text=text))
        return ""

    def fault(self, fault: Fault, *, stack: bool = True) -> str:
        """Take `fault`, or what it escalates to. Returns a line about it; sets `lockup` when there is no
        way on.
        """
        system = self._system
        pc = self._core.pc
        text = f"{fault.text} at {pc:#010x}"
        system.cfsr |= fault.status
        system.hfsr |= fault.hard_status
        if fault.address is not None and fault.exception == BUS_FAULT:
            system.bfar = fault.address
            system.cfsr |= BFARVALID
        elif fault.address is not None:
            system.mmfar = fault.address
            system.cfsr |= MMARVALID
        current = system.execution_priority()
        number = fault.exception
        if number != HARD_FAULT and not (system.is_enabled(number) and system.priority(number) < current):
            number = HARD_FAULT
            system.hfsr |= _FORCED
        line = f"{_NAMES[number]}: {text} (CFSR {system.cfsr:#010x}, HFSR {system.hfsr:#010x})"
        if number == HARD_FAULT and current <= _HARD_PRIORITY:
            self.lockup = line
            return line
        again = self._enter(number, pc, stack=stack)
        if self.lockup:
            self.lockup = f"{line}; {self.lockup}"
            return self.lockup
        return again or line

    # -- inside ----------------------------------------------------------------------------------------

    def _enter(self, number: int, return_address: int, *, stack: bool = True) -> str:
        system = self._system
        try:
            vector = int.from_bytes(self._load(system.vtor + 4 * number, 4), "little")
        except LookupError:
            return self._no_vector(number, f"no memory at the vector of exception {number}")
        if number == HARD_FAULT and not vector & 1:
            return self._no_vector(number, f"vector {vector:#010x} of HardFault is not Thumb code")
        try:
            self._core.enter(number, vector & ~1, return_address, stack=stack)
        except LookupError as error:
            return self._no_stack(number, f"no memory to stack to: {error}")
        system.begin(number)
        self.event = True
        if not vector & 1:
            return self.fault(
                Fault(exception=USAGE_FAULT, status=INVSTATE, text=f"vector {vector:#010x} is not Thumb code")
            )
        return ""

    def _no_vector(self, number: int, text: str) -> str:
        self._system.hfsr |= _VECTTBL
        if number == HARD_FAULT:
            self.lockup = text
            return text
        return self.fault(Fault(exception=HARD_FAULT, status=0, hard_status=_VECTTBL, text=text))

    def _no_stack(self, number: int, text: str) -> str:
        """The frame cannot be pushed: BusFault instead; its frame is not pushed either."""
        if number == HARD_FAULT:  # a real core enters the handler and fails at its first push
            return self._enter(number, self._core.pc, stack=False)
        return self.fault(Fault(exception=BUS_FAULT, status=STKERR, text=text), stack=False)


def exception_name(number: int) -> str:
    """Such as "HardFault" or "interrupt 3"."""
    return _NAMES.get(
        number, f"interrupt {number - FIRST_IRQ}" if number >= FIRST_IRQ else f"exception {number}"
    )


__all__ = ["XPSR_EXCEPTION", "Exceptions", "Fault", "exception_name"]
