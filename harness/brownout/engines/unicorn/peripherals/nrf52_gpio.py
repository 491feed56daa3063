"""GPIO ports of the nRF52840 (PS v1.7, section 6.9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.registers import WORD, WordRegisters

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

_PIN_CNF_RESET: Final = 2
_PULL_DOWN: Final = 1


class _Port:
    """One port: what it drives and how its pins are set up."""

    def __init__(self, pins: int, low: int) -> None:
        self.pins = pins
        self.low = low
        self.reset()

    def reset(self) -> None:
        self.out = 0
        self.direction = 0
        self.latch = 0
        self.detect_mode = 0
        self.config = [_PIN_CNF_RESET] * self.pins

    @property
    def level(self) -> int:
        """What the pins read: outputs as driven, inputs high unless pulled or held down."""
        pulled_down = 0
        for pin, config in enumerate(self.config):
            if config >> 2 & 3 == _PULL_DOWN:
                pulled_down |= 1 << pin
        inputs = ~(pulled_down | self.low) & ((1 << self.pins) - 1)
        return (self.out & self.direction) | (inputs & ~self.direction)


class Gpio(WordRegisters):
    """Kind "nrf52-gpio": P0 at 0x500 and P1 at 0x800 of one block.

    An input reads high, as a button that is not pressed, unless it is pulled down; options `low_p0` and
    `low_p1` are masks of pins that something outside holds low.
    """

    _PORTS: Final = ((0x500, 32), (0x800, 16))

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        self._bus = bus
        low = (settings.options.get("low_p0", 0), settings.options.get("low_p1", 0))
        self._ports = [_Port(pins, held) for (_, pins), held in zip(self._PORTS, low, strict=True)]

    def reset(self) -> None:
        """All inputs, no pull."""
        for port in self._ports:
            port.reset()

    def read_word(self, offset: int) -> int:
        """Value of a register; 0 outside."""
        found = self._port(offset)
        if found is None:
            return 0
        port, register = found
        match register:
            case 0x04 | 0x08 | 0x0C:
                return port.out
            case 0x10:
                return port.level
            case 0x14 | 0x18 | 0x1C:
                return port.direction
            case 0x20:
                return port.latch
            case 0x24:
                return port.detect_mode
            case _:
                pin = (register - 0x200) // 4
                return port.config[pin] if 0 <= pin < port.pins else 0

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store; those outside change nothing."""
        del lanes
        found = self._port(offset)
        if found is None:
            return
        port, register = found
        match register:
            case 0x04:
                port.out = value
            case 0x08:
                port.out |= value
            case 0x0C:
                port.out &= ~value & WORD
            case 0x14:
                self._direct(port, value)
            case 0x18:
                self._direct(port, port.direction | value)
            case 0x1C:
                self._direct(port, port.direction & ~value & WORD)
            case 0x20:
                port.latch &= ~value & WORD
            case 0x24:
                port.detect_mode = value & 1
            case _:
                pin = (register - 0x200) // 4
                if 0 <= pin < port.pins:
                    port.config[pin] = value
                    self._direct(port, port.direction & ~(1 << pin) | (value & 1) << pin)

    def save(self) -> object:
        """All registers."""
        return tuple(
            (port.out, port.direction, port.latch, port.detect_mode, tuple(port.config))
            for port in self._ports
        )

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        for port, saved in zip(self._ports, state, strict=True):
            port.out, port.direction, port.latch, port.detect_mode, config = saved
            port.config = list(config)

    @staticmethod
    def _direct(port: _Port, direction: int) -> None:
        """DIR and bit 0 of PIN_CNF are the same bit."""
        port.direction = direction
        port.config = [config & ~1 | direction >> pin & 1 for pin, config in enumerate(port.config)]

    def _port(self, offset: int) -> tuple[_Port, int] | None:
        for port, (base, _) in zip(self._ports, self._PORTS, strict=True):
            if base <= offset < base + 0x300:
                return port, offset - base
        return None
