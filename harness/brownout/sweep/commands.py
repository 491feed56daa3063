"""Command lines that do a run of a sweep again."""

from __future__ import annotations

import shlex


def replay_command(target_file: str, replay: str) -> str:
    """A command that can be pasted into a shell; `target_file` as the command line names it."""
    return shlex.join(["brownout", "sweep", target_file, "--replay", replay])
