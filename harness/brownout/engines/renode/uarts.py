"""UARTs of a running Renode: its pseudo-terminals, each behind a socket that lives for one power session.

Renode's own sockets listen on every interface of the machine. Its pseudo-terminals do not listen at all, but
they outlive the power; a reader of the socket gets all that the device sent and then the end.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import termios
import threading
import time
import tty
from typing import TYPE_CHECKING, Final

from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_CHUNK: Final = 4096
_CONNECT_TIMEOUT_S: Final = 10.0
_JOIN_TIMEOUT_S: Final = 10.0


class Terminal:
    """Renode's pseudo-terminal of one UART, open as long as Renode runs. Bytes pass unchanged.

    Attributes: `used` tells whether something was sent to the device.
    """

    def __init__(self, path: Path) -> None:
        """Open it. Raises EngineError."""
        self.descriptor = -1
        self.used = False
        try:
            self.descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            tty.setraw(self.descriptor)
        except (OSError, termios.error) as error:
            self.close()
            why = error.args[-1] if isinstance(error, termios.error) else error.strerror
            raise EngineError(f"Renode's terminal {path}: cannot be opened ({why})") from error

    def drain(self) -> bytes:
        """All that is waiting."""
        data = b""
        with contextlib.suppress(OSError):
            while part := os.read(self.descriptor, _CHUNK):
                data += part
        return data

    def send(self, data: bytes, timeout: float = _JOIN_TIMEOUT_S) -> None:
        """Send `data` to the device. Raises EngineError when Renode does not take it."""
        self.used = True
        view = memoryview(data)
        while view:
            if not select.select([], [self.descriptor], [], timeout)[1]:
                raise EngineError(f"Renode's terminal: {len(view)} bytes were not taken within {timeout:g} s")
            view = view[os.write(self.descriptor, view) :]

    def close(self) -> None:
        """Close it; later calls do nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


class UartSession:
    """Sockets for all UARTs in one power session: one connection each, on the loopback interface."""

    def __init__(self, terminals: Mapping[str, Terminal]) -> None:
        self._lines = {role: _Line(role, terminal) for role, terminal in terminals.items()}

    @property
    def ports(self) -> dict[str, str]:
        """pyserial URL by role."""
        return {role: f"socket://127.0.0.1:{line.port}" for role, line in self._lines.items()}

    def await_connections(self, roles: frozenset[str]) -> None:
        """Wait until those in `roles` are connected. Raises EngineError."""
        deadline = time.monotonic() + _CONNECT_TIMEOUT_S
        for role in roles:
            if not self._lines[role].connected.wait(max(0.0, deadline - time.monotonic())):
                raise EngineError(f"UART {role}: nobody connected within {_CONNECT_TIMEOUT_S:g} s")

    def close(self) -> None:
        """End the connections once all that the device has sent is through; the machine stands still."""
        for line in self._lines.values():
            line.close()


class _Line:
    def __init__(self, role: str, terminal: Terminal) -> None:
        self._terminal = terminal
        self.connected: Final = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1)
        self.port: Final[int] = self._listener.getsockname()[1]
        self._wake, self._waker = os.pipe()
        self._thread = threading.Thread(target=self._run, name=f"brownout-renode-{role}", daemon=True)
        self._thread.start()

    def close(self) -> None:
        os.write(self._waker, b"x")
        self._thread.join(_JOIN_TIMEOUT_S)
        self._listener.close()
        for descriptor in (self._wake, self._waker):
            os.close(descriptor)

    def _run(self) -> None:
        """Pass bytes both ways; without a reader they are dropped, as on a wire that nobody holds."""
        peer: socket.socket | None = None
        ended = False
        try:
            while not ended:
                other = self._listener if peer is None else peer
                wanted: list[int | socket.socket] = [self._terminal.descriptor, self._wake, other]
                ready, _, _ = select.select(wanted, [], [])
                ended = self._wake in ready
                if self._listener in ready:
                    peer = self._accept()
                if self._terminal.descriptor in ready or ended:
                    peer = _send(peer, self._terminal.drain())
                if peer is not None and peer in ready:
                    peer = self._take(peer)
        except (OSError, ValueError):
            pass  # the terminal is gone: Renode has ended
        finally:
            if peer is not None:
                peer.close()

    def _accept(self) -> socket.socket:
        peer, _ = self._listener.accept()
        peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.connected.set()
        return peer

    def _take(self, peer: socket.socket) -> socket.socket | None:
        try:
            data = peer.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            peer.close()
            return None
        self._terminal.used = True
        view = memoryview(data)
        while view:
            _, ready, _ = select.select([self._wake], [self._terminal.descriptor], [], _JOIN_TIMEOUT_S)
            if not ready:
                break
            view = view[os.write(self._terminal.descriptor, view) :]
        return peer


def _send(peer: socket.socket | None, data: bytes) -> socket.socket | None:
    if peer is None or not data:
        return peer
    try:
        peer.sendall(data)
    except OSError:
        peer.close()
        return None
    return peer
