"""What a sweep finds is what brute force finds: each run from the first power-on, nothing derived."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sweep_toy import ToyFactory, settled, toy_target

from brownout.flash import Phase
from brownout.power import Cut, Event
from brownout.sweep.live import run_live
from brownout.sweep.plan import ALL_TORN, FAULTS, FEW_TORN, SweepPlan
from brownout.sweep.points import cuts_of, points_of
from brownout.sweep.run import run_sweep
from brownout.sweep.runtime import Runtime, Setup

if TYPE_CHECKING:
    from brownout.sweep.assess import Assessment
    from brownout.target import HookContext

DEFECTS = [
    "never-again",
    "done-first",
    "progress-first",
    "skips-blank",
    "glances",
    "trusts-done",
    "counts-damage",
    "resets-at-end",
    "no-read-back",
    "never-verifies",
    "dawdles",
]


@pytest.fixture(autouse=True, params=["echoes", "plain"])
def echoes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With echoes of even the shortest piece, and with none: the toy has no long ones."""
    if request.param == "echoes":
        monkeypatch.setattr("brownout.sweep.runs.ECHO_TIME", 0)


def runtime(factory: ToyFactory, *, seed: int = 7, **options: object) -> Runtime:
    return Runtime(Setup(target=toy_target(**options), seed=seed, factory=factory))


def essence(assessment: Assessment) -> tuple[str, str, int, list[tuple[str, int, int]]]:
    boots = [(boot.kind.value, boot.time, boot.operations) for boot in assessment.boots]
    return assessment.verdict, assessment.detail, assessment.recovery_time, boots


def brute(factory: ToyFactory, events: tuple[Event, ...], **options: object) -> Assessment:
    fresh = runtime(factory, **options)
    try:
        return run_live(fresh, events).assessment
    finally:
        fresh.close()


@pytest.mark.parametrize("write_once", [False, True])
@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_every_point_has_the_verdict_of_brute_force(defect: str | None, write_once: bool) -> None:
    factory = ToyFactory(defects=frozenset({"never-again", defect} if defect else ()), sectors=1)
    options = {
        "sectors": 1,
        "write_once": write_once,
        "hooks": {"settled": settled},
        "rules": frozenset({"sets-bit", "write-once"}),
    }
    swept = runtime(factory, **options)
    trace = swept.trace(faults=True)
    live = runtime(factory, **options)
    points = points_of(trace, SweepPlan(torn=ALL_TORN, faults=FAULTS), 7)
    assert len(points) > 300
    for point in points:
        wanted = run_live(live, (point.event,)).assessment
        assert essence(swept.assess((point.event,))) == essence(wanted), point


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    defects=st.sets(st.sampled_from(DEFECTS), max_size=3),
    seed=st.integers(min_value=0, max_value=2**32),
    sectors=st.integers(min_value=1, max_value=3),
    order=st.randoms(use_true_random=False),
)
def test_the_order_of_points_does_not_matter(defects, seed, sectors, order) -> None:
    factory = ToyFactory(defects=frozenset(defects), sectors=sectors)
    swept = runtime(factory, sectors=sectors, seed=seed)
    trace = swept.trace(faults=True)
    points = points_of(trace, SweepPlan(torn=FEW_TORN, faults=FAULTS, points=8), seed)
    order.shuffle(points)
    live = runtime(factory, sectors=sectors, seed=seed)
    for point in points:
        wanted = run_live(live, (point.event,)).assessment
        assert essence(swept.assess((point.event,))) == essence(wanted), point


@pytest.mark.parametrize("slack", [0, 8, 30, 60, 90])
def test_a_known_rest_counts_against_the_budget(slack: int) -> None:
    """After some cuts it copies twice: a budget that is too small for that ends as a loop."""
    plain = runtime(ToyFactory(sectors=1), sectors=1).trace(faults=False)
    options = {"sectors": 1, "budget": plain.boot.time + slack}
    swept, live = (runtime(ToyFactory(sectors=1), **options) for _ in range(2))
    trace = swept.trace(faults=False)
    verdicts = set()
    for point in points_of(trace, SweepPlan(torn=ALL_TORN, faults=("reset", "rejected")), 7):
        found = swept.assess((point.event,))
        wanted = run_live(live, (point.event,)).assessment
        assert (found.verdict, found.recovery_time) == (wanted.verdict, wanted.recovery_time), point
        verdicts.add(found.verdict)
    assert verdicts == ({"new", "loop"} if slack < 60 else verdicts)


@pytest.mark.parametrize("slack", [0, 40, 120])
def test_a_boot_that_is_known_counts_against_the_budget_as_well(slack: int) -> None:
    """The second recovery from the same flash ends as the first did."""
    factory = ToyFactory(sectors=3, defects=frozenset({"progress-first"}))
    plain = runtime(factory, sectors=3).trace(faults=False)
    options = {"sectors": 3, "budget": plain.boot.time + slack}
    swept, live = (runtime(factory, **options) for _ in range(2))
    verdicts = set()
    for point in points_of(swept.trace(faults=False), SweepPlan(), 7):
        wanted = run_live(live, (point.event,)).assessment
        for _ in range(2):
            found = swept.assess((point.event,))
            assert (found.verdict, found.detail) == (wanted.verdict, wanted.detail), point
        verdicts.add(found.verdict)
    assert verdicts == {"new", "loop"}


