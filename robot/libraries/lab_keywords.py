"""Shared by the keyword libraries: the lab of the running suite, and its evidence."""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from robot.api import logger
from robot.libraries.BuiltIn import BuiltIn

from brownout.errors import StateError
from brownout.lab import Lab, LyingRelay, Unit
from fieldlink.store import ModuleRecord, ReleaseRecord

ROOT = Path(__file__).resolve().parents[2]


class LabHolder:
    """The lab that the keywords of a suite work on."""

    def __init__(self) -> None:
        self._lab: Lab | None = None
        self._folder: Path | None = None
        self.mark = 0
        """Place in the server's events from which keywords look: where the last release was published."""

    @property
    def lab(self) -> Lab:
        """The running lab. Raises StateError when none was started."""
        if self._lab is None:
            raise StateError("no lab is running: use 'Start Lab' in the setup")
        return self._lab

    def start(self, engine: str, seed: int | None, relay: LyingRelay | None = None) -> Lab:
        """Make a lab in a folder of its own."""
        self.stop()
        self.mark = 0
        self._folder = Path(tempfile.mkdtemp(prefix="brownout-lab-"))
        self._lab = Lab(
            self._folder, engine=engine, seed=_seed_variable() if seed is None else seed, relay=relay
        )
        logger.info(f"lab with seed {self._lab.seed} on engine {engine}")
        return self._lab

    def stop(self) -> None:
        """Take the lab down; nothing happens when there is none."""
        lab, folder = self._lab, self._folder
        self._lab = self._folder = None
        try:
            if lab is not None:
                lab.close()
        finally:
            if folder is not None:
                shutil.rmtree(folder, ignore_errors=True)

    def unit(self, device_id: str) -> Unit:
        """A device of the lab by its id. Raises StateError."""
        units = self.lab.units
        if device_id not in units:
            raise StateError(f"no device '{device_id}' in the lab; it has {', '.join(units) or 'none'}")
        return units[device_id]


HOLDER = LabHolder()
"""One lab a Robot process: all keyword libraries of a suite work on it."""


def find_module(release: ReleaseRecord, name: str) -> ModuleRecord:
    """A module of a release by its name. Raises StateError."""
    for record in release.modules:
        if record.name == name:
            return record
    raise StateError(f"release {release.sequence} has no module '{name}'")


def rerun_command(lab: Lab) -> str:
    """What does the running test again with the same seed, pasted into a shell in the project's folder."""
    suite = BuiltIn().get_variable_value("${SUITE SOURCE}")
    test = BuiltIn().get_variable_value("${TEST NAME}")
    words = ["--variable", f"ENGINE:{lab.engine}", "--variable", f"SEED:{lab.seed}"]
    if test is not None:
        words += ["--test", _as_it_is(str(test))]
    source = Path(str(suite))
    return shlex.join(
        ["robot", *words, str(source.relative_to(ROOT) if source.is_relative_to(ROOT) else source)]
    )


def _as_it_is(name: str) -> str:
    """A name that --test takes as it is: it knows wildcards."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _seed_variable() -> int | None:
    """What `--variable SEED:7` says; None lets the lab draw one."""
    seed = BuiltIn().get_variable_value("${SEED}")
    return None if seed is None else int(seed)


def fieldlink_command(*arguments: str) -> list[str]:
    """Command line of `fieldlink` in this Python environment."""
    return [sys.executable, "-c", "from fieldlink.cli import main; main()", *arguments]
