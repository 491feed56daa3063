"""A sweep whose cuts are all made live: no derived flash, no recovery that is known already."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from brownout.errors import BrownoutError, CutNotFired, ReplayError, SweepError
from brownout.flash import FlashModel, RecordKind
from brownout.live.choose import in_states, spread
from brownout.live.sessions import LiveTarget, Session
from brownout.power import Cut, Replay, parse_replay
from brownout.sweep.assess import DISAGREE, HOOK, LOOP, NOT_FIRED, RULE, WRONG_FLASH
from brownout.sweep.clean_boots import unrest
from brownout.sweep.places import Places
from brownout.sweep.points import cuts_of, selected
from brownout.sweep.result import (
    FORMAT,
    VERSION,
    DepthSummary,
    Finding,
    FindingGroup,
    OperationInfo,
    PointResult,
    SweepResult,
    coverage_of,
)
from brownout.sweep.rules import rule_kinds
from brownout.sweep.stops import DeadlineError, StopReason, SweepInterruptedError, SweepStoppedError
from brownout.sweep.trace import check_names
from brownout.target import HookContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.flash import OperationLog
    from brownout.sweep.plan import SweepPlan
    from brownout.target import Target

_ARRIVED_WRONG: Final = "it arrived"

_Operation: TypeAlias = tuple[RecordKind, int, int, str]
"""An operation: kind, offset, length, digest of the data."""


class Progress(Protocol):
    """Told how far a sweep is."""

    def __call__(self, done: int, total: int, rate: float, /) -> None:
        """So many of so many points are done, so many a second."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveVerdict:
    """Name of the outcome, or of the failure; `detail` says what is wrong."""

    name: str
    detail: str
    failed: bool


def sweep_live(target: Target, plan: SweepPlan, *, progress: Progress | None = None) -> SweepResult:
    """Sweep a target on the plan's engine, in real time: every cut is made, every recovery waited for.

    Raises:
        SweepError: a plan with faults or pairs, or a target that is not well without a cut.
        EngineError: the engine cannot run the target.
        SweepStoppedError: the deadline passed, or the engine failed; it has what is known.
        SweepInterruptedError: Ctrl-C; it has what is known.
    """
    if plan.faults or plan.depth != 1:
        raise SweepError(
            f"engine {plan.engine}: makes single power cuts only: use --engine unicorn for faults and depth 2"
        )
    check_names(target)
    if not plan.phases:
        raise SweepError("phases: empty: there is nothing to sweep")
    seed = target.seed if plan.seed is None else plan.seed
    with LiveTarget(target, seed=seed, engine=plan.engine) as live:
        return _LiveSweep(live, plan, seed, progress).run()


