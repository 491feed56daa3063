"""What installs Renode for others: the script, the GitHub job, the image."""

from __future__ import annotations

import hashlib
import io
import os
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dockerfile_parse import DockerfileParser
from ruamel.yaml import YAML

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).parents[3]
INSTALL = ROOT / "ci" / "renode" / "install.sh"
TIMEOUT_S = 60.0


# -- the script ----------------------------------------------------------------------------------------


class Archive:
    """Something to install instead of a release."""

    def __init__(self, path: Path, *, program: str = "renode") -> None:
        content = b"#!/bin/sh\necho it runs\n"
        with tarfile.open(path, "w:gz") as archive:
            member = tarfile.TarInfo(f"renode_1.16.1-dotnet_portable/{program}")
            member.size, member.mode = len(content), 0o755
            archive.addfile(member, io.BytesIO(content))
        self.url = path.as_uri()
        self.sum = hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def install(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(archive: Archive, *folders: Path, **changes: str) -> subprocess.CompletedProcess[str]:
        variables = {"RENODE_URL": archive.url, "RENODE_SHA256": archive.sum, **changes}
        return subprocess.run(
            [INSTALL, *folders],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )

    return run


def test_a_release_is_installed_once(
    install: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    archive, folder = Archive(tmp_path / "archive"), tmp_path / "renode"
    assert install(archive, folder).stdout == f"renode: 1.16.1 is in {folder}\n"
    assert subprocess.check_output([folder / "renode"], text=True) == "it runs\n"
    # The second time there is nothing to download.
    again = install(archive, folder, RENODE_URL="file:///nowhere")
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["archive", "renode"]


def test_what_is_not_the_release_is_not_installed(
    install: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    archive, folder = Archive(tmp_path / "archive"), tmp_path / "renode"

    def refused(result: subprocess.CompletedProcess[str]) -> str:
        assert result.returncode == 2
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        return result.stderr.splitlines()[-1]

    before = ["archive"]
    wrong = "0" * 64
    said = refused(install(archive, folder, RENODE_SHA256=wrong))
    assert said == f"renode: {archive.url}: has SHA-256 {archive.sum}, expected {wrong}"
    assert "cannot be downloaded" in refused(install(archive, folder, RENODE_URL="file:///nowhere"))
    assert "its folder does not exist" in refused(install(archive, tmp_path / "no" / "renode"))
    assert refused(install(archive)) == "renode: usage: install.sh FOLDER"
    before = ["archive", "other"]
    other = Archive(tmp_path / "other", program="something")
    assert "holds no program renode" in refused(install(other, folder))
    folder.mkdir()
    before = ["archive", "other", "renode"]
    assert "exists and holds something else" in refused(install(archive, folder))
    assert list(folder.iterdir()) == []


def test_the_pin_is_a_whole_one() -> None:
    text = INSTALL.read_text()
    assert re.search(r"^version=\$\{RENODE_VERSION:-\d+\.\d+\.\d+\}$", text, re.MULTILINE)
    assert re.search(r"^sum=\$\{RENODE_SHA256:-[0-9a-f]{64}\}$", text, re.MULTILINE)
    url = re.search(r"^url=\$\{RENODE_URL:-(\S+)\}$", text, re.MULTILINE)
    assert url is not None
    assert url[1].startswith("https://github.com/renode/renode/releases/download/v$version/renode-$version.")


# -- the GitHub job ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "file"),
    [
        ("vendor.github-workflows", ".github/workflows/renode.yml"),
        ("vendor.github-actions", "ci/renode/action.yml"),
    ],
)
def test_github_can_read_it(schema: str, file: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, ROOT / file],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_job_runs_what_a_person_runs() -> None:
    workflow = YAML(typ="safe").load((ROOT / ".github/workflows/renode.yml").read_text())
    job = workflow["jobs"]["renode"]
    assert job["env"]["BROWNOUT_REQUIRE_RENODE"] == "1"
    local = [step["uses"] for step in job["steps"] if step.get("uses", "").startswith("./")]
    assert local == ["./ci/renode"]
    assert (ROOT / local[0] / "action.yml").is_file()
    made = [line for step in job["steps"] for line in step.get("run", "").splitlines() if "make " in line]
    targets = {match[1] for line in made if (match := re.match(r"make (\w+)", line))}
    assert targets == {"run", "test"}
    known = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets <= set(known)
    action = YAML(typ="safe").load((ROOT / "ci/renode/action.yml").read_text())
    assert "install.sh" in action["runs"]["steps"][0]["run"]


def test_where_renode_is_required_its_absence_is_no_skip(tmp_path: Path) -> None:
    test = "harness/tests/test_harness_engine.py::test_a_cut_that_does_not_fire_is_an_error[renode]"

    def run(**variables: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", test],
            env={**os.environ, "RENODE": "renode-nowhere", **variables},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        return done.stdout

    skipped = run(BROWNOUT_REQUIRE_RENODE="")
    assert "1 skipped" in skipped
    assert "needs Renode: renode-nowhere: not found" in skipped
    required = run(BROWNOUT_REQUIRE_RENODE="1")
    assert "BROWNOUT_REQUIRE_RENODE is set: renode-nowhere: not found" in required
    assert "1 error" in required


# -- the image -----------------------------------------------------------------------------------------


def test_the_image_is_made_of_what_is_there() -> None:
    parser = DockerfileParser(fileobj=io.BytesIO((ROOT / "ci/Containerfile").read_bytes()))
    steps = [(step["instruction"], step["value"]) for step in parser.structure]
    known = {"COMMENT", "FROM", "RUN", "COPY", "WORKDIR", "CMD"}
    assert {name for name, _ in steps} == known
    assert parser.baseimage == "docker.io/library/debian:12"
    for value in (value for name, value in steps if name == "COPY"):
        assert (ROOT / value.split()[0]).exists()
    runs = [value for name, value in steps if name == "RUN"]
    assert any("install-renode /opt/renode" in value for value in runs)
    assert "make setup firmware" in runs[-1]
    # Nothing is left for `make setup` to install with apt-get.
    installed = set(re.findall(r"[\w.-]+", runs[0].split("--no-install-recommends")[1].split("&&")[0]))
    setup = (ROOT / "ci/setup.sh").read_text().replace('"$(basename "$python")"', "python3")
    needs = [shlex.split(line) for line in setup.splitlines() if line.startswith("need ")]
    packages = {package for words in needs for package in words[1].split()}
    assert {"python3-venv", "qemu-system-arm", "gcc", "libc6-dev", "cppcheck"} <= packages
    assert packages <= installed
