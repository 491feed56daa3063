"""Runs groups of measurements and collects what they found."""

from __future__ import annotations

import os
import platform
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.bench.groups import GROUPS
from brownout.bench.samples import Result, judge
from brownout.bench.workbench import Workbench
from brownout.errors import BrownoutError
from fieldlink.errors import FieldlinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_REPEAT: Final = 5
DEFAULT_SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchOptions:
    """What to measure, how often and on what. `groups` empty means all of GROUPS.

    `quick` leaves out the figures that take long.
    """

    board: str = "mps2-an385"
    engine: str = "qemu"
    seed: int = DEFAULT_SEED
    repeat: int = DEFAULT_REPEAT
    quick: bool = False
    groups: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchReport:
    """What a run of the benchmark found, and where it ran. `skipped` says why, by group."""

    options: BenchOptions
    machine: Mapping[str, str | int]
    duration_s: float
    results: tuple[Result, ...]
    skipped: Mapping[str, str] = field(default_factory=dict)


def run_bench(options: BenchOptions, progress: Callable[[str], None] = lambda _what: None) -> BenchReport:
    """Measure. `progress` is told what, in a few words.

    Raises BrownoutError: unknown group, firmware not built, engine missing, a device that broke an oracle.
    """
    if options.repeat < 1:
        raise BrownoutError(f"bench: repeat {options.repeat}: expected 1 or more")
    unknown = [name for name in options.groups if name not in GROUPS]
    if unknown:
        raise BrownoutError(f"bench: no group '{unknown[0]}'; expected one of {', '.join(GROUPS)}")
    started = time.monotonic()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="brownout-bench-") as folder,
            Workbench(
                Path(folder),
                board=options.board,
                engine=options.engine,
                seed=options.seed,
                repeat=options.repeat,
                quick=options.quick,
                progress=progress,
            ) as bench,
        ):
            results = tuple(
                judge(measurement)
                for name, group in GROUPS.items()
                if not options.groups or name in options.groups
                for measurement in group(bench)
            )
            skipped = dict(bench.skipped)
    except FieldlinkError as error:
        raise BrownoutError(f"bench: {error}") from error
    return BenchReport(
        options=options,
        machine=_machine(),
        duration_s=time.monotonic() - started,
        results=results,
        skipped=skipped,
    )


def _machine() -> dict[str, str | int]:
    return {
        "system": platform.system(),
        "processor": platform.machine(),
        "cores": os.cpu_count() or 0,
        "python": platform.python_version(),
    }


__all__ = ["DEFAULT_REPEAT", "DEFAULT_SEED", "GROUPS", "BenchOptions", "BenchReport", "run_bench"]
