"""Patch files of mutants: a header that says what the patch is for, and a diff. For the runners of mutants.

The header stands above the diff, a line `Key: value` for each field; lines that begin with a space go on
with the field before.
"""

from __future__ import annotations

import enum
import os
import re
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_APPLY_TIMEOUT_S: Final = 30
_TARGET: Final = re.compile(r"^\+\+\+ b/(\S+)", re.MULTILINE)


class MutantError(Exception):
    """A mutant that says nothing: a bad patch, a failed build, a run that broke."""


class Times(enum.Enum):
    """How often a field may stand in a header."""

    ONCE = "one"
    AT_MOST_ONCE = "at most one"
    SOME = "at least one"

    def allows(self, count: int) -> bool:
        """Whether a field may stand there `count` times."""
        return (self is Times.AT_MOST_ONCE and count == 0) or count == 1 or (self is Times.SOME and count > 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class PatchFile:
    """One patch file: `targets` are the files that it changes, relative to the top of the sources."""

    path: Path
    targets: tuple[str, ...]

    @property
    def name(self) -> str:
        """Name of the file without its ending."""
        return self.path.stem

    def apply(self, tree: Path) -> None:
        """Change the files in `tree`, a copy of the sources or of a part of them. Raises MutantError."""
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


def read_header(path: Path, keys: Mapping[str, Times]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """Read a patch file whose header has the fields `keys`.

    Returns the values of each field, and the files that the diff changes. Raises MutantError: a line of the
    header that is no such field, too few or too many of one, no diff.
    """
    text = path.read_text(encoding="utf-8")
    header, separator, _ = text.partition("\n--- a/")
    fields: dict[str, list[str]] = {key: [] for key in keys}
    last = ""
    for line in header.splitlines():
        key, _, value = line.partition(":")
        if key in fields and value.strip():
            last = key
            fields[key].append(value.lstrip(" "))
        elif line.startswith(" ") and last:
            fields[last][-1] += f" {line.strip()}"
        elif line.strip():
            raise MutantError(f"{path.name}: line '{line}' before the diff: expected {', '.join(keys)}")
    targets = tuple(_TARGET.findall(text))
    counts = {key: len(values) for key, values in fields.items()}
    if not separator or not targets or not all(times.allows(counts[key]) for key, times in keys.items()):
        wanted = ", ".join(f"{times.value} {key}" for key, times in keys.items())
        raise MutantError(
            f"{path.name}: expected {wanted} and a diff, found {counts} and {len(targets)} changed files"
        )
    return {key: tuple(values) for key, values in fields.items()}, targets
