"""Runs of Robot Framework and pytest as runs for the store: what the tools themselves write is imported."""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from results_files import imported, run_python, write_device

from brownout.errors import ImportFileError
from brownout.results.model import Location, Result, RunKind, Series

LIBRARY = """
import sys
from pathlib import Path
from robot.api import logger
from robot.libraries.BuiltIn import BuiltIn

sys.path[:0] = [{helpers!r}]
from results_files import write_device


def keep(name, said=None):
    folder = Path(BuiltIn().get_variable_value("${{OUTPUT_DIR}}"), "evidence", name)
    write_device(folder / "dev-1", replay="mps2-an385:qemu:1:op=7/before", engine_version="QEMU 7.2")
    (folder / "dev-1" / "link").symlink_to("/etc/passwd")
    logger.warn(f"evidence: {{said or folder}}")
"""

SUITE = """
*** Settings ***
Library    keeping.py
Metadata    Board    mps2-an385
Metadata    Seed    99

*** Test Cases ***
It Works
    [Tags]    smoke    qemu
    Log    lab with seed 116414213 on engine qemu
It Breaks [1]
    [Setup]    Log    hello
    Boot It    fast
    [Teardown]    keep    breaks
Its Evidence Moved
    [Teardown]    keep    moved    /nowhere/evidence/moved
    Fail    *HTML*<b>bold</b> words
Its Evidence Is Gone
    Log    evidence: /nowhere/evidence/gone
    Fail    one\\ntwo
It Names Another Folder
    Log    evidence: /etc
    Fail    no
It Is Skipped
    Skip    not here
It Works
    No Operation

*** Keywords ***
Boot It
    [Arguments]    ${how}
    IF    True
        FOR    ${i}    IN    1    2
            Should Be Equal    ${i}    1    it did not boot
        END
    END
"""


@pytest.fixture(scope="module")
def robot_run(tmp_path_factory):
    """The folder of a run whose suite is one folder up."""
    folder = tmp_path_factory.mktemp("robot")
    (folder / "keeping.py").write_text(LIBRARY.format(helpers=str(Path(__file__).parent)))
    (folder / "suites").mkdir()
    suite = folder / "suites" / "power.robot"
    suite.write_text(SUITE.replace("keeping.py", "${CURDIR}/../keeping.py"))
    assert run_python("-m", "robot", "--outputdir", "out", "--name", "Demo", "suites", folder=folder) == 4
    return folder


@pytest.fixture
def cases(robot_run, monkeypatch):
    monkeypatch.chdir(robot_run)
    run = imported(Path("out/output.xml"))
    return {case.name.removeprefix("Demo.Power."): case for case in run.cases}


def test_a_robot_run(robot_run):
    run = imported(robot_run / "out" / "output.xml")
    assert run.series.kind is RunKind.ROBOT
    assert run.series.name == "Demo"
    # Metadata of the top suite only: this suite is below it.
    assert (run.series.board, run.series.engine, run.seed) == ("", "qemu", None)
    assert run.engine_version == "QEMU 7.2"
    assert abs(datetime.now(UTC) - run.started) < timedelta(minutes=10)
    assert 0 < run.duration_s < 60
    assert run.complete
    assert [case.result for case in run.cases].count(Result.FAIL) == 4
    chosen = imported(robot_run / "out" / "output.xml", engine="renode", board="b", seed=3)
    assert (chosen.series.board, chosen.series.engine, chosen.seed) == ("b", "renode", 3)


def test_metadata_of_the_top_suite_say_what_it_ran_on(robot_run, tmp_path):
    out = str(tmp_path / "out")
    assert run_python("-m", "robot", "--outputdir", out, "suites/power.robot", folder=robot_run) == 4
    run = imported(tmp_path / "out" / "output.xml")
    assert run.series == Series(
        project="demo", kind=RunKind.ROBOT, name="Power", board="mps2-an385", engine="qemu"
    )
    assert run.seed == 99


def test_a_test_that_passed(cases):
    case = cases["It Works"]
    assert (case.result, case.message, case.detail, case.command) == (Result.PASS, "", "", "")
    assert case.tags == ("qemu", "smoke")
    assert case.location == Location(file="suites/power.robot", line=8)
    assert case.duration_s is not None
    assert cases["It Works (2)"].result is Result.PASS
    assert (cases["It Is Skipped"].result, cases["It Is Skipped"].message) == (Result.SKIP, "not here")


