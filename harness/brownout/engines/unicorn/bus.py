"""The bus: which peripheral answers where, what it may ask for, and when it wants to be woken."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from brownout.engines.unicorn.interface import AccessFaultError, Peripheral, Ticking
from brownout.errors import EngineError

if TYPE_CHECKING:
    from brownout.flash import Operation, Status

P = TypeVar("P")

_SLOT_SHIFT: Final = 8
WINDOWS: Final = ((0x40000000, 0x60000000), (0xA0000000, 0xE0000000), (0xE0000000, 0xE0100000))
"""Address ranges of peripherals: what is not modelled there reads the board's default. Elsewhere it is a
BusFault.
"""
_BIT_BAND: Final = range(0x42000000, 0x44000000)
_BIT_BAND_TARGET: Final = 0x40000000
"""Cortex-M3 and M4: each word of the alias is one bit of the peripherals' first MiB."""


class Host(Protocol):
    """What the machine offers to its bus."""

    @property
    def time(self) -> int:
        """Virtual time."""

    def hurry(self, time: int) -> None:
        """Look at events not later than at `time`."""

    def set_line(self, number: int, level: bool) -> None:
        """Drive an interrupt line."""

    def read(self, address: int, size: int) -> bytes:
        """Memory. Raises LookupError."""

    def store(self, address: int, data: bytes) -> None:
        """Change RAM. Raises LookupError."""

    def operate(self, operation: Operation) -> Status | None:
        """Carry out a flash operation."""

    def bypass(self, offset: int, data: bytes) -> None:
        """Change the array past the flash model."""

    def map_ram(self, address: int, size: int) -> memoryview:
        """Put RAM of a peripheral on the bus."""

    def draw(self, size: int, *use: str | int) -> bytes:
        """Seeded bytes."""

    def request_reset(self) -> None:
        """Reset the core soon."""

    def note(self, message: str) -> None:
        """A line for the log."""

    def look_soon(self) -> None:
        """A register was accessed: what comes next may be another exception."""

    def fail_access(self, address: int, *, write: bool, reason: str) -> None:
        """The access that is being carried out ends in a BusFault."""


class Port:
    """The bus as one peripheral sees it (interface.Bus)."""

    def __init__(self, host: Host, fabric: Fabric, name: str, clock_hz: int) -> None:
        self._host = host
        self._fabric = fabric
        self.name: Final = name
        self._clock_hz = clock_hz

    @property
    def now(self) -> int:
        """Virtual time since power-on."""
        return self._host.time

    @property
    def clock_hz(self) -> int:
        """Virtual time in a second."""
        return self._clock_hz

    def at(self, time: int, action: str) -> None:
        """Ask for a tick."""
        self._fabric.schedule(time, self.name, action)
        self._host.hurry(time)

    def set_irq(self, number: int, level: bool) -> None:
        """Drive an interrupt line."""
        self._host.set_line(number, level)

    def read_memory(self, address: int, size: int) -> bytes:
        """Read memory."""
        return self._host.read(address, size)

    def write_memory(self, address: int, data: bytes) -> None:
        """Write RAM."""
        self._host.store(address, data)

    def operate(self, operation: Operation) -> Status | None:
        """Carry out a flash operation."""
        return self._host.operate(operation)

    def bypass(self, offset: int, data: bytes) -> None:
        """Change the array past the flash model."""
        self._host.bypass(offset, data)

    def map_ram(self, address: int, size: int) -> memoryview:
        """Put RAM on the bus."""
        return self._host.map_ram(address, size)

    def draw(self, size: int, *use: str | int) -> bytes:
        """Seeded bytes."""
        return self._host.draw(size, self.name, *use)

    def request_reset(self) -> None:
        """Reset after the current block of code."""
        self._host.request_reset()

    def log(self, message: str) -> None:
        """A line for the log."""
        self._host.note(f"{self.name}: {message}")

    def find(self, kind: type[P]) -> P | None:
        """The peripheral of a class."""
        return self._fabric.find(kind)


