"""`brownout bench`: figures of the reference device."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from brownout.bench import GROUPS, BenchOptions, as_document, as_table, run_bench
from brownout.cli.options import json_option
from brownout.files import make_parent, write_atomic

_DEFAULTS = BenchOptions()
_CLEAR_LINE = "\r\x1b[K"


@click.command("bench")
@click.option(
    "--output", type=click.Path(path_type=Path), help="File for the figures as JSON; its folder is made."
)
@json_option
@click.option("--only", "groups", multiple=True, type=click.Choice(list(GROUPS)), help="Measure this group.")
@click.option(
    "--repeat",
    type=click.IntRange(min=1),
    default=_DEFAULTS.repeat,
    show_default=True,
    help="Samples of each figure that varies.",
)
@click.option("--quick", is_flag=True, help="One sample of each figure, 100 devices at most.")
@click.option("--engine", default=_DEFAULTS.engine, show_default=True, help="Engine to measure.")
@click.option(
    "--seed", type=int, default=_DEFAULTS.seed, show_default=True, help="Seed of all that is random."
)
def bench_command(
    output: Path | None,
    as_json: bool,
    groups: tuple[str, ...],
    repeat: int,
    quick: bool,
    engine: str,
    seed: int,
) -> None:
    """Measure the reference device; docs/figures.md says what each figure means.

    \b
    Examples:
      brownout bench --output build/bench/bench.json
      brownout bench --only size --json
      brownout bench --only cut-and-recover --repeat 20
    """
    options = BenchOptions(
        engine=engine, seed=seed, repeat=1 if quick else repeat, quick=quick, groups=groups
    )
    if output is not None:
        make_parent(output)
    try:
        report = run_bench(options, _show)
    finally:
        _show("")
    document = json.dumps(as_document(report), indent=2)
    if output is not None:
        write_atomic(output, f"{document}\n".encode())
    print(document if as_json else as_table(report))


def _show(what: str) -> None:
    """Progress, for a person who waits."""
    if sys.stderr.isatty():
        text = f"bench: {what} ..." if what else ""
        print(f"{_CLEAR_LINE}{text}", end="", file=sys.stderr, flush=True)
