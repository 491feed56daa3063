"""The tour in README.md, run as it stands there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DEADLINE_S = 120


@pytest.mark.emulator
def test_the_tour_does_what_the_readme_says(tmp_path: Path) -> None:
    text = (ROOT / "README.md").read_text()
    block = re.search(r"<!-- not run: the tour, [^\n]*-->\n```sh\n(.*?)```", text, re.DOTALL)
    assert block is not None
    (tmp_path / "build").symlink_to(ROOT / "build")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    result = subprocess.run(
        ["bash", "-euc", f"trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n{block[1]}"],
        cwd=tmp_path,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert "--- power cut, session 1 ---" in result.stdout
    assert "boot: flag copying" in result.stdout
    assert re.search(r"installed +sequence 2, signature good", result.stdout)
    assert re.search(r"flag +clear", result.stdout)
    assert re.search(r"dev-1 .* runs 2 ", result.stdout)
    assert "fired in session 1" in (tmp_path / "evidence" / "replay.txt").read_text()
