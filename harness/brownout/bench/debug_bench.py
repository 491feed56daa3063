"""The device of the debug figures, its debug client, and the same firmware under QEMU's own gdbstub."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Final

from brownout.console import Console
from brownout.engines.qemu import QemuEngine
from brownout.errors import DeadlineError, EngineError, StateError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brownout.lab import DebugKit, Lab, Unit

_TIMEOUT_S: Final = 30.0
_POLL_S: Final = 0.02
_PROGRAM: Final = "from fieldlink.cli import main; main()"


@contextlib.contextmanager
def gdb_bridge(kit: DebugKit) -> Iterator[str]:
    """Run `fieldlink debug` for the client; yields what GDB takes as remote target. Raises StateError."""
    ready = kit.folder / "ready.json"
    ready.unlink(missing_ok=True)
    command = [sys.executable, "-c", _PROGRAM, "debug", kit.device_id, "--profile", str(kit.profile)]
    process = subprocess.Popen(
        [*command, "--ready-file", str(ready)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield f"127.0.0.1:{wait_ready(process, ready, 'fieldlink debug')}"
    finally:
        end_process(process)


def wait_ready(process: subprocess.Popen[str], ready: Path, what: str) -> int:
    """The port in the ready file of a process. Raises StateError when it ends, DeadlineError."""
    deadline, pause = time.monotonic() + _TIMEOUT_S, threading.Event()
    while not (ready.is_file() and ready.stat().st_size):
        if process.poll() is not None:
            said = "" if process.stdout is None else process.stdout.read().strip()
            raise StateError(f"{what}: ended with code {process.returncode}: {said}")
        if time.monotonic() > deadline:
            raise DeadlineError(f"{what}: not listening within {_TIMEOUT_S:g} s")
        pause.wait(_POLL_S)
    return int(json.loads(ready.read_text())["port"])


def end_process(process: subprocess.Popen[str]) -> None:
    """Ask it to end, and see to it."""
    process.terminate()
    try:
        process.wait(_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait(_TIMEOUT_S)
    if process.stdout is not None:
        process.stdout.close()


@contextlib.contextmanager
def gdb_stub(lab: Lab, unit: Unit, folder: Path, *, boot: Path) -> Iterator[str]:
    """Run the unit's factory flash once more, without a link, with QEMU's gdbstub on; yields its socket.

    Raises EngineError, DeadlineError. QEMU does not take port 0 here, so it is a Unix socket.
    """
    if lab.engine != QemuEngine.name:
        raise EngineError(f"debug figures: engine '{lab.engine}' has no gdbstub to compare with")
    path = folder / "gdbstub"
    path.unlink(missing_ok=True)
    extra = ("-gdb", f"unix:{path},server=on,wait=off")
    engine, console = QemuEngine(lab.board, boot, seed=lab.seed, extra=extra), Console()
    running = threading.Event()

    def look(_data: bytes) -> None:
        if "app: assets" in console.text():
            running.set()

    try:
        console.add_sink(look)
        engine.add_listener(console)
        engine.flash.restore(unit.factory)
        engine.on()
        deadline = time.monotonic() + _TIMEOUT_S
        while not running.wait(_POLL_S) and "app: assets" not in console.text():
            engine.raise_for_failure()
            if time.monotonic() > deadline:
                raise DeadlineError(f"gdbstub: the app did not start within {_TIMEOUT_S:g} s")
        yield str(path)
    finally:
        engine.close()
        console.close()
