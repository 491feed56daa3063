"""Where things are in a NOR flash: regions, and the sizes that its operations obey."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from brownout.errors import GeometryError

_ERASED = 0xFF
_UNCOUNTED = 255
"""Where counts of programs end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A range of bytes, by offset from the start of the array.

    Args:
        offset: first byte, 0 or more.
        size: bytes, at least 1.

    Raises:
        GeometryError: a negative offset or an empty region.
    """

    offset: int
    size: int

    def __post_init__(self) -> None:
        if self.offset < 0 or self.size < 1:
            raise GeometryError(
                f"region of {self.size} bytes at {self.offset:#x}: expected an offset >= 0 and a size >= 1"
            )

    @property
    def end(self) -> int:
        """Offset of the first byte after the region."""
        return self.offset + self.size

    def contains(self, offset: int, length: int = 1) -> bool:
        """Tell whether all of `length` bytes at `offset` lie inside."""
        return self.offset <= offset and offset + length <= self.end

    def touches(self, offset: int, length: int = 1) -> bool:
        """Tell whether any of `length` bytes at `offset` lies inside."""
        return length > 0 and offset < self.end and self.offset < offset + length

    def overlaps(self, other: Region) -> bool:
        """Tell whether the two regions share a byte."""
        return self.touches(other.offset, other.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Geometry:
    """Sizes of a NOR flash array; all in bytes.

    Erase sectors are all of `sector_size`, or `sectors` says how they differ; code outside asks
    `sector_index` and `sector` instead of dividing.

    Args:
        size: the whole array; a multiple of `sector_size`, or the sum of `sectors`.
        write_unit: smallest programmable unit ("word"); programs are aligned to it.
        program_buffer: most bytes of one program, which must not cross a multiple of it; a multiple of
            `write_unit`.
        sector_size: erase sector; a multiple of `program_buffer`. 0 where `sectors` is given.
        sectors: runs of (count, size) of erase sectors, from the start of the array on; each size is a
            multiple of `program_buffer`, and so is each sector's offset. Empty where `sector_size` is
            given.
        erased_value: what an erased byte reads; only 0xFF is modelled, because programming clears bits.
        write_once: ECC flash: a second program of a word without an erase in between is refused.
        max_programs: programs of a word between two erases that the data sheet allows, at most 254; one
            more is done and recorded. 0: no limit.

    Raises:
        GeometryError: a value that is not positive, does not divide as said, or is not modelled.
    """

    size: int
    write_unit: int
    program_buffer: int
    sector_size: int = 0
    sectors: tuple[tuple[int, int], ...] = ()
    erased_value: int = _ERASED
    write_once: bool = False
    max_programs: int = 0
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False, default=())
    """Offsets of unequal sectors; empty where all are equal."""

    def __post_init__(self) -> None:
        sizes = ("size", "write_unit", "program_buffer") + (() if self.sectors else ("sector_size",))
        for name in sizes:
            value: int = getattr(self, name)
            if value < 1:
                raise GeometryError(f"flash {name} is {value}: expected at least 1 byte")
        pairs = [("program_buffer", self.program_buffer, "write_unit", self.write_unit)]
        if self.sectors:
            object.__setattr__(self, "_starts", self._sector_starts())
            pairs += [
                ("sectors size", size, "program_buffer", self.program_buffer) for _, size in self.sectors
            ]
        else:
            pairs.append(("size", self.size, "sector_size", self.sector_size))
            pairs.append(("sector_size", self.sector_size, "program_buffer", self.program_buffer))
        for outer, big, inner, small in pairs:
            if big % small:
                raise GeometryError(f"flash {outer} is {big}: expected a multiple of {inner} ({small})")
        if self.erased_value != _ERASED:
            raise GeometryError(f"flash erased_value is {self.erased_value:#x}: only 0xff is modelled")
        if not 0 <= self.max_programs < _UNCOUNTED:
            raise GeometryError(f"flash max_programs is {self.max_programs}: expected 0..{_UNCOUNTED - 1}")

    def _sector_starts(self) -> tuple[int, ...]:
        if self.sector_size:
            raise GeometryError(f"flash sector_size is {self.sector_size}: expected 0 beside sectors")
        starts: list[int] = []
        offset = 0
        for count, size in self.sectors:
            if count < 1 or size < 1:
                raise GeometryError(
                    f"flash sectors: ({count}, {size}): expected a count and a size of 1 or more"
                )
            starts.extend(range(offset, offset + count * size, size))
            offset += count * size
        if offset != self.size:
            raise GeometryError(f"flash sectors add up to {offset} bytes: expected size ({self.size})")
        return tuple(starts)

    @property
    def sector_count(self) -> int:
        """How many erase sectors there are."""
        return len(self._starts) or self.size // self.sector_size

    def sector_index(self, offset: int) -> int:
        """Number of the sector that holds byte `offset`; the caller has checked the range."""
        if self.sector_size:
            return offset // self.sector_size
        return bisect_right(self._starts, offset) - 1

    def sector_offset(self, index: int) -> int:
        """Offset of sector `index`; one past the last gives the array's end. The caller has checked it."""
        if self.sector_size:
            return index * self.sector_size
        return self._starts[index] if index < len(self._starts) else self.size

    def sector(self, index: int) -> Region:
        """Return the bytes of sector `index`.

        Raises:
            GeometryError: there is no such sector.
        """
        if not 0 <= index < self.sector_count:
            raise GeometryError(f"flash sector {index}: expected 0..{self.sector_count - 1}")
        offset = self.sector_offset(index)
        return Region(offset=offset, size=self.sector_offset(index + 1) - offset)

    def sectors_of(self, region: Region) -> range:
        """Return the numbers of all sectors that share a byte with `region`.

        Raises:
            GeometryError: the region is not inside the array.
        """
        if region.end > self.size:
            raise GeometryError(
                f"region {region.offset:#x}..{region.end - 1:#x}: expected inside {self.size:#x} bytes"
            )
        return range(self.sector_index(region.offset), self.sector_index(region.end - 1) + 1)
