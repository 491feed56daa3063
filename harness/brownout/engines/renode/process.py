"""One Renode process: its start, its monitor on standard input and output, its end."""

from __future__ import annotations

import contextlib
import os
import re
import select
import shutil
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.engines.launcher import LaunchRequest, launch
from brownout.engines.renode.network import open_ports, private_network
from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

OLDEST: Final = (1, 15)
"""The first version that has all that is used here: --disable-gui, and pauses at the very store."""

START_TIMEOUT_S: Final = 60.0
"""Renode is ready in 1 to 3 s on an idle machine."""
COMMAND_TIMEOUT_S: Final = 30.0
_END_TIMEOUT_S: Final = 20.0
_CHUNK: Final = 65536
_MESSAGE_LIMIT: Final = 400
_FAILED: Final = re.compile(
    r"There was an error|No such (?:command|file|variable)|Could not|[Bb]ad parameters"
    r"|Errors during compilation|^Command \w+ failed",
    re.MULTILINE,
)
_VERSION: Final = re.compile(r"version (\d+)\.(\d+)(?:\.\d+)*")
_PROMPT: Final = re.compile(r"^\([^)]*\) ")
_EXIT_GRACE_S: Final = 2.0
"""Between the end of its output and the end of the process."""


def find_renode() -> str:
    """Path of Renode: RENODE, else `renode` on PATH. Raises EngineError."""
    wanted = os.environ.get("RENODE") or "renode"
    found = shutil.which(wanted)
    if found is not None:
        return found
    if Path(wanted).is_dir():
        raise EngineError(
            f"RENODE={wanted}: is a folder, expected the program itself, such as {wanted}/renode"
        )
    if "/" in wanted and Path(wanted).exists():
        raise EngineError(f"RENODE={wanted}: is not an executable file")
    oldest = ".".join(map(str, OLDEST))
    raise EngineError(
        f"{wanted}: not found: install Renode's portable release ({oldest} or newer) and put renode on PATH, "
        "or set RENODE to its path"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """How Renode is started: `folder` is its own, `environment` is added.

    With `listeners` it stays in this machine's network, and the ports that it opens are no error.
    """

    program: str
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    listeners: bool = False
    timeout_s: float = START_TIMEOUT_S


class RenodeProcess:
    """A running Renode. It ends with the thread that made it, and with this process.

    Attributes: `log` is the file that holds everything that was said to Renode's monitor and that it
    answered, `messages` the file of its log. `log_named` tells whether a message has sent somebody there, so
    that they have to stay.
    """

    def __init__(self, start: Start) -> None:
        """Start it and wait for its monitor. Raises EngineError with what it printed."""
        self.log: Final = start.folder / "monitor.log"
        self.messages: Final = start.folder / "messages.log"
        self.log_named = False
        self._start = start
        self._network = () if start.listeners else private_network()
        self._lock = threading.Lock()
        self._serial = 0
        self._buffer = b""
        self._closed = self._swept = False
        # Renode deletes renode-* of its temporary folder when it starts, whoever made them.
        scratch = start.folder / "tmp"
        scratch.mkdir()
        arguments = (
            *self._network,
            start.program,
            "--console",
            "--plain",
            "--disable-gui",
            "--hide-log",  # it would come in the middle of what the monitor says: it has a file of its own
            "--hide-analyzers",
            "--config",
            str(start.folder / "config"),
        )
        read_end, write_end = os.pipe()
        output_read, output_write = os.pipe()
        try:
            self._process = launch(
                LaunchRequest(
                    arguments=arguments,
                    output=output_write,
                    input=read_end,
                    environment={**start.environment, "TMPDIR": str(scratch)},
                )
            )
        except OSError as error:
            for descriptor in (output_read, write_end):
                os.close(descriptor)
            raise EngineError(f"{start.program}: cannot be started ({error.strerror})") from error
        finally:
            os.close(read_end)
            os.close(output_write)
        self._input, self._output = write_end, output_read
        self._written = self.log.open("ab")
        try:
            self._check_version(self._ask("version", start.timeout_s))
        except EngineError as error:
            self.kill()
            self.wait()
            raise EngineError(f"{start.program} did not start: {error}") from error

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it printed so far."""
        said = ""
        for path in (self.log, self.messages):
            with contextlib.suppress(OSError):
                said += path.read_text(errors="replace")
        return said

    def execute(self, command: str, timeout: float = COMMAND_TIMEOUT_S) -> str:
        """Give the monitor a command; what it answered. Raises EngineError: refused, late, or ended."""
        said = self._ask(command, timeout)
        if _FAILED.search(said):
            raise self.error(f"Renode refused '{command}': {_short(said)}")
        return said

    def ask(self, command: str) -> str:
        """Give the monitor a command that may fail; what it answered. Raises EngineError: late, or ended."""
        return self._ask(command, COMMAND_TIMEOUT_S)

    def error(self, message: str) -> EngineError:
        """An error that says where the log is; the log stays for who reads it."""
        self.log_named = True
        return EngineError(f"{message} (log: {self.log})")

    def refuse_listeners(self) -> None:
        """Raise EngineError when Renode can be reached from other machines and nobody allowed that."""
        if self._start.listeners or self._network:
            return
        ports = open_ports(self.pid)
        if ports:
            raise self.error(
                f"Renode listens on {', '.join(ports)}, where other machines may reach it, and this system "
                "gives it no network of its own: remove what opens the port from the script, or pass "
                "--insecure-renode-listeners"
            )

    def kill(self) -> None:
        """Stop at once, with all that it started; wait() tells when it is over."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def quit(self) -> None:
        """End it the way a user does, or kill it when that takes too long."""
        with contextlib.suppress(EngineError, OSError):
            os.write(self._input, b"quit\n")
        try:
            self._process.wait(_END_TIMEOUT_S / 4)
        except subprocess.TimeoutExpired:
            self.kill()
        self.wait()

    def wait(self) -> None:
        """Wait for the end of the process and give back what it held."""
        self.wait_ended()
        if not self._closed:
            self._closed = True
            with contextlib.suppress(OSError):
                os.set_blocking(self._output, False)
                while data := os.read(self._output, _CHUNK):
                    self._written.write(data)
            self._written.close()
            os.close(self._input)
            os.close(self._output)

    def wait_ended(self) -> None:
        """Wait for the end of the process, and end what it left behind: a launcher may die before Renode."""
        self._process.wait()
        if not self._swept:
            self._swept = True
            self.kill()

    @property
    def ended(self) -> bool:
        """Whether the process has ended."""
        return self._process.poll() is not None

    def describe_end(self) -> str:
        """How it ended, in one line with the last that it printed."""
        try:
            code = self._process.wait(_EXIT_GRACE_S)
        except subprocess.TimeoutExpired:
            how = "it runs on without its monitor"
        else:
            how = (
                f"killed by signal {-code} ({signal.Signals(-code).name})"
                if code < 0
                else f"exit code {code}"
            )
        return str(self.error(f"{how}; it said: {_short(self.output) or 'nothing'}"))

    def _check_version(self, said: str) -> None:
        found = _VERSION.search(said)
        oldest = ".".join(map(str, OLDEST))
        if found is None:
            raise self.error(f"expected the version of Renode, found '{_short(said)}'")
        if (int(found[1]), int(found[2])) < OLDEST:
            raise self.error(f"it is {found[0]}, expected {oldest} or newer")

    def _ask(self, command: str, timeout: float) -> str:
        """A command and a mark after it; everything between, without prompts and what was typed."""
        with self._lock:
            self._serial += 1
            mark = f"brownout-{self._serial}"
            try:
                os.write(self._input, f'{command}\necho "{mark}"\n'.encode())
            except OSError as error:
                raise EngineError(f"Renode has ended before '{command}': {self.describe_end()}") from error
            return self._until(mark, command, time.monotonic() + timeout)

    def _until(self, mark: str, command: str, deadline: float) -> str:
        answer: list[str] = []
        typed = (command, f'echo "{mark}"')
        while True:
            while b"\n" in self._buffer:
                raw, self._buffer = self._buffer.split(b"\n", 1)
                line = raw.decode(errors="replace").strip("\r\x00 ")
                if line == mark:
                    return "\n".join(answer)
                if _PROMPT.sub("", line).strip() not in typed and not _is_log(line):
                    answer.append(line)
            ready, _, _ = select.select([self._output], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                said = _short(self.output) or "nothing"
                raise self.error(f"Renode did not answer '{command}' in time; it said: {said}")
            data = os.read(self._output, _CHUNK)
            if not data:
                raise EngineError(f"Renode ended before it answered '{command}': {self.describe_end()}")
            self._written.write(data)
            self._written.flush()
            self._buffer += data


def monitor_path(path: Path) -> str:
    """`path` as the monitor reads it. Raises EngineError for one that it cannot read."""
    text = str(path)
    if any(character in text for character in "\n\r\t;\\"):
        raise EngineError(f"{text!r}: Renode's monitor cannot read such a path")
    return "@" + text.replace(" ", "\\ ")


def _is_log(line: str) -> bool:
    """Whether it is a line of the log: these are written whenever they like."""
    return bool(re.match(r"^\d\d:\d\d:\d\d\.\d+ \[(?:NOISY|DEBUG|INFO|WARNING|ERROR)\]", line))


def _short(text: str) -> str:
    said = " | ".join(line.strip() for line in text.splitlines() if line.strip())
    return said if len(said) <= _MESSAGE_LIMIT else f"...{said[-_MESSAGE_LIMIT:]}"


__all__ = ["COMMAND_TIMEOUT_S", "START_TIMEOUT_S", "RenodeProcess", "Start", "find_renode", "monitor_path"]
