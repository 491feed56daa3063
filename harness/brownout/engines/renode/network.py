"""Who can reach a Renode: a network of its own where the system gives one, and what it listens on elsewhere.

Renode has no option that keeps its servers on the loopback interface: all of them listen on every one.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from functools import cache
from pathlib import Path
from typing import Final

from brownout.errors import EngineError

LISTENERS_VARIABLE: Final = "BROWNOUT_INSECURE_RENODE_LISTENERS"
_TIMEOUT_S: Final = 20.0
_WAYS: Final = (("-n",), ("-r", "-n"))
"""Options of unshare: as root, and as anybody."""
# How /proc/net says that a socket waits for whoever comes: TCP's LISTEN, UDP's "not connected".
_WAITING: Final = {"tcp": "0A", "tcp6": "0A", "udp": "07", "udp6": "07"}
_MAPPED: Final = "0000000000000000FFFF0000"
"""Start of an IPv4 address in a table of IPv6."""


def listeners_allowed() -> bool:
    """Whether the environment allows Renode to listen in this machine's network. Raises EngineError."""
    said = os.environ.get(LISTENERS_VARIABLE, "")
    if said not in ("", "0", "1"):
        raise EngineError(f"{LISTENERS_VARIABLE}={said}: expected 1 (allowed) or 0")
    return said == "1"


@cache
def private_network() -> tuple[str, ...]:
    """What to put before a command line so that it has a network of its own; () where that is not allowed."""
    unshare, setpriv = shutil.which("unshare"), shutil.which("setpriv")
    if unshare is None or setpriv is None:
        return ()
    # A new user namespace forgets that the child is to end with its parent, so setpriv says it again.
    again = (setpriv, "--pdeathsig", "KILL", "--")
    for options in _WAYS:
        prefix = (unshare, *options, "--", *again)
        with contextlib.suppress(OSError, subprocess.TimeoutExpired):
            done = subprocess.run((*prefix, "true"), check=False, capture_output=True, timeout=_TIMEOUT_S)
            if done.returncode == 0:
                return prefix
    return ()


def open_ports(leader: int) -> list[str]:
    """Where processes of the session of `leader` wait for others, but for the loopback interface."""
    inodes = {inode for pid in _session(leader) for inode in _sockets(pid)}
    found = set()
    for table, waiting in _WAITING.items():
        with contextlib.suppress(OSError):
            for line in Path("/proc/net", table).read_text().splitlines()[1:]:
                fields = line.split()
                if fields[3] == waiting and fields[9] in inodes and not _is_loopback(fields[1]):
                    found.add(f"{table.rstrip('6')} port {int(fields[1].rpartition(':')[2], 16)}")
    return sorted(found)


def _session(leader: int) -> list[int]:
    members = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            with contextlib.suppress(OSError):
                if os.getsid(int(entry.name)) == leader:
                    members.append(int(entry.name))
    return members


def _sockets(pid: int) -> list[str]:
    found = []
    with contextlib.suppress(OSError):
        for entry in Path("/proc", str(pid), "fd").iterdir():
            with contextlib.suppress(OSError):
                match = re.fullmatch(r"socket:\[(\d+)\]", str(entry.readlink()))
                if match is not None:
                    found.append(match[1])
    return found


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].removeprefix(_MAPPED)
    if len(host) == 8:
        return socket.inet_ntoa(bytes.fromhex(host)[::-1]).startswith("127.")
    return host == "00000000000000000000000001000000"


__all__ = ["LISTENERS_VARIABLE", "listeners_allowed", "open_ports", "private_network"]