class _LiveSweep:
    def __init__(self, live: LiveTarget, plan: SweepPlan, seed: int, progress: Progress | None) -> None:
        self._live = live
        self._target = live.target
        self._plan = plan
        self._seed = seed
        self._progress = progress
        self._places = Places(live.target)
        self._clean: list[_Operation] = []
        self._start = 0.0
        self._requested = 0
        self._points: list[PointResult] = []
        self._findings: list[Finding] = []
        self._groups: dict[tuple[str, str, str, str], str] = {}
        self._hits: list[tuple[str, str]] = []
        self._log: list[str] = []

    def run(self) -> SweepResult:
        self._start = time.monotonic()
        clean = self._live.run()
        verdict = judge(self._live, clean)
        if verdict.failed:
            raise SweepError(f"{self._target.name}: without a cut: {verdict.name}: {verdict.detail}")
        if verdict.name != self._target.expected:
            raise SweepError(
                f"{self._target.name}: without a cut it ends in '{verdict.name}', "
                f"expected '{self._target.expected}'"
            )
        log = self._live.model.log
        operations = self._operations(log)
        self._clean = _first_session(log)
        if not operations:
            raise SweepError(f"{self._target.name}: no flash operation ever happened: expected an upgrade")
        wanted = [
            (operation, phase, variant, cut)
            for operation in spread(self._allowed(operations), self._plan.points, self._seed)
            for phase, variant, cut in cuts_of(operation.number, self._plan)
        ]
        self._requested = len(wanted)

        def result(stopped: StopReason | None = None) -> SweepResult:
            return self._result(operations, verdict.name, time.monotonic() - self._start, stopped)

        try:
            enough = self._all_points(wanted)
        except KeyboardInterrupt as error:
            raise SweepInterruptedError(result(StopReason.INTERRUPTED)) from error
        except BrownoutError as error:
            reason = StopReason.DEADLINE if isinstance(error, DeadlineError) else StopReason.ERROR
            raise SweepStoppedError(str(error), result(reason)) from error
        return result(StopReason.MAX_FINDINGS if enough else None)

    def _all_points(self, wanted: Sequence[tuple[OperationInfo, str, str, Cut]]) -> bool:
        """Make the cuts; whether there are enough findings before all are made. Raises DeadlineError."""
        plan = self._plan
        for done, (operation, phase, variant, cut) in enumerate(wanted):
            self._tell(done, len(wanted))
            if plan.max_findings is not None and len(self._findings) >= plan.max_findings:
                return True
            if plan.deadline_s is not None and time.monotonic() - self._start >= plan.deadline_s:
                raise DeadlineError("the sweep is not done within its time: cut fewer points")
            self._point(operation, phase, variant, cut)
        self._tell(len(wanted), len(wanted))
        return False

    def _allowed(self, operations: Sequence[OperationInfo]) -> list[OperationInfo]:
        """Those that both plan and target want cut. Raises SweepError when there are none."""
        named = set(selected(self._plan, len(operations)))
        states = frozenset[str]() if self._target.live is None else self._target.live.states
        found = [item for item in in_states(operations, states) if item.number in named]
        if not found:
            raise SweepError(
                "operations: none of them is in a state of live.states: there is nothing to sweep"
            )
        return found

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total, done / max(1e-9, time.monotonic() - self._start))

    # -- points --------------------------------------------------------------------------------------------

    def _point(self, operation: OperationInfo, phase: str, variant: str, cut: Cut) -> None:
        try:
            sessions = self._live.run((cut,))
            verdict = judge(self._live, sessions)
            hit = self._hit(operation, cut)
            self._hits.append((hit.state, phase))
        except CutNotFired as error:
            sessions, hit = (), operation
            verdict = LiveVerdict(name=NOT_FIRED, detail=str(error), failed=True)
        finding = self._finding(hit, phase, cut, verdict, sessions) if verdict.failed else ""
        self._points.append(
            PointResult(
                operation=operation.number,
                phase=phase,
                variant=variant,
                verdict=verdict.name,
                finding=finding,
                same_as="",
                recovery_time=0,
            )
        )

    def _hit(self, expected: OperationInfo, cut: Cut) -> OperationInfo:
        """The operation that the cut hit, as its own run tells it.

        In real time operation N of one run need not be that of another.
        """
        log = self._live.model.log
        done = _first_session(log)
        if done == self._clean[: len(done)]:
            return expected
        hit = self._operations(log)[-1]
        if hit != expected:
            self._log.append(
                f"{cut}: hit {_where(hit)}; without a cut, this operation was {_where(expected)}"
            )
        return hit

    # -- the result ----------------------------------------------------------------------------------------

    def _finding(
        self,
        operation: OperationInfo,
        phase: str,
        cut: Cut,
        verdict: LiveVerdict,
        sessions: Sequence[Session],
    ) -> str:
        replay = str(Replay(board=self._target.name, engine=self._plan.engine, seed=self._seed, cuts=(cut,)))
        name = f"F{len(self._findings) + 1}"
        likes = (verdict.name, phase, operation.kind, operation.region)
        self._findings.append(
            Finding(
                id=name,
                group=self._groups.setdefault(likes, f"G{len(self._groups) + 1}"),
                verdict=verdict.name,
                detail=verdict.detail,
                replay=replay,
                shrunk=replay,
                cuts=(str(cut),),
                operations=(operation.number,),
                where=(_where(operation),),
                trail=tuple(session_text(number, session) for number, session in enumerate(sessions, 1)),
            )
        )
        return name

    def _operations(self, log: OperationLog) -> list[OperationInfo]:
        """Those of the first power session; they are done once more on a model, for the state before each."""
        state_of = self._target.state_of
        model = FlashModel(self._live.start.geometry, seed=self._seed)
        model.restore(self._live.start)
        model.power_on()
        found: list[OperationInfo] = []
        boot = 1
        for record in log:
            boot += record.session == 1 and record.kind is RecordKind.RESET
            if record.session != 1 or not record.is_operation:
                continue
            found.append(
                OperationInfo(
                    number=record.ordinal,
                    kind=record.kind.value,
                    offset=record.offset,
                    length=record.length,
                    pc=0,
                    symbol="",
                    region=self._places.region(record.offset),
                    state="" if state_of is None else state_of(bytes(model.shadow)),
                    boot=boot,
                )
            )
            model.apply(record.operation())
        return found

    def _result(
        self, operations: Sequence[OperationInfo], clean: str, seconds: float, stopped: StopReason | None
    ) -> SweepResult:
        target, flash = self._target, self._target.board.flash
        failed = len(self._findings)
        fired = sum(point.verdict != NOT_FIRED for point in self._points)
        return SweepResult(
            format=FORMAT,
            version=VERSION,
            target=target.name,
            board=target.board.name,
            engine=self._plan.engine,
            seed=self._seed,
            phases=self._plan.phases,
            faults=(),
            duration_s=seconds,
            points_per_s=len(self._points) / seconds if seconds else 0.0,
            clean_outcome=clean,
            clean_time=0,
            array_base=flash.base,
            array_size=flash.size,
            sector_sizes=target.board.flash.sector_runs,
            regions={name: (area.start, area.end - area.start) for name, area in target.region_names.items()},
            operations=operations,
            points=self._points,
            depths=[
                DepthSummary(depth=1, requested=self._requested, fired=fired, distinct=fired, failed=failed)
            ],
            findings=self._findings,
            groups=self._found_groups(),
            coverage=coverage_of(self._hits),
            live=[],
            machine_log=self._log,
            complete=stopped is None,
            stopped="" if stopped is None else stopped.value,
        )

    def _found_groups(self) -> list[FindingGroup]:
        counts = Counter(finding.group for finding in self._findings)
        groups = []
        for (verdict, phase, kind, region), name in self._groups.items():
            members = [finding for finding in self._findings if finding.group == name]
            of = f" of {region}" if region else ""
            groups.append(
                FindingGroup(
                    id=name,
                    title=f"{verdict}: {phase}, {kind}{of}",
                    verdict=verdict,
                    count=counts[name],
                    example=members[0].id,
                    operations=sorted({number for finding in members for number in finding.operations}),
                )
            )
        return groups


