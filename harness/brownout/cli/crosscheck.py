"""`brownout crosscheck`: the same power cuts on several engines, compared byte for byte."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from brownout.cli.options import listeners_option, platform_option
from brownout.cli.sweep_progress import SweepProgress
from brownout.files import make_parent, write_atomic
from brownout.live.crosscheck import DEFAULT_POINTS, crosscheck
from brownout.live.runners import RUNNERS
from brownout.report import duration_text
from brownout.sweep.commands import replay_command
from brownout.target import load_target

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brownout.live.crosscheck import CheckedCut, Crosscheck

EXIT_DIFFERENT: Final = 1
_DIGITS: Final = 12
_HEADS: Final = ("cut", "operation", "verdict", "after the cut", "after the recovery", "")


def _names(context: click.Context, parameter: click.Parameter, text: str | None) -> tuple[str, ...]:
    del context, parameter
    names = () if text is None else tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in RUNNERS:
            raise click.BadParameter(f"'{name}': expected some of {','.join(RUNNERS)}")
    return names


@click.command("crosscheck")
@click.argument("file", metavar="TARGET", type=click.Path(path_type=Path))
@click.option(
    "--engines", callback=_names, help="Engines with commas between (default: those that are there)."
)
@click.option(
    "--points",
    type=click.IntRange(min=1),
    default=DEFAULT_POINTS,
    show_default=True,
    help="Cuts to make on each engine, drawn from the seed.",
)
@click.option("--seed", type=int, help="Where everything random comes from (default: the target file's).")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="File for the result.")
@listeners_option
@platform_option
def crosscheck_command(
    file: Path,
    engines: tuple[str, ...],
    points: int,
    seed: int | None,
    json_file: Path | None,
    platform: Path | None,
) -> int:
    """Make the same power cuts on several engines; flash and verdict must be the same on all.

    Exit code: 0 all the same, 1 different, 2 error.

    \b
    Examples:
      brownout crosscheck target.toml
      brownout crosscheck target.toml --engines qemu,unicorn,renode --points 50 --json crosscheck.json
    """
    target = load_target(file, platform)
    if json_file is not None:
        make_parent(json_file)
    with SweepProgress("crosscheck") as progress:
        result = crosscheck(target, engines, points=points, seed=seed, progress=progress)
    if json_file is not None:
        document = {**dataclasses.asdict(result), "same": result.same, "agrees": result.agrees}
        write_atomic(json_file, f"{json.dumps(document, indent=2)}\n".encode())
    print("\n".join(_lines(result, str(file))))
    return 0 if result.agrees else EXIT_DIFFERENT


def _lines(result: Crosscheck, target_file: str) -> Iterator[str]:
    engines = ", ".join(result.engines)
    yield (
        f"{result.target} on {result.board}, seed {result.seed}: {result.operations:,} flash operations "
        f"without a cut; on {engines}"
    )
    yield from (f"left out: {engine}: {problem}" for engine, problem in result.left_out.items())
    yield from (f"different: {difference.text}" for difference in result.clean)
    rows = [_HEADS, *(row for cut in result.cuts for row in _rows(cut))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADS))]
    yield from (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    for cut in result.cuts:
        if cut.differences:
            yield f"\n{cut.cut} at {cut.where}"
            yield from (f"  {found.what}: {found.text}" for found in cut.differences)
            yield from (f"  {replay_command(target_file, seen.replay)}" for seen in cut.seen)
    yield (
        f"{result.same} of {len(result.cuts)} cuts are the same on {engines}, "
        f"{duration_text(result.duration_s)}"
    )


def _rows(cut: CheckedCut) -> list[tuple[str, ...]]:
    """One line when all engines agree, else one for each."""
    if not cut.differences:
        seen = cut.seen[0]
        recovery = seen.after_recovery[:_DIGITS]
        return [(cut.cut, cut.where, seen.verdict, seen.after_cut[:_DIGITS], recovery, "same")]
    return [
        (
            cut.cut,
            cut.where,
            seen.verdict,
            seen.after_cut[:_DIGITS],
            seen.after_recovery[:_DIGITS],
            f"different: {seen.engine}",
        )
        for seen in cut.seen
    ]
