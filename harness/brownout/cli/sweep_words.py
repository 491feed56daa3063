"""A sweep's result in a few lines for the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.report import duration_text, is_failure, ranges_text, stopped_text
from brownout.sweep.commands import replay_command

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brownout.sweep.replay import ReplayReport
    from brownout.sweep.result import FindingGroup, SweepResult

_GROUPS_SHOWN: Final = 12
_FAST: Final = 10


def summary(result: SweepResult, target_file: str) -> str:
    """What was asked for, what fired, what was found, and a command for each group of findings."""
    return "\n".join(_lines(result, target_file))


def _lines(result: SweepResult, target_file: str) -> Iterator[str]:
    yield (
        f"{result.target} on {result.board} ({result.engine}), seed {result.seed}: "
        f"{len(result.operations):,} flash operations, ends in '{result.clean_outcome}' without a cut"
    )
    for depth in result.depths:
        what = "cuts" if depth.depth == 1 else "cut pairs"
        if depth.depth == 1 and result.faults:
            what = "cuts and faults" if result.phases else "faults"
        yield (
            f"{what + ':':<16}{depth.requested:,} requested, {depth.fired:,} fired, "
            f"{depth.distinct:,} distinct, {depth.failed:,} failed"
        )
    hit = len({point.operation for point in result.points})
    if hit < len(result.operations):
        yield f"{'sample:':<16}{hit:,} of {len(result.operations):,} operations"
    good: dict[str, int] = {}
    for point in result.points:
        if not is_failure(point.verdict):
            good[point.verdict] = good.get(point.verdict, 0) + 1
    if good:
        yield f"{'outcomes:':<16}{', '.join(f'{count:,} {name}' for name, count in sorted(good.items()))}"
    for check in result.live:
        yield f"{'live:':<16}{check.same} of {check.sampled} cuts gave the same flash on {check.engine}"
        yield from (f"{'':<16}different: {replay}" for replay in check.different)
        if check.problem:
            yield f"{'':<16}the rest were not done: {check.problem}"
    if result.engine != "unicorn" and result.machine_log:
        yield f"{'elsewhere:':<16}{len(result.machine_log)} cut(s) hit another operation than without a cut"
        yield from (f"{'':<16}{line}" for line in result.machine_log[:_GROUPS_SHOWN])
    decimals = 0 if result.points_per_s >= _FAST else 1
    yield f"{'rate:':<16}{result.points_per_s:,.{decimals}f} points/s, {duration_text(result.duration_s)}"
    yield from _found(result, target_file)


def _found(result: SweepResult, target_file: str) -> Iterator[str]:
    if not result.complete:
        yield f"{stopped_text(result)}: this says nothing about the rest"
    if not result.findings:
        yield "no findings" if result.complete else "no findings so far"
        return
    yield f"{len(result.findings):,} finding(s) in {len(result.groups)} group(s)"
    ordered = sorted(result.groups, key=lambda group: (-group.count, group.id))
    for group in ordered[:_GROUPS_SHOWN]:
        yield from _group(result, group, target_file)
    if len(ordered) > _GROUPS_SHOWN:
        yield f"\nand {len(ordered) - _GROUPS_SHOWN} more groups: --html or --json has them all"


def _group(result: SweepResult, group: FindingGroup, target_file: str) -> Iterator[str]:
    example = next((finding for finding in result.findings if finding.id == group.example), None)
    where = f", operations {ranges_text(group.operations)}" if group.operations else ""
    yield f"\n{group.title} ({group.count:,}x{where})"
    if example is None:
        return
    for cut, place in zip(example.cuts, example.where, strict=False):
        yield f"  {cut} at {place}"
    yield f"  {replay_command(target_file, example.shrunk or example.replay)}"


def replay_words(report: ReplayReport) -> str:
    """What came of a replay, boot by boot."""
    lines = [f"replay {report.replay}", *map(str, report.boots)]
    where = f" at {report.place}" if report.place else ""
    lines.append(f"verdict {report.verdict}{where}{f': {report.detail}' if report.detail else ''}")
    lines.append(f"flash {report.flash_digest}")
    lines += [f"machine: {line}" for line in report.machine_log]
    return "\n".join(lines)
