"""The modem: carries bytes unchanged between a device's UART and the server's TCP port.

The modem has power of its own: it keeps its connection to the server while the device is off, and what
arrives for a device without power is lost, as on a wire. Bytes for a server that is not connected are lost
too.
"""

from __future__ import annotations

import contextlib
import enum
import json
import logging
import socket
import threading
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from brownout.errors import UplinkError
from brownout.files import write_atomic
from brownout.ports import PortClosed, SerialPort

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brownout.engines.base import PowerEvent

_log = logging.getLogger(__name__)

_CONNECT_TIMEOUT_S: Final = 5.0
_SEND_TIMEOUT_S: Final = 10.0
_JOIN_TIMEOUT_S: Final = 10.0
_CHUNK: Final = 4096
_GATHER_S: Final = 0.001
"""Bytes from the device that no zero follows (the end of a frame) wait so long for more."""
_PAUSE_S: Final = 0.0001
"""Between two reads in the middle of a frame."""


class Direction(enum.Enum):
    """Which way bytes go."""

    UP = "up"
    """Device to server."""
    DOWN = "down"
    """Server to device."""


class Tap(Protocol):
    """Sees all bytes and may change them: the place for tests to tamper with the link."""

    def __call__(self, direction: Direction, data: bytes, /) -> bytes:
        """What to pass on instead of `data`; b"" drops it.

        Frames may be split anywhere.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """Bytes passed on (`up`, `down`), bytes lost because the other side was not there, and connections."""

    up: int = 0
    down: int = 0
    lost_up: int = 0
    lost_down: int = 0
    connects: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits between attempts to reach the server, in seconds: `first`, doubling up to `most`."""

    first: float = 0.1
    most: float = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Captured:
    """Bytes that were passed on; `time_s` in seconds since the modem was made."""

    time_s: float
    direction: Direction
    data: bytes


