"""The CMSDK APB UART of Arm's MPS2 boards: polled, or with its receive and transmit interrupts. Sends in
no time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

_DATA, _STATE, _CTRL, _INTSTATUS, _BAUDDIV = 0x0, 0x4, 0x8, 0xC, 0x10
_RX_FULL: Final = 2
_TX_ENABLE, _RX_ENABLE, _TX_INTERRUPT, _RX_INTERRUPT = 1, 2, 4, 8
_INT_TX, _INT_RX = 1, 2
_CTRL_MASK: Final = 0x7F


class CmsdkUart:
    """`irq` is the receive interrupt; option `tx_irq` is the transmit interrupt, the next line when not
    given.
    """

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        self._bus = bus
        self._rx_irq = settings.irq
        self._tx_irq = settings.options.get("tx_irq", None if settings.irq is None else settings.irq + 1)
        self._sent = bytearray()
        self._arrived = bytearray()
        self.reset()

    def power_on(self) -> None:
        """Forget what was sent, and what arrived."""
        self._sent.clear()
        self._arrived.clear()

    def reset(self) -> None:
        """Off; a byte that was not fetched is lost, those still on the line are not."""
        self._control = 0
        self._divider = 0
        self._interrupts = 0
        self._data = 0
        self._full = False

    @property
    def sent(self) -> bytes:
        """What the firmware sent since power-on."""
        return bytes(self._sent)

    def feed(self, data: bytes) -> None:
        """Bytes that arrive; each waits until the one before was fetched."""
        self._arrived += data
        self._receive()

    def read(self, offset: int, size: int) -> int:
        """A register; DATA gives the received byte, and lets the next one in."""
        del size
        if offset == _DATA:
            value = self._data
            self._full = False
            self._receive()
            return value
        if offset == _STATE:
            return _RX_FULL if self._full else 0
        if offset == _CTRL:
            return self._control
        if offset == _INTSTATUS:
            return self._interrupts
        return self._divider if offset == _BAUDDIV else 0

    def write(self, offset: int, size: int, value: int) -> None:
        """A register; DATA sends a byte when the transmitter is on."""
        del size
        if offset == _DATA:
            if self._control & _TX_ENABLE:
                self._sent.append(value & 0xFF)
                if self._control & _TX_INTERRUPT:
                    self._interrupts |= _INT_TX
        elif offset == _CTRL:
            self._control = value & _CTRL_MASK
            self._receive()
        elif offset == _INTSTATUS:
            self._interrupts &= ~value
        elif offset == _BAUDDIV:
            self._divider = value & 0xFFFFF
        self._drive()

    def save(self) -> object:
        """All but what was sent."""
        return (
            self._control,
            self._divider,
            self._interrupts,
            self._data,
            int(self._full),
            bytes(self._arrived),
        )

    def load(self, state: object) -> None:
        """Go back to save()."""
        assert isinstance(state, tuple)  # noqa: S101 - a bug
        self._control, self._divider, self._interrupts, self._data, full, arrived = state
        self._full = bool(full)
        self._arrived[:] = arrived

    def _receive(self) -> None:
        if self._arrived and not self._full and self._control & _RX_ENABLE:
            self._data = self._arrived.pop(0)
            self._full = True
            if self._control & _RX_INTERRUPT:
                self._interrupts |= _INT_RX
        self._drive()

    def _drive(self) -> None:
        for irq, bit in ((self._rx_irq, _INT_RX), (self._tx_irq, _INT_TX)):
            if irq is not None:
                self._bus.set_irq(irq, bool(self._interrupts & bit))
