"""Starts child processes that cannot outlive this process, not even after SIGKILL."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_PR_SET_PDEATHSIG = 1

# Bound before any fork: the code between fork and exec must not import or look up anything.
_prctl = ctypes.CDLL(None, use_errno=True).prctl if sys.platform == "linux" else None


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchRequest:
    """A command line, the descriptors that the child inherits, and where its output goes.

    `input` is a descriptor for its standard input (None: it is empty); `environment` is added to this
    process's own.
    """

    arguments: tuple[str, ...]
    output: int
    inherit: tuple[int, ...] = ()
    input: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)


def launch(request: LaunchRequest) -> subprocess.Popen[bytes]:
    """Start the child of `request`; it is killed when the calling *thread* ends.

    That is how Linux delivers the parent-death signal, so the thread must stay until the child has ended. The
    child is in a session of its own: a Ctrl-C in the terminal reaches this process only. Raises OSError.
    """
    parent = os.getpid()

    def die_with_parent() -> None:
        if _prctl is not None:
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            if os.getppid() != parent:  # the parent was gone before the request took effect
                os._exit(1)

    return subprocess.Popen(
        request.arguments,
        stdin=subprocess.DEVNULL if request.input is None else request.input,
        env={**os.environ, **request.environment} if request.environment else None,
        stdout=request.output,
        stderr=request.output,
        pass_fds=request.inherit,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )
