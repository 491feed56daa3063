"""Where things are in the sequence picture, in the units of its SVG (pixels when it is not scaled)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.evidence import Lane, TimelineKind
from brownout.regression.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.regression.sequence import Block, Row

WIDTH: Final = 720
_LANES: Final = (Lane.CLIENT, Lane.SERVER, Lane.DEVICE, Lane.FLASH)
_FIRST_LANE: Final = 130
_LANE: Final = {2: 320, 3: 220, 4: 160}
"""Between two lanes, by how many there are."""
_HEAD: Final = 30
_ROW: Final = 30
_CUT_ROW: Final = 44
_LETTER: Final = 6.3
_EDGE: Final = 8
_MOST_LETTERS: Final = 84


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnRow:
    """A row: its line at `y` from `x1` to `x2`, its text at (`text_x`, `text_y`), time as text.

    `hit`: the flash operation during which the power went.
    """

    kind: str
    hit: bool
    y: float
    x1: float
    x2: float
    text: str
    full_text: str
    text_x: float
    text_y: float
    time: str
    times: int
    bracket_top: float
    """Of a folded cycle: where its bracket starts; drawn with the last row of the cycle only."""
    bracket: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLife:
    """A piece of a lane's line, from `top` to `bottom`; not `alive`: the device has no power."""

    x: float
    top: float
    bottom: float
    alive: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A block as it is drawn."""

    width: int
    height: float
    lanes: tuple[tuple[str, int], ...]
    rows: tuple[DrawnRow, ...]
    lives: tuple[DrawnLife, ...]
    summary: str


def draw(block: Block, lanes: frozenset[Lane]) -> Drawing:
    """Lay out a block, top down, with these lanes."""
    drawn = [lane for lane in _LANES if lane in lanes]
    at = {lane: _FIRST_LANE + _LANE[len(drawn)] * number for number, lane in enumerate(drawn)}
    y = float(_HEAD)
    rows: list[DrawnRow] = []
    device: list[DrawnLife] = []
    powered, life_top, bracket_top = block.powered, y - 4, y
    for number, row in enumerate(block.rows):
        height = _CUT_ROW if row.kind is TimelineKind.POWER_CUT else _ROW
        if row.first:
            bracket_top = y + 4
        line = y + height - 8
        following = block.rows[number + 1].kind if number + 1 < len(block.rows) else None
        hit = row.kind is TimelineKind.FLASH and following is TimelineKind.POWER_CUT
        rows.append(_row(row, at, line, bracket_top, hit=hit))
        if row.kind in (TimelineKind.POWER_CUT, TimelineKind.POWER_ON):
            # Flash cells keep what they hold, but nothing happens there without power either.
            device += _lives(at, life_top, line, powered)
            life_top, powered = line, row.kind is TimelineKind.POWER_ON
        y += height
    device += _lives(at, life_top, y + 4, powered)
    others = [
        DrawnLife(x=at[lane], top=_HEAD - 4, bottom=y + 4, alive=True)
        for lane in (Lane.CLIENT, Lane.SERVER)
        if lane in at
    ]
    return Drawing(
        width=WIDTH,
        height=y + 8,
        lanes=tuple((lane.value, x) for lane, x in at.items()),
        rows=tuple(rows),
        lives=(*others, *device),
        summary=_summary(block),
    )


def _lives(at: Mapping[Lane, int], top: float, bottom: float, powered: bool) -> list[DrawnLife]:
    return [
        DrawnLife(x=at[lane], top=top, bottom=bottom, alive=powered) for lane in (Lane.DEVICE, Lane.FLASH)
    ]


def _row(row: Row, at: Mapping[Lane, int], line: float, bracket_top: float, *, hit: bool) -> DrawnRow:
    text = printable(row.text).replace("\n", " ")
    if row.kind is TimelineKind.POWER_CUT:
        text = f"Power cut: {re.sub('^power cut[:,]? ?', '', text, flags=re.IGNORECASE)}"
    shown = text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"
    x1, x2 = float(at[row.source]), float(at[row.target])
    width = len(shown) * _LETTER
    match row.kind:
        case TimelineKind.POWER_CUT:
            x1, x2, text_x, text_y = 76.0, WIDTH - 6.0, 96.0, line - 11
        case TimelineKind.POWER_ON | TimelineKind.RESET:
            x1, x2 = at[Lane.DEVICE] - 34.0, at[Lane.FLASH] + 34.0
            text_x, text_y = x1 + 4, line - 5
        case TimelineKind.NOTE:
            # To the left of its dot when there is no room to the right.
            fits = x1 + 9 + width <= WIDTH - _EDGE
            text_x, text_y = (x1 + 9 if fits else x1 - 9 - width), line
        case _:
            text_x, text_y = min(x1, x2) + 8, line - 5
    text_x = max(76.0, min(text_x, WIDTH - _EDGE - width))
    times = f", {row.times} times" if row.times > 1 else ""
    span = f"{row.time_s:.3f} s" + (f" to {row.until_s:.3f} s" if row.times > 1 else "")
    last = f"; last: {printable(row.last_text)}" if row.last_text else ""
    return DrawnRow(
        kind=row.kind.value,
        hit=hit,
        y=line,
        x1=x1,
        x2=x2,
        text=shown,
        full_text=f"{span}{times}: {text}{last}",
        text_x=text_x,
        text_y=text_y,
        time=f"{row.time_s:.3f}",
        times=row.times,
        bracket_top=bracket_top,
        bracket=row.times > 1 and row.last,
    )


def _summary(block: Block) -> str:
    """What a screen reader says instead of the picture."""
    cuts = [row for row in block.rows if row.kind is TimelineKind.POWER_CUT]
    start, end = block.rows[0].time_s, max(row.until_s or row.time_s for row in block.rows)
    text = f"Sequence of {len(block.rows)} steps from {start:.3f} s to {end:.3f} s"
    for row in cuts:
        text += f"; power cut at {row.time_s:.3f} s: {printable(row.text)}"
    return text
