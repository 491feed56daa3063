"""A device's console: drained all the time, kept with timestamps, and driven with pexpect.

The console follows the power of its engine. Its log goes on over power cycles and has a mark for each change.
"""

from __future__ import annotations

import queue
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pexpect
from pexpect.spawnbase import SpawnBase

from brownout.engines.base import PowerEvent, PowerEventKind
from brownout.errors import StateError
from brownout.ports import PortClosed, SerialPort

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_JOIN_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLine:
    """A line of the UART log; `time_s` is when its first byte came, in seconds since the console was made."""

    time_s: float
    text: str
    mark: bool = False

    def __str__(self) -> str:
        return f"[{self.time_s:10.6f}] {self.text}"


class ConsoleSpawn(SpawnBase):  # type: ignore[misc] # pexpect has no types
    """pexpect's interface to a console: expect(), send(), sendline(), before, after, match."""

    def __init__(self, console: Console, timeout: float) -> None:
        super().__init__(timeout=timeout, encoding="utf-8", codec_errors="replace")
        self._console = console
        self._arrived: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.delayafterread = None
        self.linesep = "\n"

    def feed(self, data: bytes) -> None:
        """Add what the device sent."""
        self._arrived.put(data)

    def clear(self) -> None:
        """Forget what has arrived and was not matched yet."""
        while not self._arrived.empty():
            self._arrived.get_nowait()
        self.buffer = ""

    def read_nonblocking(self, size: int = 1, timeout: float | None = -1) -> str:
        """What has arrived. Raises pexpect.TIMEOUT after `timeout` seconds without any byte."""
        del size  # whole chunks: the searcher keeps what it does not match
        wait = self.timeout if timeout == -1 else timeout
        try:
            data = self._arrived.get(timeout=None if wait is None else max(0.0, wait))
        except queue.Empty:
            raise pexpect.TIMEOUT(f"nothing came within {wait} s") from None
        text: str = self._decoder.decode(data, final=False)
        self._log(text, "read")
        return text

    def send(self, text: str) -> int:
        """Send text to the device. Raises StateError while it has no power."""
        data = self._coerce_send_string(text).encode()
        self._console.write(data)
        return len(data)

    def sendline(self, text: str = "") -> int:
        """send() with a line feed."""
        return self.send(text + self.linesep)


class Console:
    """Listens to the UART `role` of an engine, or to one port for good (open())."""

    def __init__(self, role: str = "console", *, timeout: float = 30.0) -> None:
        self.role: Final = role
        self.spawn: Final = ConsoleSpawn(self, timeout)
        self.started_s: Final = time.monotonic()
        self._lock = threading.Lock()
        self._sinks: list[Callable[[bytes], None]] = []
        self._lines: list[LogLine] = []
        self._partial = bytearray()
        self._partial_time = 0.0
        self._first_byte: float | None = None
        self._port: SerialPort | None = None
        self._reader: threading.Thread | None = None

    def power_changed(self, event: PowerEvent) -> None:
        """Follow the engine: a new port at each start, the rest of the old one first. Raises UplinkError."""
        self._detach()
        self.mark(f"{event.kind.value}, session {event.session}")
        if event.kind is PowerEventKind.ON:
            self.spawn.clear()
        url = event.take(self.role)
        if url is not None:
            self.open(url)

    def open(self, url: str) -> None:
        """Listen to the port `url`. Raises UplinkError."""
        self._first_byte = None
        self._port = port = SerialPort(url)
        self._reader = threading.Thread(
            target=self._read, args=(port,), name=f"brownout-{self.role}", daemon=True
        )
        self._reader.start()

    def add_sink(self, sink: Callable[[bytes], None]) -> None:
        """Hand everything to `sink` as it comes, marks as own lines; called in the console's threads."""
        self._sinks.append(sink)

    def mark(self, text: str) -> None:
        """Put a line of our own into the log."""
        with self._lock:
            self._finish_line()
            line = LogLine(time_s=self._now(), text=f"--- {text} ---", mark=True)
            self._lines.append(line)
        for sink in self._sinks:
            sink(f"{line.text}\n".encode())

    def write(self, data: bytes) -> None:
        """Send bytes to the device.

        Raises StateError without power, PortClosed when it was just lost.
        """
        port = self._port
        if port is None:
            raise StateError(f"{self.role}: the device has no power, nothing can be sent; power it on first")
        port.write(data)

    def close(self) -> None:
        """Stop listening; the log stays."""
        port = self._port
        if port is not None:
            port.wake()
        self._detach()

    @property
    def first_byte_s(self) -> float | None:
        """time.monotonic() of the first byte since the last start; None before it."""
        return self._first_byte

    def lines(self) -> tuple[LogLine, ...]:
        """The log so far, marks included, an unfinished line last."""
        with self._lock:
            return tuple(self._all_lines())

    def text(self, *, session_only: bool = False) -> str:
        """What the device sent, without marks; with `session_only`, since the last power-on or reset."""
        lines = self.lines()
        if session_only:
            marks = [index for index, line in enumerate(lines) if line.mark]
            lines = lines[marks[-1] :] if marks else lines
        return "\n".join(line.text for line in lines if not line.mark)

    def log_text(self) -> str:
        """The log as text with timestamps, for evidence."""
        return "".join(f"{line}\n" for line in self.lines())

    # -- inside --------------------------------------------------------------------------------------------

    def _now(self) -> float:
        return time.monotonic() - self.started_s

    def _detach(self) -> None:
        """Let the reader take what is left, up to the end of the port, and close it."""
        port, self._port = self._port, None
        reader, self._reader = self._reader, None
        if port is None or reader is None:
            return
        reader.join(_JOIN_TIMEOUT_S)
        if reader.is_alive():
            port.wake()
            reader.join(_JOIN_TIMEOUT_S)
        port.close()

    def _read(self, port: SerialPort) -> None:
        try:
            while True:
                data = port.read()
                if data:
                    self._take(data)
        except PortClosed:
            return

    def _take(self, data: bytes) -> None:
        if self._first_byte is None:
            self._first_byte = time.monotonic()
        with self._lock:
            for piece in data.splitlines(keepends=True):
                if not self._partial:
                    self._partial_time = self._now()
                self._partial += piece
                if piece.endswith(b"\n"):
                    self._finish_line()
        self.spawn.feed(data)
        for sink in self._sinks:
            sink(data)

    def _finish_line(self) -> None:
        if self._partial:
            self._lines.append(self._partial_line())
            self._partial.clear()

    def _partial_line(self) -> LogLine:
        text = self._partial.decode(errors="replace").rstrip("\r\n")
        return LogLine(time_s=self._partial_time, text=text)

    def _all_lines(self) -> Iterator[LogLine]:
        yield from self._lines
        if self._partial:
            yield self._partial_line()
