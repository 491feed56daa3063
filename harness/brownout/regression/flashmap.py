"""The flash before and after: what became of each erase sector."""

from __future__ import annotations

import enum
from bisect import bisect_right
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Final

from brownout.flash.operations import Phase
from brownout.flash.oplog import RecordKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.evidence import Evidence
    from brownout.flash.oplog import OperationLog

_REST: Final = "(no region)"
_MOST_CELLS: Final = 400
"""Of a map; when there are more, neighbours that differ are drawn as one."""


class SectorState(enum.StrEnum):
    """What is to be seen of a sector at the end."""

    BLANK = "blank"
    """Erased, and was erased before."""
    UNCHANGED = "unchanged"
    ERASED = "erased"
    """Erased, and held data before."""
    CHANGED = "changed"
    TORN = "half-done"
    """An operation of it was cut and nothing erased it after."""
    MIXED = "mixed"
    """Several sectors that differ, drawn as one for want of room."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """Neighbouring sectors of one region that look alike, `sectors` of them, from byte `offset` on.

    `data_before`: they held something. `programs`, `erases`: operations that touched them; `cuts` tells at
    which operations there the power went.
    """

    offset: int
    size: int
    sectors: int
    state: SectorState
    data_before: bool
    programs: int
    erases: int
    cuts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionRow:
    """A region and its cells; `name` "(no region)" for what lies between."""

    name: str
    offset: int
    size: int
    cells: tuple[Cell, ...]

    @property
    def idle(self) -> bool:
        """Whether it is no region, and nothing was there or came there."""
        return self.name == _REST and all(
            cell.state is SectorState.BLANK and not (cell.programs or cell.erases) for cell in self.cells
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashMap:
    """The array; `base` is its address. `counts`: how many sectors are in each state."""

    base: int
    size: int
    rows: tuple[RegionRow, ...]
    counts: tuple[tuple[SectorState, int], ...]
    operations: int
    cuts: int


@dataclass(slots=True, kw_only=True)
class _Sector:
    region: str
    offset: int
    size: int
    state: SectorState
    data_before: bool
    programs: int = 0
    erases: int = 0
    cuts: tuple[str, ...] = ()
    torn: bool = False


def flash_map(evidence: Evidence, before: bytes, after: bytes, log: OperationLog | None) -> FlashMap:
    """Compare two images of the array that `evidence` describes.

    Raises ValueError when an image has another size than the array.
    """
    for image in (before, after):
        if len(image) != evidence.size:
            raise ValueError(f"flash image of {len(image)} bytes: expected {evidence.size}")
    sectors = list(_sectors(evidence, before, after))
    _add_operations(sectors, log)
    counts = {state: sum(sector.state is state for sector in sectors) for state in SectorState}
    return FlashMap(
        base=evidence.base,
        size=evidence.size,
        rows=tuple(_rows(evidence, sectors)),
        counts=tuple((state, count) for state, count in counts.items() if count),
        operations=0 if log is None else len(log.operations()),
        cuts=sum(len(sector.cuts) for sector in sectors),
    )


def _sectors(evidence: Evidence, before: bytes, after: bytes) -> Iterator[_Sector]:
    """The sectors of the array; one in which a region begins belongs to that region."""
    regions = sorted((offset, offset + size, name) for name, (offset, size) in evidence.regions.items())
    offset = 0
    for count, size in evidence.sectors:
        blank = bytes([evidence.erased_value]) * size
        for _ in range(count):
            then, now = before[offset : offset + size], after[offset : offset + size]
            inside = [name for low, high, name in regions if low < offset + size and offset < high]
            yield _Sector(
                region=inside[0] if inside else _REST,
                offset=offset,
                size=size,
                state=_state(then, now, blank),
                data_before=then != blank,
            )
            offset += size


def _state(then: bytes, now: bytes, blank: bytes) -> SectorState:
    if now == blank[: len(now)]:
        return SectorState.BLANK if then == now else SectorState.ERASED
    return SectorState.UNCHANGED if then == now else SectorState.CHANGED


def _add_operations(sectors: Sequence[_Sector], log: OperationLog | None) -> None:
    """Count operations; what was cut in the middle and never erased again is half-done."""
    starts = [sector.offset for sector in sectors]
    for record in log.operations() if log is not None else ():
        at = bisect_right(starts, record.offset) - 1
        if (
            record.kind is RecordKind.BAD_COMMAND
            or not 0 <= record.offset < sectors[-1].offset + sectors[-1].size
        ):
            continue
        sector = sectors[at]
        if record.kind is RecordKind.ERASE:
            sector.erases += 1
            sector.torn = False
        else:
            sector.programs += 1
        if record.cut is not None:
            what = f"{record.kind.value} {record.sequence} at {record.offset:#x}, {record.length} bytes"
            sector.cuts += (f"in {what}" if record.cut is Phase.TORN else f"{record.cut.value} {what}",)
            sector.torn = record.cut is Phase.TORN
    for sector in sectors:
        if sector.torn:
            sector.state = SectorState.TORN


def _rows(evidence: Evidence, sectors: Sequence[_Sector]) -> Iterator[RegionRow]:
    """Regions in the order of their addresses, cells of each; few enough to be drawn."""
    cells = [
        (name, list(_cells(list(part)))) for name, part in groupby(sectors, lambda sector: sector.region)
    ]
    total = sum(len(row) for _, row in cells)
    share = -(-total // _MOST_CELLS)
    for name, row in cells:
        drawn = tuple(row if share <= 1 else _joined(row, share))
        first, last = row[0], row[-1]
        end = last.offset + last.size
        offset, size = evidence.regions.get(name, (first.offset, end - first.offset))
        yield RegionRow(name=name, offset=offset, size=size, cells=drawn)


def _cells(sectors: Sequence[_Sector]) -> Iterator[Cell]:
    def alike(sector: _Sector) -> tuple[object, ...]:
        alone = sector.offset if sector.cuts else -1
        return (sector.state, sector.data_before, sector.size, alone)

    for _, same in groupby(sectors, alike):
        part = list(same)
        yield Cell(
            offset=part[0].offset,
            size=sum(sector.size for sector in part),
            sectors=len(part),
            state=part[0].state,
            data_before=part[0].data_before,
            programs=sum(sector.programs for sector in part),
            erases=sum(sector.erases for sector in part),
            cuts=part[0].cuts,
        )


def _joined(cells: Sequence[Cell], share: int) -> Iterator[Cell]:
    """Every `share` neighbours as one; one in which the power went stays alone."""
    run: list[Cell] = []
    for cell in cells:
        if cell.cuts or len(run) == share:
            yield from _mixed(run)
            run = []
        if cell.cuts:
            yield cell
        else:
            run.append(cell)
    yield from _mixed(run)


def _mixed(cells: Sequence[Cell]) -> Iterator[Cell]:
    if len(cells) == 1:
        yield cells[0]
    elif cells:
        yield Cell(
            offset=cells[0].offset,
            size=sum(cell.size for cell in cells),
            sectors=sum(cell.sectors for cell in cells),
            state=SectorState.MIXED,
            data_before=any(cell.data_before for cell in cells),
            programs=sum(cell.programs for cell in cells),
            erases=sum(cell.erases for cell in cells),
        )
