"""Clocks, power and pins of the STM32F405/407 (RM0090), as far as start-up code looks at them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.registers import WORD, Register, StorageBlock

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetFlags:
    """Where an RCC tells the reason of the last reset; masks of its flags."""

    offset: int
    remove: int
    software: int
    watchdog: int
    all: int


class Rcc(StorageBlock):
    """An RCC: a table of registers with ready bits, and flags that tell the reason of a reset."""

    def __init__(
        self, bus: Bus, settings: PeripheralSettings, *, table: Mapping[int, Register], flags: ResetFlags
    ) -> None:
        super().__init__(bus, settings, table=table)
        self._flags = flags
        self._fresh = True
        self._watchdog = False

    def power_on(self) -> None:
        """Forget retained registers; the next reset() is the power-on's."""
        super().power_on()
        self._fresh = True
        self._watchdog = False

    def blame_watchdog(self) -> None:
        """The reset that follows is a watchdog's."""
        self._watchdog = True

    def reset(self) -> None:
        """Reset values, and the reason."""
        super().reset()
        if not self._fresh:
            reason = self._flags.watchdog if self._watchdog else self._flags.software
            self.poke(self._flags.offset, self.peek(self._flags.offset) | reason)
        self._fresh = False
        self._watchdog = False

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store; RMVF takes the reset flags away."""
        super().write_word(offset, value, lanes)
        if offset == self._flags.offset and value & self._flags.remove:
            self.poke(offset, self.peek(offset) & ~self._flags.all)

    def save(self) -> object:
        """Registers, and whether a reset is under way."""
        return (super().save(), self._fresh, self._watchdog)

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        registers, self._fresh, self._watchdog = state
        super().load(registers)


class RccF4(Rcc):
    """Kind "stm32f4-rcc" (RM0090, section 7.3): oscillators and PLLs are ready as soon as they are on."""

    _TABLE: Final = {
        # CR: HSI, HSE, PLL, PLLI2S; each RDY bit lies above its ON bit.
        0x00: Register(reset=0x83, ready=((1, 1), (1 << 16, 1), (1 << 24, 1), (1 << 26, 1))),
        0x04: Register(reset=0x2400_3010),  # PLLCFGR
        0x08: Register(ready=((3, 2),)),  # CFGR: SWS follows SW
        0x30: Register(reset=0x0010_0000),  # AHB1ENR
        0x70: Register(ready=((1, 1),), retained=True),  # BDCR: LSE
        0x74: Register(
            reset=0x0E00_0000, writable=1, ready=((1, 1),), retained=True
        ),  # CSR: LSI, reset flags
    }
    _FLAGS: Final = ResetFlags(
        offset=0x74, remove=1 << 24, software=1 << 28 | 1 << 26, watchdog=1 << 29 | 1 << 26, all=0xFE00_0000
    )

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings, table=self._TABLE, flags=self._FLAGS)


class PwrF4(StorageBlock):
    """Kind "stm32f4-pwr" (RM0090, section 5.4): the voltage scaling is always ready."""

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        table = {0x00: Register(reset=0x4000), 0x04: Register(reset=0x4000, writable=0x300)}
        super().__init__(bus, settings, table=table)


class Gpio(StorageBlock):
    """Kind "stm32-gpio": one port (RM0090, section 8.4; RM0433, section 11.4).

    An input reads high unless it is pulled down; option `low` is a mask of pins that something outside
    holds low. Options `moder`, `ospeedr` and `pupdr` are reset values, which differ from port to port.
    """

    _MODER: Final = 0x00
    _PUPDR: Final = 0x0C
    _IDR: Final = 0x10
    _ODR: Final = 0x14
    _BSRR: Final = 0x18
    _PINS: Final = 16

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        options = settings.options
        table = {
            self._MODER: Register(reset=options.get("moder", 0)),
            0x08: Register(reset=options.get("ospeedr", 0)),
            self._PUPDR: Register(reset=options.get("pupdr", 0)),
            self._IDR: Register(writable=0),
            self._ODR: Register(writable=0xFFFF),
        }
        super().__init__(bus, settings, table=table)
        self._low = options.get("low", 0)

    def read_word(self, offset: int) -> int:
        """IDR tells what the pins read."""
        if offset == self._IDR:
            return self._level()
        return 0 if offset == self._BSRR else super().read_word(offset)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """BSRR sets and clears bits of ODR; setting wins."""
        if offset == self._BSRR:
            self.poke(self._ODR, (self.peek(self._ODR) & ~(value >> 16)) | (value & 0xFFFF))
        else:
            super().write_word(offset, value, lanes)

    def _level(self) -> int:
        mode, pull, out = self.peek(self._MODER), self.peek(self._PUPDR), self.peek(self._ODR)
        level = 0
        for pin in range(self._PINS):
            driven = mode >> 2 * pin & 3 == 1
            pulled_down = pull >> 2 * pin & 3 == 2
            high = out >> pin & 1 if driven else not (pulled_down or self._low >> pin & 1)
            level |= int(high) << pin
        return level


class Crc(StorageBlock):
    """Kind "stm32-crc": CRC of words, halfwords and bytes (RM0090, section 4; RM0433, section 21).

    Initial value, polynomial and reversal are those of the H7 and stay at the F4's unless they are written.
    """

    _DR: Final = 0x00
    _CR: Final = 0x08
    _INIT: Final = 0x10
    _POL: Final = 0x14
    _SIZES: Final = (32, 16, 8, 7)

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        table = {
            self._DR: Register(reset=WORD),
            self._INIT: Register(reset=WORD),
            self._POL: Register(reset=0x04C1_1DB7),
        }
        super().__init__(bus, settings, table=table)

    def read_word(self, offset: int) -> int:
        """DR, with its bits reversed where CR asks for it."""
        value = super().read_word(offset)
        if offset == self._DR:
            value &= self._mask
            return _reversed(value, self._bits) if self.peek(self._CR) & 0x80 else value
        return value

    def write(self, offset: int, size: int, value: int) -> None:
        """A store to DR feeds `size` bytes."""
        if offset == self._DR:
            self._feed(value, 8 * size)
        else:
            super().write(offset, size, value)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """CR bit 0 starts again."""
        super().write_word(offset, value & ~1 if offset == self._CR else value, lanes)
        if offset == self._INIT or (offset == self._CR and value & 1):
            self.poke(self._DR, self.peek(self._INIT))

    @property
    def _bits(self) -> int:
        return self._SIZES[self.peek(self._CR) >> 3 & 3]

    @property
    def _mask(self) -> int:
        return (1 << self._bits) - 1

    def _feed(self, value: int, width: int) -> None:
        group = (0, 8, 16, 32)[self.peek(self._CR) >> 5 & 3]
        if group:
            group = min(group, width)
            value = sum(
                _reversed(value >> start & (1 << group) - 1, group) << start
                for start in range(0, width, group)
            )
        crc, polynomial, bits = self.peek(self._DR) & self._mask, self.peek(self._POL), self._bits
        for number in reversed(range(width)):
            top = (crc >> bits - 1 ^ value >> number) & 1
            crc = (crc << 1 ^ (polynomial if top else 0)) & self._mask
        self.poke(self._DR, crc)


def _reversed(value: int, bits: int) -> int:
    """`value` with its lowest `bits` in the opposite order."""
    return int(f"{value:0{bits}b}"[::-1], 2)
