"""Every Robot suite passes, each in a process of its own, so that `make test` runs them on all workers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "robot" / "suites").rglob("[!_]*.robot"))
DEADLINE_S = 280


@pytest.mark.emulator
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_suite_passes(suite: Path, tmp_path: Path) -> None:
    command = [
        *(sys.executable, "-m", "robot", "--outputdir", str(tmp_path), "--console", "dotted"),
        *("--variable", "ENGINE:qemu", str(suite)),
    ]
    firmware = os.environ.get("BROWNOUT_FIRMWARE", str(ROOT / "build" / "firmware"))
    result = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"BROWNOUT_FIRMWARE": firmware},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 0, f"see {tmp_path}/log.html\n{result.stdout}\n{result.stderr}"


def test_there_is_a_suite_for_every_element() -> None:
    text = "\n".join(suite.read_text() for suite in SUITES)
    missing = [
        element for element in (f"S2.{number}" for number in range(1, 8)) if f"\n{element} " not in text
    ]
    assert missing == []
