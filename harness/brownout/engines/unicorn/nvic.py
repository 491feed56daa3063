"""The interrupt controller's registers: which lines are enabled and up, and their priorities.

Pending and active exceptions are kept with the others, in system.py, as bits by exception number.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

FIRST_IRQ: Final = 16
"""Exception number of external interrupt 0."""

_WORD: Final = 0xFFFFFFFF
_ISER, _ICER, _ISPR, _ICPR, _IABR, _IPR, _IPR_END = 0x100, 0x180, 0x200, 0x280, 0x300, 0x400, 0x5F0
_BLOCK: Final = 0x7C


class Nvic:
    """`enabled` and `lines` hold a bit for each exception number."""

    def __init__(self, interrupts: int, priority_mask: int) -> None:
        self._interrupts = interrupts
        self._priority_mask = priority_mask
        self._mask = ((1 << interrupts) - 1) << FIRST_IRQ
        self.reset()

    def reset(self) -> None:
        """All off."""
        self.enabled = 0
        self.lines = 0
        self._priorities = bytearray(self._interrupts)

    def priority(self, irq: int) -> int:
        """Priority of an external interrupt, all bits."""
        return self._priorities[irq]

    def set_line(self, irq: int, *, level: bool) -> bool:
        """Drive a line; tells whether it went up."""
        bit = 1 << (FIRST_IRQ + irq)
        rises = level and not self.lines & bit
        self.lines = self.lines | bit if level else self.lines & ~bit
        return rises

    def read(self, offset: int, pending: int, active: Sequence[int]) -> int:
        """The word at `offset` in the system control space."""
        if _IPR <= offset < _IPR_END:
            return int.from_bytes(self._priorities[offset - _IPR : offset - _IPR + 4], "little")
        shift = 8 * (offset & _BLOCK) + FIRST_IRQ
        if _ISER <= offset < _ISPR:
            return self.enabled >> shift & _WORD
        if _ISPR <= offset < _IABR:
            return pending >> shift & _WORD
        if _IABR <= offset < _IPR:
            return sum(1 << number for number in active) >> shift & _WORD
        return 0

    def write(self, offset: int, value: int, mask: int, pending: int) -> int:
        """Store the bytes in `mask` of the word at `offset`; returns what is pending then."""
        if _IPR <= offset < _IPR_END:
            put_priorities(self._priorities, offset - _IPR, value, mask, keep=self._priority_mask)
            return pending
        bits = value << 8 * (offset & _BLOCK) + FIRST_IRQ & self._mask
        if _ISER <= offset < _ICER:
            self.enabled |= bits
        elif _ICER <= offset < _ISPR:
            self.enabled &= ~bits
        elif _ISPR <= offset < _ICPR:
            return pending | bits
        elif _ICPR <= offset < _IABR:
            return pending & ~bits | bits & self.lines  # a line that is up stays pending
        return pending

    def save(self) -> object:
        """The whole state."""
        return (self.enabled, self.lines, bytes(self._priorities))

    def load(self, state: object) -> None:
        """Go back to save()."""
        assert isinstance(state, tuple)  # noqa: S101 - a bug
        self.enabled, self.lines, priorities = state
        self._priorities = bytearray(priorities)


def put_priorities(table: bytearray, at: int, value: int, mask: int, *, keep: int) -> None:
    """Store the bytes in `mask` of a word of priorities at `at`; of each, the bits in `keep` exist."""
    for number in range(4):
        if mask >> 8 * number & 0xFF and at + number < len(table):
            table[at + number] = value >> 8 * number & keep
