"""The cells of the array and what is known about each: reading, half-way bits, programs, erases."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.flash.bits import any_bit, differing_span, to_bytes, to_int
from brownout.flash.faults import Cells

if TYPE_CHECKING:
    from brownout.flash.geometry import Geometry, Region
    from brownout.flash.operations import Patch

_ONE_IF_SET = bytes([*range(255), 1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ArraySnapshot:
    """The cells at one moment; unchanged sectors are shared between snapshots."""

    sectors: tuple[bytes, ...]
    unstable: tuple[tuple[int, bytes], ...]
    programs: tuple[tuple[int, bytes], ...]
    erases: tuple[int, ...]


class CellArray:
    """Cells of a whole array, all erased, stable and unworn at first. No rule is enforced here."""

    def __init__(self, geometry: Geometry) -> None:
        self._geometry = geometry
        sizes = [geometry.sector(index).size for index in range(geometry.sector_count)]
        # Sectors of one size share their constants.
        blanks = {size: bytes([geometry.erased_value]) * size for size in set(sizes)}
        zeros = {size: bytes(size) for size in blanks}
        uncounted = {size: bytes(size // geometry.write_unit) for size in blanks}
        self._value = bytearray([geometry.erased_value]) * geometry.size
        # Per sector, absent where all zero: most sectors never see a fault, and many are never programmed.
        self._unstable: dict[int, bytes] = {}
        self._programs: dict[int, bytes] = {}
        self._erases = [0] * geometry.sector_count
        # Bytes of each sector for snapshots, None where the sector changed since.
        self._sealed: list[bytes | None] = [blanks[size] for size in sizes]
        self._blank = [blanks[size] for size in sizes]
        self._zero = [zeros[size] for size in sizes]
        self._no_programs = [uncounted[size] for size in sizes]

    @property
    def geometry(self) -> Geometry:
        """Sizes of the array."""
        return self._geometry

    @property
    def value(self) -> bytearray:
        """What the cells read; the caller must not change it."""
        return self._value

    @property
    def erases(self) -> tuple[int, ...]:
        """Erases begun, per sector."""
        return tuple(self._erases)

    @property
    def unstable_sectors(self) -> tuple[int, ...]:
        """Numbers of the sectors with at least one unstable bit."""
        return tuple(sorted(self._unstable))

    def cells(self, offset: int, length: int) -> Cells:
        """Return the cells of a range of whole words within one sector."""
        return Cells(
            value=bytes(self._value[offset : offset + length]),
            unstable=self.unstable(offset, length),
            programs=self.programs(offset, length),
        )

    def unstable(self, offset: int, length: int) -> bytes:
        """Return the mask of unstable bits of a range within one sector."""
        sector, start = self._locate(offset)
        return self._unstable.get(sector, self._zero[sector])[start : start + length]

    def programs(self, offset: int, length: int) -> bytes:
        """Return the programs since the last erase, a byte a word, of whole words within one sector."""
        sector, start = self._locate(offset)
        unit = self._geometry.write_unit
        return self._programs.get(sector, self._no_programs[sector])[start // unit : (start + length) // unit]

    def put_value(self, offset: int, data: bytes) -> None:
        """Change what cells of one sector read."""
        self._value[offset : offset + len(data)] = data
        self._sealed[self._geometry.sector_index(offset)] = None

    def put_unstable(self, offset: int, mask: bytes) -> None:
        """Change which bits of one sector are unstable."""
        sector, start = self._locate(offset)
        _put(self._unstable, sector, self._zero[sector], start, mask)

    def put_programs(self, offset: int, programs: bytes) -> None:
        """Change the counts of words of one sector."""
        sector, start = self._locate(offset)
        _put(self._programs, sector, self._no_programs[sector], start // self._geometry.write_unit, programs)

    def put(self, offset: int, cells: Cells) -> None:
        """Replace cells of one sector."""
        self.put_value(offset, cells.value)
        self.put_unstable(offset, cells.unstable)
        self.put_programs(offset, cells.programs)

    def erase(self, sector: int) -> bytes:
        """Erase a sector completely and return what it reads."""
        blank = self._blank[sector]
        self.put_value(self._geometry.sector_offset(sector), blank)
        self._sealed[sector] = blank
        self._unstable.pop(sector, None)
        self._programs.pop(sector, None)
        return blank

    def wear(self, sector: int) -> None:
        """Count an erase."""
        self._erases[sector] += 1

    def load(self, region: Region, data: bytes) -> None:
        """Put `data` in place as a factory would: stable; words not blank count as programmed once."""
        unit = self._geometry.write_unit
        for index in self._geometry.sectors_of(region):
            sector = self._geometry.sector(index)
            first, end = max(sector.offset, region.offset), min(sector.end, region.end)
            self.put_value(first, data[first - region.offset : end - region.offset])
            self.put_unstable(first, bytes(end - first))
            # Widen to whole words: one that is half image, half old content is judged by what it reads.
            first, end = first - first % unit, end + -end % unit
            clear_bits = bytes(self._value[first:end]).translate(_INVERTED)
            self.put_programs(first, any_bit(clear_bits, unit).translate(_ONE_IF_SET))

    def snapshot(self) -> ArraySnapshot:
        """Return the cells' whole state; costs time and memory for changed sectors only."""
        sectors = [
            sealed if sealed is not None else self._sector_bytes(index)
            for index, sealed in enumerate(self._sealed)
        ]
        self._sealed = list[bytes | None](sectors)
        return ArraySnapshot(
            sectors=tuple(sectors),
            unstable=tuple(self._unstable.items()),
            programs=tuple(self._programs.items()),
            erases=self.erases,
        )

    def restore(self, snapshot: ArraySnapshot) -> tuple[Patch, ...]:
        """Go back to a snapshot; return what changed, at most one patch a sector."""
        patches: list[Patch] = []
        for index, wanted in enumerate(snapshot.sectors):
            if self._sealed[index] is wanted:
                continue
            now = self._sector_bytes(index)
            offset = self._geometry.sector_offset(index)
            if now != wanted:
                first, size = differing_span(now, wanted)
                patches.append((offset + first, wanted[first : first + size]))
                self._value[offset : offset + len(wanted)] = wanted
            self._sealed[index] = wanted
        self._unstable = dict(snapshot.unstable)
        self._programs = dict(snapshot.programs)
        self._erases = list(snapshot.erases)
        return tuple(patches)

    def redraw(self, sector: int, drawn: bytes) -> tuple[Patch, ...]:
        """Set the unstable bits of a sector as in `drawn` (sector size); return what changed."""
        region = self._geometry.sector(sector)
        offset, size = region.offset, region.size
        old = bytes(self._value[offset : offset + size])
        mask = to_int(self._unstable.get(sector, self._zero[sector]))
        new = to_bytes((to_int(old) & ~mask) | (to_int(drawn) & mask), size)
        if new == old:
            return ()
        self.put_value(offset, new)
        first, length = differing_span(old, new)
        return ((offset + first, new[first : first + length]),)

    def _locate(self, offset: int) -> tuple[int, int]:
        sector = self._geometry.sector_index(offset)
        return sector, offset - self._geometry.sector_offset(sector)

    def _sector_bytes(self, index: int) -> bytes:
        region = self._geometry.sector(index)
        return bytes(self._value[region.offset : region.end])


_INVERTED = bytes(255 - value for value in range(256))


def _put(table: dict[int, bytes], sector: int, zero: bytes, start: int, data: bytes) -> None:
    old = table.get(sector, zero)
    new = old[:start] + data + old[start + len(data) :]
    if new == zero:
        table.pop(sector, None)
    else:
        table[sector] = new
