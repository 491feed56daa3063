"""From runs in the store to the document that the renderers draw."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Protocol

from brownout.regression.causes import cause_key
from brownout.regression.evidence import devices_of
from brownout.regression.figures import compare
from brownout.regression.history import KnownRun, flaky, marks, result_in, since
from brownout.regression.model import CaseEntry, CaseResult, Change, Document, SeriesEntry, Trend
from brownout.regression.notes import baseline_text, conclude, name_cases, series_notes
from brownout.regression.select import Pair, select
from brownout.results.importers.sweep import WHOLE
from brownout.results.model import Result, RunKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from brownout.regression.model import FigureEntry, Flaky
    from brownout.results.model import Case, EvidenceItem, Location, Run, RunSummary, Series

LAST: Final = 20
"""Runs of a series that are looked back at."""
_MOST_BACK: Final = 200
"""Runs looked at for 'since', when the baseline is further back."""
_MOST_EVIDENCE: Final = 40
"""Failures whose evidence is in the report; of the others, message and command are: a page has to open."""
_ORDER: Final = {change: number for number, change in enumerate(Change)}


class Runs(Protocol):
    """What is asked of the store."""

    def runs(self, *, project: str | None = None) -> list[RunSummary]:
        """Runs, newest first."""
        ...

    def load(self, run_id: str, *, evidence: bool = False) -> Run:
        """One run."""
        ...

    def evidence(self, run_id: str, case_name: str) -> tuple[EvidenceItem, ...]:
        """What was kept of a case."""
        ...

    def history(self, series: Series, *, limit: int = 50) -> list[Run]:
        """Runs of a series, newest first."""
        ...


class History(Protocol):
    """What is asked of git."""

    def subject(self, commit: str) -> str:
        """First line of a commit's message, or ""."""
        ...

    def between(self, last_good: str, first_bad: str) -> int | None:
        """Commits after one up to another, None when nobody knows."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What is to be reported: fields as in select(); `last` runs are looked back at."""

    baseline: str
    project: str | None = None
    revision: str | None = None
    run_ids: Sequence[str] = ()
    last: int = LAST


def build_document(
    store: Runs,
    wish: Wish,
    *,
    resolve: Callable[[str], str | None],
    locate: Callable[[Run, Location], Location] = lambda _, location: location,
    commits: History | None = None,
    tool: str = "brownout",
) -> Document:
    """Compare the runs that `wish` asks for with their baselines.

    `resolve` makes a SHA of a git ref; `locate` finds the line of a symbol, `commits` tells what git knows.
    Raises StoreError.
    """
    pairs = select(
        store.runs(project=wish.project),
        wish.baseline,
        resolve=resolve,
        revision=wish.revision,
        run_ids=wish.run_ids,
    )
    series, cases, figures = [], [], []
    for pair in pairs:
        part = _Part(store, pair, wish.last, locate)
        entries = list(part.cases())
        cases += entries
        figures += part.figures()
        series.append(part.series(entries))
    cases.sort(key=_case_order)
    cases = [_with_commits(case, commits) for case in cases]
    looked_at = _looked_at(cases)
    cases = [_with_evidence(store, case, looked_at=case.anchor in looked_at) for case in cases]
    document = Document(
        title=", ".join(sorted({pair.run.series.project for pair in pairs})),
        headline="",
        conclusion="",
        good=False,
        baseline=baseline_text(wish.baseline, series),
        generated=datetime.now(UTC),
        last=wish.last,
        tool=tool,
        series=series,
        cases=cases,
        figures=sorted(figures, key=lambda figure: list(Trend).index(figure.trend)),
    )
    headline, good = conclude(document)
    return replace(document, headline=headline, conclusion=name_cases(document, headline), good=good)


