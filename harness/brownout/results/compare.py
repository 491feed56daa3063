"""Two runs side by side: which cases changed, and by what ratio the figures did."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.results.model import Better, Result, RunKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.results.model import Case, Figure, Run


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseChange:
    """One case in two runs; None where a run does not have it."""

    name: str
    old: Case | None
    new: Case | None


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureChange:
    """One figure in two runs; None where a run does not have it."""

    name: str
    old: Figure | None
    new: Figure | None

    @property
    def unit(self) -> str:
        """The new run's, else the old one's."""
        figure = self.new or self.old
        return "" if figure is None else figure.unit

    @property
    def ratio(self) -> float | None:
        """New value by old one; None when one is missing or the old one is 0."""
        if self.old is None or self.new is None or self.old.value == 0:
            return None
        return self.new.value / self.old.value

    @property
    def changed(self) -> bool:
        """Both are there, and differ by more than rounding."""
        return (
            self.old is not None
            and self.new is not None
            and not math.isclose(self.old.value, self.new.value, rel_tol=1e-9)
        )

    @property
    def worse(self) -> bool:
        """It went the way that it should not, by however little; what is noise is for its history to say."""
        if self.old is None or self.new is None or not self.changed:
            return False
        if self.new.better is Better.LOWER:
            return self.new.value > self.old.value
        return self.new.better is Better.HIGHER and self.new.value < self.old.value


@dataclass(frozen=True, slots=True, kw_only=True)
class RunComparison:
    """What became of each case from one run to the next. Each is in one of the lists, by name.

    `broke`: fails, and did not before. `fixed`: failed, and passes. `still_failing`; `still_passing`: skipped
    both times, too. `skipped`: ran before and was skipped now. `added`: the old run does not have it;
    `removed`: the new run does not. `unknown`: a run that was stopped does not have it, which says nothing.

    A sweep has a case for what fails only: a group of findings that one of its complete runs does not have
    passed there. `figures` has all that one of the runs has, by name.
    """

    old: Run
    new: Run
    broke: Sequence[CaseChange]
    fixed: Sequence[CaseChange]
    still_failing: Sequence[CaseChange]
    still_passing: Sequence[CaseChange]
    skipped: Sequence[CaseChange]
    added: Sequence[CaseChange]
    removed: Sequence[CaseChange]
    unknown: Sequence[CaseChange]
    figures: Sequence[FigureChange]

    @property
    def same_series(self) -> bool:
        """False: the runs are of different things, and a difference may be no regression."""
        return self.old.series == self.new.series


def compare_runs(old: Run, new: Run) -> RunComparison:
    """Compare two runs, the older one first. Evidence and cuts are not looked at."""
    before = {case.name: case for case in old.cases}
    after = {case.name: case for case in new.cases}
    lists: dict[str, list[CaseChange]] = {
        name: []
        for name in (
            "broke",
            "fixed",
            "still_failing",
            "still_passing",
            "skipped",
            "added",
            "removed",
            "unknown",
        )
    }
    for name in sorted(before.keys() | after.keys()):
        change = CaseChange(name=name, old=before.get(name), new=after.get(name))
        lists[_fate(change, old, new)].append(change)
    first = {figure.name: figure for figure in old.figures}
    second = {figure.name: figure for figure in new.figures}
    figures = [
        FigureChange(name=name, old=first.get(name), new=second.get(name))
        for name in sorted(first.keys() | second.keys())
    ]
    return RunComparison(old=old, new=new, figures=figures, **lists)


def _fate(change: CaseChange, old: Run, new: Run) -> str:
    """The name of the list that a case belongs to."""
    before, after = _result(change.old, old), _result(change.new, new)
    if before is None and after is None:
        return "unknown"
    if after is None:
        return "removed" if new.complete else "unknown"
    if before is None:
        return "added" if old.complete else "unknown"
    if after is Result.FAIL:
        return "still_failing" if before is Result.FAIL else "broke"
    if before is Result.FAIL and after is Result.PASS:
        return "fixed"
    if after is Result.SKIP and before is not Result.SKIP:
        return "skipped"
    return "still_passing"


def _result(case: Case | None, run: Run) -> Result | None:
    if case is not None:
        return case.result
    findings_only = run.series.kind is RunKind.SWEEP and run.complete
    return Result.PASS if findings_only else None
