"""A whole sweep: the clean run, the points and pairs spread over workers, the findings."""

from __future__ import annotations

import hashlib
import pickle
import time
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, Final

from brownout.errors import SweepError
from brownout.power import Cut
from brownout.sweep.assess import FAILURES, NOT_FIRED, violation_text
from brownout.sweep.executors import Dispatcher, SerialExecutor
from brownout.sweep.findings import Finder
from brownout.sweep.graphs import RunGraph, chunks, sampled
from brownout.sweep.livecheck import check_live
from brownout.sweep.outcome import EndKind
from brownout.sweep.points import check_plan, cuts_per_operation, kind_name, points_of, sample
from brownout.sweep.result import (
    DepthSummary,
    Finding,
    FindingGroup,
    LiveCheck,
    OperationInfo,
    PointResult,
    SweepResult,
)
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.tasks import PairsTask, PointsTask, Record, ShrinkTask, drop_runtime, keep_runtime
from brownout.sweep.trace import check_names
from brownout.sweep.unicorn_machine import unicorn_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from brownout.power import Event
    from brownout.sweep.machine import MachineFactory
    from brownout.sweep.plan import SweepPlan
    from brownout.sweep.tasks import Reply, Task
    from brownout.sweep.trace import Trace
    from brownout.target import Target

FORMAT: Final = "brownout-sweep"
VERSION: Final = 1
_CHUNK: Final = 64
_ENGINES: Final = ("unicorn",)


def run_sweep(
    target: Target,
    plan: SweepPlan,
    executor: Executor | None = None,
    on_progress: Callable[[int, int, float], None] | None = None,
    *,
    width: int | None = None,
    factory: MachineFactory = unicorn_machine,
) -> SweepResult:
    """Sweep a target.

    Args:
        target: what to sweep.
        plan: which cuts and faults.
        executor: does the work (local_executor(), cluster_executor()); None: this thread.
        on_progress: told (points done, points in all as far as known, points per second) now and then.
        width: jobs that are given to the executor at a time; None guesses from this machine's processors.
        factory: makes the machine; it can be pickled.

    Raises:
        SweepError: the plan cannot be, the target does not get through a run without a cut, workers failed.
    """
    check_plan(plan)
    check_names(target)
    if plan.engine not in _ENGINES:
        raise SweepError(
            f"engine '{plan.engine}': sweeps run on {', '.join(_ENGINES)}; others check samples of it"
        )
    seed = target.seed if plan.seed is None else plan.seed
    runtime = Runtime(Setup(target=target, seed=seed, factory=factory))
    try:
        trace = runtime.trace(faults=bool(plan.faults))
        blob = _packed(replace(runtime.setup, clean=tuple(trace.boot.first.steps())))
    except BaseException:
        runtime.close()
        raise
    digest = hashlib.blake2b(blob, digest_size=16).hexdigest()
    keep_runtime(digest, runtime)
    try:
        deadline = None if plan.deadline_s is None else time.monotonic() + plan.deadline_s
        dispatcher = Dispatcher(executor or SerialExecutor(), digest, blob, width=width, deadline=deadline)
        return _Sweep(runtime, plan, trace, dispatcher, on_progress).run()
    finally:
        drop_runtime(digest)


def _packed(setup: Setup) -> bytes:
    try:
        return pickle.dumps(setup)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise SweepError(f"{setup.target.name}: cannot be sent to other processes: {error}") from error


