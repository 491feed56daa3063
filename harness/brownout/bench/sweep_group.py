"""The group `sweep`: how fast power cuts are assessed, and whether time grows with the operations only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.bench.samples import Measurement
from brownout.board import find_platform
from brownout.errors import BuildError, ViolationError
from brownout.sweep import FEW_TORN, SweepPlan, local_executor, run_sweep
from brownout.target import load_target

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.bench.workbench import Workbench

WORKERS: Final = 2
_DEADLINE_S: Final = 600.0
_REFERENCE: Final = "reference"
_SWAP: Final = "nrf52840-swap"
_NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    _REFERENCE: ("firmware/1.0.0/boot.elf", "firmware/1.1.0/kernel.bin"),
    _SWAP: ("examples/nrf52840-swap/boot.elf", "examples/nrf52840-swap/app-v2.img"),
}
"""For each example the built files, under `build`, whose absence means that it was not built."""
_SWAP_POINTS: Final = 1500
_QUICK_POINTS: Final = 10
"""Operations that --quick cuts, of any sweep."""
_SIZES: Final[Mapping[str, int]] = {"1x": 2048, "2x": 4096, "4x": 8192}
"""Bytes of the images that are swapped; operations grow in proportion."""
_COPIED: Final = ("examples/nrf52840-swap", "firmware/lib", "firmware/tools")
_BUILD_TIMEOUT_S: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """One sweep. `duration_s` is all of it; the rates leave out the run without a cut that precedes the cuts.

    `operations` are those of that run, `points` the cuts, `distinct` the recoveries that had to be run.
    """

    duration_s: float
    operations: int
    points: int
    distinct: int
    points_per_s: float

    @property
    def distinct_per_s(self) -> float:
        """Recoveries per second."""
        return self.points_per_s * self.distinct / self.points

    @property
    def operation_s(self) -> float:
        """Time by operations, in seconds."""
        return self.duration_s / self.operations


def repository() -> Path:
    """The root of the repository, which has the examples. Raises BuildError without one, BoardError."""
    root = find_platform().parent
    if not (root / "examples").is_dir():
        raise BuildError(
            f"{root}: has no examples to sweep: run the benchmark from a clone of the repository"
        )
    return root


def example(root: Path, name: str) -> Path:
    """The target file of an example. Raises BuildError when it is not built."""
    for part in _NEEDED[name]:
        path = root / "build" / part
        if not path.is_file():
            raise BuildError(f"{path}: the example '{name}' is not built; run `make firmware`")
    return root / "examples" / name / "target.toml"


def build_swap(root: Path, folder: Path, size: int) -> Path:
    """Build the example with images of `size` bytes in a copy of its sources; return its target file.

    Raises BuildError.
    """
    copy_swap(root, folder)
    return make_swap(root, folder, size)


def copy_swap(root: Path, folder: Path) -> None:
    """Copy what the example is built from."""
    for part in _COPIED:
        shutil.copytree(root / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))


def make_swap(root: Path, folder: Path, size: int) -> Path:
    """Build the copy in `folder` with images of `size` bytes; return its target file.

    The target file names what is built relative to itself, so a copy of the tree sweeps its own build.
    Raises BuildError.
    """
    make = {
        key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    command = ["make", "--no-print-directory", "-C", str(folder / "examples" / _SWAP), f"SIZE={size}"]
    # The copy has neither an environment nor the fetched sources.
    command += [f"BIN={Path(sys.executable).absolute().parent}", f"PYTHON={sys.executable}"]
    command += [f"THIRD_PARTY={root / 'build' / 'third_party'}"]
    try:
        done = subprocess.run(
            command, env=make, capture_output=True, text=True, timeout=_BUILD_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise BuildError(f"{_SWAP}, SIZE={size}: cannot be built ({error}); try `make firmware`") from error
    if done.returncode != 0:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()] or ["no reason given"]
        raise BuildError(f"{_SWAP}, SIZE={size}: cannot be built ({lines[0]}); try `make firmware`")
    return example(folder, _SWAP)


def sweep_once(path: Path, plan: SweepPlan) -> Swept:
    """Sweep with WORKERS processes, their start included. Raises ViolationError: it found something."""
    with local_executor(WORKERS) as executor:
        started = time.monotonic()
        result = run_sweep(load_target(path), plan, executor)
        duration_s = time.monotonic() - started
    if result.findings:
        first = result.findings[0]
        raise ViolationError(
            f"sweep of {path}: {len(result.findings)} finding(s), first {first.replay} ({first.verdict}): "
            "figures are of firmware that survives every cut"
        )
    (depth,) = result.depths
    return Swept(
        duration_s=duration_s,
        operations=len(result.operations),
        points=depth.requested,
        distinct=depth.distinct,
        points_per_s=result.points_per_s,
    )


def measure_sweep(bench: Workbench) -> list[Measurement]:
    """Whole sweeps of the reference and of growing images, a sample of the nRF52840 example."""
    root = repository()
    # Before minutes of sweeping: is all there?
    reference, swap = example(root, _REFERENCE), example(root, _SWAP)
    bench.progress("sweep: reference")
    whole = sweep_once(reference, _plan(bench, _QUICK_POINTS if bench.quick else None))
    bench.progress("sweep: nrf52840-swap")
    drawn = _QUICK_POINTS if bench.quick else _SWAP_POINTS
    part = sweep_once(swap, _plan(bench, drawn, phases=("before", "torn")))
    return [
        Measurement(name="sweep.reference-points", samples=(whole.points_per_s,), note=_cuts(whole)),
        Measurement(name="sweep.reference-time", samples=(whole.duration_s,)),
        Measurement(name="sweep.nrf-rate", samples=(part.points_per_s,), note=_cuts(part)),
        Measurement(
            name="sweep.nrf-distinct", samples=(part.distinct_per_s,), note=f"{part.distinct} of them"
        ),
        *_linearity(bench, root),
    ]


def _linearity(bench: Workbench, root: Path) -> list[Measurement]:
    """Sweeps of images of growing size. One phase: it leaves a new flash after each operation."""
    folder = bench.subfolder("sweep")
    points = _QUICK_POINTS if bench.quick else None
    swept: dict[str, Swept] = {}
    for key, size in _SIZES.items():
        bench.progress(f"sweep: image {key}")
        target = build_swap(root, folder / key, size)
        swept[key] = sweep_once(target, _plan(bench, points, phases=("after",)))
    each = [
        Measurement(name=f"sweep.linear-{key}", samples=(one.operation_s * 1e3,), note=_cuts(one))
        for key, one in swept.items()
    ]
    ratio = swept["4x"].operation_s / swept["1x"].operation_s
    return [*each, Measurement(name="sweep.linearity", samples=(ratio,))]


def _plan(
    bench: Workbench, points: int | None, phases: tuple[str, ...] = ("before", "torn", "after")
) -> SweepPlan:
    return SweepPlan(
        seed=bench.seed,
        phases=phases,
        torn=FEW_TORN[:1],
        points=points,
        live=0,
        shrink=False,
        deadline_s=_DEADLINE_S,
    )


def _cuts(swept: Swept) -> str:
    return f"{swept.points} cuts, {swept.operations} operations"
