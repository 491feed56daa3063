"""What the runs of a series say together: since when a case fails, what is flaky, what is noise."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from brownout.regression.model import Band, Flaky, HistoryMark, RunRef, Since, Trend
from brownout.results.model import Better, Result, RunKind

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from brownout.results.model import Case, Run

NEEDED: Final = 5
"""Runs that a band needs: with fewer, one odd run is most of what is known."""
_SPREAD: Final = 3.0
"""Half a band's width in standard deviations: of steady noise, 1 run in 370 is outside."""
_SIGMA: Final = 1.4826
"""Standard deviation of normal noise in median absolute deviations."""
_CHANGES: Final = 2
"""Changes of the result from which a case is flaky: one is a defect or its repair."""
_SHORT: Final = 10


POINTS: Final = "sweep.points"
"""The figure that says how many cuts and faults a sweep made."""


def run_ref(run: Run) -> RunRef:
    """A run as the report names it."""
    revision = run.revision.commit[:_SHORT]
    return RunRef(
        id=run.id,
        series=run.series,
        started=run.started,
        commit=run.revision.commit,
        revision=f"{revision}+changes" if revision and run.revision.dirty else revision,
        branch=run.revision.branch,
        complete=run.complete,
        points=next((int(figure.value) for figure in run.figures if figure.name == POINTS), 0),
    )


@dataclass(frozen=True, slots=True)
class KnownRun:
    """A run whose cases are found by name."""

    run: Run
    ref: RunRef = field(init=False)
    cases: Mapping[str, Case] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "ref", run_ref(self.run))
        object.__setattr__(self, "cases", {case.name: case for case in self.run.cases})


def result_in(known: KnownRun, name: str) -> Result | None:
    """What the run says about a case: PASS, FAIL, or None for nothing.

    A sweep lists what it found: a finding that a complete sweep does not list did not happen.
    """
    case, run = known.cases.get(name), known.run
    if case is None:
        return Result.PASS if run.series.kind is RunKind.SWEEP and run.complete else None
    return None if case.result is Result.SKIP else case.result


def marks(runs: Sequence[KnownRun], name: str) -> list[HistoryMark]:
    """What came of a case in each run; `runs` and what comes back are oldest first."""
    return [HistoryMark(run=known.ref, result=result_in(known, name)) for known in runs]


def since(history: Sequence[HistoryMark]) -> Since | None:
    """Since when a case fails whose newest mark (the last one) is a failure; None when it is none."""
    if not history or history[-1].result is not Result.FAIL:
        return None
    first, failed, unknown = history[-1].run, 0, 0
    for mark in reversed(history):
        if mark.result is Result.PASS:
            return Since(first=first, last_passed=mark.run, runs=failed, gap=unknown)
        if mark.result is Result.FAIL:
            first, failed, unknown = mark.run, failed + 1, 0
        else:
            unknown += 1
    return Since(first=first, last_passed=None, runs=failed, gap=unknown)


def flaky(history: Sequence[HistoryMark], runs: Sequence[KnownRun]) -> Flaky | None:
    """How unsteady a case is, None for a steady one; `runs` are those of the marks.

    A case is flaky when its result changed twice or more, or when runs of the same clean commit and the same
    firmware differ. A change that came with another firmware and lasted is none: something broke, or was
    repaired.
    """
    results = [mark.result for mark in history if mark.result is not None]
    changes = _changes(history, runs)
    same = _differing_commit(history, runs)
    if changes < _CHANGES and not same:
        return None
    return Flaky(failed=results.count(Result.FAIL), runs=len(results), changes=changes, same_commit=same)


def _changes(history: Sequence[HistoryMark], runs: Sequence[KnownRun]) -> int:
    """How often the result changed, without what the firmware explains."""
    said = [
        (mark.result, _firmware(known.run))
        for mark, known in zip(history, runs, strict=True)
        if mark.result is not None
    ]
    count = 0
    for at, ((before, old), (after, new)) in enumerate(pairwise(said), 1):
        # The newest run has the benefit of the doubt: nobody knows yet whether it lasts.
        lasts = at + 1 == len(said) or said[at + 1][0] is after
        explained = bool(old and new) and old != new and lasts
        count += before is not after and not explained
    return count


def _firmware(run: Run) -> tuple[tuple[str, str], ...]:
    """The images of a run, () when these were not recorded."""
    return tuple(sorted((image.name, image.sha256) for image in run.firmware))


def _differing_commit(history: Sequence[HistoryMark], runs: Sequence[KnownRun]) -> str:
    """The newest revision that both passed and failed, or ""."""
    found: dict[tuple[object, ...], set[Result]] = {}
    newest = ""
    for mark, known in zip(history, runs, strict=True):
        run = known.run
        if mark.result is None or not run.revision.commit or run.revision.dirty:
            continue
        key = (run.revision.commit, *_firmware(run))
        results = found.setdefault(key, set())
        results.add(mark.result)
        if len(results) > 1:
            newest = mark.run.revision
    return newest


def band(values: Iterable[float]) -> Band | None:
    """Where values usually are: median and 3 robust standard deviations; None for fewer than NEEDED.

    The spread is the median of the distances from the median (MAD), so that a run on a busy machine does not
    make room for a real change.
    """
    known = list(values)
    if len(known) < NEEDED:
        return None
    middle = statistics.median(known)
    sigma = _SIGMA * statistics.median(abs(value - middle) for value in known)
    return Band(low=middle - _SPREAD * sigma, high=middle + _SPREAD * sigma, median=middle, runs=len(known))


def ratio(now: float, then: float) -> float | None:
    """`now` divided by `then`; 1 when both are 0, None when only `then` is."""
    if then:
        return now / then
    return 1.0 if now == then else None


def trend(
    now: float, then: float, *, better: Better, noisy: bool, usual: Band | None, threshold: float
) -> Trend:
    """Which way a figure went.

    A figure that is not noisy moved when it differs at all. A noisy one moved when now / then, or then / now,
    is above `threshold`, and now is outside of the band on that side.
    """
    if now == then:
        return Trend.SAME
    up = now > then
    if noisy:
        moved = ratio(now, then)
        if moved is not None and moved > 0 and max(moved, 1 / moved) <= threshold:
            return Trend.SAME
        if usual is None:
            return Trend.UNDECIDED
        if (up and now <= usual.high) or (not up and now >= usual.low):
            return Trend.SAME
    if better is Better.NEITHER:
        return Trend.CHANGED
    return Trend.WORSE if up is (better is Better.LOWER) else Trend.BETTER
