"""USART, independent watchdog and random numbers of the STM32F4, and what the H7 has like it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.registers import WORD, Register, StorageBlock, WordRegisters
from brownout.engines.unicorn.peripherals.stm32f4 import Rcc
from brownout.engines.unicorn.peripherals.virtual_counter import VirtualCounter
from brownout.flash import seeded_bytes

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

RXNE: Final = 1 << 5
TC: Final = 1 << 6
TXE: Final = 1 << 7
INTERRUPTS: Final = RXNE | TC | TXE
"""Flags and their enables have the same numbers."""


class Usart(StorageBlock):
    """Kind "stm32f4-usart" (RM0090, section 30.6): bytes are sent at once, received as they are taken.

    A subclass has other offsets: of the flags, of the data registers and of the register with the enables.
    """

    flags_at: int = 0x00
    receive_at: int = 0x04
    transmit_at: int = 0x04
    control_at: int = 0x0C

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings)
        self._sent = bytearray()
        self._waiting = bytearray()
        self._complete = True
        self._level = False

    @property
    def sent(self) -> bytes:
        """What the firmware sent since power-on."""
        return bytes(self._sent)

    def feed(self, data: bytes) -> None:
        """Bytes on the receive line."""
        self._waiting += data
        self._update_irq()

    def power_on(self) -> None:
        """Nothing sent, nothing to receive."""
        super().power_on()
        self._sent = bytearray()
        self._waiting = bytearray()

    def reset(self) -> None:
        """Reset values."""
        super().reset()
        self._complete = True
        self._update_irq()

    @property
    def flags(self) -> int:
        """RXNE, TC and TXE as they are now."""
        return TXE | (TC if self._complete else 0) | (RXNE if self._waiting else 0)

    def read_word(self, offset: int) -> int:
        """Flags, a received byte, or what was stored."""
        if offset == self.flags_at:
            return self.flags
        if offset == self.receive_at:
            value = self._waiting.pop(0) if self._waiting else 0
            self._update_irq()
            return value
        return super().read_word(offset)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A byte to send, flags to clear, or a register."""
        if offset == self.transmit_at:
            self._sent.append(value & 0xFF)
            self._complete = True
        elif offset == self.flags_at:
            self.clear_flags(~value)
        else:
            super().write_word(offset, value, lanes)
        self._update_irq()

    def clear_flags(self, flags: int) -> None:
        """Clear TC where it is in `flags`."""
        if flags & TC:
            self._complete = False

    def save(self) -> object:
        """Registers, and what waits to be received."""
        return (super().save(), self._complete, bytes(self._waiting))

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        registers, self._complete, waiting = state
        super().load(registers)
        self._waiting = bytearray(waiting)
        self._level = self._wanted()

    def _wanted(self) -> bool:
        return bool(self.flags & self.peek(self.control_at) & INTERRUPTS)

    def _update_irq(self) -> None:
        level = self._wanted()
        if level != self._level and self._settings.irq is not None:
            self._bus.set_irq(self._settings.irq, level)
        self._level = level


class Iwdg(WordRegisters):
    """Kind "stm32-iwdg" (RM0090, section 21.4; RM0433, section 45.4); a system reset stops it."""

    _KR: Final = 0x00
    _PR: Final = 0x04
    _RLR: Final = 0x08
    _WINR: Final = 0x10
    _LSI_HZ: Final = 32_000
    _RELOAD: Final = 0xAAAA
    _UNLOCK: Final = 0x5555
    _START: Final = 0xCCCC
    _MAX: Final = 0xFFF

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._counter = VirtualCounter(bus)
        self.reset()

    def reset(self) -> None:
        """Stopped."""
        self._counter.reset()
        self._unlocked = False
        self._prescaler = 0
        self._reload = self._MAX
        self._window = self._MAX

    def read_word(self, offset: int) -> int:
        """PR, RLR, WINR; updates are done at once, so SR reads 0."""
        return {self._PR: self._prescaler, self._RLR: self._reload, self._WINR: self._window}.get(offset, 0)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A key, or a register while they are unlocked."""
        del lanes
        if offset == self._KR:
            self._unlocked = value == self._UNLOCK
            if value == self._START:
                self._counter.start()
            if value in (self._RELOAD, self._START):
                self._restart()
        elif self._unlocked:
            if offset == self._PR:
                self._prescaler = value & 7
            elif offset == self._RLR:
                self._reload = value & self._MAX
            elif offset == self._WINR:
                self._window = value & self._MAX
            self._restart()

    def tick(self, action: str) -> None:
        """Time to reset, unless it was reloaded since."""
        del action
        if self._counter.running and self._counter.count > self._reload:
            rcc = self._bus.find(Rcc)
            if rcc is not None:
                rcc.blame_watchdog()
            self._bus.request_reset()

    def save(self) -> object:
        """Registers and counter."""
        return (self._unlocked, self._prescaler, self._reload, self._window, self._counter.save())

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        self._unlocked, self._prescaler, self._reload, self._window, counter = state
        self._counter.load(counter)
        self._plan()

    def _restart(self) -> None:
        self._counter.set_rate(self._LSI_HZ, self._bus.clock_hz * (4 << min(self._prescaler, 6)))
        self._counter.set(0)
        self._plan()

    def _plan(self) -> None:
        if self._counter.running:
            self._bus.at(self._counter.time_of(self._reload + 1), "reset")


class Rng(StorageBlock):
    """Kind "stm32-rng" (RM0090, section 24.4): a word at once for each look; option `seed`."""

    _CR: Final = 0x00
    _SR: Final = 0x04
    _DR: Final = 0x08
    _BLOCK: Final = 256

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings, table={self._SR: Register(writable=0)})
        self._drawn = 0

    def power_on(self) -> None:
        """Start the sequence again."""
        super().power_on()
        self._drawn = 0

    def read_word(self, offset: int) -> int:
        """SR is ready while RNGEN; DR takes a word."""
        running = self.peek(self._CR) >> 2 & 1
        if offset == self._SR:
            return running
        if offset == self._DR:
            return self._draw() if running else 0
        return super().read_word(offset)

    def save(self) -> object:
        """Registers and how far it is."""
        return (super().save(), self._drawn)

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        registers, self._drawn = state
        super().load(registers)

    def _draw(self) -> int:
        block, word = divmod(self._drawn, self._BLOCK // 4)
        drawn = seeded_bytes(self._settings.options.get("seed", 0), self._BLOCK, "rng", block)
        self._drawn += 1
        return int.from_bytes(drawn[4 * word : 4 * word + 4], "little") & WORD
