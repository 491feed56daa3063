"""docs/examples/settings-store, in a folder of its own, as its README says: good, and with its bug."""

from __future__ import annotations

import importlib.metadata
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.emulator

PROGRAM = [sys.executable, "-c", "from brownout.cli import main; main()"]
TIMEOUT_S = 120


def run_pytest(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    installed = {entry.value for entry in importlib.metadata.entry_points(group="pytest11")}
    plugin = [] if "brownout.pytest_plugin" in installed else ["-p", "brownout.pytest_plugin"]
    command = [sys.executable, "-m", "pytest", *plugin, *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)


def paste(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A command of the report, in any folder."""
    words = shlex.split(line)
    assert words[0] == "brownout"
    return subprocess.run(
        [*PROGRAM, *words[1:]], cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )


def test_good_firmware_passes(good_example: Path) -> None:
    done = run_pytest(good_example)
    assert done.returncode == 0, done.stdout
    assert "38 passed" in done.stdout
    assert not (good_example / "brownout-artifacts").exists()


def test_bug_is_found_and_can_be_done_again(bad_example: Path, tmp_path: Path) -> None:
    done = run_pytest(bad_example, "-k", "while_they_are_written or op3/")
    assert done.returncode == 1, done.stdout
    # The device, and five cuts of operation 3.
    assert "6 failed" in done.stdout
    folders = re.findall(r"^evidence (.*)$", done.stdout, re.MULTILINE)
    commands = re.findall(r"^again    (.*)$", done.stdout, re.MULTILINE)
    assert len(folders) == len(commands) == 6
    sweeps = [command for command in commands if command.startswith("brownout sweep")]
    again = paste(sweeps[0], tmp_path)
    assert again.returncode == 1
    assert "verdict" in again.stdout
    assert "loop" in again.stdout


def test_fix_is_seen(good_example: Path, bad_example: Path, tmp_path: Path) -> None:
    """The same cut of the firmware without the bug."""
    done = run_pytest(bad_example, "-k", "op3/after")
    (command,) = re.findall(r"^again    (.*)$", done.stdout, re.MULTILINE)
    again = paste(command.replace(str(bad_example), str(good_example)), tmp_path)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "converted" in again.stdout
