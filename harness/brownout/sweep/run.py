"""A whole sweep: the clean run, the points and pairs spread over workers, the findings."""

from __future__ import annotations

import hashlib
import pickle
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from brownout.errors import BrownoutError, SweepError
from brownout.power import Cut
from brownout.sweep.assess import FAILURES, NOT_FIRED
from brownout.sweep.entries import clean_failures, operation_infos, point_results
from brownout.sweep.executors import Dispatcher, SerialExecutor
from brownout.sweep.findings import Finder
from brownout.sweep.graphs import RunGraph
from brownout.sweep.livecheck import check_live
from brownout.sweep.outcome import EndKind
from brownout.sweep.pairs import Pairs
from brownout.sweep.points import check_plan, points_of, sample
from brownout.sweep.result import (
    FORMAT,
    VERSION,
    DepthSummary,
    LiveCheck,
    SweepResult,
    coverage_of,
)
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.stops import DeadlineError, StopReason, SweepInterruptedError, SweepStoppedError
from brownout.sweep.tasks import PointsTask, ShrinkTask, drop_runtime, keep_runtime
from brownout.sweep.trace import check_alone, check_names
from brownout.sweep.unicorn_machine import unicorn_machine

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Executor

    from brownout.sweep.machine import MachineFactory
    from brownout.sweep.plan import SweepPlan
    from brownout.sweep.tasks import Record, Reply, Task
    from brownout.sweep.trace import Trace
    from brownout.target import Target

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
        SweepError: the plan cannot be, the target does not get through a run without a cut.
        SweepStoppedError: the deadline passed, or workers failed; it has what is known.
        SweepInterruptedError: Ctrl-C; it has what is known.
    """
    check_plan(plan)
    check_alone(target)
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
    """What is known grows in here; when it ends early, that is what there is."""

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
        self._swept_s = 0.0
        self._done = 0
        self._total = len(self._points)
        self._clean_failures = clean_failures(trace)
        self._records: dict[int, Record] = {}
        self._pairs: Pairs | None = None
        self._failing: set[bytes] = set()
        """Of the points that are done without a gap: `_gapless` of them."""
        self._gapless = 0
        self._shrunk: dict[str, str] = {}
        self._live: list[LiveCheck] = []

    def run(self) -> SweepResult:
        """Raises SweepStoppedError, SweepInterruptedError: with what is known."""
        try:
            enough = self._assess()
            self._swept_s = time.monotonic() - self._began
            self._shrink()
            self._check_live()
        except KeyboardInterrupt as error:
            raise SweepInterruptedError(self._result(StopReason.INTERRUPTED)) from error
        except BrownoutError as error:
            reason = StopReason.DEADLINE if isinstance(error, DeadlineError) else StopReason.ERROR
            raise SweepStoppedError(str(error), self._result(reason)) from error
        return self._result(StopReason.MAX_FINDINGS if enough else None)

    def _assess(self) -> bool:
        """Points, then pairs; whether there are enough findings before all are done."""
        if self._assess_points():
            return True
        return self._plan.depth > 1 and self._assess_pairs()

    # -- depth 1 -------------------------------------------------------------------------------------------

    def _assess_points(self) -> bool:
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
        if self._has_enough():
            return True
        for reply in self._replies(tasks):
            self._records.update((record.number, record) for record in reply.records)
            self._graph.add(reply.segments)
            if self._has_enough():
                return self._gapless < len(self._points)
        return False

    def _has_enough(self) -> bool:
        """Whether the first points, as far as they are done without a gap, have enough findings.

        Points beyond the last of these are dropped then: which worker was first does not show.
        """
        if self._plan.max_findings is None:
            return False
        while self._findings_left > 0 and self._gapless in self._records:
            record = self._records[self._gapless]
            self._gapless += 1
            if record.verdict in FAILURES:
                self._failing.add(record.key)
        if self._findings_left > 0:
            return False
        self._records = {number: self._records[number] for number in range(self._gapless)}
        return True

    @property
    def _findings_left(self) -> int:
        return (self._plan.max_findings or 0) - len(self._clean_failures) - len(self._failing)

    def _in_order(self) -> list[Record]:
        return [self._records[number] for number in sorted(self._records)]

    def _firsts(self) -> dict[bytes, int]:
        """For each state at a power-on, the first point that leads to it."""
        firsts: dict[bytes, int] = {}
        for record in self._in_order():
            firsts.setdefault(record.key, record.number)
        return firsts

    def _replies(self, tasks: Sequence[Task]) -> Iterator[Reply]:
        for reply in self._dispatcher.run(tasks):
            self._done += reply.done
            self._log.extend(line for line in reply.log if line not in self._log)
            yield reply
            # Who sees it and presses Ctrl-C finds in the result what was told.
            self._tell()

    def _tell(self) -> None:
        if self._on_progress is not None:
            passed = time.monotonic() - self._began
            self._on_progress(self._done, self._total, self._done / passed if passed else 0.0)

    # -- depth 2 -------------------------------------------------------------------------------------------

    def _assess_pairs(self) -> bool:
        self._pairs = pairs = Pairs(
            self._plan, self._seed, self._graph, self._in_order(), self._firsts(), _CHUNK
        )
        self._total += pairs.cuts
        for reply in self._replies(pairs.tasks):
            pairs.take(reply)
            if self._plan.max_findings is not None and pairs.stop_after(self._findings_left):
                return True
        return False

    # -- findings ------------------------------------------------------------------------------------------

    def _failures(self) -> list[tuple[Record, int]]:
        """What failed, once for each flash, and the operations of the clean run that were hit."""
        first_of = self._firsts()
        failures = [
            record
            for record in self._in_order()
            if record.verdict in FAILURES and first_of[record.key] == record.number
        ]
        failures += self._pairs.failures() if self._pairs is not None else []
        return [(record, self._points[record.number].operation) for record in failures]

    def _shrink(self) -> None:
        """Look for the smallest cuts that fail like the first of each group."""
        if not self._plan.shrink:
            return
        failures = self._failures()
        findings, groups = self._finder.findings(failures)
        replays = {finding.id: finding.replay for finding in findings}
        by_replay = {self._finder.replay_of(record.events): record.events for record, _ in failures}
        wanted = [replays[group.example] for group in groups]
        tasks: list[Task] = [
            ShrinkTask(number=number, events=by_replay[replay]) for number, replay in enumerate(wanted)
        ]
        self._total += len(tasks)
        for reply in self._replies(tasks):
            if reply.number is not None:
                self._shrunk[wanted[reply.number]] = self._finder.replay_of(reply.shrunk)

    def _check_live(self) -> None:
        cuts = [point.event for point in self._points if isinstance(point.event, Cut)]
        chosen = sample(len(cuts), self._plan.live, self._seed, "live") if self._plan.live else []
        self._live = check_live(self._runtime, [cuts[number - 1] for number in chosen])

    # -- the result ----------------------------------------------------------------------------------------

    def _result(self, stopped: StopReason | None) -> SweepResult:
        target, flash = self._target, self._target.board.flash
        boot, places = self._trace.boot, self._runtime.places
        records, first_of = self._in_order(), self._firsts()
        findings, groups = self._finder.findings(self._clean_failures + self._failures())
        swept_s = self._swept_s or time.monotonic() - self._began
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
            sector_sizes=target.board.flash.sector_runs,
            regions={name: (area.start, area.end - area.start) for name, area in target.region_names.items()},
            operations=operation_infos(self._trace, places),
            points=point_results(records, self._points, first_of, findings, self._finder),
            depths=tuple(self._depths(records, first_of)),
            findings=tuple(
                replace(finding, shrunk=self._shrunk.get(finding.replay, finding.replay))
                for finding in findings
            ),
            groups=tuple(groups),
            coverage=coverage_of(
                (self._trace.operations[point.operation - 1].state, point.phase)
                for point in (self._points[record.number] for record in records)
            ),
            live=tuple(self._live),
            machine_log=tuple(self._log),
            complete=stopped is None,
            stopped=stopped.value if stopped is not None else "",
        )

    def _depths(self, records: Sequence[Record], first_of: Mapping[bytes, int]) -> Iterator[DepthSummary]:
        yield DepthSummary(
            depth=1,
            requested=len(self._points),
            fired=sum(record.verdict != NOT_FIRED for record in records),
            distinct=len(first_of),
            failed=sum(record.verdict in FAILURES for record in records),
        )
        if self._pairs is not None:
            yield self._pairs.summary()


__all__ = ["run_sweep"]
