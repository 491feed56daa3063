"""docs/pytest.md: its tests pass, and it names every option, fixture and marker that there is."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.pytest_plugin.debugging import DebugSession
from brownout.pytest_plugin.options import INI, MarkerOptions, SweepOptions

if TYPE_CHECKING:
    from conftest import Run

pytest_plugins = ["pytester"]

ROOT = Path(__file__).resolve().parents[3]
TEXT = (ROOT / "docs" / "pytest.md").read_text()


@pytest.mark.emulator
def test_examples_pass(
    pytester: pytest.Pytester, run: Run, good_example: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWNOUT_FIRMWARE", str(ROOT / "build" / "firmware"))
    shutil.copytree(good_example, pytester.path, dirs_exist_ok=True)
    blocks = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
    assert len(blocks) == 6
    for number, block in enumerate(blocks):
        (pytester.path / "tests" / f"test_block_{number}.py").write_text(block)
    (pytester.path / "tests" / "test_settings.py").unlink()
    result = run(apart=True)
    # The sweeps make tests of 3 and 2 operations: five and three each.
    result.assert_outcomes(passed=15 + 1 + 1 + 1 + 1 + 1 + 6)


def test_every_option_is_there() -> None:
    for name in INI:
        assert f"`{name}`" in TEXT
        option = f"--{name.replace('_', '-')}="
        assert option in TEXT or name == "brownout_firmware"
    for name in (*MarkerOptions.__annotations__, *SweepOptions.__annotations__):
        assert f"`{name}`" in TEXT


def test_every_call_of_a_debug_session_is_there() -> None:
    for name in vars(DebugSession):
        assert name.startswith("_") or f"`{name}" in TEXT, name
