"""ci/action/run.sh, for real: what a job of a user runs, publishes and ends with."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import time
from typing import TYPE_CHECKING

import pytest
from ci_project import ACTION, TIMEOUT_S, break_firmware, environment, git

if TYPE_CHECKING:
    from pathlib import Path

    from ci_project import Script

pytestmark = pytest.mark.emulator
REPORT = ["findings.sarif", "index.html", "junit.xml", "report.json", "report.md"]
QUICK = ("--target=target.toml", "--sweep-arg=--live=0", "--jobs=1")


def runs_of(project: Path) -> list[dict[str, str]]:
    """What the store has, newest first."""
    said = subprocess.check_output(
        ["brownout", "results", "list", "--json"], cwd=project, env=environment(), text=True
    )
    runs: list[dict[str, str]] = json.loads(said)
    return runs


def command_of(project: Path, run_id: str) -> str:
    """What was run, as the store has it."""
    said = subprocess.check_output(
        ["brownout", "results", "show", run_id, "--json"], cwd=project, env=environment(), text=True
    )
    return str(json.loads(said)["command"])


def test_what_broke_is_published_and_fails_the_job(script: Script, project: Path, bad_example: Path) -> None:
    good = git(project, "rev-parse", "HEAD")
    variables = {
        "BROWNOUT_TARGETS": "target.toml\n",
        "BROWNOUT_SUITES": " suites ",
        "BROWNOUT_TESTS": "tests",
        "BROWNOUT_TESTS_ARGS": "-q\n-k\nwhile_they_are_written",
        "BROWNOUT_JOBS": "2",
        "BROWNOUT_SWEEP_ARGS": "--live=0",
        "BROWNOUT_POINTS": "all",
        "BROWNOUT_IMAGES": "build",
        "GITHUB_REF_NAME": "main",
    }
    # The branch of a pull request is a guess, no wish of the user: nothing is recorded of it yet.
    done = script(project, **variables, GITHUB_BASE_REF="next")
    assert (done.returncode, done.stderr) == (0, "")
    assert "ci: nothing is recorded of 'next': compared with the previous run" in done.stdout
    assert done.stdout.splitlines()[-1] == "ci: passed: brownout-report/report/index.html"
    output = project / "brownout-report"
    assert sorted(path.name for path in (output / "report").iterdir()) == REPORT
    assert (output / "suites" / "pabot_results").is_dir()  # as there is more than one job
    for made in (
        "sweeps/target/sweep.json",
        "sweeps/target/sweep.html",
        "suites/log.html",
        "tests/pytest.xml",
    ):
        assert (output / made).is_file(), made
    runs = {run["kind"]: run["id"] for run in runs_of(project)}
    assert sorted(runs) == ["pytest", "robot", "sweep"]
    # What was run can be pasted into a shell.
    words = shlex.split(command_of(project, runs["pytest"]))
    assert words[0] == "pytest"
    assert words[-4:] == ["-q", "-k", "while_they_are_written", "tests"]

    bad = break_firmware(project, bad_example)
    # A pull request: nobody says what to compare with, and git has no branch of that name checked out.
    git(project, "checkout", "-q", "--detach")
    variables["BROWNOUT_JOBS"] = "1"
    done = script(
        project,
        **variables,
        GITHUB_BASE_REF="main",
        GITHUB_HEAD_REF="in-place",
        BROWNOUT_FAIL_ON="regressions",
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.splitlines()[-1] == "ci: failed: brownout-report/report/index.html"
    assert "broke since" in done.stdout

    assert sorted(path.name for path in (output / "report").iterdir()) == REPORT
    report = json.loads((output / "report" / "report.json").read_text())
    assert "main" in str(report["baseline"])
    text = (output / "report" / "report.md").read_text()
    assert good[:10] in text
    assert bad[:10] in text
    assert "Write the new settings over the old ones" in text
    assert "brownout sweep target.toml --replay settings-store:unicorn:" in text
    assert "settings-store" in (output / "report" / "index.html").read_text()
    failures = (output / "report" / "junit.xml").read_text().count("<failure")
    assert failures >= 3  # of the sweep, the suite and the tests
    results = json.loads((output / "report" / "findings.sarif").read_text())["runs"][0]["results"]
    assert any(result.get("locations") for result in results)
    assert list((output / "tests" / "evidence").rglob("uart.log"))
    assert list((output / "sweeps" / "target" / "evidence").rglob("evidence.json"))
    # What upload-artifact refuses in a name.
    assert [str(path) for path in output.rglob("*") if set('":<>|*?\r\n') & set(path.name)] == []

    assert [run["branch"] for run in runs_of(project)] == ["in-place"] * 3 + ["main"] * 3
    # Nothing but the report and the store is left in the project.
    assert git(project, "status", "--porcelain") == ""


def test_everything_is_published_when_a_part_cannot_be_run(script: Script, project: Path) -> None:
    broken = project / "broken.toml"
    broken.write_text((project / "target.toml").read_text().replace("build/firmware.elf", "build/none.elf"))
    (project / "other").mkdir()
    (project / "other" / "target.toml").write_text(
        (project / "target.toml").read_text().replace('"build/', '"../build/').replace("-store", "-other")
    )
    (project / "empty").mkdir()
    done = script(
        project,
        *("--target", "broken.toml", *QUICK, "--target=other/target.toml"),
        *("--tests", "empty", "--points=1", "--output", "out/ci"),
        BROWNOUT_TARGETS="not used",
    )
    assert done.returncode == 2
    errors = [line for line in done.stderr.splitlines() if line.startswith("ci: ")]
    assert errors == [
        "ci: broken.toml: the sweep ended with an error (2)",
        "ci: out/ci/sweeps/broken/sweep.json: was not written: there is nothing to record",
        "ci: tests: pytest found no tests",
        "ci: out/ci/tests/pytest.xml: could not be recorded",
    ]
    assert done.stdout.splitlines()[-1] == "ci: error; what there is is in out/ci"
    assert sorted(path.name for path in (project / "out/ci/report").iterdir()) == REPORT
    assert sorted(path.name for path in (project / "out/ci/sweeps").iterdir()) == [
        "broken",
        "other_target",
        "target",
    ]
    assert len(runs_of(project)) == 2


def test_a_baseline_that_was_never_recorded(script: Script, project: Path) -> None:
    store = project / ".brownout" / "results.db"
    store.parent.mkdir()
    store.touch()  # a database without tables, as somebody has made it for us
    first = script(project, *QUICK, "--points=1", "--baseline=v1")
    # There are no runs yet: the first job of a project is no error.
    assert first.returncode == 0, first.stderr
    assert "ci: nothing is recorded of 'v1': compared with the previous run" in first.stdout
    second = script(project, *QUICK, "--points=1", "--baseline=v1")
    assert second.returncode == 2
    assert "brownout: error: baseline 'v1': " in second.stderr
    assert "ci: baseline: 'v1': the report compares with the previous run instead" in second.stderr
    assert sorted(path.name for path in (project / "brownout-report/report").iterdir()) == REPORT


def test_what_failed_before_need_not_fail_the_job(script: Script, project: Path, bad_example: Path) -> None:
    break_firmware(project, bad_example)
    one = "--sweep-arg=--operations=3"
    assert script(project, *QUICK, one, "--fail-on=regressions").returncode == 0
    assert script(project, *QUICK, one).returncode == 1


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ([], "nothing to run: set targets, suites or tests"),
        (["--target=a b.toml"], "target: 'a b.toml': no such file (one a line)"),
        (["--suites=none"], "suites: 'none': no such file or folder (one a line)"),
        (["--tests=none::test_it"], "tests: 'none::test_it': no such file or folder (one a line)"),
        (["--target=target.toml", "--images=none"], "images: 'none': no such file or folder (one a line)"),
        (["--target=target.toml", "--engine=gem5"], "engine: 'gem5': expected unicorn, qemu or renode"),
        (["--target=target.toml", "--points=0"], "points: '0': expected all, or a number above 0"),
        (["--target=target.toml", "--jobs", "-1"], "jobs: '-1': expected a number above 0"),
        (["--target=target.toml", "--keep=none"], "keep: 'none': expected a number above 0"),
        (["--target=target.toml", "--fail-on=x"], "fail-on: 'x': expected failures or regressions"),
        (
            ["--target=target.toml", "--output=tests"],
            "output: 'tests': holds other things: expected an empty folder, or none",
        ),
        (["--target=target.toml", "--output=target.toml"], "output: 'target.toml': is no folder"),
        (["--target=target.toml", "--output=target.toml/x"], "output: 'target.toml/x': cannot be written"),
        (
            ["--target=target.toml", "--store=target.toml/x.db"],
            "store: 'target.toml/x.db': its folder cannot be made",
        ),
        (["--target=target.toml", "--build=exit 3"], "build: 'exit 3' failed (3)"),
        (["--verbose"], "'--verbose': no such option; run.sh --help names them"),
        (["--target"], "--target: expected a value"),
    ],
)
def test_bad_input_is_one_line(script: Script, project: Path, options: list[str], said: str) -> None:
    done = script(project, *options)
    assert (done.returncode, done.stderr) == (2, f"ci: {said}\n")
    assert not (project / ".brownout" / "results.db").exists()
    assert git(project, "status", "--porcelain") == ""


def test_a_store_that_cannot_be_read_is_told_before_anything_runs(script: Script, project: Path) -> None:
    done = script(project, "--target=target.toml", "--store=target.toml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "ci: store target.toml: file is not a database\n"


def test_help_names_every_variable(script: Script, project: Path) -> None:
    done = script(project, "--help")
    assert (done.returncode, done.stderr) == (0, "")
    used = {word for word in (ACTION / "run.sh").read_text().split("${")[1:] if word.startswith("BROWNOUT_")}
    assert {word.split(":")[0].split("%")[0].split("#")[0].split("}")[0] for word in used} <= set(
        done.stdout.split()
    )


def test_nothing_is_left_running_when_it_is_ended(project: Path) -> None:
    build = "echo $$ >started.tmp && mv started.tmp started && exec sleep 600"
    with subprocess.Popen(
        [ACTION / "run.sh", "--target=target.toml", f"--build={build}"],
        cwd=project,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + TIMEOUT_S
        while not (project / "started").exists():
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.01)
        child = int((project / "started").read_text())
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=TIMEOUT_S)
    assert (process.returncode, errors) == (130, "ci: interrupted\n")
    with pytest.raises(ProcessLookupError):
        os.kill(child, 0)
