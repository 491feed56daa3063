"""Suites that import the library, run as users run them: in a process of their own."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

TIMEOUT_S = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """What a run of suites has left in `folder`."""

    returncode: int
    output: str
    folder: Path

    @property
    def tree(self) -> ET.Element:
        return ET.parse(self.folder / "output.xml").getroot()  # noqa: S314 - Robot wrote it

    @property
    def failures(self) -> dict[str, str]:
        """Failed tests by name, with what they said."""
        return {
            test.attrib["name"]: test.find("status").text or ""  # type: ignore[union-attr]
            for test in self.tree.iter("test")
            if test.find("status").attrib["status"] == "FAIL"  # type: ignore[union-attr]
        }

    @property
    def metadata(self) -> dict[str, str]:
        """What the top suite says of the whole run."""
        top = self.tree.find("suite")
        assert top is not None
        return {meta.attrib["name"]: meta.text or "" for meta in top.findall("meta")}

    def messages(self, test: str) -> list[str]:
        """All that is in a test's log."""
        (found,) = (item for item in self.tree.iter("test") if item.attrib["name"] == test)
        return [message.text or "" for message in found.iter("msg")]

    def html(self, test: str) -> str:
        """All HTML in a test's log."""
        (found,) = (item for item in self.tree.iter("test") if item.attrib["name"] == test)
        return "".join(message.text or "" for message in found.iter("msg") if message.get("html") == "true")


class RunRobot(Protocol):
    """Runs suites, given as name and text, with ${TARGET} for the target; `tool` is robot or pabot."""

    def __call__(self, suites: dict[str, str], target: Path, *options: str, tool: str = "robot") -> Ran: ...


@pytest.fixture
def run_robot(tmp_path: Path) -> RunRobot:
    def run(suites: dict[str, str], target: Path, *options: str, tool: str = "robot") -> Ran:
        folder, out = tmp_path / "suites", tmp_path / "out"
        folder.mkdir(exist_ok=True)
        for name, text in suites.items():
            (folder / f"{name}.robot").write_text(text)
        command = {
            "robot": [sys.executable, "-m", "robot"],
            "pabot": [str(Path(sys.executable).with_name("pabot")), "--processes", "2", "--no-pabotlib"],
        }[tool]
        if tool == "pabot":
            command += ["--command", sys.executable, "-m", "robot", "--end-command"]
        done = subprocess.run(
            [*command, *options, "--variable", f"TARGET:{target}", "--outputdir", str(out), str(folder)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Ran(returncode=done.returncode, output=f"{done.stdout}{done.stderr}", folder=out)

    return run


@pytest.fixture
def good_target(good_example: Path) -> Path:
    return good_example / "target.toml"


@pytest.fixture
def bad_target(bad_example: Path) -> Path:
    return bad_example / "target.toml"