def failing(defect: str, phases: tuple[str, ...] = ("before", "after")) -> set[tuple[int, str]]:
    plan = SweepPlan(phases=phases, live=0, shrink=False)
    result = run_sweep(toy_target(), plan, factory=ToyFactory(defects=frozenset({defect, "never-again"})))
    return {(point.operation, point.phase) for point in result.points if point.finding}


def test_the_known_defect_is_found_at_exactly_its_operations() -> None:
    # 1 says done; for each of two sectors an erase, 16 words, its progress: 2-19 and 20-37; 38 says done.
    # From the first erase on until the last word is there, the image is neither old nor new.
    mixed = {(number, "before") for number in range(3, 37)} | {(number, "after") for number in range(2, 36)}
    assert failing("done-first") == mixed


@pytest.mark.parametrize(
    "plan", [SweepPlan(torn=ALL_TORN), SweepPlan(phases=("before", "after"), depth=2, pairs=200)]
)
def test_a_correct_bootloader_has_no_findings(plan: SweepPlan) -> None:
    result = run_sweep(toy_target(), plan, factory=ToyFactory())
    assert result.findings == ()
    assert [depth.failed for depth in result.depths] == [0] * plan.depth
    assert {point.verdict for point in result.points} == {"new"}


@pytest.mark.parametrize("defect", [None, "done-first", "resets-at-end"])
def test_all_pairs_have_the_verdict_of_brute_force(defect: str | None) -> None:
    """Cuts before and after operations draw nothing: pairs that share a piece leave the same flash."""
    factory = ToyFactory(defects=frozenset({"never-again", defect} if defect else ()), sectors=1)
    plan = SweepPlan(phases=("before", "after"), depth=2, live=0, shrink=False)
    result = run_sweep(toy_target(sectors=1), plan, factory=factory)
    live = runtime(factory, sectors=1)
    trace = live.trace(faults=False)
    ones = {point.event: run_live(live, (point.event,)).assessment for point in points_of(trace, plan, 7)}
    first_level = {assessment.key for assessment in ones.values()}
    pairs: dict[bytes, str] = {}
    count = 0
    for first, assessment in ones.items():
        if assessment.failed:
            continue
        for number in range(1, assessment.boots[0].operations + 1):
            for _, _, second in cuts_of(number, plan):
                count += 1
                both = run_live(live, (first, second)).assessment
                pairs[both.key] = both.verdict
    deep = result.depths[1]
    assert (deep.requested, deep.fired) == (count, count)
    fresh = {key: verdict for key, verdict in pairs.items() if key not in first_level}
    assert deep.distinct == len(fresh)
    failed = {key for key, verdict in fresh.items() if verdict not in ("new", "old")}
    assert len([f for f in result.findings if len(f.cuts) == 2]) == len(failed)


@pytest.mark.parametrize("defect", [None, "skips-blank", "glances"])
def test_torn_pairs_have_the_verdict_of_brute_force(defect: str | None) -> None:
    factory = ToyFactory(defects=frozenset({"never-again", defect} if defect else ()), sectors=1)
    plan = SweepPlan(phases=("torn",), torn=ALL_TORN)
    swept = runtime(factory, sectors=1)
    trace = swept.trace(faults=False)
    live = runtime(factory, sectors=1)
    for point in points_of(trace, SweepPlan(phases=("torn",)), 7)[::7]:
        assert isinstance(point.event, Cut)
        operations = swept.recovery(point.event).operations
        wanted = list(range(1, operations + 1, 5))
        cuts = lambda number: (cut for _, _, cut in cuts_of(number, plan))  # noqa: E731
        for second, _, assessment in swept.recoveries_of(point.event, wanted, cuts):
            assert essence(assessment) == essence(run_live(live, (point.event, second)).assessment)


def reads_the_log(context: HookContext) -> str | None:
    """Tells what it saw, so that a wrong log shows."""
    cuts = [(r.session, r.sequence, r.cut.value) for r in context.log.operations() if r.cut is not None]
    faults = [record.fault for record in context.log if record.fault]
    return f"{len(context.log.operations())} operations, cuts {cuts}, faults {faults}"


@pytest.mark.parametrize("defect", [None, "resets-at-end"])
def test_a_hook_sees_the_log_that_really_happened(defect: str | None) -> None:
    factory = ToyFactory(defects=frozenset({"never-again", defect} if defect else ()), sectors=1)
    options = {"sectors": 1, "hooks": {"log": reads_the_log}}
    swept = runtime(factory, **options)
    trace = swept.trace(faults=True)
    live = runtime(factory, **options)
    for point in points_of(trace, SweepPlan(faults=FAULTS), 7):
        wanted = run_live(live, (point.event,)).assessment
        found = swept.assess((point.event,))
        assert found.verdict == "hook" or found.verdict == wanted.verdict
        assert (found.verdict, found.detail) == (wanted.verdict, wanted.detail), point
    first = next(p.event for p in points_of(trace, SweepPlan(phases=("after",)), 7))
    second = next(cut for _, _, cut in cuts_of(3, SweepPlan(phases=(Phase.TORN.value,))))
    assert swept.assess((first, second)).detail == run_live(live, (first, second)).assessment.detail
