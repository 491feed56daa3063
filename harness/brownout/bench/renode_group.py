"""The group `renode`: the same cuts and recoveries of the same target on Renode, QEMU and Unicorn."""

from __future__ import annotations

import contextlib
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from brownout.bench.samples import Measurement
from brownout.bench.sweep_group import example, repository
from brownout.errors import ViolationError
from brownout.live.crosscheck import chosen_cuts
from brownout.live.runners import make_runner, runner_problem
from brownout.target import load_target

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.bench.workbench import Workbench
    from brownout.live.runners import Run, Runner
    from brownout.power import Cut
    from brownout.target import Target

ENGINES: Final = ("renode", "qemu", "unicorn")
_CUTS: Final = 5
_QUICK_CUTS: Final = 2


def measure_renode(bench: Workbench) -> list[Measurement]:
    """Rates of each engine, and Renode's by those of the others; nothing where an engine is missing."""
    path = example(repository(), "reference")
    # Clean boots after the recovery are no part of the figure.
    target = replace(load_target(path), clean_boots=0)
    for engine in ENGINES:
        problem = runner_problem(target, engine)
        if problem:
            bench.skip("renode", problem)
            return []
    rates: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    with contextlib.ExitStack() as stack:
        bench.progress("renode: runs without a cut")
        runners = {
            engine: stack.enter_context(make_runner(target, engine, seed=bench.seed)) for engine in ENGINES
        }
        # These start the processes too, which the engines then keep, or start anew for each power-on.
        operations = {engine: runner.clean() for engine, runner in runners.items()}[ENGINES[0]]
        wanted = _QUICK_CUTS if bench.quick else _CUTS
        cuts = [cut for _, cut in chosen_cuts(operations, wanted, bench.seed)]
        for number in range(bench.few):
            bench.progress(f"renode: {number + 1} of {bench.few}")
            for engine, rate in _pass(target, runners, cuts).items():
                rates[engine].append(rate)
    measured = [
        Measurement(
            name=f"renode.{engine}-rate", samples=tuple(rates[engine]), note=f"{len(cuts)} cuts each time"
        )
        for engine in ENGINES
    ]
    by = [
        Measurement(
            name=f"renode.by-{other}",
            samples=tuple(one / two for one, two in zip(rates["renode"], rates[other], strict=True)),
        )
        for other in ENGINES[1:]
    ]
    return [*measured, *by]


def _pass(target: Target, runners: Mapping[str, Runner], cuts: Sequence[Cut]) -> dict[str, float]:
    """All cuts on each engine: cuts per second. Raises ViolationError: not well, or not the same."""
    rates: dict[str, float] = {}
    first: list[Run] = []
    for engine, runner in runners.items():
        started = time.monotonic()
        runs = [runner.run(cut) for cut in cuts]
        rates[engine] = len(cuts) / (time.monotonic() - started)
        first = first or runs
        for cut, run, other in zip(cuts, runs, first, strict=True):
            if run.verdict not in {outcome.name for outcome in target.outcomes}:
                raise ViolationError(
                    f"{target.name}:{engine}: {cut}: {run.verdict} {run.detail}: figures are of firmware "
                    "that survives every cut"
                )
            if run.after_cut != other.after_cut:
                raise ViolationError(
                    f"{target.name}: {cut} leaves another flash on {engine} than on {ENGINES[0]}: see "
                    f"brownout crosscheck {target.path}"
                )
    return rates
