"""Mutants do not rot: every patch applies to the sources and names tests that exist; one is run."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from mutant_patches import FOLDERS, ROOT, MutantError, read_all, read_mutant
from mutant_runs import TestResult, matches

from mutants import Outcome, Verdict, choose, exit_code, judge

if TYPE_CHECKING:
    from pathlib import Path

PATCHES = [path for folder in FOLDERS for path in sorted(folder.glob("*.patch"))]
SAMPLE = "boot-trusts-installed-modules"
DEADLINE_S = 280

HEADER = """Removes: a protection
  in two lines
Caught-by: S1 One
Caught-by: S1 Two
Because: ViolationError: oracle [12]

"""
DIFF = """--- a/firmware/lib/x.c
+++ b/firmware/lib/x.c
@@ -1,2 +1 @@
 one
-two
"""


@pytest.fixture(scope="module")
def robot_tests() -> list[TestResult]:
    """Every Robot test of the suites, by name."""
    found = []
    for suite in (ROOT / "robot" / "suites").rglob("*.robot"):
        _, _, tests = suite.read_text().partition("*** Test Cases ***")
        lines = tests.partition("\n***")[0].splitlines()[1:]
        found += [TestResult(name=line, passed=True, message="") for line in lines if line[:1].strip()]
    return found


def test_there_are_enough_of_them() -> None:
    assert len(PATCHES) >= 16


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_patch_applies_and_names_tests_that_exist(
    path: Path, tmp_path: Path, robot_tests: list[TestResult]
) -> None:
    mutant = read_mutant(path)
    for target in mutant.targets:
        assert target.startswith(("firmware/", "server/fieldlink/"))
        copy = tmp_path / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / target, copy)
    mutant.apply(tmp_path)
    for target in mutant.targets:
        assert (tmp_path / target).read_bytes() != (ROOT / target).read_bytes()
    for wanted in mutant.caught_by:
        assert any(matches(test, wanted) for test in robot_tests), f"no Robot test is called '{wanted}'"


def test_patch_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    patch = tmp_path / "stale.patch"
    patch.write_text(HEADER + DIFF)
    tree = tmp_path / "tree"
    (tree / "firmware" / "lib").mkdir(parents=True)
    (tree / "firmware" / "lib" / "x.c").write_text("three\nfour\n")
    with pytest.raises(MutantError, match=r"stale\.patch: does not apply"):
        read_mutant(patch).apply(tree)


def test_every_debug_test_has_a_mutant(robot_tests: list[TestResult]) -> None:
    wanted = [pattern for mutant in read_all() for pattern in mutant.caught_by]
    tests = [test for test in robot_tests if test.name.startswith("S1")]
    assert len(tests) > 40
    missing = [test.name for test in tests if not any(matches(test, pattern) for pattern in wanted)]
    assert not missing, "no mutant shows that these tests can fail"


def test_two_mutants_of_one_name_are_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path / "one", tmp_path / "two"):
        folder.mkdir()
        (folder / "same.patch").write_text(HEADER + DIFF)
    with pytest.raises(MutantError, match="two mutants are called 'same'"):
        read_all((tmp_path / "one", tmp_path / "two"))


def test_header_is_read(tmp_path: Path) -> None:
    patch = tmp_path / "good.patch"
    patch.write_text(HEADER + DIFF)
    mutant = read_mutant(patch)
    assert mutant.removes == "a protection in two lines"
    assert mutant.caught_by == ("S1 One", "S1 Two")
    assert mutant.because.pattern == "ViolationError: oracle [12]"
    assert mutant.targets == ("firmware/lib/x.c",)


@pytest.mark.parametrize(
    "text",
    [
        DIFF,
        HEADER,
        HEADER.replace("Because: ViolationError: oracle [12]\n", "") + DIFF,
        HEADER.replace("Caught-by", "Caught") + DIFF,
        HEADER.replace("[12]", "[12") + DIFF,
    ],
    ids=["no header", "no diff", "no reason", "unknown field", "bad expression"],
)
def test_bad_header_is_an_error(text: str, tmp_path: Path) -> None:
    patch = tmp_path / "bad.patch"
    patch.write_text(text)
    with pytest.raises(MutantError, match=r"bad\.patch: "):
        read_mutant(patch)


@pytest.mark.parametrize(
    ("one", "two", "verdict"),
    [
        ("ViolationError: oracle 1: mixed", "ViolationError: oracle 2: none", Verdict.CAUGHT),
        ("ViolationError: oracle 1: mixed", "", Verdict.SURVIVED),
        ("No keyword with name 'X' found.", "", Verdict.SURVIVED),
        ("ViolationError: oracle 1: mixed", "No keyword with name 'X' found.", Verdict.ERROR),
        ("Setup failed:\nViolationError: oracle 1", "ViolationError: oracle 1: mixed", Verdict.ERROR),
    ],
)
def test_only_the_right_failure_of_all_tests_counts(
    one: str, two: str, verdict: Verdict, tmp_path: Path
) -> None:
    patch = tmp_path / "good.patch"
    patch.write_text(HEADER + DIFF)
    results = [
        TestResult(name="S1 One", passed=not one, message=one),
        TestResult(name="S1 Two", passed=not two, message=two),
    ]
    assert judge(read_mutant(patch), results)[0] is verdict


@pytest.mark.parametrize(
    ("verdicts", "code"),
    [
        ([Verdict.CAUGHT, Verdict.CAUGHT], 0),
        ([Verdict.CAUGHT, Verdict.SURVIVED], 1),
        ([Verdict.ERROR, Verdict.SURVIVED], 2),
    ],
)
def test_exit_code(verdicts: list[Verdict], code: int) -> None:
    outcomes = [Outcome(name="x", removes="y", verdict=verdict, seconds=0.0) for verdict in verdicts]
    assert exit_code(outcomes) == code


def test_unknown_mutant_is_an_error() -> None:
    with pytest.raises(MutantError, match="no mutant 'nonsense'"):
        choose(read_all(), ["nonsense"])


@pytest.mark.emulator
def test_sample_is_caught() -> None:
    output = ROOT / "build" / "mutants-sample"
    command = [sys.executable, str(ROOT / "robot" / "tests" / "mutants.py"), "--only", SAMPLE]
    result = subprocess.run(
        [*command, "--output", str(output)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    baseline, mutant = json.loads((output / "mutants.json").read_text())
    assert [test["passed"] for test in baseline["tests"]] == [True]
    assert mutant["verdict"] == "caught"
    assert mutant["tests"][0]["message"].startswith(
        "ViolationError: boot: expected it to say 'halted: bad digest'"
    )
