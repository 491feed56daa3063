"""A project as a CI job sees it, and the script that the job calls."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from ci_project import ACTION, SUITE, TIMEOUT_S, environment, git  # noqa: E402 - its folder is on the path now

if TYPE_CHECKING:
    from ci_project import Script


@pytest.fixture
def script() -> Script:
    def run(folder: Path, *options: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ACTION / "run.sh", *options],
            cwd=folder,
            env=environment(**variables),
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    return run


@pytest.fixture
def project(tmp_path: Path, good_example: Path) -> Path:
    """The example with its good firmware built, a Robot suite, and everything committed."""
    folder = tmp_path / "settings-store"
    shutil.copytree(
        good_example,
        folder,
        ignore=shutil.ignore_patterns("brownout-artifacts", "__pycache__", ".pytest_cache"),
    )
    (folder / "suites").mkdir()
    (folder / "suites" / "settings.robot").write_text(SUITE)
    (folder / ".gitignore").write_text("build/\n.brownout/\nbrownout-report/\n")
    git(folder, "init", "-q")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "Keep the old settings until the new ones are there")
    return folder