def test_a_test_that_failed_with_its_evidence(cases):
    case = cases["It Breaks [1]"]
    assert case.message == "it did not boot: 2 != 1"
    assert case.detail == "failed in: Boot It > BuiltIn.Should Be Equal    ${i}    1    it did not boot"
    assert case.replay == "mps2-an385:qemu:1:op=7/before"
    assert case.flash_operations == 2
    # The link to a file outside is not followed.
    assert [(item.path, item.key, item.media_type) for item in case.evidence] == [
        ("dev-1/evidence.json", "", "application/json"),
        ("dev-1/operations.jsonl", "operations", "application/jsonl"),
        ("dev-1/uart.log", "uart", "text/plain"),
    ]
    assert case.evidence[2].data == b"boot: hello\n"


def test_the_command_runs_that_test_alone(cases, robot_run):
    command = shlex.split(cases["It Breaks [1]"].command)
    assert command[0] == "robot"
    assert command[1:3] == ["--variable", "ENGINE:qemu"]
    # Without --name the top suite is called otherwise.
    assert run_python("-m", "robot", "--outputdir", "again", *command[1:], folder=robot_run) == 1
    run = imported(robot_run / "again" / "output.xml")
    assert [case.name for case in run.cases] == ["Suites.Power.It Breaks [1]"]


def test_evidence_that_moved_with_the_output_is_found(cases, robot_run, tmp_path):
    assert len(cases["Its Evidence Moved"].evidence) == 3
    assert cases["Its Evidence Moved"].message == "bold words"
    # As CI hands it on: the report in one place, the evidence in another.
    shutil.copy(robot_run / "out" / "output.xml", tmp_path)
    shutil.copytree(robot_run / "out" / "evidence", tmp_path / "kept", symlinks=True)
    moved = imported(tmp_path / "output.xml", evidence=tmp_path / "kept").cases[2]
    assert len(moved.evidence) == 3


def test_evidence_that_is_gone_is_told(cases):
    case = cases["Its Evidence Is Gone"]
    assert case.evidence == ()
    assert case.message == "one\ntwo"
    assert "its evidence is not there: /nowhere/evidence/gone" in case.detail


def test_a_folder_that_holds_no_evidence_is_not_taken(cases):
    case = cases["It Names Another Folder"]
    assert case.evidence == ()
    assert "its evidence is not there: /etc" in case.detail


def test_evidence_where_the_library_puts_it_needs_no_message(tmp_path):
    suite = tmp_path / "a.robot"
    suite.write_text("*** Test Cases ***\nWhat: Now?\n    Fail    no\n")
    assert run_python("-m", "robot", "a.robot", folder=tmp_path) == 1
    write_device(tmp_path / "evidence" / "A" / "What_ Now_" / "dev")
    (case,) = imported(tmp_path / "output.xml").cases
    assert len(case.evidence) == 3


def test_evidence_of_an_older_brownout_has_a_replay_id_too(tmp_path):
    suite = tmp_path / "a.robot"
    suite.write_text("*** Test Cases ***\nOld\n    Fail    no\n")
    assert run_python("-m", "robot", "a.robot", folder=tmp_path) == 1
    folder = tmp_path / "evidence" / "A" / "Old" / "dev-1"
    folder.mkdir(parents=True)
    (folder / "replay.txt").write_text("replay mps2-an385:renode:884416689\n")
    (folder / "evidence.json").write_text('{"format": "brownout-evidence", "version": 9}')
    (case,) = imported(tmp_path / "output.xml").cases
    assert case.replay == "mps2-an385:renode:884416689"
    assert "expected brownout-evidence version 1" in case.detail
    assert len(case.evidence) == 2


def test_every_half_of_an_output_is_refused(robot_run, tmp_path):
    data = (robot_run / "out" / "output.xml").read_bytes()
    path = tmp_path / "output.xml"
    for share in (0.05, 0.3, 0.6, 0.99):
        path.write_bytes(data[: int(len(data) * share)])
        with pytest.raises(ImportFileError, match=r"is no whole output\.xml of Robot Framework") as caught:
            imported(path)
        assert "\n" not in str(caught.value)


def test_tests_that_were_not_run_make_a_run_incomplete(tmp_path):
    (tmp_path / "a.robot").write_text(
        "*** Test Cases ***\nOne\n    Fatal Error    stop\nTwo\n    No Operation\n"
    )
    assert run_python("-m", "robot", "a.robot", folder=tmp_path) == 2
    run = imported(tmp_path / "output.xml")
    assert [case.name for case in run.cases] == ["A.One"]
    assert not run.complete


# -- pytest ------------------------------------------------------------------------------------------------

