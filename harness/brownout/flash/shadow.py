"""Stores that bypass the controller: the array compared with what the controller left in it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import GeometryError
from brownout.flash.bits import differing_span
from brownout.flash.operations import Violation, ViolationKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from brownout.flash.array import CellArray

_EVIDENCE_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Bypass:
    """A difference within one sector: where, how far it goes, and the first bytes of both sides."""

    offset: int
    length: int
    expected: bytes
    found: bytes

    def violation(self, *, session: int, sequence: int) -> Violation:
        """Return it as a broken rule, found after operation `sequence`."""
        return Violation(
            kind=ViolationKind.BYPASS,
            session=session,
            sequence=sequence,
            offset=self.offset,
            length=self.length,
            detail=f"expected {self.expected.hex()}, found {self.found.hex()}, {self.length} byte(s) in all; "
            "change the array through the controller only",
            expected=self.expected,
            found=self.found,
        )


def find_bypasses(
    cells: CellArray, array: bytes | bytearray | memoryview, sectors: Iterable[int] | None
) -> Iterator[Bypass]:
    """Compare the whole `array` with the cells; look at `sectors` only, or at all of them when None.

    Raises:
        GeometryError: `array` has another size than the model, or there is no such sector.
    """
    geometry = cells.geometry
    if len(array) != geometry.size:
        raise GeometryError(
            f"array of {len(array)} bytes: expected {geometry.size}, the size of the modelled flash"
        )
    # A bytearray on the left compares with any buffer at memory speed, a memoryview item by item.
    if sectors is None and cells.value == array:
        return
    for index in range(geometry.sector_count) if sectors is None else sectors:
        region = geometry.sector(index)
        want = bytes(cells.value[region.offset : region.end])
        have = bytes(array[region.offset : region.end])
        if want != have:
            first, length = differing_span(want, have)
            shown = slice(first, first + min(length, _EVIDENCE_BYTES))
            yield Bypass(offset=region.offset + first, length=length, expected=want[shown], found=have[shown])
