"""Sweeps firmware with defects: every one must be found, and the report says by which cut.

Each patch file in a `mutants` folder takes one protection away. The runner applies it to a copy of the
sources, builds, and sweeps the build. Above the diff a patch says:

    Removes: what the firmware does without the patch, in words
    Sweep: cuts (every cut), unstable (half-way bits that read as ones or as zeros),
        pairs (the same, and cuts of recoveries), or faults (an operation that is dropped)
    Seed: draws the operations (may be left out), such that the first few have one that matters

A few operations are tried first, then more, at last all: most defects are found by the first few. The
firmware as it is gets what the mutants got, with each seed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from brownout.bench.sweep_group import copy_swap, make_swap
from brownout.errors import BrownoutError
from brownout.flash import Resolve
from brownout.sweep.plan import ALL_TORN, SweepPlan
from brownout.sweep.run import run_sweep
from brownout.target import load_target

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "ci"))

from patch_files import MutantError, PatchFile, Times, read_header

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from concurrent.futures import Future

    from brownout.sweep.result import SweepResult
    from brownout.target import Target

ROOT: Final = Path(__file__).resolve().parents[1]
MUTANTS: Final = ROOT / "examples" / "nrf52840-swap" / "mutants"
OUTPUT: Final = ROOT / "build" / "sweep-mutants"
BASELINE: Final = "baseline"
SMALL_IMAGE: Final = 2048
"""Half a page: every kind of step, and some 1,700 operations instead of 12,000."""
_SWEEP_TIMEOUT_S: Final = 900.0
_FIELDS: Final = {"Removes": Times.ONCE, "Sweep": Times.ONCE, "Seed": Times.AT_MOST_ONCE}

_UNSTABLE_TORN: Final = tuple(way for way in ALL_TORN if way.resolve is not Resolve.RANDOM)
_PLAN: Final = SweepPlan(live=0, shrink=False, deadline_s=_SWEEP_TIMEOUT_S)
PLANS: Final = {
    "cuts": _PLAN,
    "unstable": replace(_PLAN, phases=("torn",), torn=_UNSTABLE_TORN),
    "pairs": replace(_PLAN, phases=("before", "torn"), torn=_UNSTABLE_TORN, depth=2),
    "faults": replace(_PLAN, phases=(), faults=("dropped",)),
}
SHARES: Final = ((16, 400), (128, 600), (None, 1500))
"""Operations cut, and operations of recoveries, until there is a finding; None is all."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant(PatchFile):
    """One patch file: what it takes away, and how it is swept. `seed` None is the target's own."""

    removes: str
    sweep: str
    seed: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What became of a mutant: `verdict` is killed, survived or error; `cut` is the finding to look at.

    `shares` says how many of SHARES were swept.
    """

    name: str
    removes: str
    sweep: str
    verdict: str
    seconds: float
    seed: int | None = None
    shares: int = 0
    points: int = 0
    failed: int = 0
    cut: str = ""
    detail: str = ""


def read_mutant(path: Path) -> Mutant:
    """Read a patch file. Raises MutantError when its header lacks something."""
    fields, targets = read_header(path, _FIELDS)
    (how,), seed = fields["Sweep"], "".join(fields["Seed"])
    if how not in PLANS:
        raise MutantError(f"{path.name}: Sweep: '{how}': expected one of {', '.join(PLANS)}")
    if seed and not seed.isdecimal():
        raise MutantError(f"{path.name}: Seed: '{seed}': expected a number")
    return Mutant(
        path=path,
        targets=targets,
        removes=fields["Removes"][0],
        sweep=how,
        seed=int(seed) if seed else None,
    )


def read_all(folder: Path = MUTANTS) -> tuple[Mutant, ...]:
    """All mutants, by name. Raises MutantError."""
    return tuple(read_mutant(path) for path in sorted(folder.glob("*.patch")))


def build(mutant: Mutant | None, folder: Path) -> Path:
    """Build the example, mutated or as it is, in `folder`; return its target file.

    Raises MutantError, BuildError.
    """
    tree = folder / "tree"
    shutil.rmtree(tree, ignore_errors=True)
    copy_swap(ROOT, tree)
    if mutant is not None:
        mutant.apply(tree)
    return make_swap(ROOT, tree, SMALL_IMAGE)


def sweep(
    mutant: Mutant | None, kind: str, folder: Path, seed: int | None = None, most: int = len(SHARES)
) -> Verdict:
    """Build and sweep one, `most` of SHARES; `mutant` None is the firmware as it is."""
    started = time.monotonic()
    name = BASELINE if mutant is None else mutant.name
    verdict, detail, cut, points, failed, shares = "error", "", "", 0, 0, 0
    work = folder / f"{name}-{kind}-{seed}"
    try:
        target = load_target(build(mutant, work))
        result, shares = sweep_until_found(target, replace(PLANS[kind], seed=seed), most)
        points = sum(depth.requested for depth in result.depths)
        failed = sum(depth.failed for depth in result.depths)
        verdict, cut, detail = _judge(result)
        shutil.rmtree(work, ignore_errors=True)
    except (MutantError, BrownoutError, OSError, subprocess.SubprocessError) as error:
        detail = str(error)
    return Verdict(
        name=name,
        removes="nothing: the firmware as it is" if mutant is None else mutant.removes,
        sweep=kind,
        verdict=verdict,
        seconds=round(time.monotonic() - started, 1),
        seed=seed,
        shares=shares,
        points=points,
        failed=failed,
        cut=cut,
        detail=detail,
    )


def sweep_until_found(target: Target, plan: SweepPlan, most: int = len(SHARES)) -> tuple[SweepResult, int]:
    """Sweep a few operations, more, then all; stop when there is a finding.

    Returns the last result, and how many of SHARES were swept. Raises BrownoutError.
    """
    number = 0
    while True:
        points, pairs = SHARES[number]
        result = run_sweep(target, replace(plan, points=points, pairs=pairs))
        number += 1
        if result.findings or number == most:
            return result, number


def _judge(result: SweepResult) -> tuple[str, str, str]:
    if not result.findings:
        return "survived", "", ""
    examples = {group.example for group in result.groups}
    finding = next(found for found in result.findings if found.id in examples)
    where = f" at {finding.where[0]}" if finding.where else ""
    return "killed", finding.replay, f"{finding.verdict}{where}: {finding.detail}"


def run_all(mutants: Sequence[Mutant], folder: Path, workers: int) -> list[Verdict]:
    """Sweep every mutant, then the firmware as it is as far as they were swept; tell the progress."""
    most: dict[tuple[str, int | None], int] = {(mutant.sweep, mutant.seed): 1 for mutant in mutants}
    verdicts: list[Verdict] = []

    def collect(waiting: Sequence[Future[Verdict]]) -> None:
        for future in as_completed(waiting):
            verdict = future.result()
            verdicts.append(verdict)
            click.echo(f"sweep-mutants: [{len(verdicts)}/{len(mutants) + len(most)}] {line(verdict)}")

    with ProcessPoolExecutor(workers) as pool:
        collect([pool.submit(sweep, mutant, mutant.sweep, folder, mutant.seed) for mutant in mutants])
        for verdict in verdicts:
            plan = (verdict.sweep, verdict.seed)
            most[plan] = max(most[plan], verdict.shares)
        collect([pool.submit(sweep, None, kind, folder, seed, most[kind, seed]) for kind, seed in most])
    return sorted(verdicts, key=lambda verdict: (verdict.name != BASELINE, verdict.name, verdict.sweep))


def line(verdict: Verdict) -> str:
    """One verdict in words."""
    said = f"{verdict.name} ({verdict.sweep}): {verdict.verdict} in {verdict.seconds:g} s"
    if verdict.verdict == "killed":
        said += f" by {verdict.failed} of {verdict.points}, such as {verdict.cut}"
    return f"{said}: {verdict.detail}" if verdict.detail else said


def exit_code(verdicts: Iterable[Verdict]) -> int:
    """0: all mutants killed, nothing found in the firmware as it is; 1: not so; 2: an error."""
    found = list(verdicts)
    if any(verdict.verdict == "error" for verdict in found):
        return 2
    return int(any((verdict.name == BASELINE) == (verdict.verdict == "killed") for verdict in found))


@click.command(help=__doc__)
@click.option("--list", "list_only", is_flag=True, help="Name the mutants and run nothing.")
@click.option("--only", metavar="NAME", multiple=True, help="Try only this one; may be given several times.")
@click.option("--workers", default=2, show_default=True, type=click.IntRange(1, 64), help="Sweeps at a time.")
@click.option(
    "--output",
    default=OUTPUT,
    type=click.Path(path_type=Path, resolve_path=True),
    help="Folder to build and report in.",
)
def main(list_only: bool, only: tuple[str, ...], workers: int, output: Path) -> None:
    """Run the command line."""
    try:
        mutants = [mutant for mutant in read_all() if not only or mutant.name in only]
    except MutantError as error:
        click.echo(f"sweep-mutants: {error}", err=True)
        sys.exit(2)
    if len(mutants) < len(set(only)):
        click.echo("sweep-mutants: no such mutant; --list names them", err=True)
        sys.exit(2)
    if list_only:
        for mutant in mutants:
            click.echo(f"{mutant.name:32} {mutant.sweep:9} {mutant.removes}")
        return
    output.mkdir(parents=True, exist_ok=True)
    verdicts = run_all(mutants, output, workers)
    report = output / "sweep-mutants.json"
    report.write_text(
        json.dumps([asdict(verdict) for verdict in verdicts], indent=2) + "\n", encoding="utf-8"
    )
    killed = sum(verdict.verdict == "killed" for verdict in verdicts if verdict.name != BASELINE)
    click.echo(f"sweep-mutants: {killed} of {len(mutants)} killed; {report}")
    sys.exit(exit_code(verdicts))


if __name__ == "__main__":
    main()