_Read = Callable[[int, int], int]
_Write = Callable[[int, int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Span:
    """Registers from `start` up to `end`."""

    start: int
    end: int
    read: _Read
    write: _Write


def _bit_of(alias: int) -> tuple[int, int]:
    """Address of the word, and number of the bit in it, that a word of the bit-band alias stands for."""
    offset = alias - _BIT_BAND.start
    byte = _BIT_BAND_TARGET + (offset >> 5)
    return byte & ~3, (byte & 3) * 8 + ((offset >> 2) & 7)


def _slots(base: int, size: int) -> range:
    return range(base >> _SLOT_SHIFT, ((base + size - 1) >> _SLOT_SHIFT) + 1)


class Fabric:
    """All peripherals by address, and their ticks in order."""

    def __init__(self, host: Host, *, unmapped_read: int, clock_hz: int, bit_band: bool = False) -> None:
        self._host = host
        self._bit_band = bit_band
        self._unmapped_read = unmapped_read
        self._clock_hz = clock_hz
        self._slots: defaultdict[int, list[_Span]] = defaultdict(list)
        self.peripherals: Final[dict[str, Peripheral]] = {}
        self._owners: dict[str, tuple[int, int]] = {}
        self._queue: list[tuple[int, int, str, str]] = []
        self._sequence = 0

    def port(self, name: str) -> Port:
        """The bus for the peripheral that will be called `name`."""
        return Port(self._host, self, name, self._clock_hz)

    def add(self, name: str, peripheral: Peripheral, base: int, size: int) -> None:
        """Put a peripheral at `size` bytes from `base`. Raises EngineError: another one is there."""
        for slot in _slots(base, size):
            for span in self._slots[slot]:
                if span.start < base + size and base < span.end:
                    raise EngineError(f"peripheral '{name}' at {base:#x}: another one is at {span.start:#x}")
        self.peripherals[name] = peripheral
        self._owners[name] = (base, base + size)
        self.map(base, size, peripheral.read, peripheral.write)

    def map(self, base: int, size: int, read: _Read, write: _Write) -> None:
        """Put registers at `size` bytes from `base`."""
        span = _Span(start=base, end=base + size, read=read, write=write)
        for slot in _slots(base, size):
            self._slots[slot].append(span)

    def span(self, address: int) -> tuple[int, int, Peripheral] | None:
        """Start, end and peripheral at an address."""
        for name, (start, end) in self._owners.items():
            if start <= address < end:
                return start, end, self.peripherals[name]
        return None

    def find(self, kind: type[P]) -> P | None:
        """The first peripheral of a class."""
        for peripheral in self.peripherals.values():
            if isinstance(peripheral, kind):
                return peripheral
        return None

    def outside(self) -> list[tuple[int, int]]:
        """Pages of peripherals that lie outside the windows: (start, end), merged."""
        pages = {
            (slot << _SLOT_SHIFT) & ~0xFFF
            for slot in self._slots
            if not any(start <= slot << _SLOT_SHIFT < end for start, end in WINDOWS)
        }
        return [(page, page + 0x1000) for page in sorted(pages)]

    # -- accesses --------------------------------------------------------------------------------------

    def reader(self, base: int) -> Callable[[object, int, int, object], int]:
        """Callback for reads from a range that starts at `base`."""
        slots, host = self._slots, self._host

        def read(_uc: object, offset: int, size: int, _data: object) -> int:
            address = base + offset
            for span in slots.get(address >> _SLOT_SHIFT, ()):
                if span.start <= address < span.end:
                    try:
                        value = span.read(address - span.start, size)
                    except AccessFaultError as error:
                        host.fail_access(address, write=False, reason=str(error))
                        return 0
                    host.look_soon()
                    return value
            if self._bit_band and address in _BIT_BAND:
                word, bit = _bit_of(address)
                return read(_uc, word - base, 4, _data) >> bit & 1
            host.note(f"read of {address & ~3:#010x}: no peripheral is modelled there")
            return self._unmapped_read

        return read

    def writer(self, base: int) -> Callable[[object, int, int, int, object], None]:
        """Callback for stores to a range that starts at `base`."""
        slots, host, load = self._slots, self._host, self.reader(base)

        def write(_uc: object, offset: int, size: int, value: int, _data: object) -> None:
            address = base + offset
            for span in slots.get(address >> _SLOT_SHIFT, ()):
                if span.start <= address < span.end:
                    try:
                        span.write(address - span.start, size, value)
                    except AccessFaultError as error:
                        host.fail_access(address, write=True, reason=str(error))
                    host.look_soon()
                    return
            if self._bit_band and address in _BIT_BAND:
                word, bit = _bit_of(address)
                old = load(_uc, word - base, 4, _data)
                write(_uc, word - base, 4, old & ~(1 << bit) | (value & 1) << bit, _data)
                return
            host.note(f"store to {address & ~3:#010x}: no peripheral is modelled there")

        return write

    # -- ticks -----------------------------------------------------------------------------------------

    def schedule(self, time: int, name: str, action: str) -> None:
        """Call tick(action) of peripheral `name` at `time`."""
        self._sequence += 1
        heapq.heappush(self._queue, (time, self._sequence, name, action))

    @property
    def due(self) -> int | None:
        """Time of the next tick."""
        return self._queue[0][0] if self._queue else None

    def forget_ticks(self) -> None:
        """Drop everything that was asked for."""
        self._queue.clear()
        self._sequence = 0

    def run_ticks(self, now: int) -> None:
        """Make the ticks that are due."""
        while self._queue and self._queue[0][0] <= now:
            _, _, name, action = heapq.heappop(self._queue)
            peripheral = self.peripherals[name]
            if isinstance(peripheral, Ticking):
                peripheral.tick(action)
