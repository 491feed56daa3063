"""`brownout sweep`: every power cut of an upgrade, on the target's own binary."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from brownout.cli.options import listeners_option, platform_option
from brownout.cli.sweep_outputs import SweepOutputs
from brownout.cli.sweep_progress import SweepProgress
from brownout.cli.sweep_trace import TracePrinter
from brownout.cli.sweep_words import replay_words, summary
from brownout.engines.factory import ENGINES as LIVE_ENGINES
from brownout.engines.factory import TITLES
from brownout.errors import BrownoutError
from brownout.live import replay_live, sweep_live
from brownout.power import Cut, parse_replay
from brownout.sweep.executors import cluster_executor, local_executor
from brownout.sweep.plan import ALL_TORN, FAULTS, FEW_TORN, PHASES, SweepPlan
from brownout.sweep.replay import replay as replay_run
from brownout.sweep.run import run_sweep
from brownout.sweep.stops import SweepInterruptedError, SweepStoppedError
from brownout.target import load_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from brownout.sweep.result import SweepResult
    from brownout.target import Target

EXIT_FINDINGS: Final = 1
EXIT_INTERRUPTED: Final = 130
_ENGINES: Final = ("unicorn", *LIVE_ENGINES)
_LIVE_POINTS: Final = 10
"""Unless it is told, where every cut is made live."""
_ALL: Final = 0


def _count(context: click.Context, parameter: click.Parameter, text: str | None) -> int | None:
    """A number of at least 1, _ALL for `all`, None when nothing was said."""
    del context, parameter
    if text is None:
        return None
    if text == "all":
        return _ALL
    if not text.isdecimal() or int(text) < 1:
        raise click.BadParameter(f"'{text}': expected all, or a number of at least 1")
    return int(text)


def _operations(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> tuple[tuple[int, int | None], ...]:
    """Ranges of operations: first and last, None for the last there is."""
    del context, parameter
    found: list[tuple[int, int | None]] = []
    for part in text.split(",") if text is not None else ():
        match = re.fullmatch(r"([1-9][0-9]{0,8})(-([1-9][0-9]{0,8})?)?", part.strip())
        if match is None:
            raise click.BadParameter(
                f"'{part}': expected A, A-B or A- with commas between, such as 100-250,700"
            )
        first, last = int(match[1]), int(match[3] or 0) or (None if match[2] else int(match[1]))
        if last is not None and last < first:
            raise click.BadParameter(f"'{part}': ends before it begins")
        found.append((first, last))
    return tuple(found)


def _names(known: tuple[str, ...]) -> Callable[[click.Context, click.Parameter, str], tuple[str, ...]]:
    """Names with commas between, `all` or `none`; in the order in which they are known."""

    def convert(context: click.Context, parameter: click.Parameter, text: str) -> tuple[str, ...]:
        del context, parameter
        if text in ("all", "none"):
            return known if text == "all" else ()
        names = [name.strip() for name in text.split(",") if name.strip()]
        for name in names:
            if name not in known:
                raise click.BadParameter(f"'{name}': expected all, none, or some of {','.join(known)}")
        return tuple(name for name in known if name in names)

    return convert


@click.command("sweep")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--engine",
    type=click.Choice(_ENGINES),
    help="What runs it (default: unicorn; qemu for a target with [live]).",
)
@listeners_option
@click.option(
    "--phases", callback=_names(PHASES), default="all", help="Where in an operation to cut (default: all)."
)
@click.option(
    "--points", callback=_count, help="Operations to cut: all, or N (default: all; 10 on qemu, renode)."
)
@click.option(
    "--operations",
    callback=_operations,
    help="Cut these operations only, such as 100-250,700 (default: all).",
)
@click.option(
    "--depth", type=click.IntRange(1, 2), default=1, show_default=True, help="2 cuts the recovery too."
)
@click.option("--depth2-points", callback=_count, help="Operations of recoveries to cut (default: all).")
@click.option(
    "--torn", type=click.Choice(["default", "all"]), default="default", help="Ways to tear: 3, or all."
)
@click.option(
    "--faults", callback=_names(FAULTS), default="none", help="Faults besides cuts: all, or a list."
)
@click.option("--seed", type=int, help="Where everything random comes from (default: the target file's).")
@click.option("--jobs", type=click.IntRange(min=1), help="Processes (default: one for each core).")
@click.option("--cluster", help="Address of a Dask scheduler whose workers do the work.")
@click.option(
    "--live", type=click.IntRange(min=0), default=6, show_default=True, help="Cuts to do again from power-on."
)
@click.option("--max-findings", type=click.IntRange(min=1), metavar="N", help="Stop after N findings.")
@click.option(
    "--deadline",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Stop after so long, and say what is known then.",
)
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="File for the whole result.")
@click.option("--html", "html_file", type=click.Path(path_type=Path), help="File for the report.")
@click.option("--emit-robot", type=click.Path(path_type=Path), help="Folder for a Robot test of each group.")
@click.option(
    "--evidence", type=click.Path(path_type=Path), help="Folder for what is kept of each group's example."
)
@click.option("--replay", help="Do one cut again, by its replay id, and tell what happens.")
@click.option("--trace", is_flag=True, help="With --replay: every instruction of the recovery.")
@platform_option
def sweep_command(
    file: Path,
    engine: str | None,
    phases: tuple[str, ...],
    points: int | None,
    operations: tuple[tuple[int, int | None], ...],
    depth: int,
    depth2_points: int | None,
    torn: str,
    faults: tuple[str, ...],
    seed: int | None,
    jobs: int | None,
    cluster: str | None,
    live: int,
    max_findings: int | None,
    deadline: float | None,
    json_file: Path | None,
    html_file: Path | None,
    emit_robot: Path | None,
    evidence: Path | None,
    replay: str | None,
    trace: bool,
    platform: Path | None,
) -> int:
    """Cut the power at every flash operation of the target FILE, recover, and say which cuts brick it.

    Exit code: 0 clean, 1 findings, 2 error or deadline, 130 Ctrl-C. A sweep that ends early writes and says
    what it knows.

    \b
    Examples:
      brownout sweep target.toml --points 100
      brownout sweep target.toml --html report.html --json sweep.json
      brownout sweep target.toml --operations 1400-1496 --torn all
      brownout sweep target.toml --max-findings 1 --deadline 600
      brownout sweep target.toml --depth 2 --depth2-points 500
      brownout sweep target.toml --phases none --faults dropped,reset
      brownout sweep target.toml --replay swap:unicorn:1:op=117/torn/random --trace
    """
    if trace and replay is None:
        raise BrownoutError("--trace: goes with --replay ID only")
    target = load_target(file, platform)
    if replay is not None:
        return _replay(target, replay, trace=trace)
    engine = engine or ("unicorn" if target.live is None else "qemu")
    if engine in LIVE_ENGINES and points is None:
        points = _LIVE_POINTS
    outputs = SweepOutputs(json=json_file, html=html_file, robot=emit_robot, evidence=evidence)
    outputs.prepare()
    plan = SweepPlan(
        seed=seed,
        engine=engine,
        phases=phases,
        torn=FEW_TORN if torn == "default" else ALL_TORN,
        points=points or None,
        operations=operations,
        depth=depth,
        pairs=depth2_points or None,
        faults=faults,
        live=live,
        deadline_s=deadline,
        max_findings=max_findings,
    )

    def finish(result: SweepResult) -> None:
        outputs.write(result, target, file)
        print(summary(result, str(file)))

    try:
        result = _run(target, plan, jobs, cluster)
    except SweepStoppedError as stopped:
        finish(stopped.result)
        raise
    except SweepInterruptedError as stopped:
        finish(stopped.result)
        return EXIT_INTERRUPTED
    finish(result)
    different = sum(len(check.different) for check in result.live)
    if different:
        raise BrownoutError(
            f"{different} live cut(s) left another flash than was derived: the verdicts above may be wrong; "
            "this is a bug of brownout: please report it"
        )
    for check in result.live:
        if check.problem:
            raise BrownoutError(f"live check on {check.engine}: {check.problem}")
    return EXIT_FINDINGS if result.findings else 0


def _run(target: Target, plan: SweepPlan, jobs: int | None, cluster: str | None) -> SweepResult:
    with SweepProgress() as progress:
        if plan.engine in LIVE_ENGINES:
            return sweep_live(target, plan, progress=progress)
        workers = (
            local_executor(jobs or os.cpu_count() or 1) if cluster is None else cluster_executor(cluster)
        )
        with workers as executor:
            return run_sweep(target, plan, executor, progress)


def _replay(target: Target, replay: str, *, trace: bool) -> int:
    """Tell what happens; with `trace`, the instructions of the recovery first."""
    wanted = parse_replay(replay)
    if wanted.engine in LIVE_ENGINES:
        return _replay_live(target, replay, trace=trace)
    recovery = 1 + sum(isinstance(event, Cut) for event in wanted.cuts)
    report = replay_run(target, replay, tracer=TracePrinter(target, recovery) if trace else None)
    print(replay_words(report))
    return EXIT_FINDINGS if report.failed else 0


def _replay_live(target: Target, replay: str, *, trace: bool) -> int:
    if trace:
        engine = TITLES[parse_replay(replay).engine]
        raise BrownoutError(f"--trace: {engine} cannot; replay the same cut on unicorn")
    verdict, story = replay_live(target, replay)
    print("\n".join([f"replay {replay}", *story]))
    print(f"verdict {verdict.name}{f': {verdict.detail}' if verdict.detail else ''}")
    return EXIT_FINDINGS if verdict.failed else 0
