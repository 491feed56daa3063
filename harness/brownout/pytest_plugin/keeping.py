"""What is kept of a test that failed: a folder for each device, and lines in its report."""

from __future__ import annotations

import hashlib
import re
import shutil
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from brownout.pytest_plugin.power_cuts import CutSchedule

_LONGEST: Final = 100
"""Characters of a folder's name."""
_MANIFEST: Final = "evidence.json"
_MOST_KEPT: Final = 10
"""Evidence of one test function with many parameters: a sweep that fails everywhere would fill the disk."""
_KEEPER: Final = pytest.StashKey["Keeper"]()
_COUNTS: Final = pytest.StashKey[Counter[str]]()


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a test ran on, and how many flash operations it took."""

    board: str
    engine: str
    engine_version: str
    flash_operations: int


class Kept(Protocol):
    """Something whose evidence is worth keeping."""

    @property
    def facts(self) -> Facts:
        """As it is now."""

    @property
    def replays(self) -> Sequence[str]:
        """Replay ids, as far as the test went."""

    @property
    def commands(self) -> Sequence[str]:
        """Commands that do it again and need no evidence."""

    def save(self, folder: Path) -> Mapping[Path, str]:
        """Write evidence below a test's folder: for each folder, the command that does it again.

        Raises BrownoutError.
        """


class Keeper:
    """The evidence of one test, and what is still to be checked when its body has ended."""

    def __init__(self, item: pytest.Item, folder: Path) -> None:
        self.folder: Final = folder
        self._function = item.nodeid.partition("[")[0]
        # JUnit files take them from the report of the teardown, which is made of these.
        self._properties = item.user_properties
        self._counts = item.config.stash.setdefault(_COUNTS, Counter())
        self._kept: list[Kept] = []
        self.schedules: Final[list[CutSchedule]] = []
        self.checks: Final[list[Callable[[], None]]] = []
        self._forget()

    def add(self, kept: Kept) -> None:
        """Keep this one, too, if the test fails."""
        self._kept.append(kept)

    def report(self, report: pytest.TestReport) -> None:
        """Say in the report how to do it again; of a failed test save the evidence."""
        if not self._kept or not (report.when == "call" or (report.when == "setup" and report.failed)):
            return
        replays = [replay for kept in self._kept for replay in kept.replays]
        # The names that `brownout results import` looks for in a JUnit file.
        self._properties += _said(self._kept)
        self._properties += [("replay", replay) for replay in replays[:1]]
        if not report.failed:
            return
        self._counts[self._function] += 1
        if self._counts[self._function] <= _MOST_KEPT:
            self._properties.append(("evidence", str(self.folder)))
            told = [self._save(kept) for kept in self._kept]
        else:
            none = f"none kept: there is that of {_MOST_KEPT} failures of this test"
            told = [
                [("evidence", none), *(("again", command) for command in kept.commands)]
                for kept in self._kept
            ]
        lines = [("replay", replay) for replay in replays] + [line for lines in told for line in lines]
        self._properties += [("command", text) for name, text in lines if name == "again"][:1]
        report.sections.append(("brownout", "\n".join(f"{name:8} {text}" for name, text in lines)))

    def _save(self, kept: Kept) -> list[tuple[str, str]]:
        from brownout.errors import BrownoutError

        try:
            saved = kept.save(self.folder)
        except BrownoutError as error:
            return [("evidence", f"could not be kept: {error}")]
        return [
            line
            for folder, command in saved.items()
            for line in (("evidence", str(folder)), ("again", command))
            if line[1]
        ]

    def _forget(self) -> None:
        """Remove what an earlier run of the test has left."""
        if not self.folder.is_dir():
            return
        for child in self.folder.iterdir():
            if (child / _MANIFEST).is_file():
                shutil.rmtree(child, ignore_errors=True)
        for folder in (self.folder, self.folder.parent, self.folder.parent.parent):
            try:
                folder.rmdir()
            except OSError:
                return  # not empty


def _said(kept: Sequence[Kept]) -> list[tuple[str, str]]:
    """Properties of a test. What it ran on is said when it is the same for all that is kept."""
    facts = [one.facts for one in kept]
    said = {name: {getattr(one, name) for one in facts} for name in ("board", "engine", "engine_version")}
    operations = sum(one.flash_operations for one in facts)
    return [
        *((name, values.pop()) for name, values in said.items() if len(values) == 1),
        ("flash_operations", str(operations)),
    ]


def keeper_of(item: pytest.Item, artifacts: Path) -> Keeper:
    """The keeper of a test, made when something of it is to be kept."""
    keeper = item.stash.get(_KEEPER, None)
    if keeper is None:
        keeper = item.stash[_KEEPER] = Keeper(item, folder_of(item, artifacts))
    return keeper


def drop_keeper(item: pytest.Item) -> None:
    """A test that is run again (pytest-rerunfailures) begins anew."""
    if _KEEPER in item.stash:
        del item.stash[_KEEPER]


def existing_keeper(item: pytest.Item) -> Keeper | None:
    """The keeper of a test that has one."""
    return item.stash.get(_KEEPER, None)


def folder_of(item: pytest.Item, artifacts: Path) -> Path:
    """ARTIFACTS/SUITE/TEST, with names that any file system takes."""
    path, _, test = item.nodeid.partition("::")
    suite = path.removesuffix(".py").strip("./").replace("/", ".")
    return artifacts / _name(suite) / _name(test.replace("::", "."))


def _name(text: str) -> str:
    clean = re.sub(r"[^A-Za-z0-9._=\[\]-]+", "-", text).strip("-.") or "test"
    if len(clean) <= _LONGEST:
        return clean
    return f"{clean[:_LONGEST]}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
