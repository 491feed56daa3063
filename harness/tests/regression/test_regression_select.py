"""Which runs are compared, and what is said when there is nothing to compare with."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from regression_runs import BENCH, ROBOT, nothing, sha

from brownout.errors import StoreError
from brownout.regression.select import Pair, select
from brownout.results.model import Revision, Run, RunSummary

if TYPE_CHECKING:
    from regression_runs import History, Resolver


def summary(run: Run) -> RunSummary:
    return RunSummary(
        id=run.id,
        series=run.series,
        started=run.started,
        duration_s=run.duration_s,
        revision=run.revision,
        complete=run.complete,
        passed=0,
        failed=0,
        skipped=0,
        cuts=0,
        figures=0,
    )


def pairs(
    history: History,
    baseline: str,
    *,
    resolve: Resolver = nothing,
    revision: str | None = None,
    run_ids: tuple[str, ...] = (),
) -> list[Pair]:
    runs = [summary(run) for run in reversed(history.runs)]
    return select(runs, baseline, resolve=resolve, revision=revision, run_ids=run_ids)


def baseline_id(found: list[Pair]) -> str | None:
    (pair,) = found
    return None if pair.baseline is None else pair.baseline.id


def test_newest_run_of_each_series_against_the_newest_of_a_commit(history: History) -> None:
    robot = [history.add(commit=commit) for commit in ("a", "a", "b")]
    bench = [history.add(BENCH, commit=commit) for commit in ("a", "b")]
    found = {pair.run.series: pair for pair in pairs(history, sha("a")[:9])}
    assert (found[ROBOT].run.id, found[BENCH].run.id) == (robot[2].id, bench[1].id)
    assert found[ROBOT].baseline is not None
    assert found[ROBOT].baseline.id == robot[1].id
    assert [run.id for run in found[ROBOT].earlier] == [robot[1].id, robot[0].id]


def test_previous_is_the_run_before_and_none_for_the_first(history: History) -> None:
    first, second = history.add(), history.add()
    history.add(BENCH)
    found = {pair.run.id: pair.baseline and pair.baseline.id for pair in pairs(history, "previous")}
    assert found == {second.id: first.id, history.runs[2].id: None}


def test_a_run_id_and_the_end_of_one(history: History) -> None:
    first, _, _ = (history.add() for _ in range(3))
    assert baseline_id(pairs(history, first.id)) == first.id
    assert baseline_id(pairs(history, first.id[-6:])) == first.id


def test_a_run_of_one_series_is_the_commit_for_the_others(history: History) -> None:
    robot, bench = history.add(commit="a"), history.add(BENCH, commit="a")
    history.add()
    history.add(BENCH)
    found = {pair.run.series: pair.baseline for pair in pairs(history, robot.id)}
    assert found[BENCH] is not None
    assert found[BENCH].id == bench.id


def test_a_git_ref_is_asked_of_git(history: History) -> None:
    tagged = history.add(commit="release")
    history.add()
    assert baseline_id(pairs(history, "v1.0", resolve=lambda ref: sha("release"))) == tagged.id


def test_a_branch_is_its_newest_run_where_its_head_has_none(history: History) -> None:
    main = history.add(branch="main")
    history.add(branch="topic")
    assert baseline_id(pairs(history, "main", resolve=lambda ref: sha("head without runs"))) == main.id
    assert baseline_id(pairs(history, "main")) == main.id


def test_a_run_without_changes_of_a_commit_goes_before_one_with(history: History) -> None:
    clean = history.add(commit="a")
    history.add(revision=Revision(commit=sha("a"), dirty=True))
    history.add()
    assert baseline_id(pairs(history, sha("a"))) == clean.id


def test_a_run_is_never_its_own_baseline(history: History) -> None:
    old, new = history.add(commit="a"), history.add(commit="a")
    assert baseline_id(pairs(history, sha("a"))) == old.id
    assert baseline_id(pairs(history, sha("a"), run_ids=(old.id,))) == new.id


def test_a_series_without_a_run_at_the_baseline_is_new(history: History) -> None:
    history.add(commit="a")
    history.add(commit="b")
    history.add(BENCH, commit="b")
    found = {pair.run.series: pair.baseline for pair in pairs(history, sha("a"))}
    assert found[BENCH] is None
    assert found[ROBOT] is not None


def test_runs_of_a_revision_or_named_ones(history: History) -> None:
    runs = [history.add(commit=commit) for commit in "abc"]
    (pair,) = pairs(history, "previous", revision=sha("b")[:10])
    assert (pair.run.id, pair.newer) == (runs[1].id, 1)
    (pair,) = pairs(history, "previous", run_ids=(runs[2].id,))
    assert pair.run.id == runs[2].id


@pytest.mark.parametrize("baseline", ["nowhere", "fffffff", "", "v9"])
def test_a_baseline_that_is_not_there_says_what_is(history: History, baseline: str) -> None:
    history.add(commit="a", branch="main")
    history.add(commit="b", branch="topic")
    with pytest.raises(StoreError) as caught:
        pairs(history, baseline, resolve=lambda ref: sha("no run of it") if ref == "v9" else None)
    message = str(caught.value)
    assert f"baseline '{baseline}'" in message
    assert f"{sha('b')[:10]} (topic), {sha('a')[:10]} (main), or 'previous'" in message
    assert ("is a revision, and no run of it" in message) == (baseline == "v9")
    assert "\n" not in message


def test_the_only_run_as_its_own_baseline_is_none(history: History) -> None:
    run = history.add(commit="a")
    with pytest.raises(StoreError, match="nothing to compare with"):
        pairs(history, run.id)


def test_runs_without_a_revision_are_named_by_their_id(history: History) -> None:
    run = history.add()
    history.runs[0] = replace(run, revision=Revision())
    with pytest.raises(StoreError, match=f"run {run.id}"):
        pairs(history, "main")


@pytest.mark.parametrize("fields", [{"revision": "none"}, {"run_ids": ("none",)}])
def test_a_run_that_is_not_there_says_what_is(history: History, fields: dict[str, str]) -> None:
    history.add(commit="a")
    with pytest.raises(StoreError, match=f"'none': no.* in the store.*{sha('a')[:10]}"):
        pairs(history, "previous", **fields)  # type: ignore[arg-type]


def test_an_empty_store_says_how_to_fill_it() -> None:
    with pytest.raises(StoreError, match="has no runs: record some with 'brownout results import"):
        select([], "main", resolve=nothing)
