"""Mutants: patch files that each take one protection away, and say which Robot tests must notice."""

from __future__ import annotations

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDERS: Final = (ROOT / "firmware" / "mutants", ROOT / "server" / "mutants")
"""The second for protections of server and client, also where the device would have refused, too."""
_APPLY_TIMEOUT_S: Final = 30
_FIELD: Final = re.compile(r"(Removes|Caught-by|Because): *(.+)")
_TARGET: Final = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)


class MutantError(Exception):
    """A mutant that says nothing about the suites: a bad patch, a failed build, a run that broke."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """One patch file.

    Args:
        path: the file.
        removes: the protection that it takes away, in words.
        caught_by: names of Robot tests (or patterns); each must fail.
        because: regular expression that the failure message of each must start with.
        targets: files that it changes, relative to the repository.
    """

    path: Path
    removes: str
    caught_by: tuple[str, ...]
    because: re.Pattern[str]
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self.path.stem

    def apply(self, tree: Path) -> None:
        """Change the files in `tree`, a copy of the repository or of a part of it. Raises MutantError."""
        # Git must not see the repository around `tree`: it would skip files outside its present folder.
        environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
        environment["GIT_CEILING_DIRECTORIES"] = str(tree.resolve().parent)
        done = subprocess.run(
            ["git", "apply", "--whitespace=nowarn", str(self.path.resolve())],
            cwd=tree,
            env=environment,
            capture_output=True,
            text=True,
            timeout=_APPLY_TIMEOUT_S,
            check=False,
        )
        if done.returncode != 0:
            reason = (done.stderr.strip().splitlines() or ["no reason given"])[0]
            raise MutantError(
                f"{self.path.name}: does not apply ({reason}); the sources have changed there: "
                "make the patch anew as in docs/mutants.md"
            )


def read_mutant(path: Path) -> Mutant:
    """Read a patch file. Raises MutantError when its header lacks something."""
    text = path.read_text(encoding="utf-8")
    header, separator, _ = text.partition("\n--- a/")
    fields: dict[str, list[str]] = {"Removes": [], "Caught-by": [], "Because": []}
    key = ""
    for line in header.splitlines():
        match = _FIELD.fullmatch(line)
        if match is not None:
            key = match[1]
            fields[key].append(match[2])
        elif line.startswith(" ") and key:
            fields[key][-1] += f" {line.strip()}"
        elif line.strip():
            raise MutantError(
                f"{path.name}: line '{line}' before the diff: expected Removes, Caught-by or Because"
            )
    targets = tuple(_TARGET.findall(text))
    counts = {name: len(values) for name, values in fields.items()}
    if (
        not separator
        or not targets
        or counts["Removes"] != 1
        or counts["Because"] != 1
        or not counts["Caught-by"]
    ):
        raise MutantError(
            f"{path.name}: expected one Removes, one Because, at least one Caught-by and a diff, "
            f"found {counts} and {len(targets)} changed files"
        )
    try:
        because = re.compile(fields["Because"][0])
    except re.error as error:
        raise MutantError(f"{path.name}: Because is no regular expression: {error}") from error
    return Mutant(
        path=path,
        removes=fields["Removes"][0],
        caught_by=tuple(fields["Caught-by"]),
        because=because,
        targets=targets,
    )


def read_all(folders: Sequence[Path] = FOLDERS) -> tuple[Mutant, ...]:
    """All mutants of some folders, by name. Raises MutantError."""
    mutants = [read_mutant(path) for folder in folders for path in sorted(folder.glob("*.patch"))]
    names = [mutant.name for mutant in mutants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise MutantError(f"two mutants are called '{min(twice)}': rename one")
    return tuple(mutants)
