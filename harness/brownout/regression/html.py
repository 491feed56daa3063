"""The report as one HTML file: style, script and pictures inside, nothing from outside."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import jinja2

from brownout.regression.causes import causes_of
from brownout.regression.drawing import draw
from brownout.regression.flashmap import SectorState
from brownout.regression.model import Change, Trend
from brownout.regression.notes import day, plural, revision_text, series_text, since_text
from brownout.regression.numbers import band_text, ratio_text, value_text
from brownout.regression.text import first_line, printable
from brownout.report.numbers import bytes_text, duration_text
from brownout.results.model import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.regression.flashmap import Cell
    from brownout.regression.model import CaseEntry, Document, HistoryMark

_OPEN: Final = 1
"""Failures whose evidence is unfolded at once."""
_MOST_CAUSES: Final = 6
"""Revisions of which the first screen names a case each."""
_TAIL: Final = 40
"""Lines of a log that are in sight; the rest is scrolled to."""

_MARKS: Final = {Result.PASS: ("pass", "✓"), Result.FAIL: ("fail", "✕"), None: ("none", "·")}
STATE_WORDS: Final = {
    SectorState.BLANK: "erased, as before",
    SectorState.UNCHANGED: "data, unchanged",
    SectorState.ERASED: "erased now, data before",
    SectorState.CHANGED: "changed",
    SectorState.TORN: "half-done, by an operation that was cut",
    SectorState.MIXED: "several of these",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A section of the report with its cases."""

    id: str
    title: str
    hint: str
    sign: str
    css: str
    cases: Sequence[CaseEntry]
    evidence: bool


def render_html(document: Document) -> str:
    """The page."""
    groups = _groups(document)
    return (
        _environment()
        .get_template("report.html.jinja")
        .render(
            document=document,
            groups=groups,
            causes=causes_of(document.of(Change.BROKE)),
            head=groups[:2],
            tail=groups[3:],
            flaky=groups[2],
            worse=document.figures_of(Trend.WORSE),
            changed=document.figures_of(Trend.CHANGED),
            better=document.figures_of(Trend.BETTER),
            undecided=document.figures_of(Trend.UNDECIDED),
            projects=len({entry.run.series.project for entry in document.series}),
            series_names=sorted({series_text(entry.run.series) for entry in document.series}),
            tags=sorted({printable(tag) for case in document.cases for tag in case.tags}),
            state_words=STATE_WORDS,
            open_at_once=_OPEN,
            most_causes=_MOST_CAUSES,
            tail_lines=_TAIL,
        )
    )


def _groups(document: Document) -> list[Group]:
    """The questions of the report, in its order."""
    return [
        Group(
            id="broke",
            title="Broke",
            hint=f"Fails now, and in {document.baseline} it passed or was not there.",
            sign="✕",
            css="bad",
            cases=document.of(Change.BROKE),
            evidence=True,
        ),
        Group(
            id="fixed",
            title="Fixed",
            hint=f"Failed in {document.baseline} and does not now.",
            sign="✓",
            css="good",
            cases=document.of(Change.FIXED),
            evidence=False,
        ),
        Group(
            id="flaky",
            title="Flaky",
            hint=f"Changed its result twice or more in the last {document.last} runs, or differs between "
            "runs of the same commit.",
            sign="~",
            css="odd",
            cases=document.flaky,
            evidence=False,
        ),
        Group(
            id="still-failing",
            title="Still failing",
            hint=f"Fails now and failed in {document.baseline}.",
            sign="✕",
            css="old",
            cases=document.of(Change.STILL_FAILING),
            evidence=True,
        ),
        Group(
            id="new-series",
            title="Failing in new series",
            hint="There is no run at the baseline to compare with, so nobody knows whether these broke.",
            sign="?",
            css="old",
            cases=document.of(Change.FAILS_IN_NEW_SERIES),
            evidence=True,
        ),
    ]


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brownout.regression"),
        undefined=jinja2.StrictUndefined,
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        printable=printable,
        first_line=first_line,
        size=bytes_text,
        duration=duration_text,
        revision=revision_text,
        day=day,
        since=since_text,
        series=series_text,
        ratio=ratio_text,
        value=value_text,
        band=band_text,
        mark=_mark,
        more=_more,
    )
    environment.globals.update(draw=draw, plural=plural, cell_text=_cell_text, spark=_spark)
    return environment


def _mark(mark: HistoryMark) -> tuple[str, str]:
    """CSS class and sign of a result."""
    return _MARKS.get(mark.result, _MARKS[None])


def _more(text: str) -> str:
    """The text after its first line, "" when there is none."""
    lines = printable(text).strip().splitlines()
    return "\n".join(lines[1:]) if len(lines) > 1 else ""


def _cell_text(cell: Cell, base: int) -> str:
    """A cell of the flash map in words."""
    where = f"{base + cell.offset:#x} to {base + cell.offset + cell.size - 1:#x}"
    count = plural(cell.sectors, "sector")
    done = [
        plural(number, noun)
        for number, noun in ((cell.programs, "program"), (cell.erases, "erase"))
        if number
    ]
    torn = f"; the power went {', '.join(cell.cuts)}" if cell.cuts else ""
    return f"{where}, {count}: {STATE_WORDS[cell.state]}; {', '.join(done) or 'no operation'}{torn}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spark:
    """A small chart of a figure's history: a line, the band, and the last value, in a 120 by 28 box."""

    points: str
    band_y: float | None
    band_height: float
    last_x: float
    last_y: float


def _spark(history: Sequence[float], low: float | None, high: float | None) -> Spark | None:
    """None when there is too little to draw."""
    if len(history) < 2:
        return None
    known = [*history, *(value for value in (low, high) if value is not None)]
    bottom, top = min(known), max(known)
    scale = 22.0 / (top - bottom) if top > bottom else 0.0
    step = 112.0 / (len(history) - 1)

    def y(value: float) -> float:
        return 25.0 - (value - bottom) * scale if scale else 14.0

    points = " ".join(f"{4 + step * number:.1f},{y(value):.1f}" for number, value in enumerate(history))
    band_y = None if low is None or high is None else y(high)
    height = 0.0 if low is None or high is None else max(1.0, y(low) - y(high))
    return Spark(points=points, band_y=band_y, band_height=height, last_x=116.0, last_y=y(history[-1]))
