"""What became of each case between two runs."""

from __future__ import annotations

import dataclasses

import pytest
from results_helpers import SERIES, a_case, a_run

from brownout.results.compare import compare_runs
from brownout.results.model import Better, Figure, Result, RunKind

PASS, FAIL, SKIP = Result.PASS, Result.FAIL, Result.SKIP
LISTS = ("broke", "fixed", "still_failing", "still_passing", "skipped", "added", "removed", "unknown")
SWEEP = dataclasses.replace(SERIES, kind=RunKind.SWEEP)


def fate(before, after, *, series=SERIES, complete=(True, True)) -> str:
    """The one list that a case is in after it was `before` and became `after`."""
    runs = [
        a_run(
            day,
            series=series,
            complete=complete[day],
            cases=() if result is None else (a_case("it", result),),
        )
        for day, result in enumerate((before, after))
    ]
    found = compare_runs(*runs)
    lists = [name for name in LISTS if getattr(found, name)]
    assert len(lists) == 1
    (change,) = getattr(found, lists[0])
    assert change.name == "it"
    assert (change.old is None, change.new is None) == (before is None, after is None)
    return lists[0]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (PASS, PASS, "still_passing"),
        (PASS, FAIL, "broke"),
        (PASS, SKIP, "skipped"),
        (PASS, None, "removed"),
        (FAIL, PASS, "fixed"),
        (FAIL, FAIL, "still_failing"),
        (FAIL, SKIP, "skipped"),
        (FAIL, None, "removed"),
        (SKIP, PASS, "still_passing"),
        (SKIP, FAIL, "broke"),
        (SKIP, SKIP, "still_passing"),
        (SKIP, None, "removed"),
        (None, PASS, "added"),
        (None, FAIL, "added"),
    ],
)
def test_what_becomes_of_a_case(before, after, expected):
    assert fate(before, after) == expected


def test_what_a_stopped_run_does_not_have_says_nothing():
    assert fate(FAIL, None, complete=(True, False)) == "unknown"
    assert fate(None, FAIL, complete=(False, True)) == "unknown"
    assert fate(PASS, FAIL, complete=(False, False)) == "broke"


def test_a_group_of_findings_that_a_whole_sweep_does_not_have_passed():
    assert fate(FAIL, None, series=SWEEP) == "fixed"
    assert fate(None, FAIL, series=SWEEP) == "broke"
    assert fate(FAIL, None, series=SWEEP, complete=(True, False)) == "unknown"
    assert fate(None, FAIL, series=SWEEP, complete=(False, True)) == "unknown"


def figure(value: float, better: Better = Better.LOWER) -> Figure:
    return Figure(name="f", title="f", unit="ms", value=value, better=better, noisy=True)


@pytest.mark.parametrize(
    ("before", "after", "better", "ratio", "worse"),
    [
        (2.0, 3.0, Better.LOWER, 1.5, True),
        (2.0, 1.0, Better.LOWER, 0.5, False),
        (2.0, 1.0, Better.HIGHER, 0.5, True),
        (2.0, 3.0, Better.HIGHER, 1.5, False),
        (2.0, 3.0, Better.NEITHER, 1.5, False),
        (2.0, 2.0, Better.LOWER, 1.0, False),
        (0.0, 3.0, Better.LOWER, None, True),
    ],
)
def test_figures_by_ratio(before, after, better, ratio, worse):
    old, new = a_run(0, figures=(figure(before, better),)), a_run(1, figures=(figure(after, better),))
    (change,) = compare_runs(old, new).figures
    assert (change.ratio, change.worse, change.changed) == (ratio, worse, before != after)


def test_a_figure_of_one_run_only_has_no_ratio():
    old, new = a_run(0, figures=(figure(1.0),)), a_run(1)
    (gone,) = compare_runs(old, new).figures
    (added,) = compare_runs(new, old).figures
    assert (gone.ratio, gone.worse, gone.new, gone.unit) == (None, False, None, "ms")
    assert (added.ratio, added.worse, added.old, added.unit) == (None, False, None, "ms")


def test_runs_of_different_things_are_told_apart():
    assert compare_runs(a_run(0), a_run(1)).same_series
    assert not compare_runs(a_run(0), a_run(1, series=SWEEP)).same_series
