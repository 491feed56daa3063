"""What a sweep's result lists: operations of the clean run, points, the clean run's own failure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.sweep.assess import violation_text
from brownout.sweep.points import kind_name
from brownout.sweep.result import OperationInfo, PointResult
from brownout.sweep.tasks import Record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.sweep.findings import Finder
    from brownout.sweep.places import Places
    from brownout.sweep.points import Point
    from brownout.sweep.result import Finding
    from brownout.sweep.trace import Trace


def operation_infos(trace: Trace, places: Places) -> tuple[OperationInfo, ...]:
    """The operations of the clean run."""
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
        for number, traced in enumerate(trace.operations, 1)
    )


def point_results(
    records: Sequence[Record],
    points: Sequence[Point],
    first_of: Mapping[bytes, int],
    findings: Sequence[Finding],
    finder: Finder,
) -> tuple[PointResult, ...]:
    """What came of each point; `records` name them by their number."""
    by_replay = {finding.replay: finding.id for finding in findings}
    found: list[PointResult] = []
    for record in records:
        point, first = points[record.number], points[first_of[record.key]]
        replay = finder.replay_of((first.event,))
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


def clean_failures(trace: Trace) -> list[tuple[Record, int]]:
    """A rule that the clean run itself breaks: one finding, without a cut; and the operation, or 0."""
    broken = trace.boot.broken
    if broken is None:
        return []
    violation, done = broken.violation, [traced.done for traced in trace.operations]
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
