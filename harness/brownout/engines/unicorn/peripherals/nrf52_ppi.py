"""Programmable peripheral interconnect of the nRF52840 (PS v1.7, section 6.16): events start tasks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.nrf52_base import EventRouter, NordicPeripheral
from brownout.engines.unicorn.peripherals.registers import StorageBlock

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

_GROUP_TASKS_END: Final = 0x30
_TASKS_END: Final = 0x80
_BLOCK: Final = 0x1000


class Ppi(StorageBlock, EventRouter):
    """Kind "nrf52-ppi": the 20 channels that firmware can program, with forks and groups.

    The channels that the chip wires itself (20 to 31) are not modelled, nor are tasks of peripherals that
    are not.
    """

    CHEN: Final = 0x500
    CHENSET: Final = 0x504
    CHENCLR: Final = 0x508
    CHANNELS: Final = 0x510
    GROUPS: Final = 0x800
    FORKS: Final = 0x910
    _COUNT: Final = 20

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings)
        self._joined: dict[int, NordicPeripheral] = {}
        self._routes: dict[int, tuple[int, ...]] = {}

    def join(self, base: int, peripheral: NordicPeripheral) -> None:
        """Know a peripheral by its address."""
        self._joined[base] = peripheral

    def signal(self, address: int) -> None:
        """Start the tasks of all enabled channels that listen."""
        for task in self._routes.get(address, ()):
            target = self._joined.get(task & ~(_BLOCK - 1))
            if target is not None:
                target.trigger(task % _BLOCK // 4)
            elif task & ~(_BLOCK - 1) == self._settings.base:
                self._change_group(task % _BLOCK)

    def routes(self, address: int) -> bool:
        """Whether an enabled channel listens."""
        return address in self._routes

    def reset(self) -> None:
        """No channels."""
        super().reset()
        self._connect()

    def read_word(self, offset: int) -> int:
        """CHENSET and CHENCLR read as CHEN, tasks as 0."""
        if offset < _TASKS_END:
            return 0
        return self.peek(self.CHEN if offset in (self.CHENSET, self.CHENCLR) else offset)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store; timers are told, because a channel may wait for them."""
        if offset < _TASKS_END:
            if value & 1:
                self._change_group(offset)
            return
        if offset in (self.CHENSET, self.CHENCLR):
            enabled = self.peek(self.CHEN)
            self.poke(self.CHEN, enabled | value if offset == self.CHENSET else enabled & ~value)
        else:
            super().write_word(offset, value, lanes)
        self._connect()

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        super().load(state)
        self._connect()

    def _change_group(self, task: int) -> None:
        """TASKS_CHG[n].EN and .DIS."""
        if task >= _GROUP_TASKS_END:
            return
        group, enabled = self.peek(self.GROUPS + task // 8 * 4), self.peek(self.CHEN)
        self.poke(self.CHEN, enabled & ~group if task % 8 else enabled | group)
        self._connect()

    def _connect(self) -> None:
        """Events and the tasks that they start, from the registers."""
        routes: dict[int, tuple[int, ...]] = {}
        for channel in range(self._COUNT):
            if self.peek(self.CHEN) >> channel & 1:
                event = self.peek(self.CHANNELS + 8 * channel)
                tasks = (self.peek(self.CHANNELS + 8 * channel + 4), self.peek(self.FORKS + 4 * channel))
                routes[event] = routes.get(event, ()) + tuple(task for task in tasks if task)
        self._routes = routes
        for peripheral in self._joined.values():
            peripheral.after_write()
