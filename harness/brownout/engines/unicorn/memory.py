"""The memories behind the bus: RAM, ROM and the flash array, as host memory that Unicorn executes from."""

from __future__ import annotations

import ctypes
import hashlib
import mmap
from typing import TYPE_CHECKING, Final

from unicorn import UC_PROT_ALL, UC_PROT_EXEC, UC_PROT_READ

from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from unicorn.unicorn_py3.unicorn import Uc

    from brownout.engines.unicorn.counter import BlockCounter

PAGE: Final = 0x1000
_HASH_PAGE: Final = 0x1000
_READ_ONLY: Final = UC_PROT_READ | UC_PROT_EXEC


class Area:
    """A range of memory that can be executed; the processor may store to it when `writable`."""

    def __init__(self, uc: Uc, counter: BlockCounter, base: int, size: int, *, writable: bool) -> None:
        mapped = -(-size // PAGE) * PAGE
        # The processor reaches whole pages: beyond the end of RAM there is RAM as well, up to the next one.
        self.base: Final = base
        self.size: Final = mapped if writable else size
        self.end: Final = base + self.size
        self._counter = counter
        self._uc = uc
        self.map: Final = mmap.mmap(-1, mapped)
        self._anchor = (ctypes.c_char * mapped).from_buffer(self.map)
        uc.mem_map_ptr(base, mapped, UC_PROT_ALL, ctypes.addressof(self._anchor))
        if not writable:
            # Only a change of permissions makes it read-only: mapped so, a store that a hook took care of
            # would be carried out as well.
            uc.mem_protect(base, mapped, _READ_ONLY)

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.end

    def read(self, address: int, size: int) -> bytes:
        """Bytes at `address`, which lie inside."""
        at = address - self.base
        return self.map[at : at + size]

    def write(self, address: int, data: bytes) -> None:
        """Change bytes; code that was translated from there is translated again."""
        at = address - self.base
        self.map[at : at + len(data)] = data
        self.forget_code(address, address + len(data))

    def forget_code(self, start: int, end: int) -> None:
        """Drop the translations of code of the pages that `start` up to `end` touches."""
        if not self._counter.executed(start, end):
            return
        start -= start % PAGE
        end = min(end + -end % PAGE, self.base + len(self.map))
        self._uc.ctl_remove_cache(start, end)
        self._counter.forget_executed(start, end)


class Digest:
    """Hash of areas that hashes only the pages that changed since the last time."""

    def __init__(self, areas: Sequence[Area]) -> None:
        self._areas = areas
        self._pages: list[bytes] = []
        self._digests: list[bytes] = []

    def update(self) -> bytes:
        """Digest of what the areas hold now: 16 bytes for each page."""
        pages = list(self._cut())
        if not self._pages:
            self._pages = [b""] * len(pages)
            self._digests = [b""] * len(pages)
        for number, page in enumerate(pages):
            if page != self._pages[number]:
                self._pages[number] = page
                self._digests[number] = hashlib.blake2b(page, digest_size=16).digest()
        return b"".join(self._digests)

    def _cut(self) -> Iterator[bytes]:
        for area in self._areas:
            for at in range(0, area.size, _HASH_PAGE):
                yield area.map[at : min(at + _HASH_PAGE, area.size)]


class FlashArea(Area):
    """The flash array. Remembers which bytes object each sector was filled from."""

    def __init__(self, uc: Uc, counter: BlockCounter, base: int, sizes: Sequence[int]) -> None:
        super().__init__(uc, counter, base, sum(sizes), writable=False)
        self._sizes = tuple(sizes)
        self._starts = tuple(sum(sizes[:number]) for number in range(len(sizes)))
        self._placed: list[bytes | None] = [None] * len(sizes)
        self._equal = len(set(sizes)) == 1
        self.view: Final = memoryview(self.map).toreadonly()[: self.size]

    def place(self, sectors: Sequence[bytes]) -> None:
        """Make the array hold `sectors`; copies those that it does not hold yet. Raises EngineError:
        wrong sizes.
        """
        if len(sectors) != len(self._sizes):
            raise EngineError(f"flash contents of {len(sectors)} sectors: expected {len(self._sizes)}")
        placed = self._placed
        for number, sector in enumerate(sectors):
            if sector is placed[number]:
                continue
            at, size = self._starts[number], self._sizes[number]
            if len(sector) != size:
                raise EngineError(f"flash sector {number} of {len(sector)} bytes: expected {size}")
            if self.map[at : at + size] != sector:
                self.map[at : at + size] = sector
                self.forget_code(self.base + at, self.base + at + size)
            placed[number] = sector

    def patch(self, offset: int, data: bytes) -> None:
        """Change what the array holds from `offset` on."""
        for number in self._touched(offset, len(data)):
            self._placed[number] = None
        self.write(self.base + offset, data)

    def _touched(self, offset: int, length: int) -> range:
        if self._equal:
            size = self._sizes[0]
            return range(offset // size, (offset + length - 1) // size + 1)
        numbers = [
            number
            for number, (start, size) in enumerate(zip(self._starts, self._sizes, strict=True))
            if start < offset + length and offset < start + size
        ]
        return range(numbers[0], numbers[-1] + 1)
