"""Which runs are compared: for each series the newest one, and its baseline."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brownout.results.model import RunSummary, Series

PREVIOUS: Final = "previous"
"""As a baseline: the run before it in the same series."""
_SHOWN: Final = 5
_LEAST_PREFIX: Final = 4
_SHORT: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """What is compared in one series. `earlier`: all runs of the series before `run`, newest first;
    `newer`: how many there are after it.
    """

    run: RunSummary
    baseline: RunSummary | None
    earlier: Sequence[RunSummary]
    newer: int


def select(
    runs: Sequence[RunSummary],
    baseline: str,
    *,
    resolve: Callable[[str], str | None],
    revision: str | None = None,
    run_ids: Sequence[str] = (),
) -> list[Pair]:
    """Pairs of runs to compare, in the order of their series.

    Args:
        runs: summaries, newest first.
        baseline: a run id, or the start or the end of one; `previous`; or a git ref, a branch, or the start
            of a SHA.
        resolve: a git ref to a full SHA, None when there is none.
        revision: look at the runs of this ref, not at the newest ones.
        run_ids: look at these runs.

    Raises:
        StoreError: no runs at all, a run or a revision that is not in the store, a baseline without any run.
    """
    if not runs:
        raise StoreError("the store has no runs: record some with 'brownout results import FILE'")
    series: dict[Series, list[RunSummary]] = defaultdict(list)
    for run in runs:
        series[run.series].append(run)
    chosen = _chosen(runs, series, resolve, revision, run_ids)
    wanted = _wanted(runs, baseline, resolve)
    pairs = []
    for run in chosen:
        same = series[run.series]
        newer = same.index(run)
        earlier = same[newer + 1 :]
        found = _baseline(run, same, earlier, wanted)
        pairs.append(Pair(run=run, baseline=found, earlier=earlier, newer=newer))
    if wanted is not None and all(pair.baseline is None for pair in pairs):
        raise StoreError(f"baseline '{baseline}': nothing to compare with in its run(s); {_there_is(runs)}")
    return sorted(pairs, key=lambda pair: _order(pair.run.series))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What may be the baseline: a run, runs of a commit, or of a branch."""

    run: RunSummary | None = None
    commit: str = ""
    branch: str = ""


def _wanted(runs: Sequence[RunSummary], text: str, resolve: Callable[[str], str | None]) -> _Wanted | None:
    """None for `previous`. Raises StoreError when no run in the store is meant."""
    if text == PREVIOUS:
        return None
    run = _by_id(runs, text)
    if run is not None:
        return _Wanted(run=run, commit=run.revision.commit)
    commit = _commit(runs, text, resolve)
    branch = text if any(run.revision.branch == text for run in runs) else ""
    if commit or branch:
        return _Wanted(commit=commit, branch=branch)
    known = "is a revision, and no run of it" if resolve(text) else "no such run, revision or branch"
    raise StoreError(f"baseline '{text}': {known} in the store; {_there_is(runs)}")


def _by_id(runs: Sequence[RunSummary], text: str) -> RunSummary | None:
    exact = [run for run in runs if run.id == text]
    begun = [
        run
        for run in runs
        if len(text) >= _LEAST_PREFIX and (run.id.startswith(text) or run.id.endswith(text))
    ]
    found = exact or begun
    return found[0] if len(found) == 1 else None


def _commit(runs: Sequence[RunSummary], text: str, resolve: Callable[[str], str | None]) -> str:
    """The commit that `text` means and of which there are runs, or ""."""
    commits = {run.revision.commit for run in runs if run.revision.commit}
    resolved = resolve(text)
    if resolved is not None:
        return resolved if resolved in commits else ""
    begun = {commit for commit in commits if len(text) >= _LEAST_PREFIX and commit.startswith(text.lower())}
    return begun.pop() if len(begun) == 1 else ""


def _chosen(
    runs: Sequence[RunSummary],
    series: dict[Series, list[RunSummary]],
    resolve: Callable[[str], str | None],
    revision: str | None,
    run_ids: Sequence[str],
) -> list[RunSummary]:
    """The runs to look at. Raises StoreError."""
    if run_ids:
        found = []
        for text in run_ids:
            run = _by_id(runs, text)
            if run is None:
                raise StoreError(f"run '{text}': none in the store, or several start so; {_there_is(runs)}")
            found.append(run)
        return list({run.id: run for run in found}.values())
    if revision is None:
        return [same[0] for same in series.values()]
    commit = _commit(runs, revision, resolve)
    picked = []
    for same in series.values():
        of_it = [run for run in same if commit and run.revision.commit == commit]
        of_it = of_it or [run for run in same if run.revision.branch == revision]
        picked += of_it[:1]
    if not picked:
        raise StoreError(f"revision '{revision}': no run of it in the store; {_there_is(runs)}")
    return picked


def _baseline(
    run: RunSummary, same: Sequence[RunSummary], earlier: Sequence[RunSummary], wanted: _Wanted | None
) -> RunSummary | None:
    if wanted is None:
        return next(iter(earlier), None)
    if wanted.run is not None and wanted.run.series == run.series:
        return wanted.run if wanted.run.id != run.id else None
    others = [other for other in same if other.id != run.id]
    of_commit = [other for other in others if wanted.commit and other.revision.commit == wanted.commit]
    if of_commit:
        # A clean tree is that commit; one with changes is something else.
        return next((other for other in of_commit if not other.revision.dirty), of_commit[0])
    return next(
        (other for other in earlier if wanted.branch and other.revision.branch == wanted.branch), None
    )


def _there_is(runs: Sequence[RunSummary]) -> str:
    """What could be asked for, in words, newest first."""
    known: dict[str, int] = defaultdict(int)
    for run in runs:
        commit = run.revision.commit[:_SHORT] or f"run {run.id} (no revision)"
        branch = f" ({run.revision.branch})" if run.revision.branch else ""
        known[f"{commit}{branch}"] += 1
    shown = ", ".join(list(known)[:_SHOWN])
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return f"there are runs of {shown}{more}, or 'previous'"


def _order(series: Series) -> tuple[str, ...]:
    return (series.project, series.kind, series.name, series.board, series.engine)
