"""What keywords do with a target: one run with cuts, a replay, a sweep; and what a failure says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from robot.api import logger

from brownout.engines.factory import ENGINES
from brownout.errors import SweepError
from brownout.files import make_parent, write_atomic
from brownout.live import sweep_live
from brownout.live.kept import save_evidence
from brownout.report import ranges_text, render_html, render_json
from brownout.robot.output import link_to
from brownout.sweep.commands import replay_command
from brownout.sweep.executors import local_executor
from brownout.sweep.run import run_sweep
from brownout.sweep.stops import SweepInterruptedError, SweepStoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brownout.live.recovery import Recovered
    from brownout.sweep.plan import SweepPlan
    from brownout.sweep.result import SweepResult
    from brownout.target import Target

_GROUPS: Final = 12


class RecoveredSource:
    """The evidence of a run that has ended."""

    def __init__(self, recovered: Recovered) -> None:
        self._recovered = recovered

    def save_evidence(self, folder: Path) -> None:
        """Write it. Raises BrownoutError."""
        save_evidence(self._recovered, folder)


def check_recovered(recovered: Recovered) -> str:
    """The name of the outcome; the log tells boot by boot. Raises AssertionError with the story."""
    logger.info("\n".join([*recovered.story, f"again: {recovered.command}"]))
    recovered.raise_for_failure()
    return recovered.verdict


def sweep(target: Target, plan: SweepPlan, jobs: int) -> SweepResult:
    """Sweep on the plan's engine; one that is stopped by its deadline or by Ctrl-C is told as it is.

    Raises SweepError, EngineError.
    """
    try:
        if plan.engine in ENGINES:
            return sweep_live(target, plan)
        with local_executor(jobs) as executor:
            return run_sweep(target, plan, executor)
    except SweepStoppedError as stopped:
        found = f"; until then: {'; '.join(finding_lines(stopped.result, target))}"
        raise SweepError(f"{stopped}{found if stopped.result.findings else ''}") from stopped
    except SweepInterruptedError as stopped:
        raise KeyboardInterrupt from stopped


def keep_sweep(result: SweepResult, target: Target, folder: Path) -> None:
    """Write JSON and report into `folder` and link them in the log. Raises BrownoutError."""
    page = folder / f"{target.name}.html"
    document = page.with_suffix(".json")
    make_parent(page)
    write_atomic(document, render_json(result).encode())
    html = render_html(
        result,
        target_file=str(target.path),
        command="Sweep Power Cuts",
        tool="brownout.robot.BrownoutLibrary",
    )
    write_atomic(page, html.encode())
    links = [f'<a href="{link_to(path)}">{path.name}</a>' for path in (page, document)]
    logger.info(f"sweep: {', '.join(links)}", html=True)


def check_sweep(result: SweepResult, target: Target) -> str:
    """What was done in a line. Raises AssertionError with the findings and a command for each group."""
    fired = sum(depth.fired for depth in result.depths)
    said = f"{target.name} on {result.engine}, seed {result.seed}: {fired:,} cuts and faults fired"
    for check in result.live:
        if check.different:
            raise SweepError(f"{said}; {len(check.different)} left another flash live: a bug of brownout")
        if check.problem:
            raise SweepError(f"{said}; live check on {check.engine}: {check.problem}")
    if result.findings:
        raise AssertionError("\n".join([f"{said}, {_count(result)}", *finding_lines(result, target)]))
    return f"{said}, no findings"


def finding_lines(result: SweepResult, target: Target) -> Iterator[str]:
    """For each group of findings what it is, where, and a command that does one of them again."""
    examples = {finding.id: finding for finding in result.findings}
    ordered = sorted(result.groups, key=lambda group: (-group.count, group.id))
    for group in ordered[:_GROUPS]:
        example = examples[group.example]
        where = f", operations {ranges_text(group.operations)}" if group.operations else ""
        yield f"{group.title} ({group.count:,}x{where})"
        yield f"  {replay_command(str(target.path), example.shrunk or example.replay)}"
    if len(ordered) > _GROUPS:
        yield f"and {len(ordered) - _GROUPS} more groups: the report has them all"


def _count(result: SweepResult) -> str:
    return f"{len(result.findings):,} finding(s) in {len(result.groups)} group(s)"