def judge(live: LiveTarget, sessions: Sequence[Session]) -> LiveVerdict:
    """What came of a run(): its sessions, the rules of the flash, the target's hooks. Raises SweepError."""
    target, rules = live.target, rule_kinds(live.target.rules)
    boots = [session for session in sessions if session.cut is None]
    recovery = boots[0]
    if not recovery.outcome:
        name = WRONG_FLASH if recovery.wrong.startswith(_ARRIVED_WRONG) else LOOP
        return LiveVerdict(name=name, detail=recovery.wrong, failed=True)
    restless = unrest([boot.cells for boot in boots])
    for number, boot in enumerate(boots[1:], 1):
        if boot.outcome != recovery.outcome:
            found = f"'{boot.outcome}'" if boot.outcome else boot.wrong
            detail = f"clean boot {number}: {found}, the recovery ended in '{recovery.outcome}'"
            return LiveVerdict(name=DISAGREE, detail=detail, failed=True)
        if number == restless:
            detail = f"clean boot {number} changed the flash ({boot.operations} operations)"
            return LiveVerdict(name=DISAGREE, detail=detail, failed=True)
    for violation in live.model.violations:
        if violation.kind in rules:
            return LiveVerdict(name=RULE, detail=str(violation), failed=True)
    context = HookContext(
        target=target,
        flash=boots[-1].flash,
        before=live.before,
        log=live.model.log,
        outcomes=tuple(boot.outcome for boot in boots[1:]),
        surroundings=live.surroundings,
    )
    for name, hook in target.hooks.items():
        broken = hook(context)
        if broken:
            return LiveVerdict(name=HOOK, detail=f"{name}: {broken}", failed=True)
    return LiveVerdict(name=recovery.outcome, detail="", failed=False)


def replay_live(target: Target, replay: str) -> tuple[LiveVerdict, tuple[str, ...]]:
    """Do a run of a live sweep again: the verdict, and each power session in a line.

    Raises ReplayError, SweepError, EngineError, CutNotFired.
    """
    wanted = parse_replay(replay)
    if wanted.board != target.name:
        raise ReplayError(
            f"replay id '{replay}': is for target '{wanted.board}', this one is '{target.name}'"
        )
    with LiveTarget(target, seed=wanted.seed, engine=wanted.engine) as live:
        sessions = live.run(wanted.power_cuts)
        return judge(live, sessions), tuple(
            session_text(number, item) for number, item in enumerate(sessions, 1)
        )


def session_text(number: int, session: Session) -> str:
    """A power session in one line."""
    if session.cut is not None:
        hit = "" if session.hit is None else f" hit {session.hit.kind.value} at {session.hit.offset:#x}"
        return f"boot {number}: {session.cut}{hit}; flash {session.digest[:12]}"
    end = f"arrived in '{session.outcome}'" if session.outcome else session.wrong
    return f"boot {number}: {end} after {session.operations} flash operation(s); flash {session.digest[:12]}"


def _first_session(log: OperationLog) -> list[_Operation]:
    return [(item.kind, item.offset, item.length, item.digest) for item in log.operations(1)]


def _where(operation: OperationInfo) -> str:
    where = f"{operation.kind} at {operation.offset:#x}"
    return f"{where} ({operation.region})" if operation.region else where
