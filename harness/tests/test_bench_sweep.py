"""The benchmark's group `sweep`: what it sweeps, what it says when something is missing or found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from brownout.bench import FIGURES
from brownout.bench.sweep_group import Swept, build_swap, example, repository, sweep_once
from brownout.errors import BuildError, ViolationError
from brownout.sweep import SweepPlan
from brownout.target import load_target

ROOT = Path(__file__).resolve().parents[2]
SWAP = "nrf52840-swap"
TIMEOUT_S = 280


def test_a_quick_run_measures_every_figure_of_the_group() -> None:
    command = [sys.executable, "-c", "from brownout.cli import main; main()", "bench"]
    run = subprocess.run(
        [*command, "--only", "sweep", "--quick", "--json"],
        env=os.environ | {"BROWNOUT_QEMU": "/no-qemu"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    figures = {figure["name"]: figure for figure in json.loads(run.stdout)["figures"]}
    assert list(figures) == [figure.name for figure in FIGURES if figure.group == "sweep"]
    assert all(figure["value"] > 0 for figure in figures.values())
    value = {name: figure["value"] for name, figure in figures.items()}
    assert value["sweep.nrf-distinct"] <= value["sweep.nrf-rate"]
    assert value["sweep.linearity"] == pytest.approx(
        value["sweep.linear-4x"] / value["sweep.linear-1x"], rel=1e-3
    )
    assert figures["sweep.reference-points"]["note"].startswith("30 cuts, ")
    assert figures["sweep.nrf-rate"]["note"].startswith("20 cuts, ")
    # Images of twice the size take twice the operations, or the ratio would say nothing.
    counts = [int(figures[f"sweep.linear-{key}"]["note"].split()[2]) for key in ("1x", "2x", "4x")]
    assert counts[1] / counts[0] == pytest.approx(2, rel=0.1)
    assert counts[2] / counts[0] == pytest.approx(4, rel=0.1)


def test_rates_and_times_are_of_the_same_sweep() -> None:
    swept = Swept(duration_s=6.0, operations=1500, points=3000, distinct=2400, points_per_s=600.0)
    assert swept.distinct_per_s == pytest.approx(480.0)
    assert swept.operation_s == pytest.approx(0.004)


def test_a_build_of_another_size_is_a_target_of_its_own(tmp_path: Path) -> None:
    before = (ROOT / "build" / "examples" / SWAP / "app-v2.img").stat()
    path = build_swap(repository(), tmp_path / "copy", 2048)
    assert path.is_relative_to(tmp_path)
    assert (tmp_path / "copy" / "build" / "examples" / SWAP / "app-v2.img").stat().st_size == 2048
    assert load_target(path).name == SWAP
    after = (ROOT / "build" / "examples" / SWAP / "app-v2.img").stat()
    assert (after.st_mtime_ns, after.st_size) == (before.st_mtime_ns, before.st_size)


def test_a_build_that_fails_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"SIZE=3: cannot be built .*make firmware") as caught:
        build_swap(repository(), tmp_path / "copy", 3)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("name", ["reference", SWAP])
def test_an_example_that_is_not_built_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        BuildError, match=rf"boot\.elf: the example '{name}' is not built; run `make firmware`"
    ):
        example(tmp_path, name)


def test_an_installation_without_examples_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.bench.sweep_group.find_platform", lambda: tmp_path / "platform")
    with pytest.raises(BuildError, match="has no examples to sweep: run the benchmark from a clone"):
        repository()


def test_firmware_that_does_not_survive_has_no_figures(tmp_path: Path) -> None:
    path = build_swap(repository(), tmp_path / "copy", 2048)
    hooks = path.with_name("hooks.py")
    hooks.write_text(
        hooks.read_text()
        + """

def was_never_cut(context: HookContext) -> str | None:
    return "was cut" if any(record.cut is not None for record in context.log) else None
"""
    )
    path.write_text(path.read_text().replace('"counter_fits"', '"counter_fits", "was_never_cut"'))
    plan = SweepPlan(points=2, phases=("after",), live=0, shrink=False)
    with pytest.raises(ViolationError, match=rf"2 finding\(s\), first {SWAP}:unicorn:"):
        sweep_once(path, plan)
