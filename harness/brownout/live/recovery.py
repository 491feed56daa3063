"""One upgrade with cuts on any engine, and what came of it: for test frameworks (pytest, Robot Framework).

target = load_target(Path("target.toml"))
for planned in plan_cuts(target, points=20):
    recover(target, [planned.event]).raise_for_failure()
"""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.engines.controller import geometry_of
from brownout.errors import CutNotFired, EngineError, ReplayError
from brownout.live.choose import in_states, spread
from brownout.live.runners import RUNNERS, make_runner, runner_problem
from brownout.live.sessions import LiveTarget
from brownout.live.sweep import judge, session_text
from brownout.power import Replay, parse_event, parse_replay
from brownout.sweep.assess import NOT_FIRED
from brownout.sweep.commands import replay_command
from brownout.sweep.live import run_live
from brownout.sweep.places import Places
from brownout.sweep.plan import FEW_TORN, PHASES, SweepPlan
from brownout.sweep.points import check_plan, cuts_of, kind_name, points_of, selected
from brownout.sweep.result import OperationInfo
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.trace import check_names, initial_flash
from brownout.sweep.unicorn_machine import unicorn_machine

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.flash import LogRecord, Operation
    from brownout.power import Event
    from brownout.sweep.plan import TornVariant
    from brownout.target import Target

_LIVE_POINTS: Final = 10
"""Operations to cut unless it is told, where every cut is made live: as `brownout sweep` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlannedCut:
    """A cut that a sweep of the target would make. `operation` counts from 1 in the run without a cut.

    `phase` is "before", "torn" or "after"; `variant` says how a torn operation is torn, else "".
    """

    operation: int
    phase: str
    variant: str
    event: Event

    def __str__(self) -> str:
        return str(self.event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovered:
    """What came of an upgrade with cuts.

    `verdict` is the name of an outcome of the target, or of a failure (docs/sweep.md); `story` tells it boot
    by boot; `flash_before` is the whole array before the first power-on, `flash` at the end, `log` has every
    flash operation and power event in between. `command` does it again.
    """

    target: Target
    engine: str
    seed: int
    cuts: tuple[Event, ...]
    verdict: str
    failed: bool
    detail: str
    story: tuple[str, ...]
    replay: str
    command: str
    flash_before: bytes
    flash: bytes
    log: tuple[LogRecord, ...]

    @property
    def operations(self) -> tuple[LogRecord, ...]:
        """The flash operations, of all boots."""
        return tuple(record for record in self.log if record.is_operation)

    def raise_for_failure(self) -> None:
        """Raises AssertionError with the whole story and the command when the device is not well."""
        if self.failed:
            raise AssertionError(str(self))

    def __str__(self) -> str:
        head = f"{self.verdict}: {self.detail}" if self.detail else self.verdict
        return "\n".join([head, *self.story, f"again: {self.command}"])


def default_engine(target: Target) -> str:
    """What runs the target when nobody says: unicorn when it can, else the first engine that can here.

    Raises EngineError when none can, with the reason of each.
    """
    problems = {engine: runner_problem(target, engine) for engine in RUNNERS}
    for engine, problem in problems.items():
        if not problem:
            return engine
    raise EngineError(f"{target.name}: no engine runs it here: {'; '.join(problems.values())}")


def check_engine(target: Target, engine: str) -> str:
    """The engine's name, or the default for "". Raises EngineError for an unknown one or one that cannot."""
    if not engine:
        return default_engine(target)
    if engine not in RUNNERS:
        near = difflib.get_close_matches(engine, RUNNERS, n=1, cutoff=0.0)
        raise EngineError(
            f"engine '{engine}': not known; did you mean '{near[0]}'? expected one of {', '.join(RUNNERS)}"
        )
    problem = runner_problem(target, engine)
    if problem:
        raise EngineError(problem)
    return engine


# -- one run -----------------------------------------------------------------------------------------------


def recover(
    target: Target, cuts: Sequence[Event | str] | str, *, engine: str = "", seed: int | None = None
) -> Recovered:
    """Do the target's upgrade with some cuts, from the first power-on, let it recover, and judge it.

    Args:
        target: of brownout.target.load_target().
        cuts: what happens, in order, as values or as text (docs/power-cuts.md); or a replay id, which has
            engine and seed as well. A cut that does not fire gives the verdict "not-fired".
        engine: unicorn, qemu or renode; "" takes the replay id's, else default_engine().
        seed: where everything random comes from; None takes the replay id's, else the target's.

    Raises:
        ReplayError: text that is no cut or no replay id, one of another target, engine or seed.
        EngineError: the engine is not known, cannot run the target, or ended by itself.
        SweepError, TargetError: the target cannot be run.
    """
    events, engine, seed = _wanted(target, cuts, engine, seed)
    check_names(target)
    engine = check_engine(target, engine)
    if engine == "unicorn":
        return _on_unicorn(target, events, seed)
    return _live(target, events, engine, seed)


def _wanted(
    target: Target, cuts: Sequence[Event | str] | str, engine: str, seed: int | None
) -> tuple[tuple[Event, ...], str, int]:
    if not isinstance(cuts, str):
        events = tuple(parse_event(item) if isinstance(item, str) else item for item in cuts)
        return events, engine, target.seed if seed is None else seed
    replay = parse_replay(cuts)
    for what, found, expected in (
        ("target", replay.board, target.name),
        ("engine", replay.engine, engine or replay.engine),
        ("seed", replay.seed, replay.seed if seed is None else seed),
    ):
        if found != expected:
            raise ReplayError(f"replay id '{cuts}': is for {what} '{found}', expected '{expected}'")
    return replay.cuts, replay.engine, replay.seed


