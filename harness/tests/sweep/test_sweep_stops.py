"""Sweeps that end early: what is known is kept, said to be incomplete, and does not depend on the workers."""

from __future__ import annotations

import dataclasses
import os
import random
import signal
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING

import pytest
from sweep_toy import DyingFactory, ToyFactory, toy_target

from brownout.errors import SweepError
from brownout.sweep import SweepPlan, SweepResult, local_executor, run_sweep
from brownout.sweep.executors import SerialExecutor, SizedExecutor
from brownout.sweep.interrupts import held_interrupts
from brownout.sweep.stops import SweepInterruptedError, SweepStoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

BAD = ToyFactory(defects=frozenset({"skips-blank", "trusts-done", "counts-damage", "never-again"}))
PLAN = SweepPlan(depth=2, faults=("dropped",), live=2)


@pytest.fixture(scope="module")
def whole() -> SweepResult:
    return run_sweep(toy_target(), PLAN, factory=BAD)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy is quick: smaller tasks, so that there are some to be left undone."""
    monkeypatch.setattr("brownout.sweep.run._CHUNK", 8)


def timeless(result: SweepResult) -> SweepResult:
    return dataclasses.replace(result, duration_s=0.0, points_per_s=0.0)


def known_points(result: SweepResult) -> set[tuple[int, str, str, str]]:
    return {(p.operation, p.phase, p.variant, p.verdict) for p in result.points}


def interrupt_at(done: int) -> Callable[[int, int, float], None]:
    def tell(now: int, total: int, rate: float) -> None:
        del total, rate
        if now >= done:
            raise KeyboardInterrupt

    return tell


@pytest.mark.parametrize("jobs", [1, 2])
def test_ctrl_c_keeps_points_and_findings(whole: SweepResult, jobs: int) -> None:
    """In the middle of the points."""
    with pytest.raises(SweepInterruptedError) as caught, local_executor(jobs) as executor:
        run_sweep(toy_target(), PLAN, executor, interrupt_at(200), factory=BAD)
    found = caught.value.result
    assert (found.complete, found.stopped) == (False, "interrupted")
    assert 200 <= len(found.points) < len(whole.points)
    assert known_points(found) < known_points(whole)
    assert [(d.depth, d.requested, d.fired) for d in found.depths] == [
        (1, len(whole.points), len(found.points))
    ]
    assert {f.replay for f in found.findings} <= {f.replay for f in whole.findings}
    failed = {p.finding for p in found.points if p.verdict not in ("new", "old")}
    assert failed == {finding.id for finding in found.findings} != set()


def test_ctrl_c_in_a_callback_of_native_code_comes_after_it() -> None:
    went_on = []

    def native() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        went_on.append("to its end")

    with pytest.raises(KeyboardInterrupt), held_interrupts():
        native()
    assert went_on
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler

    def end(number: int, frame: object) -> None:
        went_on.append(f"then signal {number}")

    # What a command line has SIGTERM do comes after it too.
    previous = signal.signal(signal.SIGTERM, end)
    try:
        with held_interrupts():
            os.kill(os.getpid(), signal.SIGTERM)
            went_on.append("again")
        assert went_on[1:] == ["again", f"then signal {signal.SIGTERM}"]
        assert signal.getsignal(signal.SIGTERM) is end
    finally:
        signal.signal(signal.SIGTERM, previous)
    # Whoever has chosen something else for Ctrl-C keeps it.
    previous = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with held_interrupts():
            os.kill(os.getpid(), signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, previous)


def test_ctrl_c_while_a_worker_starts_comes_after_it() -> None:
    """Else nobody would know the worker, and it would find the pool's semaphores gone."""
    started = []

    class Starting(Executor):
        def submit(self, fn: Callable[..., object], /, *args: object, **kwargs: object) -> Future[object]:
            os.kill(os.getpid(), signal.SIGINT)
            started.append(fn)
            return Future()

    with pytest.raises(KeyboardInterrupt):
        SizedExecutor(Starting(), 1).submit(print)
    assert started == [print]


def test_ctrl_c_keeps_pairs(whole: SweepResult) -> None:
    with pytest.raises(SweepInterruptedError) as caught:
        run_sweep(toy_target(), PLAN, None, interrupt_at(len(whole.points) + 500), factory=BAD)
    found = caught.value.result
    assert not found.complete
    assert found.points == whole.points
    first, second = found.depths
    assert first == whole.depths[0]
    assert 0 < second.fired < second.requested == whole.depths[1].requested
    assert 0 < second.distinct < whole.depths[1].distinct
    # Not shrunk any more, and not checked live.
    assert all(finding.shrunk == finding.replay for finding in found.findings)
    assert found.live == ()


def test_a_sweep_of_everything_is_complete(whole: SweepResult) -> None:
    assert (whole.complete, whole.stopped) == (True, "")


class Clock(Executor):
    """After some jobs hours have passed."""

    width = 1

    def __init__(self, monkeypatch: pytest.MonkeyPatch, jobs: int) -> None:
        self._inner = SerialExecutor()
        self._jobs = jobs
        self._patch = monkeypatch

    def submit(self, fn, /, *args, **kwargs):
        future = self._inner.submit(fn, *args, **kwargs)
        self._jobs -= 1
        if not self._jobs:
            self._patch.setattr("brownout.sweep.executors.time.monotonic", lambda: 1e9)
        return future


