"""Since when a case fails, what is flaky, what is noise."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from regression_runs import BENCH, ROBOT, SWEEP, cases_of, figure, image, sha

from brownout.regression.figures import compare
from brownout.regression.history import KnownRun, band, flaky, marks, ratio, since, trend
from brownout.regression.model import Trend
from brownout.results.model import Better, Case, Result, Revision

if TYPE_CHECKING:
    from regression_runs import History

    from brownout.regression.model import FigureEntry, Flaky, Since
    from brownout.results.model import Run

NAME = "S1 Boots"


def known(runs: list[Run]) -> list[KnownRun]:
    return [KnownRun(run) for run in runs]


def since_of(runs: list[Run], name: str = NAME) -> Since:
    found = since(marks(known(runs), name))
    assert found is not None
    return found


def flaky_of(runs: list[Run], name: str = NAME) -> Flaky | None:
    return flaky(marks(known(runs), name), known(runs))


def test_fails_since_the_first_failing_run_after_the_last_that_passed(history: History) -> None:
    runs = history.of("fppfff")
    found = since_of(runs)
    assert (found.first.id, found.runs) == (runs[3].id, 3)
    assert found.last_passed is not None
    assert (found.last_passed.id, found.gap) == (runs[2].id, 0)


def test_runs_that_do_not_say_are_no_pass_and_counted_between_the_two(history: History) -> None:
    runs = history.of("p-sf-f")
    found = since_of(runs)
    assert found.first.id == runs[3].id
    assert (found.runs, found.gap) == (2, 2)
    assert found.last_passed is not None
    assert found.last_passed.id == runs[0].id


def test_a_case_that_always_failed_has_no_last_pass(history: History) -> None:
    found = since_of(history.of("-fff"))
    assert found.last_passed is None
    assert found.runs == 3


@pytest.mark.parametrize("letters", ["pfp", "p", "ps", ""])
def test_what_does_not_fail_now_fails_since_never(history: History, letters: str) -> None:
    assert since(marks(known(history.of(letters)), NAME)) is None


def test_a_sweep_that_ended_and_does_not_list_a_finding_passed_it(history: History) -> None:
    finding = [Case(name="brick", result=Result.FAIL)]
    runs = [
        history.add(SWEEP),
        history.add(SWEEP, complete=False),
        history.add(SWEEP, cases=finding),
    ]
    found = since_of(runs, "brick")
    assert found.last_passed is not None
    assert (found.last_passed.id, found.gap) == (runs[0].id, 1)


@pytest.mark.parametrize(
    ("letters", "expected"),
    [("ppfff", None), ("fffpp", None), ("pfp", (1, 3, 2)), ("pf-s-pf", (2, 4, 3)), ("", None), ("f", None)],
)
def test_flaky_is_what_changed_twice(
    history: History, letters: str, expected: tuple[int, int, int] | None
) -> None:
    found = flaky_of(history.of(letters))
    assert (found and (found.failed, found.runs, found.changes)) == expected


def test_flaky_is_what_differs_between_runs_of_one_commit(history: History) -> None:
    runs = [history.add(commit="same", cases=cases_of(letter)) for letter in "pf"]
    found = flaky_of(runs)
    assert found is not None
    assert found.same_commit == sha("same")[:10]


def test_runs_of_one_commit_may_differ_when_the_tree_or_the_firmware_did(history: History) -> None:
    dirty = Revision(commit=sha("same"), dirty=True)
    runs = [history.add(commit="same", cases=cases_of("p")), history.add(revision=dirty, cases=cases_of("f"))]
    assert flaky_of(runs) is None
    runs = [
        history.add(commit="built", cases=cases_of(letter), firmware=[image("boot.elf", letter, 900)])
        for letter in "pf"
    ]
    assert flaky_of(runs) is None


@pytest.mark.parametrize(
    ("letters", "firmware", "expected"),
    [
        ("pppfffpppf", "1112223334", None),  # broke, was repaired, broke again
        ("pppfffpppf", "1111111111", 3),
        ("pfppfp", "123456", 2),  # nothing lasts
        ("pfp", "123", None),  # one commit that was broken, or one blip: nobody knows
        ("pfp", "111", 2),
    ],
)
def test_a_change_that_came_with_other_firmware_and_lasted_is_not_flaky(
    history: History, letters: str, firmware: str, expected: int | None
) -> None:
    runs = [
        history.add(cases=cases_of(letter), firmware=[image("boot.elf", build, 900)])
        for letter, build in zip(letters, firmware, strict=True)
    ]
    found = flaky_of(runs)
    assert (found and found.changes) == expected


def test_band_is_not_widened_by_one_odd_run() -> None:
    steady = [1.00, 1.01, 0.99, 1.02, 0.98]
    usual, odd = band(steady), band([*steady, 9.0])
    assert usual is not None
    assert odd is not None
    assert usual.low < min(steady) < max(steady) < usual.high < 1.1
    assert odd.high < 1.2
    assert band(steady[:4]) is None


@pytest.mark.parametrize(("now", "then", "expected"), [(3, 2, 1.5), (0, 0, 1.0), (1, 0, None)])
def test_ratio(now: float, then: float, expected: float | None) -> None:
    assert ratio(now, then) == expected


@pytest.mark.parametrize(
    ("now", "better", "expected"),
    [
        (1.50, Better.LOWER, Trend.WORSE),
        (1.50, Better.HIGHER, Trend.BETTER),
        (1.50, Better.NEITHER, Trend.CHANGED),
        (0.50, Better.LOWER, Trend.BETTER),
        (1.045, Better.LOWER, Trend.SAME),  # outside of the band, and too little to matter
        (1.00, Better.LOWER, Trend.SAME),
    ],
)
def test_a_noisy_figure_moved_when_outside_of_the_band_and_far_enough(
    now: float, better: Better, expected: Trend
) -> None:
    usual = band([1.00, 1.01, 0.99, 1.005, 0.995])
    assert trend(now, 1.0, better=better, noisy=True, usual=usual, threshold=1.05) is expected


def test_a_noisy_figure_inside_its_band_did_not_move() -> None:
    usual = band([1.0, 1.3, 0.8, 1.2, 0.9])
    assert trend(1.4, 1.0, better=Better.LOWER, noisy=True, usual=usual, threshold=1.05) is Trend.SAME


def test_without_a_band_nobody_says_slower() -> None:
    assert trend(2.0, 1.0, better=Better.LOWER, noisy=True, usual=None, threshold=1.05) is Trend.UNDECIDED


def test_an_exact_figure_moved_when_it_differs_at_all() -> None:
    def of(now: float) -> Trend:
        return trend(now, 1000, better=Better.LOWER, noisy=False, usual=None, threshold=1.05)

    assert [of(1001), of(1000), of(999)] == [Trend.WORSE, Trend.SAME, Trend.BETTER]


def moved(runs: list[Run], baseline: int = -2) -> dict[str, FigureEntry]:
    found = compare(runs[-1], runs[baseline], runs[:-1], 20, lambda name: name)
    return {entry.name: entry for entry in found}


def test_figures_that_moved_and_the_words_for_it(history: History) -> None:
    values = [10.0, 10.1, 9.9, 10.05, 10.0, 14.0]
    for number, value in enumerate(values):
        grown = number == len(values) - 1
        history.add(
            BENCH,
            figures=[
                figure("boot", value),
                figure("rate", 1000 - value * 10, better=Better.HIGHER, unit="points/s"),
                figure("size", 5000 + grown, noisy=False, unit="bytes"),
            ],
            firmware=[image("boot.elf", str(grown), 3000 - 100 * grown)],
            cases=[Case(name="a", result=Result.PASS, flash_operations=10 + grown, duration_s=1.0 + grown)],
        )
    found = moved(history.runs)
    words = {name: (entry.trend, entry.word) for name, entry in found.items()}
    assert words == {
        "boot": (Trend.WORSE, "slower"),
        "size": (Trend.WORSE, "bigger"),
        "image:boot.elf:.text": (Trend.BETTER, "smaller"),
        "operations:a": (Trend.CHANGED, "more"),
        "duration:a": (Trend.WORSE, "slower"),
    }
    assert found["boot"].ratio == pytest.approx(1.4)
    assert found["boot"].band is not None
    assert found["boot"].band.runs == 5


def test_the_rate_that_fell_is_slower(history: History) -> None:
    for value in (900.0, 905.0, 895.0, 901.0, 899.0, 400.0):
        history.add(BENCH, figures=[figure("rate", value, better=Better.HIGHER, unit="points/s")])
    assert moved(history.runs)["rate"].word == "slower"


def test_the_band_is_that_of_the_runs_up_to_the_baseline(history: History) -> None:
    for value in (10.0, 10.1, 9.9, 10.05, 9.95, 14.0, 14.1, 13.9, 14.0, 14.1, 14.0):
        history.add(BENCH, figures=[figure("boot", value)])
    # What got slower six runs ago is slower than the baseline, however often it was seen since.
    assert moved(history.runs, 4)["boot"].trend is Trend.WORSE


def test_too_few_runs_for_a_band_are_said(history: History) -> None:
    for value in (10.0, 10.1, 14.0):
        history.add(BENCH, figures=[figure("boot", value)])
    found = moved(history.runs)["boot"]
    assert (found.trend, found.runs_known, found.runs_needed) == (Trend.UNDECIDED, 2, 5)


def test_a_count_that_wanders_from_run_to_run_is_noise(history: History) -> None:
    for operations in (100, 101, 99, 102, 100, 101, 103):
        history.add(cases=[Case(name="a", result=Result.PASS, flash_operations=operations)])
    assert moved(history.runs) == {}


@pytest.mark.parametrize(
    ("engine", "trends"),
    [("qemu", [None, Trend.UNDECIDED, Trend.CHANGED]), ("unicorn", [Trend.CHANGED] * 3)],
)
def test_a_count_of_live_boards_is_exact_when_enough_runs_agree(
    history: History, engine: str, trends: list[Trend | None]
) -> None:
    def count(operations: int, times: int) -> None:
        for _ in range(times):
            case = Case(name="a", result=Result.PASS, flash_operations=operations)
            history.add(replace(ROBOT, engine=engine), cases=[case])

    found = []
    for operations, times in ((101, 1), (140, 1), (141, 6)):
        history.runs.clear()
        count(100, times)
        count(operations, 1)
        entry = moved(history.runs).get("operations:a")
        found.append(None if entry is None else entry.trend)
    assert found == trends


def test_half_a_run_is_not_measured_against_a_whole_one(history: History) -> None:
    for _ in range(2):
        history.add(BENCH, figures=[figure("size", 5000, noisy=False, unit="bytes")])
    half = replace(history.runs[-1], complete=False, figures=[figure("size", 1, noisy=False, unit="bytes")])
    assert moved([history.runs[0], half]) == {}