TESTS = """
import pytest

def test_works(record_property):
    record_property("replay", "board:qemu:1")
    record_property("flash_operations", "17")
    record_property("engine_version", "7.2")

def test_breaks(record_property):
    record_property("evidence", "kept/breaks")
    record_property("command", "pytest -k breaks --seed 5")
    assert 1 == 2, "one is not two"

def test_names_another_folder(record_property):
    record_property("evidence", "/etc")
    assert False

class TestGroup:
    @pytest.mark.parametrize("cut", ["op=1/before"])
    def test_power(self, cut):
        raise RuntimeError("no power")

def test_skipped():
    pytest.skip("needs Renode")

@pytest.fixture
def bad():
    yield
    raise RuntimeError("at the end")

def test_teardown(bad):
    assert False, "in the middle"

@pytest.fixture(scope="session", autouse=True)
def suite(record_testsuite_property):
    record_testsuite_property("engine", "qemu")
    record_testsuite_property("board", "mps2-an385")
    record_testsuite_property("seed", 5)
"""


@pytest.fixture(scope="module")
def pytest_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("pytest")
    (folder / "tests").mkdir()
    (folder / "tests" / "test_power.py").write_text(TESTS)
    write_device(folder / "kept" / "breaks" / "dev")
    arguments = ["-p", "no:cacheprovider", "--junitxml", "junit.xml", "--rootdir", ".", "tests"]
    assert run_python("-m", "pytest", *arguments, folder=folder) == 1
    return folder


@pytest.fixture
def pytest_cases(pytest_run, monkeypatch):
    monkeypatch.chdir(pytest_run)
    return {case.name.rpartition(".")[2]: case for case in imported(Path("junit.xml")).cases}


def test_a_pytest_run(pytest_run):
    run = imported(pytest_run / "junit.xml")
    assert run.series == Series(
        project="demo", kind=RunKind.PYTEST, name="pytest", board="mps2-an385", engine="qemu"
    )
    assert run.engine_version == "7.2"
    assert run.seed == 5
    assert abs(datetime.now(UTC) - run.started) < timedelta(minutes=10)
    assert len(run.cases) == 6


def test_results_of_pytest(pytest_cases):
    works, breaks = pytest_cases["test_works"], pytest_cases["test_breaks"]
    assert (works.result, works.replay, works.command) == (Result.PASS, "board:qemu:1", "")
    assert works.flash_operations == 17
    assert breaks.result is Result.FAIL
    assert breaks.message.startswith("AssertionError: one is not two")
    assert "assert 1 == 2" in breaks.detail
    assert breaks.command == "pytest -k breaks --seed 5"
    assert len(breaks.evidence) == 3
    assert breaks.flash_operations == 2
    assert breaks.location is not None
    assert breaks.location.file == "tests/test_power.py"
    other = pytest_cases["test_names_another_folder"]
    assert other.evidence == ()
    assert "its evidence is not there: /etc" in other.detail
    assert (pytest_cases["test_skipped"].result, pytest_cases["test_skipped"].message) == (
        Result.SKIP,
        "needs Renode",
    )


def test_the_command_of_a_parametrised_test_runs_it_alone(pytest_cases, pytest_run):
    case = pytest_cases["test_power[op=1/before]"]
    command = shlex.split(case.command)
    assert command == ["pytest", "tests/test_power.py::TestGroup::test_power[op=1/before]"]
    done = subprocess.run(
        [sys.executable, "-m", *command, "-p", "no:cacheprovider", "-q", "--rootdir", "."],
        cwd=pytest_run,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "1 failed" in done.stdout


def test_a_test_whose_teardown_fails_too_is_one_case(pytest_cases):
    case = pytest_cases["test_teardown"]
    assert case.result is Result.FAIL
    assert "in the middle" in case.message
    assert "at the end" in case.message


def test_a_junit_file_of_something_else(tmp_path):
    path = tmp_path / "junit.xml"
    path.write_text(
        '<?xml version="1.0"?><testsuite name="ctest" time="1,000.5" timestamp="yesterday">'
        '<testcase name="alone" time="nan"/><testcase classname="A" name="b"><error message="x">why</error>'
        "</testcase></testsuite>"
    )
    run = imported(path, engine="host")
    assert (run.series.name, run.series.engine, run.duration_s) == ("ctest", "host", 1000.5)
    assert [(case.name, case.result, case.duration_s, case.message, case.detail) for case in run.cases] == [
        ("alone", Result.PASS, None, "", ""),
        ("A.b", Result.FAIL, None, "x", "why"),
    ]