class _Sweep:
    def __init__(
        self,
        runtime: Runtime,
        plan: SweepPlan,
        trace: Trace,
        dispatcher: Dispatcher,
        on_progress: Callable[[int, int, float], None] | None,
    ) -> None:
        self._runtime = runtime
        self._target = runtime.setup.target
        self._seed = runtime.setup.seed
        self._plan = plan
        self._trace = trace
        self._dispatcher = dispatcher
        self._on_progress = on_progress
        self._finder = Finder(self._target.name, plan.engine, self._seed, trace, runtime.places)
        self._points = points_of(trace, plan, self._seed)
        self._graph = RunGraph()
        self._log = list(runtime.booter.log)
        self._began = time.monotonic()
        self._done = 0
        self._total = len(self._points)

    def run(self) -> SweepResult:
        records = self._assess_points()
        first_of = self._firsts(records)
        pairs, depth_2 = self._assess_pairs(records, first_of) if self._plan.depth > 1 else ([], None)
        swept_s = time.monotonic() - self._began
        failures = [
            (record, self._points[record.number].operation)
            for record in records
            if record.verdict in FAILURES and first_of[record.key] == record.number
        ]
        failures += [(record, self._points[record.number].operation) for record in pairs]
        findings, groups = self._finder.findings(self._clean_failure() + failures)
        findings = self._shrunk(findings, groups, [record for record, _ in failures])
        live = self._live()
        depth_1 = DepthSummary(
            depth=1,
            requested=len(records),
            fired=sum(record.verdict != NOT_FIRED for record in records),
            distinct=len(first_of),
            failed=sum(record.verdict in FAILURES for record in records),
        )
        return self._result(
            records, first_of, findings, groups, live, [depth_1, *([depth_2] if depth_2 else [])], swept_s
        )

    # -- depth 1 -------------------------------------------------------------------------------------------

    def _assess_points(self) -> list[Record]:
        numbered = list(enumerate(self._points))
        # Faults join the clean run in its middle: in chunks of their own.
        cuts = [item for item in numbered if isinstance(item[1].event, Cut)]
        faults = [item for item in numbered if not isinstance(item[1].event, Cut)]
        segments = self._plan.depth > 1
        tasks: list[Task] = [
            PointsTask(points=tuple(part[start : start + _CHUNK]), segments=segments)
            for part in (cuts, faults)
            for start in range(0, len(part), _CHUNK)
        ]
        found: dict[int, Record] = {}
        for reply in self._replies(tasks):
            found.update((record.number, record) for record in reply.records)
            self._graph.add(reply.segments)
        return [found[number] for number in range(len(self._points))]

    def _firsts(self, records: Sequence[Record]) -> dict[bytes, int]:
        """For each state at a power-on, the first point that leads to it."""
        firsts: dict[bytes, int] = {}
        for record in records:
            firsts.setdefault(record.key, record.number)
        return firsts

    def _replies(self, tasks: Sequence[Task]) -> Iterator[Reply]:
        for reply in self._dispatcher.run(tasks):
            self._done += reply.done
            self._log.extend(line for line in reply.log if line not in self._log)
            self._tell()
            yield reply

    def _tell(self) -> None:
        if self._on_progress is not None:
            passed = time.monotonic() - self._began
            self._on_progress(self._done, self._total, self._done / passed if passed else 0.0)

    # -- depth 2 -------------------------------------------------------------------------------------------

    def _assess_pairs(
        self, records: Sequence[Record], first_of: Mapping[bytes, int]
    ) -> tuple[list[Record], DepthSummary]:
        """Cut the recoveries that end well. A piece of a run that several share is cut once."""
        well = [
            (record.number, event, record.key)
            for record in records
            if record.verdict not in FAILURES and isinstance(event := record.events[0], Cut)
        ]
        each = cuts_per_operation(self._plan)
        requested = each * sum(self._graph.operations(key) for _, _, key in well)
        shares = self._graph.shares([item for item in well if first_of[item[2]] == item[0]])
        count = sum(len(operations) for _, _, operations in shares)
        if self._plan.pairs is not None and self._plan.pairs < count:
            shares = sampled(shares, sample(count, self._plan.pairs, self._seed, "pairs"))
            count = self._plan.pairs
            requested = each * count
        self._total += each * count
        tasks = [PairsTask(recoveries=group, plan=self._plan) for group in chunks(shares, _CHUNK)]
        known = set(first_of)
        keys: set[bytes] = set()
        failures: list[Record] = []
        done = 0
        for reply in self._replies(tasks):
            keys.update(reply.well)
            failures += reply.records
            done += reply.done
        # In the order of their points, and of each flash the first only: chunks do not show.
        order = {cut: index for index, cut in enumerate(self._pair_order(failures))}
        failures.sort(key=lambda record: order[record.events])
        firsts: dict[bytes, Record] = {}
        for record in failures:
            if record.key not in known:
                firsts.setdefault(record.key, record)
        keys |= {record.key for record in failures}
        missing = 0 if done == each * count else each * count - done
        return list(firsts.values()), DepthSummary(
            depth=2,
            requested=requested,
            fired=requested - missing,
            distinct=len(keys - known),
            failed=len(failures),
        )

    def _pair_order(self, failures: Sequence[Record]) -> list[tuple[Event, ...]]:
        """Failures in the order in which one process would have found them."""

        def rank(record: Record) -> tuple[int, int, str]:
            second = record.events[1]
            number = second.trigger.number if isinstance(second, Cut) else 0
            return record.number, number, _phase_rank(second)

        return [record.events for record in sorted(failures, key=rank)]

    # -- findings ------------------------------------------------------------------------------------------

    def _clean_failure(self) -> list[tuple[Record, int]]:
        """A rule that the clean run itself breaks: one finding, without a cut."""
        broken = self._trace.boot.broken
        if broken is None:
            return []
        violation, done = broken.violation, [traced.done for traced in self._trace.operations]
        number = next((i for i, item in enumerate(done, 1) if violation in item.violations), 0)
        what = f"operation {number} breaks a rule of the flash" if number else violation_text(violation)
        record = Record(
            number=-1,
            events=(),
            key=b"",
            verdict="rule",
            detail=f"without a cut: {violation_text(violation)}",
            pc=broken.pc,
            recovery_time=0,
            trail=(f"boot 1: {what}",),
        )
        return [(record, number)]

    def _shrunk(
        self, findings: Sequence[Finding], groups: Sequence[FindingGroup], failures: Sequence[Record]
    ) -> list[Finding]:
        """The findings, the first of each group with the smallest cuts that fail alike."""
        if not self._plan.shrink:
            return list(findings)
        by_replay = {self._finder.replay_of(record.events): record.events for record in failures}
        by_id = {finding.id: (number, finding) for number, finding in enumerate(findings)}
        tasks: list[Task] = []
        for group in groups:
            number, finding = by_id[group.example]
            events = by_replay.get(finding.replay)
            if events:
                tasks.append(ShrinkTask(number=number, events=events))
        self._total += len(tasks)
        found = list(findings)
        for reply in self._replies(tasks):
            if reply.number is not None:
                shrunk = self._finder.replay_of(reply.shrunk)
                found[reply.number] = replace(found[reply.number], shrunk=shrunk)
        return found

    def _live(self) -> list[LiveCheck]:
        cuts = [point.event for point in self._points if isinstance(point.event, Cut)]
        chosen = sample(len(cuts), self._plan.live, self._seed, "live") if self._plan.live else []
        return check_live(self._runtime, [cuts[number - 1] for number in chosen])

    # -- the result ----------------------------------------------------------------------------------------

    def _result(
        self,
        records: Sequence[Record],
        first_of: Mapping[bytes, int],
        findings: Sequence[Finding],
        groups: Sequence[FindingGroup],
        live: Sequence[LiveCheck],
        depths: Sequence[DepthSummary],
        swept_s: float,
    ) -> SweepResult:
        target, flash = self._target, self._target.board.flash
        geometry = self._runtime.start.geometry
        boot = self._trace.boot
        return SweepResult(
            format=FORMAT,
            version=VERSION,
            target=target.name,
            board=target.board.name,
            engine=self._plan.engine,
            seed=self._seed,
            phases=self._plan.phases,
            faults=self._plan.faults,
            duration_s=time.monotonic() - self._began,
            points_per_s=self._done / swept_s if swept_s else 0.0,
            clean_outcome=boot.end.outcome if boot.kind is EndKind.ARRIVED else "",
            clean_time=boot.time,
            array_base=flash.base,
            array_size=flash.size,
            sector_sizes=_runs(geometry.sector(index).size for index in range(geometry.sector_count)),
            regions={name: (area.start, area.end - area.start) for name, area in target.region_names.items()},
            operations=self._operation_infos(),
            points=self._point_results(records, first_of, findings),
            depths=tuple(depths),
            findings=tuple(findings),
            groups=tuple(groups),
            coverage=self._coverage(),
            live=tuple(live),
            machine_log=tuple(self._log),
        )

    def _operation_infos(self) -> tuple[OperationInfo, ...]:
        places = self._runtime.places
        return tuple(
            OperationInfo(
                number=number,
                kind=kind_name(traced.done.operation),
                offset=traced.done.operation.offset,
                length=traced.done.operation.length,
                pc=traced.done.pc,
                symbol=places.symbol(traced.done.pc) if places.function(traced.done.pc) else "",
                region=places.region(traced.done.operation.offset),
                state=traced.state,
                boot=traced.boot,
            )
            for number, traced in enumerate(self._trace.operations, 1)
        )

    def _point_results(
        self, records: Sequence[Record], first_of: Mapping[bytes, int], findings: Sequence[Finding]
    ) -> tuple[PointResult, ...]:
        by_replay = {finding.replay: finding.id for finding in findings}
        found: list[PointResult] = []
        for record, point in zip(records, self._points, strict=True):
            first = self._points[first_of[record.key]]
            replay = self._finder.replay_of((first.event,))
            found.append(
                PointResult(
                    operation=point.operation,
                    phase=point.phase,
                    variant=point.variant,
                    verdict=record.verdict,
                    finding=by_replay.get(replay, ""),
                    same_as="" if first is point else replay,
                    recovery_time=record.recovery_time,
                )
            )
        return tuple(found)

    def _coverage(self) -> dict[str, dict[str, int]]:
        found: dict[str, dict[str, int]] = {}
        for point in self._points:
            state = self._trace.operations[point.operation - 1].state
            if state:
                phases = found.setdefault(state, {})
                phases[point.phase] = phases.get(point.phase, 0) + 1
        return found


def _runs(sizes: Iterable[int]) -> tuple[tuple[int, int], ...]:
    return tuple((len(list(same)), size) for size, same in groupby(sizes))


def _phase_rank(event: Event) -> str:
    if not isinstance(event, Cut):
        return str(event)
    return f"{('before', 'torn', 'after').index(event.phase.value)}{event}"


__all__ = ["run_sweep"]
