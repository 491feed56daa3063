"""Whole sweeps of the toy: numbers, ids, replays, jobs, errors before anything is swept."""

from __future__ import annotations

import dataclasses
import random
from concurrent.futures import Executor, Future
from typing import TYPE_CHECKING

import pytest
from sweep_toy import APP, BASE, CODE, SYMBOLS, ToyFactory, ToyMachine, settled, toy_target

from brownout.errors import ReplayError, SweepError
from brownout.flash import Erase
from brownout.sweep import ALL_TORN, FAULTS, SweepPlan, SweepResult, local_executor, replay, run_sweep
from brownout.sweep.port import DoneOperation
from brownout.sweep.tracing import Wanted

if TYPE_CHECKING:
    from brownout.engines.unicorn.interface import FlashPort
    from brownout.sweep import Machine
    from brownout.target import Target

BAD = ToyFactory(defects=frozenset({"skips-blank", "trusts-done", "counts-damage", "never-again"}))
DEEP = SweepPlan(depth=2, faults=("dropped", "reset"), live=4)


@pytest.fixture(scope="module")
def deep() -> SweepResult:
    return run_sweep(toy_target(), DEEP, factory=BAD)


def timeless(result: SweepResult) -> SweepResult:
    return dataclasses.replace(result, duration_s=0.0, points_per_s=0.0)


def test_the_summary_adds_up(deep: SweepResult) -> None:
    first, second = deep.depths
    assert first.requested == first.fired == len(deep.points)
    assert first.distinct == sum(not point.same_as for point in deep.points)
    assert first.failed == sum(bool(point.finding) for point in deep.points)
    assert second.requested == second.fired > 20 * second.distinct
    assert len(deep.operations) == 37
    assert [operation.number for operation in deep.operations] == list(range(1, len(deep.operations) + 1))
    assert {operation.region for operation in deep.operations} == {"installed", "progress", "flag"}
    assert deep.operations[0].symbol == "erase_sector"
    assert deep.clean_outcome == "new"
    assert deep.sector_sizes == ((16, 64),)
    assert sum(group.count for group in deep.groups) == len(deep.findings)
    assert {check.engine: check.same for check in deep.live} == {"unicorn": 4}


def test_a_point_with_a_known_flash_names_the_one_that_ran(deep: SweepResult) -> None:
    before = [point for point in deep.points if point.phase == "before" and point.operation > 1]
    # Before an operation is after the one before it, unless an earlier cut of that had left the same.
    assert before
    assert all(point.same_as.startswith(f"toy:unicorn:7:op={point.operation - 1}/") for point in before)
    assert f"toy:unicorn:7:op={before[0].operation - 1}/after" in {point.same_as for point in before}


def test_every_finding_replays_to_its_verdict_and_to_the_same_bytes(deep: SweepResult) -> None:
    assert len(deep.findings) > 5
    for finding in deep.findings:
        for text in (finding.replay, finding.shrunk):
            report = replay(toy_target(), text, factory=BAD)
            assert (report.failed, report.verdict) == (True, finding.verdict), text
            assert report.replay == text
        assert report == replay(toy_target(), text, factory=BAD)
        assert report.flash == replay(toy_target(), text, factory=BAD).flash
        assert finding.where
        assert finding.trail


def test_a_replay_tells_each_boot(deep: SweepResult) -> None:
    finding = next(finding for finding in deep.findings if len(finding.cuts) == 2)
    report = replay(toy_target(), finding.replay, factory=BAD)
    assert [boot.event for boot in report.boots[:2]] == list(finding.cuts)
    assert [boot.end for boot in report.boots[:2]] == ["power lost", "power lost"]
    assert [boot.session for boot in report.boots] == list(range(1, len(report.boots) + 1))
    assert len({boot.flash for boot in report.boots[:2]}) == 2


