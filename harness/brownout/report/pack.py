"""What the report's script draws, as columns of numbers: small for 30,000 points, and quick to read."""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING

from brownout.report.verdicts import verdict_styles

if TYPE_CHECKING:
    from brownout.sweep.result import PointResult, SweepResult

_PHASES = ("before", "torn", "after")
_GAP = 16
"""Untouched parts of the array shrink when they are longer than 1/16 of what was touched."""


def pack(result: SweepResult) -> dict[str, object]:
    """Columns for the map and the address chart; strings are indexes into `strings`."""
    strings = _Strings()
    rows = point_rows(result)
    row_index = {row: index for index, row in enumerate(rows)}
    styles = verdict_styles(result)
    verdicts = {style.name: index for index, style in enumerate(styles)}
    prefix = f"{result.target}:{result.engine}:{result.seed}:"
    operations, points = result.operations, result.points
    return {
        "prefix": prefix,
        "base": result.array_base,
        "strings": strings.values,
        "rows": rows,
        "verdicts": [
            {"name": style.name, "letter": style.letter, "css": style.css, "failure": style.failure}
            for style in styles
        ],
        "op": {
            "number": [operation.number for operation in operations],
            "erase": [int(operation.kind == "erase") for operation in operations],
            "offset": [operation.offset for operation in operations],
            "length": [operation.length for operation in operations],
            "pc": [operation.pc for operation in operations],
            "symbol": [strings.index(operation.symbol) for operation in operations],
            "region": [strings.index(operation.region) for operation in operations],
            "state": [strings.index(operation.state) for operation in operations],
            "boot": [operation.boot for operation in operations],
        },
        "point": {
            "operation": [point.operation for point in points],
            "row": [row_index[_row(point)] for point in points],
            "verdict": [verdicts[point.verdict] for point in points],
            "finding": [strings.index(point.finding) for point in points],
            "replay": [
                # The script makes up the others, which are what their operation and row say.
                strings.index(_event(point)) if point.phase == "reset" else 0
                for point in points
            ],
            "same": [strings.index(point.same_as.removeprefix(prefix)) for point in points],
            "time": [point.recovery_time for point in points],
        },
        "extents": touched_extents(result),
        "regions": [[name, offset, size] for name, (offset, size) in result.regions.items()],
    }


def _row(point: PointResult) -> tuple[str, str]:
    """A way to tear has a row of its own; the time of a reset has not."""
    return (point.phase, point.variant if point.phase == "torn" else "")


def _event(point: PointResult) -> str:
    """The cut or fault, as in a replay id."""
    if point.phase == "reset":
        return f"time={point.variant}/reset"
    return f"op={point.operation}/{point.phase}" + (f"/{point.variant}" if point.variant else "")


def point_rows(result: SweepResult) -> list[tuple[str, str]]:
    """Rows of the map: (phase, variant), cuts first, in the order of a flash operation."""
    found = dict.fromkeys(_row(point) for point in result.points)
    order = {phase: index for index, phase in enumerate(_PHASES)}
    arrived = {row: index for index, row in enumerate(found)}
    return sorted(found, key=lambda row: (order.get(row[0], len(order)), arrived[row]))


def touched_extents(result: SweepResult) -> list[tuple[int, int]]:
    """Parts of the array (offset, end) that operations touched, near ones joined, on sector bounds."""
    sectors = _sectors(result)
    starts = [start for start, _ in sectors]
    touched: set[int] = set()
    for operation in result.operations:
        first = _sector_of(starts, operation.offset)
        last = _sector_of(starts, operation.offset + max(1, operation.length) - 1)
        touched.update(range(first, last + 1))
    spans = [sectors[index] for index in sorted(touched)]
    total = sum(end - start for start, end in spans)
    joined: list[tuple[int, int]] = []
    for start, end in spans:
        if joined and start - joined[-1][1] <= total // _GAP:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    return joined


def _sectors(result: SweepResult) -> list[tuple[int, int]]:
    sectors: list[tuple[int, int]] = []
    offset = 0
    for count, size in result.sector_sizes:
        for _ in range(count):
            sectors.append((offset, offset + size))
            offset += size
    return sectors or [(0, max(1, result.array_size))]


def _sector_of(starts: list[int], offset: int) -> int:
    return min(max(0, bisect_right(starts, offset) - 1), len(starts) - 1)


class _Strings:
    """Each text once."""

    def __init__(self) -> None:
        self.values: list[str] = [""]
        self._known = {"": 0}

    def index(self, text: str) -> int:
        if text not in self._known:
            self._known[text] = len(self.values)
            self.values.append(text)
        return self._known[text]