class _Part:
    """One series: its run, its baseline, and what came before."""

    def __init__(
        self, store: Runs, pair: Pair, last: int, locate: Callable[[Run, Location], Location]
    ) -> None:
        self._last = last
        self._locate = locate
        self._summary = pair.run
        self._run = KnownRun(store.load(pair.run.id))
        self._baseline = None if pair.baseline is None else KnownRun(store.load(pair.baseline.id))
        self._past = [KnownRun(run) for run in _past(store, pair, last)]
        self._recent = [*self._past, self._run][-last:]

    def cases(self) -> Iterator[CaseEntry]:
        """Everything of which the report has something to say."""
        names = list(self._run.cases)
        if self._baseline is not None:
            names += [name for name in self._baseline.cases if name not in self._run.cases]
        for name in names:
            if self._explained(name):
                continue
            now = result_in(self._run, name)
            was = None if self._baseline is None else result_in(self._baseline, name)
            change = self._change(now, was)
            unsteady = flaky(marks(self._recent, name), self._recent)
            if change is not None or unsteady is not None:
                yield self._entry(name, change, now, was, unsteady)

    def _explained(self, name: str) -> bool:
        """Tell whether a case only says that others fail: a sweep as a whole, beside its findings."""
        if self._run.run.series.kind is not RunKind.SWEEP or name != WHOLE:
            return False
        both = [run for run in (self._run, self._baseline) if run is not None]
        failing = [run for run in both if result_in(run, name) is Result.FAIL]
        return bool(failing) and all(
            any(case.name != name and case.result is Result.FAIL for case in run.run.cases) for run in failing
        )

    def _change(self, now: Result | None, was: Result | None) -> Change | None:
        if now is Result.FAIL:
            if self._baseline is None:
                return Change.FAILS_IN_NEW_SERIES
            return Change.STILL_FAILING if was is Result.FAIL else Change.BROKE
        return Change.FIXED if now is Result.PASS and was is Result.FAIL else None

    def _entry(
        self,
        name: str,
        change: Change | None,
        now: Result | None,
        was: Result | None,
        unsteady: Flaky | None,
    ) -> CaseEntry:
        everything = marks([*self._past, self._run], name)
        case = self._run.cases.get(name)
        if change is Change.FIXED and self._baseline is not None:
            case = self._baseline.cases.get(name)  # what was fixed
        case = case or self._last_case(name)
        location = None if case is None or case.location is None else case.location
        return CaseEntry(
            anchor=anchor("case", self._run.run.series, name),
            name=name,
            run=self._run.ref,
            change=change,
            result=now,
            was=was,
            message="" if case is None else case.message,
            detail="" if case is None else case.detail,
            tags=() if case is None else tuple(case.tags),
            replay="" if case is None else case.replay,
            command="" if case is None else case.command,
            location=None if location is None else self._locate(self._run.run, location),
            since=since(everything),
            flaky=unsteady,
            history=everything[-self._last :],
        )

    def _last_case(self, name: str) -> Case | None:
        return next((run.cases[name] for run in reversed(self._past) if name in run.cases), None)

    def figures(self) -> list[FigureEntry]:
        """Figures that moved."""
        if self._baseline is None:
            return []
        series = self._run.run.series
        return compare(
            self._run.run,
            self._baseline.run,
            [known.run for known in self._past],
            self._last,
            lambda name: anchor("figure", series, name),
        )

    def series(self, entries: Sequence[CaseEntry]) -> SeriesEntry:
        """The series and all cases of its run."""
        anchors = {entry.name: entry.anchor for entry in entries}
        results = [
            CaseResult(
                name=case.name,
                result=case.result,
                duration_s=case.duration_s,
                message=case.message,
                location=case.location,
                anchor=anchors.get(case.name, ""),
            )
            for case in self._run.run.cases
        ]
        firmware, notes = series_notes(self._run.run, None if self._baseline is None else self._baseline.run)
        return SeriesEntry(
            run=self._run.ref,
            baseline=None if self._baseline is None else self._baseline.ref,
            passed=self._summary.passed,
            failed=self._summary.failed,
            skipped=self._summary.skipped,
            cuts=self._summary.cuts,
            duration_s=self._run.run.duration_s,
            firmware=firmware,
            notes=notes,
            cases=results,
        )


def _past(store: Runs, pair: Pair, last: int) -> list[Run]:
    """Runs before the one that is looked at, oldest first: `last`, or `last` before the baseline."""
    ids = [run.id for run in pair.earlier]
    wanted = last
    if pair.baseline is not None and pair.baseline.id in ids:
        wanted = max(last, min(_MOST_BACK, ids.index(pair.baseline.id) + last))
    keep = set(ids[:wanted])
    if not keep:
        return []
    found = store.history(pair.run.series, limit=pair.newer + 1 + wanted)
    return [run for run in reversed(found) if run.id in keep]


def _looked_at(cases: Sequence[CaseEntry]) -> frozenset[str]:
    """Anchors of the failures whose evidence is shown: the first of each cause, then the second."""
    seen: Counter[tuple[object, str]] = Counter()
    turns: list[tuple[int, int, str]] = []
    for number, case in enumerate(cases):
        if case.result is Result.FAIL:
            cause = (case.change, cause_key(case))
            seen[cause] += 1
            turns.append((seen[cause], number, case.anchor))
    return frozenset(found for _, _, found in sorted(turns)[:_MOST_EVIDENCE])


def _with_evidence(store: Runs, case: CaseEntry, *, looked_at: bool) -> CaseEntry:
    """The case with what was kept of it; images are looked at one case at a time, they are large."""
    if case.result is not Result.FAIL:
        return case
    if not looked_at:
        return replace(case, evidence_left_out=True)
    devices = devices_of(store.evidence(case.run.id, case.name))
    command = case.command or next((device.command for device in devices if device.command), "")
    return replace(case, evidence=devices, command=command)


def _with_commits(case: CaseEntry, commits: History | None) -> CaseEntry:
    """The case with what git says about the commit that it fails since."""
    if case.since is None or commits is None:
        return case
    first, last = case.since.first.commit, case.since.last_passed
    count = None if last is None else commits.between(last.commit, first)
    return replace(case, since=replace(case.since, subject=commits.subject(first), commits=count))


def _case_order(case: CaseEntry) -> tuple[object, ...]:
    """What broke first; among them, what is not flaky first."""
    rank = len(_ORDER) if case.change is None else _ORDER[case.change]
    series = case.run.series
    return (rank, case.flaky is not None, series.project, series.kind, series.name, series.board)


def anchor(kind: str, series: Series, name: str) -> str:
    """An id for a link that stays the same from report to report, such as "case-boot-recovers-1f2e3d4c"."""
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:40].rstrip("-")
    parts = (series.project, series.kind, series.name, series.board, series.engine, name)
    digest = hashlib.sha256("\0".join(parts).encode(errors="replace")).hexdigest()[:8]
    return "-".join(part for part in (kind, words, digest) if part)
