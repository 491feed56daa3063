"""Registers as tables: a block of words with reset values, masks, ready bits and write-one-to-clear flags."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

WORD: Final = 0xFFFF_FFFF


class WordRegisters(ABC):
    """Byte and halfword accesses turned into word accesses, for peripherals whose registers are words.

    A subclass implements read_word() and write_word().
    """

    def read(self, offset: int, size: int) -> int:
        """Value of `size` bytes at `offset`."""
        word = self.read_word(offset & ~3)
        return (word >> 8 * (offset & 3)) & ((1 << 8 * size) - 1)

    def write(self, offset: int, size: int, value: int) -> None:
        """A store of `size` bytes at `offset`."""
        shift, mask = 8 * (offset & 3), (1 << 8 * size) - 1
        self.write_word(offset & ~3, (value & mask) << shift & WORD, mask << shift & WORD)

    @abstractmethod
    def read_word(self, offset: int) -> int:
        """Value of the register at `offset`."""

    @abstractmethod
    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store to the register at `offset` of the bits in `lanes`; the others are 0 in `value`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Register:
    """One register of a table.

    Args:
        reset: value after a reset; bits that neither writable nor cleared keep it.
        writable: bits that a store changes.
        cleared: bits that a store of 1 clears.
        ready: (mask, shift) pairs: the masked bits are read again `shift` bits higher (ready bits that
            follow ON bits, a clock switch's status).
        sets: offset of the register whose bits a store of 1 sets; this one reads as that one.
        clears: offset of the register whose bits a store of 1 clears; this one reads as that one.
        retained: kept over a system reset.
    """

    reset: int = 0
    writable: int = WORD
    cleared: int = 0
    ready: tuple[tuple[int, int], ...] = ()
    sets: int | None = None
    clears: int | None = None
    retained: bool = False


PLAIN: Final = Register()
"""A register that reads what was written."""


class StorageBlock(WordRegisters):
    """Registers that store; what is special about some of them is said by a table.

    Registers outside the table read what was written, at first `default`.
    """

    def __init__(
        self,
        bus: Bus,
        settings: PeripheralSettings,
        *,
        table: Mapping[int, Register] | None = None,
        default: int = 0,
    ) -> None:
        self._bus = bus
        self._settings = settings
        self._table = dict(table or {})
        self._default = default
        self._values: dict[int, int] = {}

    def power_on(self) -> None:
        """Forget retained registers too."""
        self._values = {}

    def reset(self) -> None:
        """Reset values, except in retained registers."""
        self._values = {
            offset: value for offset, value in self._values.items() if self._table.get(offset, PLAIN).retained
        }

    def peek(self, offset: int) -> int:
        """What the register at `offset` holds, without ready bits."""
        value = self._values.get(offset)
        if value is not None:
            return value
        register = self._table.get(offset)
        return self._default if register is None else register.reset

    def poke(self, offset: int, value: int) -> None:
        """Change what the register at `offset` holds."""
        self._values[offset] = value & WORD

    def read_word(self, offset: int) -> int:
        """Value of a register."""
        register = self._table.get(offset, PLAIN)
        target = register.sets if register.sets is not None else register.clears
        if target is not None:
            return self.read_word(target)
        value = self.peek(offset)
        for mask, shift in register.ready:
            value = (value & ~(mask << shift)) | ((value & mask) << shift)
        return value & WORD

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store as the table says."""
        register = self._table.get(offset, PLAIN)
        if register.sets is not None:
            self.poke(register.sets, self.peek(register.sets) | value)
            return
        if register.clears is not None:
            self.poke(register.clears, self.peek(register.clears) & ~value)
            return
        stored = register.writable & lanes
        old = self.peek(offset)
        self.poke(offset, ((old & ~stored) | (value & stored)) & ~(value & register.cleared))

    def save(self) -> object:
        """Registers that were written."""
        return tuple(sorted(self._values.items()))

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        self._values = dict(state)


class GenericRegisters(StorageBlock):
    """Kind "registers": a block that reads what was written, described by the board alone.

    Options: `at_<offset in hex>` = value after a reset, `fixed_<offset in hex>` = value that stores do not
    change, `default` = value of all others; `constant` = 1: stores are ignored; `retained` = 1: the block
    lives through system resets.
    """

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        options = settings.options
        self._constant = bool(options.get("constant", 0))
        self._retained = bool(options.get("retained", 0))
        table = {offset: Register(reset=value) for offset, value in numbered(options, "at_").items()}
        fixed = numbered(options, "fixed_")
        table |= {offset: Register(reset=value, writable=0) for offset, value in fixed.items()}
        super().__init__(bus, settings, table=table, default=options.get("default", 0))

    def reset(self) -> None:
        """Reset values, unless the block is retained."""
        if not self._retained:
            super().reset()

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store, unless the block is constant."""
        if not self._constant:
            super().write_word(offset, value, lanes)


def numbered(options: Mapping[str, int], prefix: str) -> dict[int, int]:
    """Options whose name is a prefix and an offset in hex."""
    return {
        int(name.removeprefix(prefix), 16): value
        for name, value in options.items()
        if name.startswith(prefix)
    }
