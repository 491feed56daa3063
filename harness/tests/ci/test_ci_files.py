"""The action, the template and the image, read by those who know their formats, and against each other."""

from __future__ import annotations

import io
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ci_project import ACTION, ROOT, TIMEOUT_S, environment
from dockerfile_parse import DockerfileParser
from ruamel.yaml import YAML

TEMPLATE = ROOT / "ci" / "gitlab" / "brownout.gitlab-ci.yml"
IMAGE = ROOT / "ci" / "container" / "Containerfile"
OF_THE_SCRIPT = re.compile(r"\bBROWNOUT_[A-Z_]+")


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text())


def script_variables() -> set[str]:
    """Variables that run.sh knows."""
    done = subprocess.run(
        [ACTION / "run.sh", "--help"], capture_output=True, text=True, check=True, timeout=TIMEOUT_S
    )
    return set(OF_THE_SCRIPT.findall(done.stdout))


def check_shell(text: str) -> None:
    """Shellcheck finds nothing in it."""
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), "--shell=bash", "-"],
        input=text,
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stdout) == (0, "")


def check_schema(schema: str, path: Path) -> None:
    """It is valid for GitHub or GitLab."""
    done = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, path],
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("schema", "path"), [("vendor.github-actions", ACTION / "action.yml"), ("vendor.gitlab-ci", TEMPLATE)]
)
def test_it_is_valid(schema: str, path: Path) -> None:
    check_schema(schema, path)


def test_the_documentation_shows_jobs_that_are_valid(tmp_path: Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```$", (ROOT / "docs" / "ci.md").read_text(), re.M | re.S)
    workflow, pipeline = tmp_path / "workflow.yml", tmp_path / "pipeline.yml"
    workflow.write_text(blocks[0])
    pipeline.write_text(blocks[1])
    assert len(blocks) == 2
    check_schema("vendor.github-workflows", workflow)
    check_schema("vendor.gitlab-ci", pipeline)
    step = load(workflow)["jobs"]["power-cuts"]["steps"][-1]
    assert step["uses"].startswith("OWNER/brownout/ci/action@")
    assert set(step["with"]) <= set(load(ACTION / "action.yml")["inputs"])
    job = load(pipeline)["power-cuts"]
    assert job["extends"] in load(TEMPLATE)
    assert set(job["variables"]) <= set(load(TEMPLATE)[".brownout"]["variables"])
    assert load(pipeline)["include"][0]["file"] == str(TEMPLATE.relative_to(ROOT))


@pytest.mark.parametrize("name", ["run.sh", "install.sh"])
def test_the_scripts_are_clean(name: str) -> None:
    check_shell((ACTION / name).read_text())


def test_the_steps_are_clean_and_nothing_is_pasted_into_them() -> None:
    steps = load(ACTION / "action.yml")["runs"]["steps"]
    scripts = [step["run"] for step in steps if "run" in step]
    assert len(scripts) == 4
    for text in scripts:
        # What ${{ }} pastes is run: a branch may be called $(...).
        assert "${{" not in text
        check_shell("#!/usr/bin/env bash\n" + text)
    job = load(TEMPLATE)[".brownout"]
    for text in [*job["before_script"], *job["script"]]:
        check_shell("#!/usr/bin/env bash\n" + text)


def test_actions_of_others_are_pinned() -> None:
    text = (ACTION / "action.yml").read_text()
    uses = re.findall(r"^ +uses: (.*)$", text, re.MULTILINE)
    assert len(uses) == 5
    for one in uses:
        assert re.fullmatch(r"[\w-]+/[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one), one


def test_each_input_is_used_and_each_variable_is_known() -> None:
    text = (ACTION / "action.yml").read_text()
    inputs = load(ACTION / "action.yml")["inputs"]
    assert set(re.findall(r"\binputs\.([a-z-]+)", text)) == set(inputs)
    step = next(step for step in load(ACTION / "action.yml")["runs"]["steps"] if step.get("id") == "run")
    known = script_variables()
    assert set(step["env"]) == known - {"BROWNOUT_KEEP"}

    template = set(load(TEMPLATE)[".brownout"]["variables"]) - {"GIT_DEPTH"}
    installing = set(OF_THE_SCRIPT.findall((ACTION / "install.sh").read_text()))
    here = {"BROWNOUT_SOURCE", "BROWNOUT_VERSION", "BROWNOUT_NAME"}
    assert template == (known - {"BROWNOUT_KEEP"}) | installing | here


def test_defaults_are_those_of_the_script() -> None:
    inputs = load(ACTION / "action.yml")["inputs"]
    job = load(TEMPLATE)[".brownout"]
    script = (ACTION / "run.sh").read_text()
    for name, variable in {"output": "OUTPUT", "store": "RESULTS", "fail-on": "FAIL_ON"}.items():
        default = inputs[name]["default"]
        assert f"${{BROWNOUT_{variable}:-{default}}}" in script
        assert job["variables"][f"BROWNOUT_{variable}"] == default
    assert job["artifacts"]["paths"] == [f"{inputs['output']['default']}/"]
    assert job["artifacts"]["reports"]["junit"] == f"{inputs['output']['default']}/report/junit.xml"
    assert job["cache"]["paths"] == [f"{Path(inputs['store']['default']).parent}/"]


def test_the_image_is_made_of_what_is_there() -> None:
    parser = DockerfileParser(fileobj=io.BytesIO(IMAGE.read_bytes()))
    steps = [(step["instruction"], step["value"]) for step in parser.structure]
    assert {name for name, _ in steps} == {"COMMENT", "FROM", "RUN", "COPY", "WORKDIR", "ENV", "CMD"}
    assert parser.baseimage == "docker.io/library/debian:12"
    copied = [source for name, value in steps if name == "COPY" for source in value.split()[:-1]]
    assert all((ROOT / source).exists() for source in copied)
    # Nothing is left for install.sh to install with apt-get.
    apt = next(value for name, value in steps if name == "RUN")
    installed = set(re.findall(r"[\w.-]+", apt.split("--no-install-recommends")[1].split("&&")[0]))
    needs = set(re.findall(r"\bneed ([a-z][\w.-]+)", (ACTION / "install.sh").read_text()))
    assert {"qemu-system-arm", "python3-venv", "gcc-arm-none-eabi"} <= needs
    assert needs <= installed
    assert {"ca-certificates", "gdb-multiarch"} <= installed
    # What the wheel is made of is copied before it is built.
    wheel = (ROOT / "pyproject.toml").read_text()
    packages = re.search(r'^packages = \["(.*)", "(.*)"\]$', wheel, re.MULTILINE)
    assert packages is not None
    assert {*packages.groups(), "platform", "pyproject.toml", "README.md", "LICENSE"} <= set(copied)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (["a", "b"], {}, "usage: install.sh [VENV]"),
        ([], {"BROWNOUT_COMPILER": "yes"}, "BROWNOUT_COMPILER: 'yes': expected true or false"),
        (
            [],
            {"BROWNOUT_PACKAGES": "gdb-multiarch -o=Dir::Etc"},
            "BROWNOUT_PACKAGES: '-o=Dir::Etc': expected names of Debian packages",
        ),
        ([], {"PYTHON": "python-nowhere"}, "python-nowhere: not found on PATH"),
    ],
)
def test_what_cannot_be_installed_is_one_line(
    arguments: list[str], variables: dict[str, str], said: str
) -> None:
    done = subprocess.run(
        [ACTION / "install.sh", *arguments],
        env=environment(**variables),
        capture_output=True,
        text=True,
        check=False,
        timeout=TIMEOUT_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"ci: install: {said}\n")