class Telling:
    """Notes what it is told of the first two boots."""

    def __init__(self) -> None:
        self.told: dict[int, list[int | DoneOperation]] = {1: [], 2: []}
        self.session = 0
        self.ends: list[int] = []

    def wants(self, session: int, machine: Machine) -> Wanted:
        self.session = session
        return Wanted.EVERYTHING if session in self.told and machine.time == 0 else Wanted.NOTHING

    def instruction(self, address: int) -> None:
        self.told[self.session].append(address)

    def operation(self, done: DoneOperation) -> None:
        self.told[self.session].append(done)

    def ended(self, session: int) -> None:
        assert session == self.session
        self.ends.append(session)


def test_a_replay_traces_instructions_and_flash_operations_of_the_boots_that_are_asked_for() -> None:
    tracer = Telling()
    report = replay(toy_target(), "toy:unicorn:7:op=3/before", tracer=tracer, factory=BAD)
    assert report.verdict == "new"
    names = {CODE + 4 * index: name for name, index in SYMBOLS.items()}
    told = [item if isinstance(item, DoneOperation) else names[item] for item in tracer.told[1]]
    erase, program, cut = (item for item in told if isinstance(item, DoneOperation))
    assert told == [
        *("entry", "decide", "next_sector", "erase_sector", erase, "copy_word", program, "copy_word", cut)
    ]
    assert isinstance(erase.operation, Erase)
    assert (cut.operation.offset, cut.status) == (program.operation.offset + 4, None)
    assert CODE + 4 * APP not in tracer.told[2]
    assert tracer.ends == [1, 2]
    assert len(tracer.told[2]) > 30
    plain = replay(toy_target(), "toy:unicorn:7:op=3/before", factory=BAD)
    assert plain == report


@pytest.mark.parametrize(
    "cut", ["op=999/before", "op=3/before:op=999/after", "op=999/dropped", "time=999999/reset"]
)
def test_a_cut_that_does_not_happen_is_never_a_pass(cut: str) -> None:
    report = replay(toy_target(), f"toy:unicorn:7:{cut}", factory=ToyFactory())
    assert (report.verdict, report.failed) == ("not-fired", True)
    assert cut.rpartition(":")[2] in report.detail


def test_a_replay_takes_other_triggers_too() -> None:
    report = replay(toy_target(), "toy:unicorn:7:region=flag.program#1/before", factory=ToyFactory())
    assert report.verdict == "new"
    assert report.boots[0].event == "region=flag.program#1/before"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other:unicorn:7:op=1/before", "is for target 'other', this one is 'toy'"),
        ("toy:qemu:7:op=1/before", "a sweep replays on unicorn"),
        ("toy:unicorn:7:op=1/sometimes", "expected op=N"),
    ],
)
def test_replay_ids_of_something_else_are_refused(text: str, message: str) -> None:
    with pytest.raises(ReplayError, match=message):
        replay(toy_target(), text, factory=BAD)


