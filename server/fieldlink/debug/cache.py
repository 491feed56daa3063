"""What is known of a stopped app without asking the device. Sans-IO.

A stop brings registers, a stack window and the code around pc; what is read later is kept too, until the
app runs again. Code that the ELF holds and that was verified against the device never has to be read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from fieldlink.debug_messages import REPLY_LIMIT, Stop

LINE_SIZE: Final = 128
"""A small read fetches its whole line: GDB reads the same struct word by word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """Bytes at an address."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        """First address after it."""
        return self.address + len(self.data)

    def overlaps(self, address: int, length: int) -> bool:
        """Whether they share a byte."""
        return address < self.end and self.address < address + length


def pieces(address: int, length: int, limit: int = REPLY_LIMIT) -> Iterator[tuple[int, int]]:
    """The range as (address, length) of at most `limit` bytes each, in order."""
    for offset in range(0, length, limit):
        yield address + offset, min(limit, length - offset)


class ExtentMap:
    """Known bytes; lookups join extents that touch."""

    def __init__(self, extents: Sequence[Extent] = ()) -> None:
        self._extents: list[Extent] = []
        for extent in extents:
            self.store(extent.address, extent.data)

    def store(self, address: int, data: bytes) -> None:
        """Adds bytes; they replace what was known there."""
        if data:
            self.drop(address, len(data))
            self._extents.append(Extent(address=address, data=data))
            self._extents.sort(key=lambda extent: extent.address)

    def drop(self, address: int, length: int) -> None:
        """Forgets bytes."""
        kept: list[Extent] = []
        for extent in self._extents:
            if not extent.overlaps(address, length):
                kept.append(extent)
                continue
            before = extent.data[: max(0, address - extent.address)]
            after = extent.data[address + length - extent.address :] if address + length < extent.end else b""
            if before:
                kept.append(Extent(address=extent.address, data=before))
            if after:
                kept.append(Extent(address=address + length, data=after))
        self._extents = kept

    def read(self, address: int, length: int) -> bytes | None:
        """All of the bytes, or None when one of them is not known."""
        out = bytearray()
        for extent in self._extents:
            at = address + len(out)
            if extent.address <= at < extent.end:
                out += extent.data[at - extent.address : address + length - extent.address]
        return bytes(out) if len(out) == length else None

    def clear(self) -> None:
        """Forgets everything."""
        self._extents.clear()


class StopCache:
    """Registers and memory of one stop."""

    def __init__(self, constant: Sequence[Extent] = ()) -> None:
        self._memory = ExtentMap()
        self._constant = ExtentMap(constant)
        self.registers: bytes | None = None

    def trust(self, constant: Sequence[Extent]) -> None:
        """Bytes that do not change while the app runs, such as verified read-only segments of its ELF."""
        for extent in constant:
            self._constant.store(extent.address, extent.data)

    def load(self, stop: Stop) -> None:
        """The app stopped."""
        self.forget()
        self.registers = stop.registers
        self._memory.store(stop.stack_address, stop.stack)
        self._memory.store(stop.code_address, stop.code)

    def forget(self) -> None:
        """The app runs: only constant bytes stay."""
        self.registers = None
        self._memory.clear()

    def read(self, address: int, length: int) -> bytes | None:
        """The bytes, if all are known."""
        known = self._constant.read(address, length)
        return self._memory.read(address, length) if known is None else known

    def store(self, address: int, data: bytes) -> None:
        """Bytes that were read while the app is stopped."""
        self._memory.store(address, data)

    def written(self, address: int, length: int) -> None:
        """The debugger changed memory; it may also have changed what was constant."""
        self._memory.drop(address, length)
        self._constant.drop(address, length)
