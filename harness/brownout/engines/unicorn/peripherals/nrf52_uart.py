"""UART and UARTE of the nRF52840 (PS v1.7, sections 6.33 and 6.34): one block, ENABLE tells which."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.nrf52_base import SHORTS, NordicPeripheral

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

_RXDRDY: Final = 2
_ENDRX: Final = 4
_TXDRDY: Final = 7
_ENDTX: Final = 8
_RXTO: Final = 17
_RXSTARTED: Final = 19
_TXSTARTED: Final = 20
_TXSTOPPED: Final = 22
_ENDRX_STARTRX: Final = 1 << 5
_ENDRX_STOPRX: Final = 1 << 6


class Uarte(NordicPeripheral):
    """Kind "nrf52-uarte": bytes are sent at once, and received as fast as they are taken."""

    _ENABLE: Final = 0x500
    _RXD: Final = 0x518
    _TXD: Final = 0x51C
    _RX_PTR: Final = 0x534
    _RX_MAXCNT: Final = 0x538
    _RX_AMOUNT: Final = 0x53C
    _TX_PTR: Final = 0x544
    _TX_MAXCNT: Final = 0x548
    _TX_AMOUNT: Final = 0x54C
    _EASY_DMA: Final = 8

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        pins = {0x508 + 4 * pin: 0xFFFF_FFFF for pin in range(4)}
        super().__init__(bus, settings, resets={**pins, 0x524: 0x0400_0000})
        self._sent = bytearray()
        self._waiting = bytearray()
        self._receiving = False
        self._transmitting = False
        self._filled = 0
        self._target = 0
        self._capacity = 0

    @property
    def sent(self) -> bytes:
        """What the firmware sent since power-on."""
        return bytes(self._sent)

    def feed(self, data: bytes) -> None:
        """Bytes on the receive line."""
        self._waiting += data
        self._receive()

    def power_on(self) -> None:
        """Nothing sent, nothing to receive."""
        self._sent = bytearray()
        self._waiting = bytearray()

    def reset(self) -> None:
        """Off."""
        self._receiving = False
        self._transmitting = False
        self._filled = 0
        super().reset()

    def task(self, number: int) -> None:
        """Start and stop both directions, flush."""
        match number:
            case 0:
                self._start_receive()
                self._receive()
            case 1 | 11:  # STOPRX, FLUSHRX
                if self._receiving and self._dma:
                    self._end_receive()
                self._receiving = False
                if number == 1:
                    self.event(_RXTO)
            case 2:
                self._transmitting = True
                if self._dma:
                    self._send_buffer()
            case 3:
                self._transmitting = False
                if self._dma:
                    self.event(_TXSTOPPED)
            case _:
                pass

    def before_access(self) -> None:
        """Without EasyDMA: the next byte is there as soon as the last event was cleared."""
        self._receive()

    def write_register(self, offset: int, value: int, lanes: int) -> None:
        """TXD sends a byte."""
        if offset == self._TXD:
            if self._transmitting and self.peek(self._ENABLE):
                self._sent.append(value & 0xFF)
                self.event(_TXDRDY)
        else:
            super().write_register(offset, value, lanes)

    def extra_state(self) -> tuple[int, ...]:
        """Directions, and what waits to be received."""
        directions = (int(self._receiving), int(self._transmitting))
        return (*directions, self._filled, self._target, self._capacity, *self._waiting)

    def load_extra_state(self, state: tuple[int, ...]) -> None:
        """Go back to a value of extra_state()."""
        self._receiving, self._transmitting = bool(state[0]), bool(state[1])
        self._filled, self._target, self._capacity = state[2:5]
        self._waiting = bytearray(state[5:])

    @property
    def _dma(self) -> bool:
        return self.peek(self._ENABLE) == self._EASY_DMA

    def _send_buffer(self) -> None:
        size = self.peek(self._TX_MAXCNT) & 0xFFFF
        self.event(_TXSTARTED)
        if size:
            self._sent += self._fetch(self.peek(self._TX_PTR), size)
            self.event(_TXDRDY)
        self.poke(self._TX_AMOUNT, size)
        self.event(_ENDTX)

    def _fetch(self, address: int, size: int) -> bytes:
        try:
            return self._bus.read_memory(address, size)
        except LookupError:
            self._bus.log(f"EasyDMA: TXD.PTR {address:#x} is not in memory")
            return bytes(size)

    def _receive(self) -> None:
        if not self._receiving or not self._waiting:
            return
        if not self._dma:
            if not self._events >> _RXDRDY & 1:
                self.poke(self._RXD, self._waiting.pop(0))
                self.event(_RXDRDY)
            return
        while self._receiving and self._waiting:
            space = self._capacity - self._filled
            taken = bytes(self._waiting[:space])
            del self._waiting[:space]
            try:
                self._bus.write_memory(self._target + self._filled, taken)
            except LookupError:
                self._bus.log(f"EasyDMA: RXD.PTR {self._target:#x} is not in RAM")
            self._filled += len(taken)
            self.event(_RXDRDY)
            if len(taken) == space:
                self._receiving = False
                self._end_receive()
                shorts = self.peek(SHORTS)
                if shorts & _ENDRX_STARTRX:
                    self._start_receive()
                elif shorts & _ENDRX_STOPRX:
                    self.event(_RXTO)

    def _start_receive(self) -> None:
        """STARTRX: the buffer's registers are taken over and may be written for the next one."""
        self._filled = 0
        self._target = self.peek(self._RX_PTR)
        self._capacity = self.peek(self._RX_MAXCNT) & 0xFFFF
        # A buffer of no bytes never fills and never ends.
        self._receiving = not self._dma or self._capacity > 0
        if self._dma:
            self.event(_RXSTARTED)

    def _end_receive(self) -> None:
        self.poke(self._RX_AMOUNT, self._filled)
        self.event(_ENDRX)