class Shuffling(Executor):
    """Does jobs late and in any order, and cuts their time short so that they come back half done."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        limit = self._random.choice([0.0, 0.0, 0.02])
        future.set_result(fn(*args[:-1], limit))
        return future


@pytest.mark.parametrize("seed", [1, 2])
def test_chunks_and_their_order_do_not_show(deep: SweepResult, seed: int) -> None:
    result = run_sweep(toy_target(), DEEP, Shuffling(seed), width=7, factory=BAD)
    assert timeless(result) == timeless(deep)


def test_jobs_do_not_show(deep: SweepResult) -> None:
    told: list[tuple[int, int]] = []
    with local_executor(2) as executor:
        result = run_sweep(
            toy_target(), DEEP, executor, lambda done, total, _: told.append((done, total)), factory=BAD
        )
    assert timeless(result) == timeless(deep)
    assert told[-1][0] == told[-1][1]
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_another_seed_draws_others(deep: SweepResult) -> None:
    other = run_sweep(toy_target(), dataclasses.replace(DEEP, seed=8, live=0), factory=BAD)
    assert other.seed == 8
    assert {f.replay for f in other.findings}.isdisjoint(f.replay for f in deep.findings)


def test_samples_are_drawn_from_the_seed() -> None:
    plan = SweepPlan(points=5, depth=2, pairs=3, live=0)
    one, two = (run_sweep(toy_target(), plan, factory=ToyFactory()) for _ in range(2))
    assert timeless(one) == timeless(two)
    assert len({point.operation for point in one.points}) == 5
    assert one.depths[1].requested == 3 * 5
    other = run_sweep(toy_target(), dataclasses.replace(plan, seed=99), factory=ToyFactory())
    assert {p.operation for p in other.points} != {p.operation for p in one.points}


def test_states_are_covered_by_phase() -> None:
    target = dataclasses.replace(toy_target(), state_of=say_state)
    plan = SweepPlan(phases=("before", "after"), faults=("dropped",), live=0)
    result = run_sweep(target, plan, factory=ToyFactory())
    count = len(result.operations)
    assert result.coverage == {
        "copying": {"before": count - 1, "after": count - 1, "dropped": count - 1},
        "all copied": {"before": 1, "after": 1, "dropped": 1},
    }
    assert result.operations[-1].state == "all copied"


def say_state(flash: bytes, /) -> str:
    return "copying" if flash[7 * 64 + 4 : 7 * 64 + 8] == b"\xff" * 4 else "all copied"


def test_a_rule_that_the_clean_run_breaks_is_one_finding() -> None:
    target = toy_target(rules=frozenset({"sets-bit"}))
    factory = ToyFactory(defects=frozenset({"never-erases", "never-verifies", "no-read-back"}))
    target = dataclasses.replace(target, outcomes=(dataclasses.replace(target.outcomes[0], flash=()),))
    result = run_sweep(target, SweepPlan(points=1, live=0, phases=("after",)), factory=factory)
    first = result.findings[0]
    assert (first.verdict, first.cuts, first.replay) == ("rule", (), "toy:unicorn:7")
    assert "program of a 0 bit to 1" in first.detail
    report = replay(target, first.replay, factory=factory)
    assert (report.failed, report.verdict) == (True, "rule")


def test_a_store_past_the_controller_is_a_finding_and_nothing_is_known_after_it() -> None:
    factory = ToyFactory(defects=frozenset({"bypasses"}))
    target = toy_target(rules=frozenset({"bypass"}))
    result = run_sweep(target, SweepPlan(points=6, live=0), factory=factory)
    clean, *others = result.findings
    assert (clean.verdict, clean.replay) == ("rule", "toy:unicorn:7")
    assert "store that bypassed the controller" in clean.detail
    assert {finding.verdict for finding in others} == {"rule"}
    for finding in others:
        assert replay(target, finding.replay, factory=factory).verdict == "rule"
    assert run_sweep(toy_target(), SweepPlan(points=6, live=0), factory=factory).findings == ()


def test_rules_that_are_broken_after_a_fault_are_not_blamed_on_the_firmware() -> None:
    target = toy_target(rules=frozenset({"sets-bit"}))
    plan = SweepPlan(faults=("dropped", "disturbed"), live=0, phases=())
    result = run_sweep(target, plan, factory=ToyFactory())
    # The erase of a sector is dropped: the words that are programmed next ask for bits that are 0 already.
    by_point = {(point.operation, point.phase): point.verdict for point in result.points}
    assert by_point[1, "dropped"] == "new"
    assert "rule" not in by_point.values()
    for text in ("op=1/dropped", "op=3/disturbed"):
        assert replay(target, f"toy:unicorn:7:{text}", factory=ToyFactory()).verdict == "new"


@pytest.mark.parametrize(
    ("defect", "message"),
    [
        ("spins-at-once", "never arrives: it branches to itself at entry"),
        ("locks-up", r"locks up at entry \(HardFault in HardFault\)"),
        ("faults", "takes BusFault, handled at entry, and never arrives"),
        ("resets-for-ever", "never arrives: it loops, the same state comes back"),
        ("does-nothing", "arrives at app, but not new: the vector table"),
        ("counts-boots", "clean boot 1 changes the flash"),
    ],
)
def test_a_target_that_does_not_run_is_an_error_before_any_sweep(defect: str, message: str) -> None:
    told: list[int] = []
    with pytest.raises(SweepError, match=message) as caught:
        run_sweep(
            toy_target(),
            SweepPlan(),
            on_progress=lambda done, *_: told.append(done),
            factory=ToyFactory(defects=frozenset({defect})),
        )
    assert "\n" not in str(caught.value)
    assert not told


def test_a_target_without_flash_operations_is_an_error() -> None:
    plain = toy_target()
    outcome = dataclasses.replace(plain.outcomes[0], vector_table=None, flash=())
    target = dataclasses.replace(plain, outcomes=(outcome,))
    with pytest.raises(SweepError, match="no flash operation ever happened"):
        run_sweep(target, SweepPlan(), factory=ToyFactory(defects=frozenset({"does-nothing"})))


def test_a_target_that_ends_elsewhere_is_an_error() -> None:
    target = dataclasses.replace(toy_target(), expected="old")
    with pytest.raises(SweepError, match="without a cut it ends in 'new', expected 'old'"):
        run_sweep(target, SweepPlan(), factory=ToyFactory())


def test_a_budget_that_is_too_small_says_where_it_ran_out() -> None:
    with pytest.raises(SweepError, match="has not arrived after 100 halfwords of code, at copy_word"):
        run_sweep(toy_target(budget=100), SweepPlan(), factory=ToyFactory())


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (SweepPlan(phases=("before", "later")), "phases: 'later' is not known"),
        (SweepPlan(faults=("rain",)), "faults: 'rain' is not known"),
        (SweepPlan(depth=3), "depth: 3"),
        (SweepPlan(points=0), "points: 0"),
        (SweepPlan(phases=()), "nothing to sweep"),
        (SweepPlan(torn=()), "no way to tear"),
        (SweepPlan(engine="renode"), "engine 'renode'"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(plan: SweepPlan, message: str) -> None:
    with pytest.raises(SweepError, match=message):
        run_sweep(toy_target(), plan, factory=ToyFactory())


def test_an_outcome_named_like_a_failure_is_refused() -> None:
    plain = toy_target()
    target = dataclasses.replace(plain, outcomes=(dataclasses.replace(plain.outcomes[0], name="loop"),))
    with pytest.raises(SweepError, match="'loop': that is the name of a failure"):
        run_sweep(target, SweepPlan(), factory=ToyFactory())


def never(context: object, /) -> str | None:
    return "it is Tuesday"


def test_a_hook_that_is_broken_is_a_finding() -> None:
    result = run_sweep(
        toy_target(hooks={"done": settled, "weekday": never}),
        SweepPlan(points=2, live=0),
        factory=ToyFactory(),
    )
    assert {(f.verdict, f.detail) for f in result.findings} == {("hook", "weekday: it is Tuesday")}
    assert len(result.groups) < len(result.findings)


def test_a_target_that_cannot_travel_is_refused() -> None:
    with pytest.raises(SweepError, match="cannot be sent to other processes"):
        run_sweep(toy_target(hooks={"local": lambda context: None}), SweepPlan(), factory=ToyFactory())


def test_faults_find_what_cuts_do_not() -> None:
    factory = ToyFactory(defects=frozenset({"no-read-back", "never-again"}))
    plan = SweepPlan(phases=(), faults=FAULTS, live=0)
    careless = run_sweep(toy_target(), plan, factory=factory)
    careful = run_sweep(toy_target(), plan, factory=ToyFactory())
    lost = {p.phase for p in careless.points if p.verdict == "loop"}
    assert {"kept-bit", "dropped"} <= lost
    assert {p.phase for p in careful.points if p.verdict == "loop"} == {"worn"}
    # Words that should change, an erase of each sector, and a reset before each operation.
    count = len(careful.operations)
    assert sum(p.phase == "reset" for p in careful.points) == count
    assert sum(p.phase == "dropped" for p in careful.points) == count
    assert {p.phase for p in careful.points} == set(FAULTS)


@dataclasses.dataclass
class Counting:
    """Makes toys and keeps them, to count what they did."""

    sectors: int
    made: list[ToyMachine] = dataclasses.field(default_factory=list)

    def __call__(self, target: Target, port: FlashPort, /) -> ToyMachine:
        machine = ToyFactory(sectors=self.sectors)(target, port)
        self.made.append(machine)
        return machine

    def __reduce__(self) -> tuple[object, ...]:
        return (Counting, (self.sectors,))


def cost(sectors: int, plan: SweepPlan) -> tuple[int, int, int]:
    """(operations of the clean run, power-ons, operations done by machines)."""
    factory = Counting(sectors)
    result = run_sweep(toy_target(sectors=sectors, budget=40_000), plan, factory=factory)
    assert result.findings == ()
    machine = factory.made[0]
    assert len(factory.made) == 1
    return len(result.operations), machine.power_ons, machine.operations


@pytest.mark.parametrize("plan", [SweepPlan(live=0), SweepPlan(live=0, phases=("before", "after"), depth=2)])
def test_the_cost_is_linear_in_operations(plan: SweepPlan) -> None:
    small, double, triple = (cost(sectors, plan) for sectors in (1, 2, 3))
    for what in (1, 2):
        steps = double[what] - small[what], triple[what] - double[what]
        # Each sector more costs the same: a square law would double the second step.
        assert steps[1] <= 1.15 * steps[0] + 10, (small, double, triple)


def test_a_piece_that_does_not_look_at_what_differs_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = SweepPlan(phases=("before",), live=0)
    plain, echoed = Counting(2), Counting(2)
    wanted = run_sweep(toy_target(), plan, factory=plain)
    monkeypatch.setattr("brownout.sweep.runs.ECHO_TIME", 0)
    found = run_sweep(toy_target(), plan, factory=echoed)
    assert timeless(found) == timeless(wanted)
    # Until its first erase it reads the flag and the progress only: all cuts of one sector are alike.
    assert plain.made[0].power_ons >= len(wanted.operations)
    assert echoed.made[0].power_ons < 10
    assert echoed.made[0].operations < plain.made[0].operations


def test_recoveries_are_run_once_for_each_flash() -> None:
    plan = SweepPlan(phases=("before", "after"), live=0)
    factory = Counting(2)
    result = run_sweep(toy_target(), plan, factory=factory)
    # Every flash once, the clean boots once.
    assert factory.made[0].power_ons <= result.depths[0].distinct + 2
    assert result.depths[0].distinct == len(result.operations) + 1


def test_all_torn_variants_have_ids_that_replay() -> None:
    result = run_sweep(
        toy_target(), SweepPlan(phases=("torn",), torn=ALL_TORN, points=2, live=0), factory=BAD
    )
    assert len({(p.operation, p.variant) for p in result.points}) == len(result.points)
    for point in result.points:
        report = replay(toy_target(), f"toy:unicorn:7:op={point.operation}/torn/{point.variant}", factory=BAD)
        assert report.verdict == point.verdict


def test_a_live_check_that_differs_is_told() -> None:
    class Lying(ToyMachine):
        """Programs something else at the second power-on of a clean flash: not a function of its state."""

        def program(self, offset: int, value: int):
            if self.power_ons > 60 and self.operations % 7 == 0:
                value &= ~0x10
            return super().program(offset, value)

    class Factory:
        def __call__(self, target: Target, port: FlashPort, /) -> Lying:
            return Lying(port, frozenset({"never-again", "no-read-back"}), 1)

        def __reduce__(self) -> tuple[object, ...]:
            return (ToyFactory, ())

    plan = SweepPlan(phases=("after",), live=30, shrink=False)
    target = toy_target(sectors=1)
    assert target.board.flash.base == BASE
    result = run_sweep(
        target, dataclasses.replace(plan, phases=("before", "after", "torn")), factory=Factory()
    )
    assert any(check.different for check in result.live)
