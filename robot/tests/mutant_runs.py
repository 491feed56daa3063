"""Builds a mutant and runs Robot tests on it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Final

# Not robot.api: under pytest, the folder robot/ of this repository hides Robot Framework.
from xml.etree import ElementTree

from mutant_patches import ROOT, Mutant, MutantError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

VERSIONS: Final = ("1.0.0", "1.1.0")
"""The factory's version and the one that the suites upgrade to."""
_ROGUE: Final = ("app", "APP_DIR=tests/rogue_app", "VERSION=6.6.6")
_BUILD_TIMEOUT_S: Final = 300
_RUN_TIMEOUT_S: Final = 120
_TEST_TIMEOUT_S: Final = 130
"""Each test has its own deadline of two minutes (robot/suites/__init__.robot)."""
_STOP_TIMEOUT_S: Final = 30
_BIN: Final = Path(sys.executable).absolute().parent
# What of the repository a firmware build reads, and what the tests import of the server.
_SOURCES: Final = ("firmware", "platform", "server/cddl", "server/fieldlink")
_ROBOT_COULD_NOT_RUN: Final = 251
"""Robot's exit codes from here on do not count failed tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TestResult:
    """What a Robot test said: `message` is empty when it passed."""

    __test__ = False  # pytest: not a test class

    name: str
    passed: bool
    message: str

    @property
    def first_line(self) -> str:
        """First line of the message."""
        return self.message.partition("\n")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Build:
    """A mutant that can be tested: `firmware` has the builds, `python` the package `fieldlink`."""

    firmware: Path
    python: Path


class Workshop:
    """Builds mutants one after the other in one copy of the sources: only what changed is compiled."""

    def __init__(self, folder: Path) -> None:
        self.folder: Final = folder
        self._tree = folder / "work" / "tree"
        self._objects = folder / "work" / "objects"
        self._lock = threading.Lock()

    def build(self, name: str, mutant: Mutant | None) -> Build:
        """Build the sources, mutated or as they are. Raises MutantError."""
        output, python = self.folder / name / "firmware", self.folder / name / "python"
        with self._lock:
            self._restore_sources()
            if mutant is not None:
                mutant.apply(self._tree)
            for version in VERSIONS:
                self._make(name, version, "all", f"VERSION={version}")
            # The rogue app is the attacker: it is built as it is.
            if mutant is None or not (self._objects / "rogue" / "app.bin").is_file():
                self._make(name, "rogue", *_ROGUE)
            shutil.rmtree(output, ignore_errors=True)
            for version in (*VERSIONS, "rogue"):
                (output / version).mkdir(parents=True)
                for pattern in ("*.elf", "*.bin"):
                    for built in (self._objects / version).glob(pattern):
                        shutil.copy2(built, output / version)
            # A copy of its own: the tree is the next mutant's while the tests run.
            shutil.rmtree(python, ignore_errors=True)
            shutil.copytree(self._tree / "server" / "fieldlink", python / "fieldlink")
        return Build(firmware=output, python=python)

    def forget(self, name: str) -> None:
        """Remove images and evidence of a mutant that was caught: megabytes that nobody needs."""
        shutil.rmtree(self.folder / name / "firmware", ignore_errors=True)
        shutil.rmtree(self.folder / name / "python", ignore_errors=True)
        shutil.rmtree(self.folder / name / "robot" / "evidence", ignore_errors=True)

    def _restore_sources(self) -> None:
        """Make the copy equal to the tree; files that are equal already keep their time stamps, for make."""
        wanted = {
            path.relative_to(ROOT): path
            for source in _SOURCES
            for path in (ROOT / source).rglob("*")
            if path.is_file() and "__pycache__" not in path.parts
        }
        for present in [path for path in self._tree.rglob("*") if path.is_file()]:
            if present.relative_to(self._tree) not in wanted:
                present.unlink()
        for relative, original in wanted.items():
            copy, content = self._tree / relative, original.read_bytes()
            if not copy.is_file() or copy.read_bytes() != content:
                copy.parent.mkdir(parents=True, exist_ok=True)
                copy.write_bytes(content)

    def _make(self, name: str, output: str, *arguments: str) -> None:
        command = [
            "make",
            "--no-print-directory",
            f"-j{os.cpu_count() or 1}",
            "-C",
            str(self._tree / "firmware"),
        ]
        command += [*arguments, f"OUT={self._objects / output}", f"BIN={_BIN}"]
        command += [f"THIRD_PARTY={ROOT / 'build' / 'third_party'}"]
        log = self.folder / name / f"build-{output}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as sink:
            status = _run(command, _BUILD_TIMEOUT_S, sink=sink.fileno())
        if status != 0:
            lines = [line for line in log.read_text().splitlines() if "error" in line.lower()]
            raise MutantError(
                f"{name}: the build failed: {lines[0] if lines else f'exit code {status}'}; see {log}"
            )


def run_tests(name: str, tests: Sequence[str], build: Build, output: Path) -> tuple[TestResult, ...]:
    """Run the Robot tests with these names (or patterns) on a build. Raises MutantError when Robot cannot."""
    shutil.rmtree(output, ignore_errors=True)
    output.mkdir(parents=True)
    command = [
        sys.executable,
        "-m",
        "robot",
        "--outputdir",
        str(output),
        "--report",
        "NONE",
        "--console",
        "none",
    ]
    command += ["--variable", f"EVIDENCE_DIR:{output / 'evidence'}"]
    for test in tests:
        command += ["--test", test]
    with (output / "robot.log").open("w") as sink:
        status = _run(
            [*command, str(ROOT / "robot" / "suites")],
            _RUN_TIMEOUT_S + _TEST_TIMEOUT_S * len(tests),
            sink=sink.fileno(),
            BROWNOUT_FIRMWARE=str(build.firmware),
            PYTHONPATH=str(build.python),  # before the installed package
        )
    if status >= _ROBOT_COULD_NOT_RUN or status < 0:
        said = (output / "robot.log").read_text().strip().splitlines()
        raise MutantError(f"{name}: robot ended with code {status}: {said[0] if said else 'it said nothing'}")
    results = tuple(_read_results(output / "output.xml"))
    for test in tests:
        if not any(matches(result, test) for result in results):
            raise MutantError(f"{name}: no Robot test is called '{test}'")
    return results


def matches(result: TestResult, pattern: str) -> bool:
    """Tell whether a test has this name, or one like this pattern (as --test does)."""
    return fnmatchcase(result.name.casefold(), re.sub(r"\[", "[[]", pattern.casefold()))


def _read_results(path: Path) -> Iterator[TestResult]:
    for test in ElementTree.parse(path).iter("test"):  # noqa: S314 - a Robot that we started has written it
        status = test.find("status")
        if status is None:
            raise MutantError(f"{path}: test '{test.get('name')}' has no status; is this Robot's output.xml?")
        passed = status.get("status") == "PASS"
        yield TestResult(
            name=test.get("name", ""), passed=passed, message="" if passed else (status.text or "").strip()
        )


def _run(command: Sequence[str], timeout: float, *, sink: int, **more: str) -> int:
    """Run with a deadline, output into `sink`; return the exit code. Raises MutantError."""
    environment = {
        key: value for key, value in os.environ.items() if key not in {"MAKEFLAGS", "MAKELEVEL", "MFLAGS"}
    }
    environment["PATH"] = f"{_BIN}{os.pathsep}{environment.get('PATH', os.defpath)}"
    try:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment | more, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    except OSError as error:
        raise MutantError(f"{command[0]}: cannot be started ({error.strerror}); is it installed?") from error
    try:
        return process.wait(timeout)
    except subprocess.TimeoutExpired:
        raise MutantError(f"{command[0]}: not done within {timeout:g} s: {' '.join(command)}") from None
    finally:
        if process.poll() is None:
            # Gently first: Robot then runs its teardowns, which take the emulators down.
            process.send_signal(signal.SIGINT)
            try:
                process.wait(_STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(_STOP_TIMEOUT_S)
