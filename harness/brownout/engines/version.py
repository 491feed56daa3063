"""Which version of an engine is installed."""

from __future__ import annotations

import functools
import importlib.metadata
import re
import subprocess

from brownout.engines.qemu.engine import find_qemu
from brownout.engines.renode import find_renode
from brownout.errors import EngineError

_TIMEOUT_S = 20.0
_VERSION = re.compile(r"\d+(?:\.\d+)+")


@functools.cache
def engine_version(name: str) -> str:
    """Version of engine `name` ("qemu", "renode", "unicorn") on this machine, "" when it is not installed."""
    try:
        if name == "unicorn":
            return importlib.metadata.version("unicorn")
        program = find_qemu() if name == "qemu" else find_renode()
        said = subprocess.run(
            [program, "--version"], capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        ).stdout
    except (EngineError, OSError, subprocess.TimeoutExpired, importlib.metadata.PackageNotFoundError):
        return ""
    found = _VERSION.search(said)
    return "" if found is None else found[0]
