"""What the tests of the script share: where it is, its environment, a project with a bug."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Protocol

ROOT = Path(__file__).parents[3]
ACTION = ROOT / "ci" / "action"
TIMEOUT_S = 120.0

SUITE = """\
*** Settings ***
Library     brownout.robot.BrownoutLibrary

*** Variables ***
${TARGET}       ${CURDIR}/../target.toml

*** Test Cases ***
Settings Survive A Cut While They Are Written
    Recover After Power Cuts    ${TARGET}    op=3/torn    expect=converted
"""


class Script(Protocol):
    """Runs run.sh in a folder, with variables."""

    def __call__(self, folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]: ...


def environment(**variables: str) -> dict[str, str]:
    """This environment without what a CI has set, with the environment of the tests in front."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("BROWNOUT_", "CI_", "GITHUB_", "GITLAB_"))
    }
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", **variables}


def git(folder: Path, *arguments: str) -> str:
    """What git prints."""
    who = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
    return subprocess.check_output(["git", "-C", str(folder), *who, *arguments], text=True).strip()


def break_firmware(project: Path, bad_example: Path) -> str:
    """Commit the bug of the bad example, and put its build there; the commit."""
    flags = (project / "Makefile").read_text().replace("CFLAGS  :=", "CFLAGS  := -DSETTINGS_IN_PLACE")
    (project / "Makefile").write_text(flags)
    git(project, "commit", "-q", "-am", "Write the new settings over the old ones")
    shutil.copytree(bad_example / "build", project / "build", dirs_exist_ok=True)
    return git(project, "rev-parse", "HEAD")
