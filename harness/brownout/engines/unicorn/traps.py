"""Why Unicorn came back, and what the core makes of it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Final

import unicorn as uc_const
from unicorn import UC_HOOK_INSN_INVALID, UC_HOOK_INTR, UC_HOOK_MEM_INVALID
from unicorn.arm_const import UC_ARM_REG_ESR

from brownout.engines.unicorn.core import XPSR_THUMB
from brownout.engines.unicorn.exceptions import (
    IACCVIOL,
    IBUSERR,
    INVSTATE,
    NOCP,
    PRECISERR,
    UNALIGNED,
    UNDEFINSTR,
    Fault,
)
from brownout.engines.unicorn.system import BUS_FAULT, MEM_MANAGE, USAGE_FAULT
from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Callable

    from unicorn.unicorn_py3.unicorn import Uc

    from brownout.engines.unicorn.core import Core
    from brownout.engines.unicorn.exceptions import Exceptions

# QEMU's numbers of exceptions, as Unicorn hands them to its interrupt hook.
_UDEF, _SWI, _PREFETCH_ABORT, _DATA_ABORT, _BKPT, _EXCEPTION_EXIT, _NOCP, _INVSTATE = 1, 2, 3, 4, 7, 8, 17, 18
_YIELD, _WFE, _WFI, _SEV = 0xBF10, 0xBF20, 0xBF30, 0xBF40
_WIDE_HINT: Final = 0xF3AF
_WIDE: Final = {0x8001: _YIELD, 0x8002: _WFE, 0x8003: _WFI, 0x8004: _SEV}
_UNCATEGORIZED: Final = 0x02000000
_NEVER_EXECUTED: Final = (2, 5, 6, 7)
"""Eighths of the address space that the default memory map keeps for peripherals, devices and the system."""
_FETCHES: Final = (
    uc_const.UC_MEM_FETCH,
    uc_const.UC_MEM_FETCH_UNMAPPED,
    uc_const.UC_MEM_FETCH_PROT,
)
_STORES: Final = (uc_const.UC_MEM_WRITE_UNMAPPED, uc_const.UC_MEM_WRITE_PROT)


class Trap(enum.Enum):
    """Kinds of reasons."""

    STOPPED = enum.auto()
    """Between two blocks, or before code in a stop range."""
    WFI = enum.auto()
    WFE = enum.auto()
    EXCEPTION = enum.auto()
    """SVC, BKPT, exception return and the like."""
    MEMORY = enum.auto()
    UNDEFINED = enum.auto()


class Traps:
    """Hooks that note what happened, and its translation to exceptions."""

    def __init__(
        self,
        core: Core,
        exceptions: Exceptions,
        read: Callable[[int, int], bytes],
        store: Callable[[int, int, int], bool],
    ) -> None:
        """`store` (address, size, value) judges stores to memory that is not RAM; False: it cannot be
        written.
        """
        self._core = core
        self._exceptions = exceptions
        self._read = read
        self._store = store
        self._number: int | None = None
        self._access: tuple[int, int] | None = None
        self._refused: Fault | None = None
        self._undefined = False
        self._ended = False
        uc = core.uc
        uc.hook_add(UC_HOOK_INTR, self._on_exception)
        uc.hook_add(UC_HOOK_INSN_INVALID, self._on_invalid)
        uc.hook_add(UC_HOOK_MEM_INVALID, self._on_access)

    def clear(self) -> None:
        """Forget what was noted."""
        self._number = None
        self._access = None
        self._refused = None
        self._undefined = False
        self._ended = False

    def end(self) -> None:
        """Stop at once, in the middle of an instruction: nothing will go on from there."""
        self._ended = True
        self._core.uc.emu_stop()

    def refuse(self, address: int, *, write: bool, reason: str) -> None:
        """The access that is being carried out ends in a BusFault; the instruction is not completed."""
        text = f"{'store to' if write else 'read of'} {address:#010x} refused ({reason})"
        self._refused = Fault(exception=BUS_FAULT, status=PRECISERR, address=address, text=text)
        self._core.uc.emu_stop()

    def classify(self, error: int, *, stopped: bool) -> Trap:
        """What it was, after emu_start() ended with `error`. Raises EngineError: nothing that is known."""
        if self._ended:
            return Trap.STOPPED
        if self._refused is not None or (error and self._access is not None):
            return Trap.MEMORY
        if self._number is not None:
            return Trap.EXCEPTION
        if error == uc_const.UC_ERR_INSN_INVALID:
            return self._hint_or_undefined()
        if stopped and not error:
            return Trap.STOPPED
        if not error and self._hint_before(self._core.pc)[0] == _WFI:
            return Trap.WFI
        raise EngineError(f"Unicorn stopped at {self._core.pc:#010x} for no known reason (error {error})")

    def handle(self, trap: Trap) -> str:
        """Have the core take the exception. Returns a line about it if it was a fault."""
        exceptions = self._exceptions
        if trap is Trap.UNDEFINED:
            return exceptions.fault(self._undefined_fault())
        if trap is Trap.MEMORY:
            return exceptions.fault(self._refused or self._access_fault())
        number = self._number
        if number == _SWI:
            return exceptions.supervisor_call()
        if number == _BKPT:
            return exceptions.breakpoint()
        if number == _EXCEPTION_EXIT and self._core.exception:
            return exceptions.leave(self._core.pc | 1)
        return exceptions.fault(self._exception_fault(number))

    # -- inside ----------------------------------------------------------------------------------------

    def _hint_or_undefined(self) -> Trap:
        hint, start = self._hint_before(self._core.pc)
        if self._undefined or hint not in (_WFE, _YIELD):
            return Trap.UNDEFINED
        if hint == _YIELD:
            return Trap.STOPPED
        if self._hint_before(start)[0] == _SEV:  # Unicorn does not tell of SEV
            self._exceptions.event = True
        return Trap.WFE

    def _hint_before(self, pc: int) -> tuple[int, int]:
        """The hint instruction that ends at `pc`, 0 when there is none, and its address."""
        try:
            wide = int.from_bytes(self._read(pc - 4, 2), "little") == _WIDE_HINT
            last = int.from_bytes(self._read(pc - 2, 2), "little")
        except LookupError:
            return 0, pc
        if wide:
            return _WIDE.get(last, 0), pc - 4
        return (last if last & 0xFF0F == 0xBF00 else 0), pc - 2

    def _undefined_fault(self) -> Fault:
        if not self._core.xpsr & XPSR_THUMB:
            return Fault(exception=USAGE_FAULT, status=INVSTATE, text="branch to an even address")
        return Fault(exception=USAGE_FAULT, status=UNDEFINSTR, text="undefined instruction")

    def _access_fault(self) -> Fault:
        kind, address = self._access or (0, 0)
        if kind in _FETCHES:
            return self._fetch_fault(address)
        text = f"{'store to' if kind in _STORES else 'read of'} {address:#010x}"
        return Fault(exception=BUS_FAULT, status=PRECISERR, address=address, text=text)

    def _fetch_fault(self, address: int) -> Fault:
        text = f"execution of {address:#010x}"
        if address >> 29 in _NEVER_EXECUTED:
            return Fault(exception=MEM_MANAGE, status=IACCVIOL, text=text)
        return Fault(exception=BUS_FAULT, status=IBUSERR, text=text)

    def _exception_fault(self, number: int | None) -> Fault:
        pc = self._core.pc
        if number in (_PREFETCH_ABORT, _EXCEPTION_EXIT):
            return Fault(exception=MEM_MANAGE, status=IACCVIOL, text=f"execution of {pc:#010x}")
        if number == _DATA_ABORT:
            return Fault(exception=USAGE_FAULT, status=UNALIGNED, text="unaligned access")
        if number == _NOCP:
            return Fault(exception=USAGE_FAULT, status=NOCP, text="coprocessor instruction")
        if number == _INVSTATE:
            return Fault(exception=USAGE_FAULT, status=INVSTATE, text="branch to an even address")
        if number == _UDEF:
            return self._undefined_fault()
        raise EngineError(f"Unicorn raised exception {number} at {pc:#010x}, which is not known")

    def _on_exception(self, uc: Uc, number: int, _data: object) -> None:
        self._number = number
        uc.emu_stop()

    def _on_invalid(self, uc: Uc, _data: object) -> bool:
        """Undefined instructions set this syndrome; WFE and YIELD, which come here too, leave the last
        one.
        """
        self._undefined = uc.reg_read(UC_ARM_REG_ESR) == _UNCATEGORIZED
        uc.reg_write(UC_ARM_REG_ESR, 0)
        return False

    def _on_access(self, _uc: Uc, kind: int, address: int, size: int, value: int, _data: object) -> bool:
        if kind == uc_const.UC_MEM_WRITE_PROT and self._store(address, size, value & (1 << 8 * size) - 1):
            return True
        if self._access is None:
            self._access = kind, address
        return False


__all__ = ["Trap", "Traps"]
