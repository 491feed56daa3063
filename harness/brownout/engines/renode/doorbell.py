"""The harness's end of the doorbell: events of the script in Renode, and orders that it obeys.

The script (board/templates/renode/flash_doorbell.py.jinja) sends one byte for what happened and then waits
for orders, with the processor standing still: read memory, write memory, go on, or stop right here.
"""

from __future__ import annotations

import contextlib
import enum
import os
import select
import struct
import time
from typing import TYPE_CHECKING, Final

from brownout.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

_ORDER: Final = struct.Struct("<cII")
_TIMEOUT_S: Final = 20.0
_PIPE_SIZE: Final = 1 << 20
_SET_PIPE_SIZE: Final = 1031
"""F_SETPIPE_SZ of Linux: fewer wake-ups for a whole array."""


class DoorbellClosed(EngineError):  # noqa: N818 - an event that the server of the doorbell expects
    """close() was called, or Renode is gone."""


class Happened(enum.Enum):
    """What the script tells."""

    RING = b"D"
    """The firmware rang: a command is in the command block."""
    RESET = b"R"
    """The machine is being reset; nothing runs."""


class DoorbellPipes:
    """Named pipes in `folder`, which is private to this user; they exist before Renode starts."""

    def __init__(self, folder: Path) -> None:
        """Make the pipes. Raises EngineError."""
        self.folder: Final = folder
        try:
            for name in ("events", "orders"):
                os.mkfifo(folder / name, 0o600)
            # Open for both directions: neither end waits for the other, and none sees an end of file.
            self._events = os.open(folder / "events", os.O_RDWR | os.O_NONBLOCK)
            self._orders = os.open(folder / "orders", os.O_RDWR | os.O_NONBLOCK)
            self._wake, self._waker = os.pipe()
        except OSError as error:
            raise EngineError(
                f"{folder}: no named pipes for Renode can be made ({error.strerror})"
            ) from error
        _enlarge(self._events)
        _enlarge(self._orders)

    def wait(self) -> Happened:
        """The next event. Raises DoorbellClosed, EngineError."""
        byte = self._receive(1, None)
        try:
            return Happened(byte)
        except ValueError:
            raise EngineError(f"Renode's doorbell: expected an event, found {byte!r}") from None

    def read(self, address: int, count: int) -> bytes:
        """Memory as the processor sees it; between an event and go_on() only. Raises EngineError."""
        self._send(_ORDER.pack(b"r", address, count))
        return self._receive(count, time.monotonic() + _TIMEOUT_S)

    def write(self, address: int, data: bytes | bytearray | memoryview) -> None:
        """Write memory; code that was translated from it is forgotten. Raises EngineError."""
        self._send(_ORDER.pack(b"w", address, len(data)))
        self._send(data)

    def go_on(self) -> None:
        """The processor may run on."""
        self._send(b"g")

    def stop_here(self) -> None:
        """The machine stops, and nothing after the store that rang is executed."""
        self._send(b"p")

    def wake(self) -> None:
        """Make wait() raise DoorbellClosed, now or next."""
        with contextlib.suppress(OSError):
            os.write(self._waker, b"x")

    def rearm(self) -> None:
        """Undo wake(), for the next one who waits."""
        os.read(self._wake, _PIPE_SIZE)

    def close(self) -> None:
        """Give the pipes back; nobody may be in wait()."""
        for descriptor in (self._events, self._orders, self._wake, self._waker):
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _receive(self, count: int, deadline: float | None) -> bytes:
        parts: list[bytes] = []
        while count:
            left = None if deadline is None else max(0.0, deadline - time.monotonic())
            ready, _, _ = select.select([self._events, self._wake], [], [], left)
            if self._wake in ready:
                raise DoorbellClosed("Renode's doorbell: closed")
            if not ready:
                raise EngineError(f"Renode's doorbell: {count} bytes did not come within {_TIMEOUT_S:g} s")
            part = os.read(self._events, count)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def _send(self, data: bytes | bytearray | memoryview) -> None:
        view, deadline = memoryview(data), time.monotonic() + _TIMEOUT_S
        while view:
            left = max(0.0, deadline - time.monotonic())
            woken, ready, _ = select.select([self._wake], [self._orders], [], left)
            if woken:
                raise DoorbellClosed("Renode's doorbell: closed")
            if not ready:
                raise EngineError(f"Renode's doorbell: took no orders for {_TIMEOUT_S:g} s")
            view = view[os.write(self._orders, view) :]


def _enlarge(descriptor: int) -> None:
    try:
        import fcntl  # not on every system

        fcntl.fcntl(descriptor, _SET_PIPE_SIZE, _PIPE_SIZE)
    except (ImportError, OSError):
        return


__all__ = ["DoorbellClosed", "DoorbellPipes", "Happened"]
