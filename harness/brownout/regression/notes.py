"""The report's sentences: the conclusion, and what to know of a comparison before believing it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.regression.model import Change, Trend
from brownout.regression.text import clipped, printable
from brownout.results.model import Result, RunKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.regression.model import CaseEntry, Document, RunRef, SeriesEntry, Since
    from brownout.results.model import Run, Series

_NAMED: Final = 3
_LONGEST_NAME: Final = 70


def plural(count: int, one: str, many: str = "") -> str:
    """A number and its noun: 1 case, 2 cases."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def day(run: RunRef) -> str:
    """The day of a run, UTC."""
    return f"{run.started:%Y-%m-%d}"


def revision_text(run: RunRef) -> str:
    """Where the sources were: "1a2b3c4d5e", else the run's id."""
    return run.revision or f"run {run.id}"


def series_text(series: Series) -> str:
    """A series in words: "sweep nrf52840-swap on nrf52840-dk, unicorn"."""
    where = ", ".join(part for part in (series.board, series.engine) if part)
    return f"{series.kind} {printable(series.name)}" + (f" on {where}" if where else "")


def since_text(since: Since) -> str:
    """Since when a case fails, in a sentence without its subject."""
    subject = f' "{clipped(printable(since.subject), _LONGEST_NAME)}"' if since.subject else ""
    first = f"{revision_text(since.first)}{subject} ({day(since.first)})"
    if since.last_passed is None:
        return f"fails in {_all(since.runs)} known, the first {first}"
    text = f"fails since {first}, {plural(since.runs, 'run')}; last passed {revision_text(since.last_passed)}"
    text += f" ({day(since.last_passed)})"
    if since.commits is not None and since.commits > 1:
        text += f"; one of {since.commits} commits since"
    if since.first.points > since.last_passed.points > 0:
        text += (
            f"; that sweep made {since.last_passed.points:,} cuts and faults, the first that fails "
            f"{since.first.points:,}: it may have been there before"
        )
    if since.gap:
        text += f"; {plural(since.gap, 'run')} between the two {'does' if since.gap == 1 else 'do'} not say"
    return text


def _all(runs: int) -> str:
    return "the only run" if runs == 1 else f"all {runs} runs"


def baseline_text(wanted: str, series: Sequence[SeriesEntry]) -> str:
    """The baseline as asked for, with the revision when all series have the same."""
    revisions = {entry.baseline.revision for entry in series if entry.baseline is not None}
    revisions.discard("")
    if wanted == "previous":
        return "the previous run" + (f" ({revisions.pop()})" if len(revisions) == 1 else "")
    if len(revisions) != 1:
        return wanted
    (revision,) = revisions
    same = revision.startswith(wanted[:7]) or wanted.startswith(revision)
    return revision if same else f"{wanted} ({revision})"


def conclude(document: Document) -> tuple[str, bool]:
    """The conclusion in one sentence, and whether it is good news."""
    broke = document.of(Change.BROKE)
    since = f"since {document.baseline}"
    if broke:
        flaky = sum(case.flaky is not None for case in broke)
        unsteady = f" ({flaky} of them flaky)" if flaky and len(broke) > 1 else " (flaky)" if flaky else ""
        return f"{plural(len(broke), 'case')} broke {since}{unsteady}.", False
    text = f"Nothing broke {since}"
    if not any(entry.baseline for entry in document.series):
        text = "There is no earlier run to compare with"
    worse = document.figures_of(Trend.WORSE)
    new = document.of(Change.FAILS_IN_NEW_SERIES)
    still = document.of(Change.STILL_FAILING)
    fixed = document.of(Change.FIXED)
    rest = [text]
    if worse:
        rest.append(f"{plural(len(worse), 'figure')} got worse")
    if new:
        rest.append(f"{plural(len(new), 'case')} in new series {'fails' if len(new) == 1 else 'fail'}")
    if still:
        rest.append(f"{plural(len(still), 'case')} still {'fails' if len(still) == 1 else 'fail'}")
    if fixed:
        rest.append(f"{plural(len(fixed), 'case')} {'was' if len(fixed) == 1 else 'were'} fixed")
    return "; ".join(rest) + ".", not (worse or new or still)


def name_cases(document: Document, headline: str) -> str:
    """The headline with the first cases that broke."""
    broke = document.of(Change.BROKE)
    return f"{headline.removesuffix('.')}: {_names(broke)}." if broke else headline


def _names(cases: Sequence[CaseEntry]) -> str:
    names = [clipped(printable(case.name).replace("\n", " "), _LONGEST_NAME) for case in cases[:_NAMED]]
    left = len(cases) - len(names)
    return "; ".join(names) + (f"; and {left} more" if left else "")


def series_notes(run: Run, baseline: Run | None) -> tuple[list[str], list[str]]:
    """What changed in the firmware, and why a comparison may not be fair."""
    if baseline is None:
        note = "new: no run of it at the baseline, so nothing here can have broken"
        return [], [note, *_stopped(run, None)]
    return _firmware(run, baseline), _stopped(run, baseline) + _unequal(run, baseline) + _gone(run, baseline)


def _firmware(run: Run, baseline: Run) -> list[str]:
    now = {image.name: image.sha256 for image in run.firmware}
    then = {image.name: image.sha256 for image in baseline.firmware}
    if not now or not then:
        return []
    changed = sorted(name for name in now.keys() & then.keys() if now[name] != then[name])
    notes = [f"changed: {', '.join(changed)}"] if changed else []
    for word, names in (("new", now.keys() - then.keys()), ("gone", then.keys() - now.keys())):
        if names:
            notes.append(f"{word}: {', '.join(sorted(names))}")
    return notes or ["the same, byte for byte"]


def _stopped(run: Run, baseline: Run | None) -> list[str]:
    notes = []
    if not run.complete:
        notes.append("this run was stopped early: what it does not list says nothing")
    if baseline is not None and not baseline.complete:
        notes.append("the baseline's run was stopped early: what fails may have failed there, too")
    return notes


def _unequal(run: Run, baseline: Run) -> list[str]:
    """Differences in what was done, not in what came of it."""
    notes = []
    if len(run.cuts) != len(baseline.cuts) and run.series.kind is RunKind.SWEEP:
        notes.append(
            f"{len(baseline.cuts):,} cuts then, {len(run.cuts):,} now: a finding may be new, or gone, "
            "because other cuts were made"
        )
    if run.engine_version != baseline.engine_version and run.engine_version and baseline.engine_version:
        notes.append(f"engine {baseline.engine_version} then, {run.engine_version} now")
    if run.seed != baseline.seed and run.seed is not None and baseline.seed is not None:
        notes.append(f"seed {baseline.seed} then, {run.seed} now")
    return notes


def _gone(run: Run, baseline: Run) -> list[str]:
    """Cases that passed or failed in the baseline and do not any more."""
    now = {case.name: case.result for case in run.cases}
    done = [case.name for case in baseline.cases if case.result is not Result.SKIP]
    skipped = [name for name in done if now.get(name) is Result.SKIP]
    missing = [name for name in done if name not in now]
    notes = []
    if skipped:
        notes.append(f"skipped now, not in the baseline: {_few(skipped)}")
    if missing and run.series.kind is not RunKind.SWEEP:
        notes.append(f"in the baseline, not in this run: {_few(missing)}")
    return notes


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(clipped(printable(name), _LONGEST_NAME) for name in names[:_NAMED])
    left = len(names) - _NAMED
    return shown + (f" and {left} more" if left > 0 else "")
