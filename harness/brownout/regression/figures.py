"""What got slower or bigger: the figures of a run, of its images and of its cases against the baseline's."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from brownout.regression.history import NEEDED, band, ratio, run_ref, trend
from brownout.regression.model import FigureEntry, Trend
from brownout.results.model import Better, Figure, RunKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from brownout.results.model import Run

THRESHOLD: Final = 1.05
"""A noisy figure that moved less is nobody's business."""
CASE_THRESHOLD: Final = 1.25
"""The same for how long a case took, of which there are hundreds."""
_CASE_LEAST_S: Final = 0.5
"""A case that got slower by less is not worth a line."""
_LIVE_KINDS: Final = frozenset({RunKind.ROBOT, RunKind.PYTEST})
_BYTES: Final = frozenset({"B", "byte", "bytes", "KiB", "MiB", "kB"})
_SPEEDS: Final = ("/s", "per second")
_TIMES: Final = frozenset({"s", "ms", "us", "µs", "ns", "min", "halfwords", "instructions"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Measured:
    """A figure of a run, with what decides whether a change counts.

    `live`: a count of boards in real time. Until enough runs are known it is taken for noise, as it may be.
    """

    figure: Figure
    live: bool = False
    threshold: float = THRESHOLD
    least: float = 0.0


def measured(run: Run) -> dict[str, _Measured]:
    """Everything measured in a run, by a name that is the same from run to run."""
    live = run.series.kind in _LIVE_KINDS and run.series.engine != "unicorn"
    found = {figure.name: _Measured(figure=figure) for figure in run.figures}
    for image in run.firmware:
        sizes = {"": image.size} if not image.sections else {f".{k}": v for k, v in image.sections.items()}
        for part, size in sizes.items():
            name = f"image:{image.name}{part and ':' + part}"
            title = f"size of {image.name}{part and ' ' + part}"
            found.setdefault(name, _Measured(figure=_count(name, title, "bytes", size, Better.LOWER)))
    for case in run.cases if run.series.kind is not RunKind.SWEEP else ():  # a sweep has these as figures
        if case.flash_operations is not None:
            name = f"operations:{case.name}"
            title = f"flash operations of {case.name}"
            figure = _count(name, title, "operations", case.flash_operations, Better.NEITHER)
            found.setdefault(name, _Measured(figure=figure, live=live, threshold=CASE_THRESHOLD))
        if case.duration_s is not None:
            name = f"duration:{case.name}"
            found.setdefault(name, _duration(name, case.name, case.duration_s))
    return found


def _count(name: str, title: str, unit: str, value: float, better: Better) -> Figure:
    return Figure(name=name, title=title, unit=unit, value=value, better=better, noisy=False)


def _duration(name: str, case: str, seconds: float) -> _Measured:
    figure = Figure(
        name=name, title=f"duration of {case}", unit="s", value=seconds, better=Better.LOWER, noisy=True
    )
    return _Measured(figure=figure, threshold=CASE_THRESHOLD, least=_CASE_LEAST_S)


def compare(
    run: Run, baseline: Run, earlier: Sequence[Run], last: int, anchor: Callable[[str], str]
) -> list[FigureEntry]:
    """Figures that moved, the largest change first; `earlier` are the runs before `run`, oldest first.

    The band of a noisy figure is that of the `last` runs up to the baseline; when these are fewer than
    NEEDED, of the `last` before `run`.
    """
    if not (run.complete and baseline.complete):
        return []  # half a run has half the operations
    then_all, now_all = measured(baseline), measured(run)
    past = [((old.started, old.id), measured(old)) for old in earlier if old.complete]
    entries = []
    for name, now in now_all.items():
        then = then_all.get(name)
        if then is None or then.figure.unit != now.figure.unit:
            continue
        entry = _entry(run, baseline, now, then.figure.value, past, last, anchor)
        if entry is not None:
            entries.append(entry)
    return sorted(entries, key=lambda entry: (-_size(entry), entry.name))


def _entry(
    run: Run,
    baseline: Run,
    now: _Measured,
    then: float,
    past: Sequence[tuple[tuple[datetime, str], Mapping[str, _Measured]]],
    last: int,
    anchor: Callable[[str], str],
) -> FigureEntry | None:
    figure = now.figure
    known = [(when, one[figure.name].figure.value) for when, one in past if figure.name in one]
    before = [value for when, value in known if when <= (baseline.started, baseline.id)][-last:]
    values = before if len(before) >= NEEDED else [value for _, value in known][-last:]
    noisy = figure.noisy or (now.live and len(before) < NEEDED) or _wanders(figure, before)
    usual = band(values) if noisy else None
    # A count that wanders has a threshold as anything noisy has.
    which = trend(figure.value, then, better=figure.better, noisy=noisy, usual=usual, threshold=now.threshold)
    if which is Trend.SAME or abs(figure.value - then) < now.least:
        return None
    return FigureEntry(
        anchor=anchor(figure.name),
        name=figure.name,
        title=figure.title,
        unit=figure.unit,
        run=run_ref(run),
        trend=which,
        word=word(figure, which, up=figure.value > then),
        now=figure.value,
        then=then,
        ratio=ratio(figure.value, then),
        noisy=noisy,
        band=usual,
        runs_known=len(values),
        runs_needed=NEEDED,
        history=[*(value for _, value in known), figure.value][-last:],
    )


def _wanders(figure: Figure, before: Sequence[float]) -> bool:
    """Tell whether a count that should be exact differed from run to run: that of a live device may.

    A level that changed once or twice is a change of the firmware; one that keeps changing is noise.
    """
    if figure.better is not Better.NEITHER or len(before) < NEEDED:
        return False
    moves = sum(one != other for one, other in pairwise(before))
    return moves * 2 > len(before)


def word(figure: Figure, which: Trend, *, up: bool) -> str:
    """A change in a word: slower, bigger, more."""
    if which in (Trend.CHANGED, Trend.UNDECIDED) and figure.better is Better.NEITHER:
        return "more" if up else "fewer"
    if figure.unit in _BYTES:
        return "bigger" if up else "smaller"
    if figure.unit in _TIMES or figure.unit.endswith(_SPEEDS):
        worse = up is (figure.better is Better.LOWER)
        return "slower" if worse else "faster"
    return "more" if up else "less"


def _size(entry: FigureEntry) -> float:
    """How far a figure moved, as a ratio above 1."""
    if entry.ratio is None or entry.ratio <= 0:
        return float("inf")
    return max(entry.ratio, 1 / entry.ratio)
