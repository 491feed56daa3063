"""`brownout bench` from end to end on the emulator, and its errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from brownout.bench import FIGURES, GROUPS, Measurement
from brownout.bench.sizes import image_sizes
from brownout.cli import main
from brownout.lab import FirmwareBuilds

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 280
# The group `sweep` has a test of its own, and takes as long as the others.
MEASURED = tuple(group for group in GROUPS if group != "sweep")


def bench(*arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from brownout.cli import main; main()", "bench", *map(str, arguments)],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.mark.emulator
def test_a_quick_run_measures_all_but_the_largest_crowd(tmp_path: Path) -> None:
    output = tmp_path / "new" / "bench.json"
    only = [argument for group in MEASURED for argument in ("--only", group)]
    run = bench("--quick", "--json", "--output", output, *only)
    assert run.returncode == 0, run.stderr
    assert run.stderr == ""  # progress is for terminals
    document = json.loads(output.read_text())
    assert json.loads(run.stdout) == document
    assert (document["format"], document["version"], document["repeat"]) == ("brownout-bench", 1, 1)
    assert document["machine"]["cores"] == os.cpu_count()

    figures = {figure["name"]: figure for figure in document["figures"]}
    assert list(figures) == [
        figure.name
        for figure in FIGURES
        if figure.group in MEASURED
        and not figure.name.endswith("-1000")
        and figure.group not in document["skipped"]
    ]
    assert set(document["skipped"]) <= {"renode"}
    for figure in figures.values():
        assert figure["value"] > 0, figure["name"]
        assert figure["min"] <= figure["median"] <= figure["max"]
        assert figure["value"] in figure["samples"]
        assert figure["verdict"] in ({None} if figure["aim"] is None else {"ok", "missed"})

    value = {name: figure["value"] for name, figure in figures.items()}
    assert value["power-on.first-byte"] < value["power-on.app"]
    assert value["upgrade.total"] == pytest.approx(
        value["upgrade.download"] + value["upgrade.install"], abs=1e-5
    )
    assert value["upgrade.payload"] >= (64 + 32 + 16) * 1024
    # Each byte travelled once; framing, tags and the envelope cost a few percent.
    assert value["upgrade.payload"] < value["upgrade.link-bytes"] < 1.2 * value["upgrade.payload"]
    # 32 + 16 + 16 sectors erased, then the images in programs of 256 bytes.
    assert value["doorbell.operations"] == 64 + 256 + 128 + 65
    assert value["doorbell.program-model"] < value["doorbell.program-controller"]
    assert value["cut-and-recover.recovery"] < value["cut-and-recover.cycle"]
    assert value["size.both-ram"] == value["size.boot-ram"] + value["size.kernel-ram"]
    for name in ("size.boot-flash", "size.kernel-flash", "size.both-ram"):
        assert figures[name]["verdict"] == "ok", figures[name]
    for name in ("boot", "kernel", "interrupt", "app"):
        # All of it would mean that nobody filled the stack, or that it overflowed.
        reserved = int(figures[f"stack.{name}"]["note"].removeprefix("of "))
        assert 32 <= value[f"stack.{name}"] < reserved, name
    for what in ("stepi", "continue"):
        ours, stub = value[f"debug.{what}"], value[f"debug.{what}-stub"]
        assert value[f"debug.{what}-ratio"] == pytest.approx(ours / stub, rel=1e-3)
    assert 1 <= value["debug.step-trips"] < value["debug.continue-trips"] < 10
    # Which of the two is faster is for the benchmark to say: a busy machine may give either the worse moment.
    assert value["debug.read-ratio"] == pytest.approx(value["debug.read"] / value["debug.raw"], rel=0.01)
    assert 0.5 < value["debug.read-share"] < 1  # framing, two sealings and telemetry cost something
    assert value["relay.p50-100"] <= value["relay.p99-100"]
    assert 1000 < value["relay.memory"] < 1_000_000


def test_every_group_is_measured_unless_some_are_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = {figure.group: figure.name for figure in reversed(FIGURES)}
    groups = {
        group: lambda _bench, name=name: [Measurement(name=name, samples=(1.0,))]
        for group, name in ((group, first[group]) for group in GROUPS)
    }
    monkeypatch.setattr("brownout.bench.runner.GROUPS", groups)
    for arguments, expected in (([], GROUPS), (["--only", "relay", "--only", "size"], ("size", "relay"))):
        with pytest.raises(SystemExit) as ended:
            main(["bench", "--quick", "--json", *arguments])
        assert ended.value.code == 0
        figures = json.loads(capsys.readouterr().out)["figures"]
        assert [figure["name"] for figure in figures] == [first[group] for group in expected]


def test_sizes_need_no_emulator_and_agree_with_the_images(tmp_path: Path) -> None:
    run = bench("--only", "size", "--json", BROWNOUT_QEMU=str(tmp_path / "no-qemu"))
    assert run.returncode == 0, run.stderr
    sizes = {figure["name"]: figure["value"] for figure in json.loads(run.stdout)["figures"]}
    build = FirmwareBuilds.find().version("1.1.0")
    assert sizes == {f"size.{key}": size for key, size in image_sizes(build).items()}
    assert sizes["size.kernel-flash"] == len(build.image("kernel"))
    assert sizes["size.boot-flash"] == (build.folder / "boot.bin").stat().st_size
    assert sizes["size.app-flash"] == len(build.image("app"))


def test_the_table_is_for_people() -> None:
    run = bench("--only", "size")
    assert run.returncode == 0, run.stderr
    assert "size.boot-flash" in run.stdout
    assert "<= 40960  ok" in run.stdout


def assert_one_line_error(run: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert run.returncode == 2
    assert run.stdout == ""
    assert len(run.stderr.splitlines()) == 1
    for part in ("brownout: error:", *parts):
        assert part in run.stderr


def test_missing_firmware_is_one_line(tmp_path: Path) -> None:
    run = bench("--quick", BROWNOUT_FIRMWARE=str(tmp_path / "none"))
    assert_one_line_error(run, str(tmp_path / "none"), "make firmware")


def test_missing_qemu_is_one_line(tmp_path: Path) -> None:
    output = tmp_path / "bench.json"
    run = bench("--quick", "--output", output, BROWNOUT_QEMU=str(tmp_path / "no-qemu"))
    assert_one_line_error(run, "no-qemu: not found", "apt install qemu-system-arm")
    assert not output.exists()


def test_an_output_that_is_a_folder_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    assert_one_line_error(bench("--output", tmp_path), str(tmp_path), "expected a file name")


@pytest.mark.parametrize("arguments", [("--only", "speed"), ("--repeat", "0"), ("--engine", "fpga")])
def test_bad_options_are_one_line(arguments: tuple[str, ...]) -> None:
    assert_one_line_error(bench("--quick", *arguments))
