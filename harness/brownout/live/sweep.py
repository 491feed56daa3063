"""A sweep whose cuts are all made live: no derived flash, no recovery that is known already."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from brownout.errors import CutNotFired, ReplayError, SweepError
from brownout.flash import FlashModel, RecordKind
from brownout.live.qemu import LiveTarget, Session
from brownout.power import Cut, Replay, parse_replay
from brownout.sweep.assess import DISAGREE, HOOK, LOOP, NOT_FIRED, RULE, WRONG_FLASH
from brownout.sweep.points import cuts_of, sample
from brownout.sweep.result import (
    DepthSummary,
    Finding,
    FindingGroup,
    OperationInfo,
    PointResult,
    SweepResult,
)
from brownout.sweep.rules import rule_kinds
from brownout.target import HookContext

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.flash import OperationLog
    from brownout.sweep.plan import SweepPlan
    from brownout.target import Target

_ENGINE: Final = "qemu"
_ARRIVED_WRONG: Final = "it arrived"


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
    """Sweep a target on QEMU: every cut is made, every recovery waited for.

    Raises:
        SweepError: a plan with faults or pairs, or a target that is not well without a cut.
        EngineError: QEMU cannot run the target.
    """
    if plan.faults or plan.depth != 1:
        raise SweepError(
            "engine qemu: makes single power cuts only: use --engine unicorn for faults and depth 2"
        )
    if not plan.phases:
        raise SweepError("phases: empty: there is nothing to sweep")
    seed = target.seed if plan.seed is None else plan.seed
    with LiveTarget(target, seed=seed) as live:
        return _LiveSweep(live, plan, seed, progress).run()


class _LiveSweep:
    def __init__(self, live: LiveTarget, plan: SweepPlan, seed: int, progress: Progress | None) -> None:
        self._live = live
        self._target = live.target
        self._plan = plan
        self._seed = seed
        self._progress = progress
        self._start = 0.0
        self._points: list[PointResult] = []
        self._findings: list[Finding] = []
        self._groups: dict[tuple[str, str, str, str], str] = {}

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
        operations = self._operations(self._live.model.log)
        if not operations:
            raise SweepError(f"{self._target.name}: no flash operation ever happened: expected an upgrade")
        wanted = [
            (number, phase, variant, cut)
            for number in sample(len(operations), self._plan.points, self._seed, "points")
            for phase, variant, cut in cuts_of(number, self._plan)
        ]
        for done, (number, phase, variant, cut) in enumerate(wanted):
            self._tell(done, len(wanted))
            self._point(operations[number - 1], phase, variant, cut)
        self._tell(len(wanted), len(wanted))
        return self._result(operations, verdict.name, time.monotonic() - self._start)

    def _tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total, done / max(1e-9, time.monotonic() - self._start))

    # -- points --------------------------------------------------------------------------------------------

    def _point(self, operation: OperationInfo, phase: str, variant: str, cut: Cut) -> None:
        try:
            sessions = self._live.run((cut,))
            verdict = judge(self._live, sessions)
        except CutNotFired as error:
            sessions = ()
            verdict = LiveVerdict(name=NOT_FIRED, detail=str(error), failed=True)
        finding = self._finding(operation, phase, cut, verdict, sessions) if verdict.failed else ""
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

    # -- the result ----------------------------------------------------------------------------------------

    def _finding(
        self,
        operation: OperationInfo,
        phase: str,
        cut: Cut,
        verdict: LiveVerdict,
        sessions: Sequence[Session],
    ) -> str:
        replay = str(Replay(board=self._target.name, engine=_ENGINE, seed=self._seed, cuts=(cut,)))
        name = f"F{len(self._findings) + 1}"
        likes = (verdict.name, phase, operation.kind, operation.region)
        where = f"{operation.kind} at {operation.offset:#x}"
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
                where=(f"{where} ({operation.region})" if operation.region else where,),
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
                    region=self._region(record.offset),
                    state="" if state_of is None else state_of(bytes(model.shadow)),
                    boot=boot,
                )
            )
            model.apply(record.operation())
        return found

    def _region(self, offset: int) -> str:
        around = [
            (area.end - area.start, name)
            for name, area in self._target.region_names.items()
            if area.start <= offset < area.end
        ]
        return min(around)[1] if around else ""

    def _result(self, operations: Sequence[OperationInfo], clean: str, seconds: float) -> SweepResult:
        target, flash = self._target, self._target.board.flash
        failed = len(self._findings)
        fired = sum(point.verdict != NOT_FIRED for point in self._points)
        return SweepResult(
            format="brownout-sweep",
            version=1,
            target=target.name,
            board=target.board.name,
            engine=_ENGINE,
            seed=self._seed,
            phases=self._plan.phases,
            faults=(),
            duration_s=seconds,
            points_per_s=len(self._points) / seconds if seconds else 0.0,
            clean_outcome=clean,
            clean_time=0,
            array_base=flash.base,
            array_size=flash.size,
            sector_sizes=_runs(target),
            regions={name: (area.start, area.end - area.start) for name, area in target.region_names.items()},
            operations=operations,
            points=self._points,
            depths=[
                DepthSummary(depth=1, requested=len(self._points), fired=fired, distinct=fired, failed=failed)
            ],
            findings=self._findings,
            groups=self._found_groups(),
            coverage=self._coverage(operations),
            live=[],
            machine_log=[],
        )

    def _coverage(self, operations: Sequence[OperationInfo]) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for point in self._points:
            state = operations[point.operation - 1].state
            if state:
                phases = found.setdefault(state, {})
                phases[point.phase] = phases.get(point.phase, 0) + 1
        return found

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
    for number, boot in enumerate(boots[1:], 1):
        if boot.outcome != recovery.outcome:
            found = f"'{boot.outcome}'" if boot.outcome else boot.wrong
            detail = f"clean boot {number}: {found}, the recovery ended in '{recovery.outcome}'"
            return LiveVerdict(name=DISAGREE, detail=detail, failed=True)
        if boot.flash != recovery.flash:
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
    with LiveTarget(target, seed=wanted.seed) as live:
        sessions = live.run(wanted.power_cuts)
        return judge(live, sessions), tuple(
            session_text(number, item) for number, item in enumerate(sessions, 1)
        )


def session_text(number: int, session: Session) -> str:
    """A power session in one line."""
    if session.cut is not None:
        return f"boot {number}: {session.cut}; flash {session.digest[:12]}"
    end = f"arrived in '{session.outcome}'" if session.outcome else session.wrong
    return f"boot {number}: {end} after {session.operations} flash operation(s); flash {session.digest[:12]}"


def _runs(target: Target) -> tuple[tuple[int, int], ...]:
    flash = target.board.flash
    if flash.sectors:
        return tuple((run[0], run[1]) for run in flash.sectors)
    return ((flash.size // flash.sector_size, flash.sector_size),)
