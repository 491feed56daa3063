"""Findings as Robot suites: Robot reads them, and takes every text as it is."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from brownout.report import render_suites

if TYPE_CHECKING:
    from conftest import ResultFactory

# In a process of its own: under pytest, the folder `robot` of this repository hides the package.
_READ = """
import json, sys
from robot.api import TestSuiteBuilder

print(json.dumps([
    {
        "libraries": [library.name for library in suite.resource.imports],
        "target": suite.resource.variables[0].value[0],
        "tests": [[[step.name, *step.args] for step in test.body] for test in suite.tests],
    }
    for suite in TestSuiteBuilder().build(sys.argv[1]).suites
]))
"""


def test_each_group_becomes_a_suite_that_robot_reads(make_result: ResultFactory, tmp_path: Path) -> None:
    result = make_result(findings=30)
    folder, target = tmp_path / "a" / "suites", tmp_path / "boards" / "target.toml"
    suites = render_suites(result, target_file=target, folder=folder)
    assert len(suites) == len(result.groups)
    folder.mkdir(parents=True)
    for name, text in suites.items():
        (folder / name).write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", _READ, folder],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    built = json.loads(done.stdout)
    by_id = {finding.id: finding for finding in result.findings}
    wanted = [by_id[group.example].shrunk for group in result.groups]
    assert len(built) == len(wanted)
    for suite in built:
        assert suite["libraries"] == ["brownout.robot.SweepLibrary"]
        assert Path(suite["target"]).resolve() == target.resolve()
        (((name, where, replayed),),) = suite["tests"]
        assert (name, where) == ("Replay Should Recover", "${TARGET}")
        wanted.remove(replayed)
    assert wanted == []


def test_groups_of_one_title_get_files_of_their_own(make_result: ResultFactory, tmp_path: Path) -> None:
    result = make_result(findings=30)
    groups = [replace(group, title="Same ${title}  # twice") for group in result.groups]
    suites = render_suites(replace(result, groups=groups), target_file=tmp_path / "t.toml", folder=tmp_path)
    assert len(suites) == len(groups)
    assert all("\nSame \\${title} # twice\n" in text for text in suites.values())


def test_no_findings_no_suites(make_result: ResultFactory, tmp_path: Path) -> None:
    assert render_suites(make_result(), target_file=tmp_path / "t.toml", folder=tmp_path) == {}
