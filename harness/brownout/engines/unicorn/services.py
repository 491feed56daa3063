"""What the machine does for its peripherals (bus.Host), and what they asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.counter import AT_ONCE
from brownout.engines.unicorn.interface import AccessFaultError
from brownout.flash import seeded_bytes

if TYPE_CHECKING:
    from brownout.engines.unicorn.chip import Chip
    from brownout.engines.unicorn.interface import FlashControllerPeripheral, FlashPort
    from brownout.flash import Operation, Status

_LOG_LIMIT: Final = 1000


class Services:
    """Serves the bus. `chip` and `controller` are set once they exist."""

    chip: Chip
    controller: FlashControllerPeripheral

    def __init__(self, port: FlashPort) -> None:
        self._port = port
        self._logged: set[str] = set()
        self.log: list[str] = []
        self.ram_seed = 0
        self.operation_pc = 0
        self.power_lost = False
        self.reset_requested = False

    def start(self, ram_seed: int) -> None:
        """Power on."""
        self.ram_seed = ram_seed
        self.set_log(())

    def set_log(self, lines: tuple[str, ...]) -> None:
        """Go back to a log."""
        self.log = list(lines)
        self._logged = set(lines)

    def clear(self) -> None:
        """Forget what was asked for."""
        self.power_lost = self.reset_requested = False

    @property
    def time(self) -> int:
        """Virtual time."""
        return self.chip.counter.time

    def hurry(self, time: int) -> None:
        """A tick was asked for at `time`: do not run past it."""
        if time < self.chip.counter.limit:
            self.chip.counter.set_limit(time)

    def set_line(self, number: int, level: bool) -> None:
        """Drive an external interrupt line."""
        self.chip.system.set_line(number, level=level)

    def read(self, address: int, size: int) -> bytes:
        """Memory. Raises LookupError."""
        return self.chip.read(address, size)

    def store(self, address: int, data: bytes) -> None:
        """Change RAM. Raises LookupError."""
        self.chip.store(address, data)

    def operate(self, operation: Operation) -> Status | None:
        """Have a flash operation carried out, and put its patches in place. None: the power is lost."""
        if self.power_lost:
            return None
        self.operation_pc = self.chip.core.pc
        result = self._port.operate(operation)
        for offset, data in result.patches:
            self.chip.flash.patch(offset, data)
            self.chip.stops.note_change(self.chip.flash.base + offset, len(data))
        if result.status is None:
            self.power_lost = True
            self.chip.traps.end()
        return result.status

    def bypass(self, offset: int, data: bytes) -> None:
        """Change the array past the flash model."""
        self.chip.flash.patch(offset, data)
        self.chip.stops.note_change(self.chip.flash.base + offset, len(data))
        pc = self.chip.core.pc
        self.note(f"store at {pc:#010x} into the flash at offset {offset:#x} bypassed the controller")

    def store_to_array(self, offset: int, size: int, value: int) -> None:
        """The processor stored `value` at `offset` of the array: the controller judges it."""
        try:
            self.controller.store(offset, size, value)
        except AccessFaultError as error:
            self.fail_access(self.chip.flash.base + offset, write=True, reason=str(error))
        self.look_soon()

    def map_ram(self, address: int, size: int) -> memoryview:
        """Put RAM of a peripheral on the bus."""
        return self.chip.add_ram(address, size)

    def draw(self, size: int, *use: str | int) -> bytes:
        """Bytes from the power-on's seed."""
        return seeded_bytes(self.ram_seed, size, *use)

    def request_reset(self) -> None:
        """Reset the core before the next block of code."""
        self.reset_requested = True
        self.chip.counter.watch(AT_ONCE)

    def note(self, message: str) -> None:
        """A line for the log, once."""
        if message not in self._logged and len(self.log) < _LOG_LIMIT:
            self._logged.add(message)
            self.log.append(message)

    def fail_access(self, address: int, *, write: bool, reason: str) -> None:
        """The access that is being carried out ends in a BusFault."""
        self.note(reason)
        self.chip.traps.refuse(address, write=write, reason=reason)

    def look_soon(self) -> None:
        """An access to a register may have changed what comes next."""
        if self.chip.system.changed:
            self.chip.counter.watch(AT_ONCE)
