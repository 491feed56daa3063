"""The example suite under renode-test, and one that must fail; without Renode its keywords are looked up."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path

import pytest
from robot import running
from robot.api import ExecutionResult

import brownout
import fieldlink
from brownout.lab import FirmwareBuilds

ROOT = Path(__file__).resolve().parents[3]
EXAMPLE = ROOT / "examples" / "renode" / "power_cuts.robot"
TIMEOUT_S = 280

RENODES_OWN = """
from robot.api.deco import keyword

class RenodesOwn:
    @keyword
    def execute_command(self, command, machine=None): ...
    @keyword
    def create_terminal_tester(self, uart, timeout=None): ...
    @keyword
    def wait_for_line_on_uart(self, content, timeout=None, testerId=None): ...
    @keyword
    def reset_emulation(self): ...
"""
FAILING = """
*** Settings ***
Resource            {root}/robot/resources/renode.resource
Test Teardown       Remove Board

*** Variables ***
${{OLD}}            {root}/build/firmware/1.0.0/kernel.bin

*** Test Cases ***
Nothing Is Prepared
    Run Keyword And Expect Error    *no power cuts are prepared*    Power On

Machine Was There Before
    My Board
    Power On
    Wait For Line On Uart    kernel 1.1.0    timeout=60
    Prepare Power Cuts
    Run Keyword And Expect Error    *did not tell of its reset*    Power On

Cut Does Not Fire
    My Board
    ${{cut}}=    Set Variable    region=app.erase#900/before
    Run Keyword And Expect Error    *did not fire within 1 s*    Power On And Lose It    ${{cut}}    1 s

Flash Is Another
    My Board
    Power On
    Wait For Line On Uart    kernel 1.1.0    timeout=60
    Flash Should Hold    kernel    ${{OLD}}

*** Keywords ***
My Board
    Start Board    {root}/examples/renode/board.resc    seed=${{2}}
    Load Flash Of Target    {root}/examples/reference/target.toml
    Create Terminal Tester    sysbus.uart0
"""


@pytest.fixture(scope="session")
def renode_test() -> str:
    """Path of renode-test: RENODE_TEST, else on PATH."""
    wanted = os.environ.get("RENODE_TEST") or "renode-test"
    found = shutil.which(wanted)
    if found is None:
        pytest.skip(f"needs Renode's test runner: {wanted}: not found on PATH, nor by RENODE_TEST")
    return found


@pytest.fixture
def firmware() -> None:
    for version in ("1.0.0", "1.1.0"):
        FirmwareBuilds.find().version(version)


def run(program: str, suite: Path, folder: Path) -> tuple[int, dict[str, str], str]:
    """(exit code, failure or "" by test, what was printed)."""
    paths = [str(Path(str(package.__file__)).parents[1]) for package in (brownout, fieldlink)]
    paths.append(sysconfig.get_paths()["purelib"])
    with subprocess.Popen(
        [program, "--results-dir", str(folder), str(suite)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), "TMPDIR": str(folder)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            said, _ = process.communicate(timeout=TIMEOUT_S)
        finally:
            # It has ended, or must; Renode is in its session.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    output = folder / "robot_output.xml"
    assert output.is_file(), said
    tests = ExecutionResult(str(output)).suite.all_tests
    return process.returncode, {test.name: "" if test.passed else test.message for test in tests}, said


@pytest.mark.emulator
@pytest.mark.xdist_group("renode")
@pytest.mark.usefixtures("renode", "firmware")
def test_the_example_passes(renode_test: str, tmp_path: Path) -> None:
    code, failures, said = run(renode_test, EXAMPLE, tmp_path)
    assert (code, set(failures.values())) == (0, {""}), said
    assert len(failures) == 3
    assert not list(tmp_path.glob("brownout-*"))


@pytest.mark.emulator
@pytest.mark.xdist_group("renode")
@pytest.mark.usefixtures("renode", "firmware")
def test_keywords_fail_when_they_should(renode_test: str, tmp_path: Path) -> None:
    suite = tmp_path / "failing.robot"
    suite.write_text(FAILING.format(root=ROOT))
    code, failures, said = run(renode_test, suite, tmp_path)
    assert code != 0
    failed = {name: message for name, message in failures.items() if message}
    assert set(failed) == {"Flash Is Another"}, said
    assert "flash kernel: differs from" in failed["Flash Is Another"]
    assert not list(tmp_path.glob("brownout-*"))


def test_every_keyword_of_the_example_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "RenodesOwn.py").write_text(RENODES_OWN)
    monkeypatch.syspath_prepend(str(tmp_path))
    suite = running.TestSuite.from_file_system(str(EXAMPLE))
    suite.resource.imports.library("RenodesOwn")
    result = suite.run(dryrun=True, output=None, console="none", stdout=None)
    assert {test.name: test.message for test in result.suite.all_tests if not test.passed} == {}
    assert result.suite.test_count == 3
