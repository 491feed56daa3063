"""Every Robot suite passes, each in a process of its own.

One test worker has them all and runs two at a time: they mostly wait, and leave it to the other workers to
keep the cores busy.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.engines.renode import find_renode
from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    Runs = Mapping[Path, Future[None]]

ROOT = Path(__file__).parents[2]
SUITES = sorted((ROOT / "robot" / "suites").rglob("[!_]*.robot"))
DEADLINE_S = 280
AT_A_TIME = 2


def run_suite(suite: Path, folder: Path, engine: str = "qemu", *options: str) -> None:
    """Run a suite, or a folder of them; a failure shows where its log is."""
    command = [
        *(sys.executable, "-m", "robot", "--outputdir", str(folder), "--console", "dotted"),
        *("--variable", f"ENGINE:{engine}", *options, str(suite)),
    ]
    firmware = os.environ.get("BROWNOUT_FIRMWARE", str(ROOT / "build" / "firmware"))
    result = subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"BROWNOUT_FIRMWARE": firmware},
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 0, f"see {folder}/log.html\n{result.stdout}\n{result.stderr}"


@pytest.fixture(scope="module")
def runs(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """The suites that were asked for, in the order of their tests: the next one runs while a test waits."""
    items = [item for item in request.session.items if isinstance(item, pytest.Function)]
    suites = [item.callspec.params["suite"] for item in items if item.function is test_suite_passes]
    pool = ThreadPoolExecutor(AT_A_TIME)
    yield {suite: pool.submit(run_suite, suite, tmp_path_factory.mktemp(suite.stem)) for suite in suites}
    pool.shutdown(cancel_futures=True)


@pytest.mark.emulator
@pytest.mark.xdist_group("robot")
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_suite_passes(suite: Path, runs: Runs) -> None:
    runs[suite].result(DEADLINE_S)


@pytest.mark.emulator
@pytest.mark.parametrize("folder", ["upgrade", "debug"])
def test_smoke_passes_on_renode(folder: str, tmp_path: Path) -> None:
    try:
        find_renode()
    except EngineError as error:
        if os.environ.get("BROWNOUT_REQUIRE_RENODE"):
            raise
        pytest.skip(f"needs Renode: {error}")
    run_suite(ROOT / "robot" / "suites" / folder, tmp_path, "renode", "--include", "smoke")


def test_there_is_a_suite_for_every_element() -> None:
    text = "\n".join(suite.read_text() for suite in SUITES)
    missing = [
        element for element in (f"S2.{number}" for number in range(1, 8)) if f"\n{element} " not in text
    ]
    assert missing == []
