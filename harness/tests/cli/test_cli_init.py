"""`brownout init`: the project passes as it is, its defect is found, nothing is overwritten."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from brownout.cli import main
from brownout.errors import BrownoutError
from brownout.scaffold import BOARDS, create_project, project_files

TIMEOUT_S = 120.0


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[object, str, str]:
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        main(["init", *map(str, arguments)])
    return caught.value.code, *capfd.readouterr()


def make(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make as a person in an activated environment does."""
    return subprocess.run(
        ["make", "-C", str(folder), *arguments],
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def content(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.emulator
@pytest.mark.parametrize("board", BOARDS)
def test_a_new_project_passes_as_it_is(capfd: pytest.CaptureFixture[str], tmp_path: Path, board: str) -> None:
    folder = tmp_path / "some where" / "sensor" if board == "mps2-an385" else tmp_path / "sensor"
    code, out, err = call(capfd, folder, "--board", board)
    assert (code, err) == (0, "")
    assert out.startswith(f"{folder}: 14 files for {board}")
    done = make(folder, "test")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"sensor on {board} (unicorn), seed 1: {18 if board == 'mps2-an385' else 130} flash" in done.stdout
    assert "no findings" in done.stdout
    assert f"{5 if board == 'mps2-an385' else 4} passed, 0 failed" in done.stdout
    assert f"{27 if board == 'mps2-an385' else 26} passed" in done.stdout
    # What it made is ignored by its own .gitignore.
    subprocess.run(["git", "init", "-q"], cwd=folder, check=True)
    status = subprocess.run(
        ["git", "status", "--porcelain", "-uall"], cwd=folder, capture_output=True, text=True, check=True
    )
    assert len(status.stdout.splitlines()) == 14


@pytest.mark.parametrize("board", BOARDS)
def test_the_sweep_finds_the_defect(capfd: pytest.CaptureFixture[str], tmp_path: Path, board: str) -> None:
    call(capfd, tmp_path / "sensor", "--board", board)
    done = make(tmp_path / "sensor", "DEFECT=1", "test")
    assert done.returncode == 2
    assert "finding(s) in" in done.stdout
    assert "Error 1" in done.stderr, done.stderr  # findings, not an error of the sweep
    assert "program of slot in flash_program" in done.stdout


def test_an_existing_file_is_one_line_and_nothing_is_written(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "tests").mkdir()
    mine = tmp_path / "tests" / "power_cuts.robot"
    mine.write_text("mine")
    code, out, err = call(capfd, tmp_path, "--name", "sensor")
    assert (code, out) == (2, "")
    assert err == (f"brownout: error: {mine}: is there already: give another folder; nothing was written\n")
    assert content(tmp_path) == {"tests/power_cuts.robot": "mine"}
    assert [path.name for path in tmp_path.iterdir()] == ["tests"]


def test_other_files_are_left_alone(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "firmware").mkdir()
    (tmp_path / "firmware" / "notes.txt").write_text("mine")
    assert call(capfd, tmp_path, "--name", "sensor")[0] == 0
    assert content(tmp_path) == project_files("mps2-an385", "sensor") | {"firmware/notes.txt": "mine"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("file",), "file: cannot be written"),
        (("file/below",), "cannot be written"),
        (("my device",), "name 'my device': expected 1 to 40 letters, digits"),
        (("x", "--name", ""), "name '': expected 1 to 40"),
        (
            ("x", "--board", "stm32f4-discovery"),
            "'stm32f4-discovery' is not one of 'mps2-an385', 'nrf52840-dk'",
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("")
    code, out, err = call(capfd, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert err.startswith("brownout: error: ")
    assert message in err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_failure_half_way_leaves_nothing(tmp_path: Path) -> None:
    """A file where a folder of the project should be shows up when others are there already."""
    (tmp_path / "tests").write_text("mine")
    with pytest.raises(BrownoutError, match="cannot be written"):
        create_project(tmp_path, project_files("mps2-an385", "sensor"))
    assert [path.name for path in tmp_path.iterdir()] == ["tests"]
    assert (tmp_path / "tests").read_text() == "mine"


def test_the_workflow_is_one(tmp_path: Path) -> None:
    file = tmp_path / "power-cuts.yml"
    file.write_text(project_files("nrf52840-dk", "sensor")[".github/workflows/power-cuts.yml"])
    checker = shutil.which("check-jsonschema", path=str(Path(sys.executable).parent))
    assert checker is not None
    subprocess.run([checker, "--builtin-schema", "vendor.github-workflows", str(file)], check=True)
    steps = yaml.safe_load(file.read_text())["jobs"]["power-cuts"]["steps"]
    assert "make test" in [step.get("run") for step in steps]


def test_layout_and_target_say_the_same() -> None:
    for board, facts in BOARDS.items():
        files = project_files(board, "sensor")
        for address in (facts.slot, facts.update, facts.request):
            assert f"0x{address:08x}u" in files["firmware/layout.h"]
            assert f"0x{address >> 16:04x}_{address & 0xFFFF:04x}" in files["target.toml"]
