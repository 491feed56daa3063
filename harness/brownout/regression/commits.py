"""What git knows of commits: their subjects, and how many there are between two. Nothing here fails."""

from __future__ import annotations

import functools
import subprocess
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_DEADLINE_S: Final = 20.0


class Commits:
    """Asks the repository that `folder` is in; outside of one, and of unknown commits, it knows nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ask = functools.cache(self._git)

    def subject(self, commit: str) -> str:
        """First line of the commit's message, or ""."""
        return self._ask("log", "-1", "--format=%s", "--end-of-options", commit) if commit else ""

    def between(self, last_good: str, first_bad: str) -> int | None:
        """Commits after `last_good` up to `first_bad`; None when nobody knows."""
        if not (last_good and first_bad):
            return None
        text = self._ask("rev-list", "--count", "--end-of-options", f"{last_good}..{first_bad}")
        return int(text) if text.isdecimal() else None

    def _git(self, *arguments: str) -> str:
        try:
            done = subprocess.run(
                ["git", "-C", str(self._folder), *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=_DEADLINE_S,
                check=False,
            )
        except (OSError, ValueError, subprocess.SubprocessError):
            return ""
        return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""
