"""From a store to the document: what broke, what was fixed, what there is to know of the comparison."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from regression_runs import BENCH, ROBOT, SWEEP, cases_of, figure, image, nothing, sha

from brownout.regression.build import Wish, build_document
from brownout.regression.model import Change, Document, Trend
from brownout.results.model import Case, CutOutcome, Location, Result, Run

if TYPE_CHECKING:
    from regression_runs import History

    from brownout.results.store import ResultStore


def document(store: ResultStore, history: History, wish: Wish) -> Document:
    for run in history.runs:
        store.add(run)
    return build_document(store, wish, resolve=nothing)


def changes(found: Document) -> dict[str, Change | None]:
    return {case.name: case.change for case in found.cases}


def test_what_became_of_each_case(store: ResultStore, history: History) -> None:
    letters = {
        "broke": "pf",
        "fixed": "fp",
        "still": "ff",
        "fine": "pp",
        "new": "-f",
        "gone": "f-",
        "skip": "ps",
    }
    for at in range(2):
        history.add(cases=[case for name, word in letters.items() for case in cases_of(word[at], name)])
    found = document(store, history, Wish(baseline="previous"))
    assert changes(found) == {
        "broke": Change.BROKE,
        "new": Change.BROKE,
        "fixed": Change.FIXED,
        "still": Change.STILL_FAILING,
    }
    assert found.broke
    assert found.headline == f"2 cases broke since the previous run ({sha('commit 0')[:10]})."
    assert found.conclusion.endswith(": broke; new.")
    (series,) = found.series
    assert "skipped now, not in the baseline: skip" in series.notes
    assert "in the baseline, not in this run: gone" in series.notes


def test_nothing_broke_and_what_else_there_is(store: ResultStore, history: History) -> None:
    history.add(cases=cases_of("f"))
    history.add(cases=cases_of("f"))
    found = document(store, history, Wish(baseline="previous"))
    assert (found.broke, found.good) == (False, False)
    assert found.conclusion.startswith("Nothing broke since the previous run")
    assert found.conclusion.endswith("; 1 case still fails.")


def test_all_is_well(store: ResultStore, history: History) -> None:
    history.add(cases=cases_of("p"))
    history.add(cases=cases_of("p"))
    found = document(store, history, Wish(baseline="previous"))
    assert (found.broke, found.good, found.cases) == (False, True, [])


def test_a_flaky_case_that_fails_now_is_broken_and_flaky(store: ResultStore, history: History) -> None:
    history.of("pfpf")
    found = document(store, history, Wish(baseline="previous"))
    assert [case.name for case in found.of(Change.BROKE)] == [case.name for case in found.flaky]
    assert "(flaky)" in found.headline


def test_a_flaky_case_that_passes_is_listed_and_breaks_nothing(store: ResultStore, history: History) -> None:
    history.of("ppfpp")
    found = document(store, history, Wish(baseline="previous"))
    assert not found.broke
    (case,) = found.flaky
    assert (case.change, case.flaky and case.flaky.failed) == (None, 1)


def test_only_the_last_runs_make_a_case_flaky(store: ResultStore, history: History) -> None:
    history.of("pfpppppp")
    assert document(store, history, Wish(baseline="previous", last=5)).flaky == []


def test_since_goes_back_to_a_baseline_before_the_last_runs(store: ResultStore, history: History) -> None:
    runs = history.of("ppfffff")
    found = document(store, history, Wish(baseline=runs[1].id, last=3))
    (case,) = found.cases
    assert case.since is not None
    assert case.since.first.id == runs[2].id
    assert len(case.history) == 3


def test_a_run_that_is_not_the_newest_is_seen_as_on_its_day(store: ResultStore, history: History) -> None:
    runs = history.of("pfpp")
    found = document(store, history, Wish(baseline="previous", run_ids=(runs[1].id,)))
    (case,) = found.of(Change.BROKE)
    assert case.since is not None
    assert case.since.first.id == runs[1].id
    assert [mark.run.id for mark in case.history] == [runs[0].id, runs[1].id]


def test_a_new_series_did_not_break(store: ResultStore, history: History) -> None:
    history.add(cases=cases_of("p"))
    history.add(cases=cases_of("p"))
    history.add(BENCH, cases=cases_of("f", "bench fails"))
    found = document(store, history, Wish(baseline="previous"))
    assert not found.broke
    assert changes(found) == {"bench fails": Change.FAILS_IN_NEW_SERIES}
    entry = next(entry for entry in found.series if entry.run.series == BENCH)
    assert entry.baseline is None
    assert entry.notes[0].startswith("new: ")


def sweep(history: History, *findings: str, cuts: int = 2, complete: bool = True) -> Run:
    cases = [Case(name=name, result=Result.FAIL) for name in findings]
    whole = Case(name="sweep", result=Result.FAIL if findings else Result.PASS)
    points = [CutOutcome(operation=n, phase="after", variant="", verdict="new") for n in range(cuts)]
    return history.add(SWEEP, cases=[whole, *cases], cuts=points, complete=complete)


def test_findings_of_sweeps_come_and_go(store: ResultStore, history: History) -> None:
    sweep(history, "old", "both")
    sweep(history, "both", "new", cuts=3)
    found = document(store, history, Wish(baseline="previous"))
    # The sweep as a whole says nothing that its findings do not.
    assert changes(found) == {"new": Change.BROKE, "old": Change.FIXED, "both": Change.STILL_FAILING}
    assert any(note.startswith("2 cuts then, 3 now") for note in found.series[0].notes)
    assert "sweep" in [case.name for case in found.series[0].cases]


def test_a_sweep_that_was_stopped_fixes_nothing(store: ResultStore, history: History) -> None:
    sweep(history, "old")
    sweep(history, complete=False)
    found = document(store, history, Wish(baseline="previous"))
    assert Change.FIXED not in changes(found).values() or "old" not in changes(found)
    assert any("stopped early" in note for note in found.series[0].notes)


def test_a_sweep_that_fails_without_a_finding_is_listed(store: ResultStore, history: History) -> None:
    sweep(history)
    history.add(SWEEP, cases=[Case(name="sweep", result=Result.FAIL, message="2 live cuts differ")])
    assert changes(document(store, history, Wish(baseline="previous"))) == {"sweep": Change.BROKE}


def test_the_firmware_that_changed_is_named(store: ResultStore, history: History) -> None:
    images = [[image("boot.elf", "1", 900), image("app.elf", "1", 900)], [image("boot.elf", "2", 900)]]
    for firmware in images:
        history.add(firmware=firmware, seed=len(history.runs), engine_version=f"{len(history.runs)}.0")
    (series,) = document(store, history, Wish(baseline="previous")).series
    assert list(series.firmware) == ["changed: boot.elf", "gone: app.elf"]
    assert list(series.notes) == ["engine 0.0 then, 1.0 now", "seed 0 then, 1 now"]


def test_evidence_is_read_from_the_store(acme_store: ResultStore) -> None:
    found = build_document(acme_store, Wish(baseline=sha("acme 4")), resolve=nothing)
    (case,) = found.of(Change.BROKE)
    (device,) = case.evidence
    assert device.subject == "dev-1"
    assert device.uart is not None
    assert device.uart.lines[-1].endswith(r"\x1b[31m\x00")
    assert device.trace is not None
    assert device.sequence is not None
    assert device.sequence.cuts == 1
    assert device.flash is not None
    assert case.command.startswith("brownout run --boot")
    assert [figure.trend for figure in found.figures][:3] == [Trend.WORSE] * 3
    assert found.series[1].run.series == ROBOT


def test_anchors_are_the_same_in_every_report_and_unique(acme_store: ResultStore) -> None:
    first, second = (
        build_document(acme_store, Wish(baseline=base), resolve=nothing)
        for base in (sha("acme 4"), "previous")
    )
    one = {case.name: case.anchor for case in first.cases}
    other = {case.name: case.anchor for case in second.cases}
    assert len(set(one.values())) == len(one)
    assert all(one[name] == other[name] for name in one.keys() & other.keys())


def test_the_locator_is_asked_for_the_line_of_a_symbol(acme_store: ResultStore) -> None:
    def locate(run: Run, location: Location) -> Location:
        assert run.series.name
        return replace(location, file="boot/nvmc.c", line=42) if location.symbol else location

    found = build_document(acme_store, Wish(baseline="previous"), resolve=nothing, locate=locate)
    case = next(case for case in found.cases if case.name.startswith("brick"))
    assert case.location == Location(file="boot/nvmc.c", line=42, symbol="nvmc_page_erase")


def test_many_failures_leave_room_on_the_page(store: ResultStore, history: History) -> None:
    history.add()
    history.add(cases=[Case(name=f"case {number}", result=Result.FAIL) for number in range(45)])
    found = document(store, history, Wish(baseline="previous"))
    assert [case.evidence_left_out for case in found.cases] == [False] * 40 + [True] * 5


def test_thousands_of_cases_take_seconds(store: ResultStore, history: History) -> None:
    for _ in range(5):
        history.add(cases=[Case(name=f"case {number}", result=Result.PASS) for number in range(3000)])
    started = time.process_time()
    found = document(store, history, Wish(baseline="previous"))
    assert time.process_time() - started < 10
    assert len(found.series[0].cases) == 3000


def test_the_band_is_that_of_a_baseline_long_ago(store: ResultStore, history: History) -> None:
    for number in range(20):
        value = (10.0 if number < 8 else 14.0) + number % 3 / 50
        history.add(BENCH, figures=[figure("boot", value)])
    found = document(store, history, Wish(baseline=history.runs[7].id, last=5))
    (moved,) = found.figures
    assert (moved.trend, moved.band and moved.band.runs) == (Trend.WORSE, 5)
    assert moved.band is not None
    assert moved.band.high < 11
    assert len(moved.history) == 5
