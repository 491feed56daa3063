"""Where the sources are, asked of `git`. Nothing here fails: outside of git there is no revision."""

from __future__ import annotations

import os
import re
import subprocess
from typing import TYPE_CHECKING, Final

from brownout.results.model import Revision

if TYPE_CHECKING:
    from pathlib import Path

_DEADLINE_S: Final = 20.0


def current_revision(folder: Path) -> Revision:
    """Commit, branch and state of the work tree that `folder` is in; empty outside of git."""
    commit = _git(folder, "rev-parse", "--verify", "--quiet", "HEAD")
    if not commit:
        return Revision()
    return Revision(
        commit=commit,
        branch=_git(folder, "symbolic-ref", "--short", "--quiet", "HEAD") or "",
        dirty=bool(_git(folder, "status", "--porcelain", "--untracked-files=no")),
    )


def resolve_revision(folder: Path, ref: str) -> str | None:
    """The full SHA-1 of the commit that a branch, a tag or part of a SHA-1 names; None when there is none."""
    return _git(folder, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}") or None


def project_name(folder: Path) -> str:
    """The name of the repository: that of its remote `origin`, else of its top folder, else of `folder`."""
    url = _git(folder, "config", "--get", "remote.origin.url")
    if url and (name := re.split(r"[/:]", url.rstrip("/").removesuffix(".git"))[-1]):
        return name
    top = _git(folder, "rev-parse", "--show-toplevel")
    return os.path.basename(top or folder.resolve()) or "project"  # noqa: PTH119 - text of git, no path of ours


def source_path(folder: Path, name: str) -> str:
    """Where the repository has a file of this name, from its top, such as "boot/nvmc.c".

    "" when it has none or several, or outside of git.
    """
    if re.fullmatch(r"[\w.+ -]+", name) is None:
        return ""
    found = (_git(folder, "ls-files", "--full-name", "--", f":(top,glob)**/{name}") or "").splitlines()
    return found[0] if len(found) == 1 else ""


def _git(folder: Path, *arguments: str) -> str | None:
    """What git prints; None when it fails, is not there, or takes too long."""
    # Without this, `status` writes the index, which a build beside us may be reading.
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_DEADLINE_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return None
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else None