def _on_unicorn(target: Target, events: tuple[Event, ...], seed: int) -> Recovered:
    runtime = Runtime(Setup(target=target, seed=seed, factory=unicorn_machine))
    try:
        run = run_live(runtime, events)
        replay = str(Replay(board=target.name, engine="unicorn", seed=seed, cuts=events))
        return Recovered(
            target=target,
            engine="unicorn",
            seed=seed,
            cuts=events,
            verdict=run.assessment.verdict,
            failed=run.assessment.failed,
            detail=run.assessment.detail,
            story=tuple(map(str, run.boots)),
            replay=replay,
            command=replay_command(str(target.path), replay),
            flash_before=b"".join(runtime.start.array.sectors),
            flash=run.flash,
            log=tuple(runtime.booter.model.log),
        )
    finally:
        runtime.close()


def _live(target: Target, events: tuple[Event, ...], engine: str, seed: int) -> Recovered:
    replay = Replay(board=target.name, engine=engine, seed=seed, cuts=events)
    with LiveTarget(target, seed=seed, engine=engine) as live:
        story: tuple[str, ...] = ()
        try:
            sessions = live.run(replay.power_cuts)
        except CutNotFired as error:
            verdict, failed, detail, flash = NOT_FIRED, True, str(error), bytes(live.model.shadow)
        else:
            judged = judge(live, sessions)
            verdict, failed, detail = judged.name, judged.failed, judged.detail
            story = tuple(session_text(number, item) for number, item in enumerate(sessions, 1))
            flash = sessions[-1].flash
        return Recovered(
            target=target,
            engine=engine,
            seed=seed,
            cuts=events,
            verdict=verdict,
            failed=failed,
            detail=detail,
            story=story,
            replay=str(replay),
            command=replay_command(str(target.path), str(replay)),
            flash_before=live.before,
            flash=flash,
            log=tuple(live.model.log),
        )


# -- many --------------------------------------------------------------------------------------------------


def plan_cuts(
    target: Target,
    *,
    points: int | None = None,
    phases: Sequence[str] = PHASES,
    torn: Sequence[TornVariant] = FEW_TORN,
    operations: Sequence[tuple[int, int | None]] = (),
    engine: str = "",
    seed: int | None = None,
) -> tuple[PlannedCut, ...]:
    """The cuts that a sweep would make: the run without a cut is done once, and operations are drawn from it.

    The same target, seed and arguments give the same cuts, in the order of their operations.

    Args:
        target: of brownout.target.load_target().
        points: operations to cut; None cuts all (10 of them on qemu and renode). Each has a cut in every
            phase, a torn one for each way to tear.
        phases: some of "before", "torn", "after".
        torn: ways to tear an operation (brownout.sweep.FEW_TORN, ALL_TORN).
        operations: draw from these only, (first, last) of each part, None for the last there is.
        engine: unicorn, qemu or renode; "" takes default_engine().
        seed: None takes the target's.

    Raises:
        SweepError: what is asked for cannot be, or the target does not get through the run without a cut.
        EngineError: the engine is not known, cannot run the target, or ended by itself.
    """
    engine = check_engine(target, engine)
    check_names(target)
    seed = target.seed if seed is None else seed
    if engine != "unicorn" and points is None:
        points = _LIVE_POINTS
    plan = SweepPlan(
        seed=seed,
        engine=engine,
        phases=tuple(phases),
        torn=tuple(torn),
        points=points,
        operations=tuple(operations),
    )
    check_plan(plan)
    if engine != "unicorn":
        return _planned_live(target, plan, seed)
    runtime = Runtime(Setup(target=target, seed=seed, factory=unicorn_machine))
    try:
        found = points_of(runtime.trace(faults=False), plan, seed)
    finally:
        runtime.close()
    return tuple(
        PlannedCut(operation=point.operation, phase=point.phase, variant=point.variant, event=point.event)
        for point in found
    )


def _planned_live(target: Target, plan: SweepPlan, seed: int) -> tuple[PlannedCut, ...]:
    with make_runner(target, plan.engine, seed=seed) as runner:
        clean = _operations(target, runner.clean(), seed)
    named = set(selected(plan, len(clean)))
    states = frozenset[str]() if target.live is None else target.live.states
    allowed = [item for item in in_states(clean, states) if item.number in named]
    return tuple(
        PlannedCut(operation=item.number, phase=phase, variant=variant, event=cut)
        for item in spread(allowed, plan.points, seed)
        for phase, variant, cut in cuts_of(item.number, plan)
    )


def _operations(target: Target, clean: Sequence[Operation], seed: int) -> list[OperationInfo]:
    """The operations of the run without a cut, done once more on a model for the state before each."""
    model = initial_flash(target, geometry_of(target.board.flash), seed)
    model.power_on()
    places, state_of = Places(target), target.state_of
    found: list[OperationInfo] = []
    for number, operation in enumerate(clean, 1):
        found.append(
            OperationInfo(
                number=number,
                kind=kind_name(operation),
                offset=operation.offset,
                length=operation.length,
                pc=0,
                symbol="",
                region=places.region(operation.offset),
                state="" if state_of is None else state_of(bytes(model.shadow)),
                boot=1,
            )
        )
        model.apply(operation)
    return found


__all__ = [
    "PlannedCut",
    "Recovered",
    "check_engine",
    "default_engine",
    "plan_cuts",
    "recover",
]
