"""Work that can be sent to another process, and what comes back: picklable values, done by run_job().

A job names its setup by digest. A process that does not have it says so and gets it with the next try, so
that it travels once to each process, wherever that is.
"""

from __future__ import annotations

import pickle
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, TypeAlias

from brownout.errors import SweepError
from brownout.power import Cut
from brownout.sweep.points import cuts_of, kind_name
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.shrink import shrink

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.power import Event
    from brownout.sweep.assess import Assessment
    from brownout.sweep.graph import Segment
    from brownout.sweep.plan import SweepPlan
    from brownout.sweep.points import Point
    from brownout.sweep.port import DoneOperation

_KEPT_RUNTIMES: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class PointsTask:
    """Assess these points; `segments`: say what runs were made of."""

    points: tuple[tuple[int, Point], ...]
    segments: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class PairsTask:
    """Of each recovery, cut these operations. `number` is the task's own, from 0."""

    number: int
    recoveries: tuple[tuple[int, Cut, tuple[int, ...]], ...]
    plan: SweepPlan


@dataclass(frozen=True, slots=True, kw_only=True)
class ShrinkTask:
    """Look for the smallest cuts that fail like these."""

    number: int
    events: tuple[Event, ...]


Task: TypeAlias = PointsTask | PairsTask | ShrinkTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An assessment, as it travels. `trail` and the place are there for failures only."""

    number: int
    events: tuple[Event, ...]
    key: bytes
    verdict: str
    detail: str
    pc: int
    recovery_time: int
    trail: tuple[str, ...]
    at: tuple[int, int, str] | None = None
    """(pc, offset, kind) of the operation that the second cut hit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentInfo:
    """A piece of a run: how many operations, and which piece comes next."""

    key: bytes
    operations: int
    following: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """What came of a job. `rest` is what it did not get to; `needs_setup`: nothing was done.

    `number` is that of the task. Pairs that end well are told by their keys only.
    """

    needs_setup: bool = False
    records: tuple[Record, ...] = ()
    well: tuple[bytes, ...] = ()
    done: int = 0
    segments: tuple[SegmentInfo, ...] = ()
    number: int | None = None
    shrunk: tuple[Event, ...] = ()
    rest: Task | None = None
    log: tuple[str, ...] = ()


_lock = threading.Lock()
_runtimes: dict[str, Runtime] = {}


def keep_runtime(digest: str, runtime: Runtime) -> None:
    """Have jobs that run in this process use `runtime` for the setup with this digest."""
    while len(_runtimes) >= _KEPT_RUNTIMES:
        _runtimes.pop(next(iter(_runtimes))).close()
    _runtimes[digest] = runtime


def drop_runtime(digest: str) -> None:
    """Forget what keep_runtime() or a job made in this process."""
    runtime = _runtimes.pop(digest, None)
    if runtime is not None:
        runtime.close()


def run_job(digest: str, setup: bytes | None, task: Task, limit_s: float) -> Reply:
    """Do a task, or as much of it as fits into the time. One job at a time in each process."""
    with _lock:
        runtime = _runtimes.get(digest)
        if runtime is None:
            if setup is None:
                return Reply(needs_setup=True)
            loaded = pickle.loads(setup)  # noqa: S301 - our own bytes, from our own parent or scheduler
            if not isinstance(loaded, Setup):
                raise SweepError("job: its setup is none: do all processes run the same version?")
            runtime = Runtime(loaded)
            keep_runtime(digest, runtime)
        reply = _do(runtime, task, time.monotonic() + limit_s)
        return replace(reply, log=tuple(runtime.booter.log))


def _do(runtime: Runtime, task: Task, deadline: float) -> Reply:
    match task:
        case PointsTask():
            return _points(runtime, task, deadline)
        case PairsTask():
            return _pairs(runtime, task, deadline)
        case ShrinkTask():
            return Reply(number=task.number, shrunk=shrink(runtime, task.events), done=1)


def _points(runtime: Runtime, task: PointsTask, deadline: float) -> Reply:
    records: list[Record] = []
    pieces: dict[bytes, SegmentInfo] = {}
    for number, point in task.points:
        assessment = runtime.assess((point.event,))
        records.append(_record(runtime, number, (point.event,), assessment))
        if task.segments:
            _tell(pieces, assessment.boots[0].first)
        if time.monotonic() >= deadline:
            break
    left = task.points[len(records) :]
    return Reply(
        records=tuple(records),
        done=len(records),
        segments=tuple(pieces.values()),
        rest=replace(task, points=left) if left else None,
    )


def _tell(pieces: dict[bytes, SegmentInfo], first: Segment) -> None:
    """Add the pieces of a run that are not there yet."""
    for segment in first.chain():
        if segment.key is None or segment.key in pieces:
            return
        following = segment.next.key if segment.next is not None else None
        pieces[segment.key] = SegmentInfo(
            key=segment.key, operations=len(segment.operations), following=following
        )


def _pairs(runtime: Runtime, task: PairsTask, deadline: float) -> Reply:
    records: list[Record] = []
    well: list[bytes] = []
    done = 0
    left: list[tuple[int, Cut, tuple[int, ...]]] = list(task.recoveries)
    while left and (not done or time.monotonic() < deadline):
        number, first, wanted = left.pop(0)
        last = wanted[-1]
        for cut, operation, assessment in runtime.recoveries_of(first, wanted, _Cuts(task.plan)):
            done += 1
            if assessment.failed:
                records.append(_record(runtime, number, (first, cut), assessment, operation))
            else:
                well.append(assessment.key)
            at = cut.trigger.number
            if at != last and time.monotonic() >= deadline and _is_last(cut, task.plan):
                left.insert(0, (number, first, tuple(n for n in wanted if n > at)))
                break
    return Reply(
        number=task.number,
        records=tuple(records),
        well=tuple(well),
        done=done,
        rest=replace(task, recoveries=tuple(left)) if left else None,
    )


@dataclass(frozen=True, slots=True)
class _Cuts:
    plan: SweepPlan

    def __call__(self, number: int) -> Iterator[Cut]:
        return (cut for _, _, cut in cuts_of(number, self.plan))


def _is_last(cut: Cut, plan: SweepPlan) -> bool:
    *_, (_, _, last) = cuts_of(cut.trigger.number, plan)
    return cut == last


def _record(
    runtime: Runtime,
    number: int,
    events: tuple[Event, ...],
    assessment: Assessment,
    operation: DoneOperation | None = None,
) -> Record:
    return Record(
        number=number,
        events=events,
        key=assessment.key,
        verdict=assessment.verdict,
        detail=assessment.detail,
        pc=assessment.pc,
        recovery_time=assessment.recovery_time,
        trail=tuple(_trail(runtime, events, assessment)) if assessment.failed else (),
        at=None
        if operation is None
        else (operation.pc, operation.operation.offset, kind_name(operation.operation)),
    )


def _trail(runtime: Runtime, events: Sequence[Event], assessment: Assessment) -> Iterator[str]:
    for number, event in enumerate(events, 1):
        yield f"boot {number}: {event}"
    # After a fault the same boot goes on.
    for number, boot in enumerate(assessment.boots, 1 + sum(isinstance(event, Cut) for event in events)):
        where = f" in '{boot.end.outcome}'" if boot.end.outcome else ""
        if not where and boot.end.pc:
            where = f" at {runtime.places.symbol(boot.end.pc)}"
        what = f"{boot.kind.value}{where} after {boot.operations} operation(s), {boot.time} halfwords"
        yield f"boot {number}: {what}"
    if assessment.detail:
        yield assessment.detail
