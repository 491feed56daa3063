"""Mutants: patch files that each take one protection away, and say which Robot tests must notice."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "ci"))

from patch_files import MutantError, PatchFile, Times, read_header

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDERS: Final = (ROOT / "firmware" / "mutants", ROOT / "server" / "mutants")
"""The second for protections of server and client, also where the device would have refused, too."""
_FIELDS: Final = {"Removes": Times.ONCE, "Caught-by": Times.SOME, "Because": Times.ONCE}


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant(PatchFile):
    """One patch file.

    Args:
        removes: the protection that it takes away, in words.
        caught_by: names of Robot tests (or patterns); each must fail.
        because: regular expression that the failure message of each must start with.
    """

    removes: str
    caught_by: tuple[str, ...]
    because: re.Pattern[str]


def read_mutant(path: Path) -> Mutant:
    """Read a patch file. Raises MutantError when its header lacks something."""
    fields, targets = read_header(path, _FIELDS)
    try:
        because = re.compile(fields["Because"][0])
    except re.error as error:
        raise MutantError(f"{path.name}: Because is no regular expression: {error}") from error
    return Mutant(
        path=path,
        targets=targets,
        removes=fields["Removes"][0],
        caught_by=fields["Caught-by"],
        because=because,
    )


def read_all(folders: Sequence[Path] = FOLDERS) -> tuple[Mutant, ...]:
    """All mutants of some folders, by name. Raises MutantError."""
    mutants = [read_mutant(path) for folder in folders for path in sorted(folder.glob("*.patch"))]
    names = [mutant.name for mutant in mutants]
    if twice := {name for name in names if names.count(name) > 1}:
        raise MutantError(f"two mutants are called '{min(twice)}': rename one")
    return tuple(mutants)
