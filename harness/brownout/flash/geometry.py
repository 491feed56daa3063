"""Where things are in a NOR flash: regions, and the sizes that its operations obey."""

from __future__ import annotations

from dataclasses import dataclass

from brownout.errors import GeometryError

_ERASED = 0xFF


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

    Code outside asks `sector_index` and `sector` instead of dividing by `sector_size`, so that a map of
    unequal sectors can come later without a change elsewhere.

    Args:
        size: the whole array; a multiple of `sector_size`.
        sector_size: erase sector; a multiple of `program_buffer`.
        write_unit: smallest programmable unit ("word"); programs are aligned to it.
        program_buffer: most bytes of one program, which must not cross a multiple of it; a multiple of
            `write_unit`.
        erased_value: what an erased byte reads; only 0xFF is modelled, because programming clears bits.
        write_once: ECC flash: a second program of a word without an erase in between is refused.

    Raises:
        GeometryError: a value that is not positive, does not divide as said, or is not modelled.
    """

    size: int
    sector_size: int
    write_unit: int
    program_buffer: int
    erased_value: int = _ERASED
    write_once: bool = False

    def __post_init__(self) -> None:
        for name in ("size", "sector_size", "write_unit", "program_buffer"):
            value: int = getattr(self, name)
            if value < 1:
                raise GeometryError(f"flash {name} is {value}: expected at least 1 byte")
        for outer, inner in (
            ("size", "sector_size"),
            ("sector_size", "program_buffer"),
            ("program_buffer", "write_unit"),
        ):
            big: int = getattr(self, outer)
            small: int = getattr(self, inner)
            if big % small:
                raise GeometryError(f"flash {outer} is {big}: expected a multiple of {inner} ({small})")
        if self.erased_value != _ERASED:
            raise GeometryError(f"flash erased_value is {self.erased_value:#x}: only 0xff is modelled")

    @property
    def sector_count(self) -> int:
        """How many erase sectors there are."""
        return self.size // self.sector_size

    def sector_index(self, offset: int) -> int:
        """Number of the sector that holds byte `offset`; the caller has checked the range."""
        return offset // self.sector_size

    def sector(self, index: int) -> Region:
        """Return the bytes of sector `index`.

        Raises:
            GeometryError: there is no such sector.
        """
        if not 0 <= index < self.sector_count:
            raise GeometryError(f"flash sector {index}: expected 0..{self.sector_count - 1}")
        return Region(offset=index * self.sector_size, size=self.sector_size)

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
