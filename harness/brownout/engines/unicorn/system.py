"""The system control space: NVIC, system control block, SysTick, and the cycle counter beside it.

Modelled: priorities with grouping, pending and active exceptions, fault status and escalation (see
faults.py), VTOR, AIRCR reset, SysTick, CYCCNT. Storage without any effect: MPU, FPU context control, CPACR
(the FPU is always on), ACTLR, SAU. Unprivileged code may access all of it; a real core answers with a
BusFault.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.nvic import FIRST_IRQ, Nvic, put_priorities
from brownout.engines.unicorn.timers import CycleCounter, SysTick

if TYPE_CHECKING:
    from collections.abc import Callable

    from brownout.engines.unicorn.core import CoreModel

NMI, HARD_FAULT, MEM_MANAGE, BUS_FAULT, USAGE_FAULT = 2, 3, 4, 5, 6
SVCALL, DEBUG_MONITOR, PENDSV, SYSTICK = 11, 12, 14, 15
NO_PRIORITY: Final = 256
"""Of thread mode: everything preempts it."""

SCS_BASE: Final = 0xE000E000
SCS_END: Final = 0xE000F000
DWT_BASE: Final = 0xE0001000
DWT_END: Final = 0xE0002000

_WORD: Final = 0xFFFFFFFF
_INTERNAL: Final = (1 << NMI) | (1 << HARD_FAULT) | (1 << SVCALL) | (1 << PENDSV) | (1 << SYSTICK)
_KEY, _KEY_READ = 0x05FA, 0xFA05
_SYSRESETREQ, _VECTRESET = 4, 1
_AIRCR_KEPT: Final = 0x0700
_ICTR, _ACTLR, _SYSTICK, _SYSTICK_END = 0x004, 0x008, 0x010, 0x020
_CPUID, _ICSR, _VTOR, _AIRCR, _SCR, _CCR, _SHPR, _SHCSR = (
    0xD00,
    0xD04,
    0xD08,
    0xD0C,
    0xD10,
    0xD14,
    0xD18,
    0xD24,
)
_CFSR, _HFSR, _DFSR, _MMFAR, _BFAR, _AFSR = 0xD28, 0xD2C, 0xD30, 0xD34, 0xD38, 0xD3C
_STIR, _MPU_TYPE = 0xF00, 0xD90
_STORED: Final = (
    (_ACTLR, _ACTLR + 4),
    (_AFSR, _AFSR + 4),
    (0xD84, 0xD8C),  # CSSELR, CPACR
    (0xD94, 0xDF0),  # MPU, SAU
    (0xDFC, 0xE00),  # DEMCR
    (0xF34, 0xF40),  # FPCCR, FPCAR, FPDSCR
)
_READ_AS_ZERO: Final = ((0xD40, 0xD84), (0xDF0, 0xDFC), (0xF40, 0xFFF + 1))
"""Feature registers, debug control, cache maintenance, component ids."""
_DEMCR: Final = 0xDFC
_MONITOR: Final = 1 << 16
_CCR_RESET: Final = 0x200
_DWT_CTRL, _DWT_CYCCNT = 0x0, 0x4
_FAULT_ENABLES: Final = {MEM_MANAGE: 16, BUS_FAULT: 17, USAGE_FAULT: 18}
_FAULT_PENDED: Final = {USAGE_FAULT: 12, MEM_MANAGE: 13, BUS_FAULT: 14, SVCALL: 15}
_ACTIVE_BITS: Final = {
    MEM_MANAGE: 0,
    BUS_FAULT: 1,
    USAGE_FAULT: 3,
    SVCALL: 7,
    DEBUG_MONITOR: 8,
    PENDSV: 10,
    SYSTICK: 11,
}
SEVONPEND: Final = 0x10


class SystemControl:
    """Registers and exception state of one core."""

    def __init__(
        self,
        model: CoreModel,
        *,
        interrupts: int,
        mpu_regions: int,
        vector_table: int,
        now: Callable[[], int],
        masks: Callable[[], tuple[int, int, int]],
        exception: Callable[[], int],
        request_reset: Callable[[], None],
        log: Callable[[str], None],
    ) -> None:
        self._model = model
        self._interrupts = interrupts
        self._mpu_regions = mpu_regions
        self._vector_table = vector_table
        self._masks = masks
        self._exception = exception
        self._request_reset = request_reset
        self._log = log
        self._priority_mask = 0xFF & ~(0xFF >> model.priority_bits)
        self._nvic = Nvic(interrupts, self._priority_mask)
        self._readers: Final[dict[int, Callable[[], int]]] = {
            _CPUID: lambda: self._model.cpuid,
            _ICSR: self._icsr,
            _VTOR: lambda: self.vtor,
            _AIRCR: lambda: _KEY_READ << 16 | self._aircr,
            _SCR: lambda: self.scr,
            _CCR: lambda: self._ccr,
            _SHCSR: self._read_shcsr,
            _CFSR: lambda: self.cfsr,
            _HFSR: lambda: self.hfsr,
            _DFSR: lambda: self.dfsr,
            _MMFAR: lambda: self.mmfar,
            _BFAR: lambda: self.bfar,
            _MPU_TYPE: lambda: self._mpu_regions << 8,
        }
        self._writers: Final[dict[int, Callable[[int], None]]] = {
            offset: functools.partial(self._write_control, offset)
            for offset in (_VTOR, _SCR, _CCR, _CFSR, _HFSR, _DFSR, _MMFAR, _BFAR)
        } | {
            _ICSR: self._write_icsr,
            _AIRCR: self._write_aircr,
            _SHCSR: self._write_shcsr,
            _STIR: self._trigger,
        }
        self.systick: Final = SysTick(now)
        self.cycles: Final = CycleCounter(now)
        self.reset()

    def reset(self) -> None:
        """As after power-on."""
        self.vtor = self._vector_table
        self.cfsr = self.hfsr = self.dfsr = self.mmfar = self.bfar = 0
        self.pending = 0
        self.active: list[int] = []
        self.scr = 0
        self._nvic.reset()
        self._aircr = 0
        self._ccr = _CCR_RESET
        self._shcsr = 0
        self._system_priorities = bytearray(16)
        self._stored: dict[int, int] = {}
        self.changed = False
        """An access may have made another exception the next one."""
        self.systick.reset()
        self.cycles.reset()

    # -- exceptions ------------------------------------------------------------------------------------

    def priority(self, number: int) -> int:
        """Group priority of an exception: what counts for preemption."""
        raw = self._raw_priority(number)
        return raw if raw < 0 else raw & self.group_mask

    @property
    def group_mask(self) -> int:
        """Bits of a priority that count for preemption (AIRCR.PRIGROUP)."""
        return 0xFF & ~((2 << (self._aircr >> 8 & 7)) - 1)

    def active_priority(self) -> int:
        """Highest priority among the active exceptions, masks left out."""
        return min(map(self.priority, self.active), default=NO_PRIORITY)

    def execution_priority(self) -> int:
        """What an exception's priority must be below to preempt now."""
        primask, basepri, faultmask = self._masks()
        current = self.active_priority()
        if basepri:
            current = min(current, basepri & self.group_mask)
        if primask:
            current = min(current, 0)
        return min(current, -1) if faultmask else current

    def next_pending(self) -> int | None:
        """The pending, enabled exception with the highest priority."""
        waiting = self.pending & (self._nvic.enabled | _INTERNAL)
        best: tuple[int, int] | None = None
        while waiting:
            number = (waiting & -waiting).bit_length() - 1
            waiting &= waiting - 1
            rank = (self._raw_priority(number), number)
            if best is None or rank < best:
                best = rank
        return best[1] if best is not None else None

    def pend(self, number: int) -> None:
        """Make exception `number` pending."""
        self.pending |= 1 << number
        self.changed = True

    def begin(self, number: int) -> None:
        """Exception `number` is being entered."""
        self.pending &= ~(1 << number)
        self.active.append(number)

    def end(self, number: int) -> bool:
        """Return from exception `number`; False when it is not active."""
        if number not in self.active:
            return False
        self.active.remove(number)
        if self._nvic.lines >> number & 1:
            self.pending |= 1 << number
        return True

    def is_enabled(self, fault: int) -> bool:
        """Whether a fault has its own handler on; the others escalate."""
        if fault == DEBUG_MONITOR:
            return bool(self._stored.get(_DEMCR, 0) & _MONITOR)
        return bool(self._shcsr >> _FAULT_ENABLES[fault] & 1)

    def set_line(self, irq: int, *, level: bool) -> None:
        """Drive external interrupt `irq`."""
        if self._nvic.set_line(irq, level=level):
            self.pend(FIRST_IRQ + irq)

    def tick(self) -> None:
        """Let SysTick's interrupt become pending when it is due."""
        if self.systick.take_interrupt():
            self.pend(SYSTICK)

    # -- state -----------------------------------------------------------------------------------------

    def save(self) -> tuple[object, ...]:
        """Everything, without absolute times."""
        return (
            (self.vtor, self.cfsr, self.hfsr, self.dfsr, self.mmfar, self.bfar, self.pending, self.scr),
            (self._aircr, self._ccr, self._shcsr),
            tuple(self.active),
            bytes(self._system_priorities),
            self._nvic.save(),
            tuple(sorted(self._stored.items())),
            self.systick.save(),
            self.cycles.save(),
        )

    def load(self, state: tuple[object, ...]) -> None:
        """Go back to save()."""
        faults, control, active, system, nvic, stored, systick, cycles = state
        self.vtor, self.cfsr, self.hfsr, self.dfsr, *others = _ints(faults)
        self.mmfar, self.bfar, self.pending, self.scr = others
        self._aircr, self._ccr, self._shcsr = _ints(control)
        self.active = list(_ints(active))
        self._system_priorities[:] = system  # type: ignore[call-overload]
        self._nvic.load(nvic)
        self._stored = dict(stored)  # type: ignore[call-overload]
        self.systick.load(_ints(systick))
        self.cycles.load(_ints(cycles))
        self.changed = True

    # -- registers -------------------------------------------------------------------------------------

    def read(self, offset: int, size: int) -> int:
        """Value at `offset` in the system control space."""
        word = self._read_word(offset & ~3)
        return word >> 8 * (offset & 3) & (1 << 8 * size) - 1

    def write(self, offset: int, size: int, value: int) -> None:
        """Store at `offset` in the system control space."""
        shift = 8 * (offset & 3)
        self._write_word(offset & ~3, value << shift & _WORD, ((1 << 8 * size) - 1) << shift & _WORD)
        self.changed = True

    def read_dwt(self, offset: int) -> int:
        """Value at `offset` in the DWT."""
        if offset == _DWT_CTRL:
            return self.cycles.control
        return self.cycles.count if offset == _DWT_CYCCNT else 0

    def write_dwt(self, offset: int, value: int) -> None:
        """Store at `offset` in the DWT; its comparators do not exist."""
        if offset == _DWT_CTRL:
            self.cycles.set_control(value)
        elif offset == _DWT_CYCCNT:
            self.cycles.set_count(value)

    def _read_word(self, offset: int) -> int:
        if offset < _SYSTICK:
            return (self._interrupts - 1) // 32 if offset == _ICTR else self._stored.get(offset, 0)
        if offset < _SYSTICK_END:
            return self.systick.read(offset - _SYSTICK)
        if offset < _CPUID:
            return self._nvic.read(offset, self.pending, self.active)
        if _SHPR <= offset < _SHCSR:
            at = offset - _SHPR + 4
            return int.from_bytes(self._system_priorities[at : at + 4], "little")
        if offset in self._readers:
            return self._readers[offset]()
        if not _within(offset, _STORED) and not _within(offset, _READ_AS_ZERO):
            self._log(f"system control space: read of unknown register {SCS_BASE + offset:#010x}")
        return self._stored.get(offset, 0)

    def _write_word(self, offset: int, value: int, mask: int) -> None:
        if _SYSTICK <= offset < _SYSTICK_END:
            self.systick.write(offset - _SYSTICK, value)
        elif _SYSTICK_END <= offset < _CPUID:
            self.pending = self._nvic.write(offset, value, mask, self.pending)
        elif _SHPR <= offset < _SHCSR:
            at = offset - _SHPR + 4
            put_priorities(self._system_priorities, at, value, mask, keep=self._priority_mask)
        elif offset in self._writers:
            self._writers[offset](value)
        elif _within(offset, _STORED):
            self._stored[offset] = self._stored.get(offset, 0) & ~mask | value
        elif not _within(offset, _READ_AS_ZERO):
            self._log(f"system control space: store to unknown register {SCS_BASE + offset:#010x}")

    def _write_control(self, offset: int, value: int) -> None:
        """Registers that are plain numbers, or whose bits a 1 clears."""
        if offset == _VTOR:
            self.vtor = value & 0xFFFFFF80
        elif offset == _SCR:
            self.scr = value & 0x1E
        elif offset == _CCR:
            self._ccr = value & 0x0007031B | _CCR_RESET
        elif offset == _CFSR:
            self.cfsr &= ~value
        elif offset == _HFSR:
            self.hfsr &= ~value
        elif offset == _DFSR:
            self.dfsr &= ~value
        elif offset == _MMFAR:
            self.mmfar = value
        elif offset == _BFAR:
            self.bfar = value

    def _trigger(self, value: int) -> None:
        if value & 0x1FF < self._interrupts:
            self.pend(FIRST_IRQ + (value & 0x1FF))

    def _icsr(self) -> int:
        waiting = self.next_pending()
        value = self._exception() | (waiting << 12 if waiting is not None else 0)
        value |= (len(self.active) <= 1) << 11
        value |= bool(self.pending >> FIRST_IRQ) << 22
        value |= (self.pending >> SYSTICK & 1) << 26
        value |= (self.pending >> PENDSV & 1) << 28
        return value | (self.pending >> NMI & 1) << 31

    def _write_icsr(self, value: int) -> None:
        for bit, number in ((31, NMI), (28, PENDSV), (26, SYSTICK)):
            if value >> bit & 1:
                self.pend(number)
        for bit, number in ((27, PENDSV), (25, SYSTICK)):
            if value >> bit & 1:
                self.pending &= ~(1 << number)

    def _write_aircr(self, value: int) -> None:
        if value >> 16 != _KEY:
            self._log(f"AIRCR: store of {value:#010x} without the key 0x05fa is ignored")
            return
        self._aircr = value & _AIRCR_KEPT if self._model.main else 0
        if value & (_SYSRESETREQ | (_VECTRESET if self._model.main else 0)):
            self._request_reset()

    def _read_shcsr(self) -> int:
        value = self._shcsr
        for number, bit in _ACTIVE_BITS.items():
            value |= (number in self.active) << bit
        for number, bit in _FAULT_PENDED.items():
            value |= (self.pending >> number & 1) << bit
        return value

    def _write_shcsr(self, value: int) -> None:
        if self._model.main:
            self._shcsr = value & 0x000F0000

    def _raw_priority(self, number: int) -> int:
        if number >= FIRST_IRQ:
            return self._nvic.priority(number - FIRST_IRQ)
        return self._system_priorities[number] if number > HARD_FAULT else number - 4


def _within(offset: int, ranges: tuple[tuple[int, int], ...]) -> bool:
    return any(start <= offset < end for start, end in ranges)


def _ints(value: object) -> tuple[int, ...]:
    assert isinstance(value, tuple)  # noqa: S101 - a bug
    return value
