"""The report as values: what every renderer draws.

Nothing here is escaped, and everything that comes from a device may hold any character: renderers see to it.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from brownout.regression.flashmap import FlashMap
    from brownout.regression.sequence import SequencePicture
    from brownout.results.model import Location, Result, Series


class Change(enum.StrEnum):
    """What became of a case since the baseline."""

    BROKE = "broke"
    """It fails, and passed in the baseline or was not there."""
    FIXED = "fixed"
    STILL_FAILING = "still-failing"
    FAILS_IN_NEW_SERIES = "new-series"
    """It fails, and nothing is known about the series at the baseline."""


class Trend(enum.StrEnum):
    """Which way a figure went."""

    WORSE = "worse"
    BETTER = "better"
    CHANGED = "changed"
    """It moved, and neither way is good or bad."""
    UNDECIDED = "undecided"
    """The ratio is large enough to look at, and there are too few runs to tell it from noise."""
    SAME = "same"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRef:
    """A run as the report names it.

    `revision` is short, with "+changes" for a dirty tree, or "". `points` is how many cuts and faults a sweep
    made, 0 for a run of another kind.
    """

    id: str
    series: Series
    started: datetime
    commit: str
    revision: str
    branch: str
    complete: bool
    points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryMark:
    """What came of a case in one run; `result` None when the run does not say."""

    run: RunRef
    result: Result | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Since:
    """Since when a case fails: its first failing run after the last that passed, and how many runs failed.

    `last_passed` None: it failed in every run that is known (`runs` of them). `gap` is how many runs between
    the two do not say. `subject` is the first line of the message of the first one's commit; `commits` how
    many came after the last that passed up to it. "" and None: git does not know.
    """

    first: RunRef
    last_passed: RunRef | None
    runs: int
    gap: int = 0
    subject: str = ""
    commits: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Flaky:
    """How unsteady a case is: `failed` of `runs`, `changes` between pass and fail.

    `same_commit` is the revision of which one run passed and another failed, or "".
    """

    failed: int
    runs: int
    changes: int
    same_commit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFile:
    """Text of the evidence, printable; `left_out` is how many lines were dropped at its start.

    `from_end`: its end is what the reader sees first.
    """

    title: str
    lines: Sequence[str]
    left_out: int = 0
    from_end: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceEvidence:
    """What was kept of one device. `problems` says in words what could not be read."""

    subject: str
    verdict: str = ""
    detail: str = ""
    command: str = ""
    uart: TextFile | None = None
    trace: TextFile | None = None
    processor: TextFile | None = None
    sequence: SequencePicture | None = None
    flash: FlashMap | None = None
    others: Sequence[str] = ()
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseEntry:
    """A case in the report. `anchor` is unique in the document and the same from report to report.

    `change` None: it only appears because it is flaky. `history` is oldest first.
    `evidence_left_out`: there are so many failures that what was kept of this one was not looked at.
    """

    anchor: str
    name: str
    run: RunRef
    change: Change | None
    result: Result | None
    was: Result | None
    message: str = ""
    detail: str = ""
    tags: Sequence[str] = ()
    replay: str = ""
    command: str = ""
    location: Location | None = None
    since: Since | None = None
    flaky: Flaky | None = None
    history: Sequence[HistoryMark] = ()
    evidence: Sequence[DeviceEvidence] = ()
    evidence_left_out: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Where a figure usually is: from `low` to `high`, by `runs` runs around `median`."""

    low: float
    high: float
    median: float
    runs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureEntry:
    """A figure now and in the baseline.

    `ratio` is now divided by then, None when then is 0. `band` None: the figure is exact (`noisy` False), or
    there are too few runs (`runs_known` of `runs_needed`). `word` says it in one: slower, bigger.
    """

    anchor: str
    name: str
    title: str
    unit: str
    run: RunRef
    trend: Trend
    word: str
    now: float
    then: float
    ratio: float | None
    noisy: bool
    band: Band | None
    runs_known: int
    runs_needed: int
    history: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesEntry:
    """A series: the run that is reported on and its baseline (None: the series is new)."""

    run: RunRef
    baseline: RunRef | None
    passed: int
    failed: int
    skipped: int
    cuts: int
    duration_s: float
    firmware: Sequence[str]
    notes: Sequence[str]
    cases: Sequence[CaseResult]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseResult:
    """A case of the run, for the formats that list them all. `anchor` is that of its entry, or ""."""

    name: str
    result: Result
    duration_s: float | None
    message: str
    location: Location | None
    anchor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """The whole report. `headline` is the conclusion without names of cases."""

    title: str
    headline: str
    conclusion: str
    good: bool
    baseline: str
    generated: datetime
    last: int
    tool: str
    series: Sequence[SeriesEntry]
    cases: Sequence[CaseEntry]
    figures: Sequence[FigureEntry]

    def of(self, change: Change) -> list[CaseEntry]:
        """Cases of one sort, in order."""
        return [case for case in self.cases if case.change is change]

    @property
    def flaky(self) -> list[CaseEntry]:
        """Cases that are flaky, whatever else they are."""
        return [case for case in self.cases if case.flaky is not None]

    def figures_of(self, *trends: Trend) -> list[FigureEntry]:
        """Figures that went one of these ways."""
        return [figure for figure in self.figures if figure.trend in trends]

    @property
    def broke(self) -> bool:
        """Whether something broke since the baseline."""
        return any(case.change is Change.BROKE for case in self.cases)
