"""The plugin run as users run it, and the example project, built as it is and with its bug."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import pytest

# An in-process run forgets what it imports: the harness must not be imported anew each time.
import brownout.pytest_plugin.devices
import brownout.pytest_plugin.labs
import brownout.pytest_plugin.planning
from brownout.target import Target, load_target

if TYPE_CHECKING:
    from pathlib import Path

LOADED = (brownout.pytest_plugin.devices, brownout.pytest_plugin.labs, brownout.pytest_plugin.planning)
TIMEOUT_S = 120


class Run(Protocol):
    """pytest in the pytester's folder; `apart` in a process of its own, where emulators belong."""

    def __call__(self, *arguments: str, apart: bool = False) -> pytest.RunResult: ...


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    # Other plugins of this environment take half a second each time, and have no part in this.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")

    def runner(*arguments: str, apart: bool = False) -> pytest.RunResult:
        words = ["-p", "brownout.pytest_plugin", "-p", "no:cacheprovider", *arguments]
        if apart:
            return pytester.runpytest_subprocess(*words, timeout=TIMEOUT_S)
        return pytester.runpytest_inprocess(*words)

    return runner


@pytest.fixture
def good(good_example: Path) -> Target:
    return load_target(good_example / "target.toml")


@pytest.fixture
def bad(bad_example: Path) -> Target:
    return load_target(bad_example / "target.toml")