def test_the_deadline_keeps_points(whole: SweepResult, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = dataclasses.replace(PLAN, deadline_s=3600.0)
    with pytest.raises(SweepStoppedError, match="not done within its time") as caught:
        run_sweep(toy_target(), plan, Clock(monkeypatch, 20), factory=BAD, width=1)
    found = caught.value.result
    assert (found.complete, found.stopped) == (False, "deadline")
    assert len(found.points) == 20 * 8
    assert known_points(found) < known_points(whole)


def test_workers_that_die_do_not_take_what_is_known_with_them() -> None:
    with (
        pytest.raises(SweepStoppedError, match="a worker process ended by itself") as caught,
        local_executor(2) as executor,
    ):
        run_sweep(toy_target(), PLAN, executor, factory=DyingFactory(60))
    found = caught.value.result
    assert (found.complete, found.stopped, found.findings) == (False, "error", ())
    assert 0 < len(found.points) < found.depths[0].requested


class Shuffling(Executor):
    """Does jobs late and in any order, and comes back half done."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def submit(self, fn, /, *args, **kwargs):
        future: Future[object] = Future()
        future.set_result(fn(*args[:-1], self._random.choice([0.0, 0.02])))
        return future


@pytest.mark.parametrize("wanted", [1, 2])
def test_enough_findings_are_the_first_ones_whoever_is_quick(whole: SweepResult, wanted: int) -> None:
    plan = dataclasses.replace(PLAN, max_findings=wanted, depth=1)
    one = run_sweep(toy_target(), plan, factory=BAD)
    assert (one.complete, one.stopped) == (False, "max-findings")
    assert [(f.replay, f.verdict) for f in one.findings] == [
        (f.replay, f.verdict) for f in whole.findings[:wanted]
    ]
    # Up to the last finding, shrunk and checked live as always.
    assert one.points[-1].finding == one.findings[-1].id
    assert known_points(one) < known_points(whole)
    assert any(finding.shrunk != finding.replay for finding in one.findings)
    assert one.live
    for executor, width in ((Shuffling(1), 7), (Shuffling(2), 3)):
        other = run_sweep(toy_target(), plan, executor, width=width, factory=BAD)
        assert timeless(other) == timeless(one)
    with local_executor(2) as workers:
        assert timeless(run_sweep(toy_target(), plan, workers, factory=BAD)) == timeless(one)


def test_enough_findings_may_be_pairs(whole: SweepResult) -> None:
    singles = sum(len(finding.cuts) == 1 for finding in whole.findings)
    assert 0 < singles < len(whole.findings) - 1
    plan = dataclasses.replace(PLAN, max_findings=singles + 1)
    one = run_sweep(toy_target(), plan, factory=BAD)
    assert (one.complete, len(one.findings)) == (False, singles + 1)
    assert len(one.findings[-1].cuts) == 2
    assert one.points == whole.points
    assert one.depths[1].fired < one.depths[1].requested
    other = run_sweep(toy_target(), plan, Shuffling(3), width=5, factory=BAD)
    assert other.findings == one.findings


def test_as_many_findings_as_there_are_leave_nothing_out(whole: SweepResult) -> None:
    many = run_sweep(
        toy_target(), dataclasses.replace(PLAN, max_findings=len(whole.findings) + 1), factory=BAD
    )
    assert timeless(many) == timeless(whole)


def test_a_rule_that_the_clean_run_breaks_is_a_finding_that_counts() -> None:
    target = toy_target(rules=frozenset({"sets-bit"}))
    target = dataclasses.replace(target, outcomes=(dataclasses.replace(target.outcomes[0], flash=()),))
    factory = ToyFactory(defects=frozenset({"never-erases", "never-verifies", "no-read-back"}))
    result = run_sweep(target, SweepPlan(max_findings=1, live=0), factory=factory)
    assert (len(result.findings), result.points, result.complete) == (1, (), False)


def test_only_some_operations() -> None:
    plan = SweepPlan(operations=((3, 5), (5, 6), (30, None)), phases=("after",), live=0)
    result = run_sweep(toy_target(), plan, factory=ToyFactory())
    assert [point.operation for point in result.points] == [3, 4, 5, 6, *range(30, 38)]
    assert result.complete
    few = run_sweep(toy_target(), dataclasses.replace(plan, points=4), factory=ToyFactory())
    assert len(few.points) == 4
    assert {p.operation for p in few.points} < {p.operation for p in result.points}


@pytest.mark.parametrize("part", [(0, 3), (4, 3), (36, 38), (38, None), (99, 99)])
def test_operations_that_there_are_not_are_an_error(part: tuple[int, int | None]) -> None:
    with pytest.raises(SweepError, match=r"operations: '.*': the run without a cut has operations 1-37$"):
        run_sweep(toy_target(), SweepPlan(operations=(part,)), factory=ToyFactory())


def test_no_findings_at_all_is_no_number_of_findings() -> None:
    with pytest.raises(SweepError, match="max findings: 0: expected at least 1"):
        run_sweep(toy_target(), SweepPlan(max_findings=0), factory=ToyFactory())