def parse_address(text: str) -> tuple[str, int]:
    """Read `HOST:PORT` (IPv6: `[HOST]:PORT`). Raises UplinkError."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or not 0 < int(port) < 1 << 16:
        raise UplinkError(f"server address '{text}': expected HOST:PORT, such as 127.0.0.1:7000")
    return host.strip("[]"), int(port)


class Modem:
    """Connects a UART with a server.

    The UART is the role `role` of an engine (add the modem as listener) or one port for good (open()).
    """

    def __init__(
        self,
        server: tuple[str, int],
        *,
        role: str = "uplink",
        backoff: Backoff | None = None,
        capture: bool = False,
        on_unreachable: Callable[[str], None] | None = None,
    ) -> None:
        """Connect to `server` (host, port) in the background.

        `on_unreachable` is told each failure, in one line.
        """
        self.server: Final = server
        self.role: Final = role
        self._backoff = backoff or Backoff()
        self._on_unreachable = on_unreachable or _log.info
        self._taps: list[Tap] = []
        self._captured: list[Captured] | None = [] if capture else None
        self._lock = threading.Lock()
        self._counters = Counters()
        self.started_s: Final = time.monotonic()
        self._port: SerialPort | None = None
        self._port_lost: PortClosed | None = None
        self._reader: threading.Thread | None = None
        self._socket: socket.socket | None = None
        self._connected = threading.Event()
        self._closing = threading.Event()
        self._runner = threading.Thread(target=self._run, name="brownout-modem", daemon=True)
        self._runner.start()

    # -- the device's side ---------------------------------------------------------------------------------

    def power_changed(self, event: PowerEvent) -> None:
        """Follow the engine. Raises UplinkError."""
        self._detach()
        url = event.take(self.role)
        if url is not None:
            self.open(url)

    def open(self, url: str, *, baud: int = 115200) -> None:
        """Carry the bytes of the port `url`. Raises UplinkError."""
        port = SerialPort(url, baud=baud)
        self._port_lost = None
        self._port = port
        self._reader = threading.Thread(
            target=self._read_port, args=(port,), name="brownout-modem-port", daemon=True
        )
        self._reader.start()

    def wait_port_lost(self, timeout: float | None) -> None:
        """Wait until the port is gone.

        Raises UplinkError then; returns after `timeout` seconds if it is not.
        """
        reader = self._reader
        if reader is not None:
            reader.join(timeout)
        if self._port_lost is not None:
            raise UplinkError(str(self._port_lost)) from self._port_lost

    # -- for users -----------------------------------------------------------------------------------------

    def add_tap(self, tap: Tap) -> None:
        """Let `tap` see and change all bytes from now on, after the taps added before."""
        self._taps.append(tap)

    def remove_tap(self, tap: Tap) -> None:
        """Take a tap out again."""
        self._taps.remove(tap)

    @property
    def counters(self) -> Counters:
        """Counts so far."""
        return self._counters

    @property
    def captured(self) -> tuple[Captured, ...]:
        """What was passed on so far; empty without `capture`."""
        with self._lock:
            return tuple(self._captured or ())

    def save_capture(self, path: Path) -> None:
        """Write the capture to a file."""
        write_atomic(path, self.capture_text().encode())

    def capture_text(self) -> str:
        """The capture as JSON lines: time_s, direction, data in hex."""
        lines = [
            json.dumps(
                {"time_s": round(item.time_s, 6), "direction": item.direction.value, "data": item.data.hex()}
            )
            for item in self.captured
        ]
        return "".join(f"{line}\n" for line in lines)

    def wait_connected(self, timeout: float) -> None:
        """Wait until the server is connected. Raises UplinkError after `timeout` seconds."""
        if not self._connected.wait(timeout):
            host, port = self.server
            raise UplinkError(f"server {host}:{port}: not connected within {timeout:g} s: is it running?")

    def disconnect(self) -> None:
        """Drop the connection to the server; the modem connects again after its back-off."""
        connection = self._socket
        if connection is not None:
            _shut(connection)

    def close(self) -> None:
        """Stop; later calls do nothing."""
        self._closing.set()
        self.disconnect()
        port = self._port
        if port is not None:
            port.wake()
        self._detach()
        self._runner.join(_JOIN_TIMEOUT_S)

    # -- inside --------------------------------------------------------------------------------------------

    def _detach(self) -> None:
        """Carry what the device still sent before the port ended, then close the port."""
        reader, self._reader = self._reader, None
        port = self._port
        if port is not None and reader is not None:
            reader.join(_JOIN_TIMEOUT_S)
            if reader.is_alive():
                port.wake()
                reader.join(_JOIN_TIMEOUT_S)
            self._port = None
            port.close()

    def _read_port(self, port: SerialPort) -> None:
        gathered = bytearray()
        try:
            while True:
                data = port.read(_GATHER_S if gathered else None)
                gathered += data
                # An emulator's UART sends byte by byte: what is not a frame's end waits for more, as serial
                # device servers do, or each byte would cost a turn of every program on the way.
                size = len(gathered) if not data or len(gathered) >= _CHUNK else gathered.rfind(0) + 1
                if size:
                    self._pass_up(bytes(gathered[:size]))
                    del gathered[:size]
                else:
                    time.sleep(_PAUSE_S)
        except PortClosed as error:
            self._pass_up(bytes(gathered))
            self._port_lost = error

    def _pass_up(self, data: bytes) -> None:
        data = self._pass(Direction.UP, data)
        if data:
            self._send_up(data)

    # Both count before they send: who has seen a byte arrive finds it counted.

    def _send_up(self, data: bytes) -> None:
        connection = self._socket
        if connection is None:
            self._count(lost_up=len(data))
            return
        self._count(up=len(data))
        try:
            connection.sendall(data)
        except OSError as error:
            _log.debug("server connection: %s", error)
            self._count(up=-len(data), lost_up=len(data))
            _shut(connection)

    def _send_down(self, data: bytes) -> None:
        port = self._port
        if port is None:
            self._count(lost_down=len(data))
            return
        self._count(down=len(data))
        try:
            port.write(data)
        except PortClosed as error:
            _log.debug("device port: %s", error)
            self._count(down=-len(data), lost_down=len(data))

    def _pass(self, direction: Direction, data: bytes) -> bytes:
        for tap in tuple(self._taps):
            data = tap(direction, data) if data else data
        if data and self._captured is not None:
            item = Captured(time_s=time.monotonic() - self.started_s, direction=direction, data=data)
            with self._lock:
                self._captured.append(item)
        return data

    def _count(self, **amounts: int) -> None:
        with self._lock:
            counters = self._counters
            self._counters = replace(
                counters, **{name: getattr(counters, name) + amount for name, amount in amounts.items()}
            )

    def _run(self) -> None:
        wait = self._backoff.first
        host, port = self.server
        while not self._closing.is_set():
            try:
                connection = socket.create_connection(self.server, timeout=_CONNECT_TIMEOUT_S)
            except OSError as error:
                reason = error.strerror or str(error)
                self._on_unreachable(f"server {host}:{port}: unreachable ({reason}): is it running there?")
                self._closing.wait(wait)
                wait = min(2 * wait, self._backoff.most)
                continue
            wait = self._backoff.first
            self._carry_down(connection)
            if not self._closing.is_set():
                self._on_unreachable(f"server {host}:{port}: connection lost: is it still running?")
                self._closing.wait(wait)

    def _carry_down(self, connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.settimeout(_SEND_TIMEOUT_S)
        self._count(connects=1)
        self._socket = connection
        self._connected.set()
        try:
            while not self._closing.is_set():
                try:
                    data = connection.recv(_CHUNK)
                except TimeoutError:
                    continue  # a quiet server is not a lost one; liveness is the device's business
                if not data:
                    return
                data = self._pass(Direction.DOWN, data)
                if data:
                    self._send_down(data)
        except OSError as error:
            _log.debug("server connection: %s", error)
        finally:
            self._connected.clear()
            self._socket = None
            connection.close()


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
