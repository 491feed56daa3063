"""Serial ports by pyserial URL: `socket://127.0.0.1:4711` of an emulator, `/dev/ttyUSB0` of a real board."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import threading
from typing import Final

import serial

from brownout.errors import UplinkError

_CHUNK: Final = 4096
_BAUD: Final = 115200
_WRITE_TIMEOUT_S: Final = 10.0


class PortClosed(UplinkError):  # noqa: N818 - an event that readers expect
    """The other end of the port is gone, or close() was called."""


class SerialPort:
    """A port that one thread reads without polling, another one writes, and anybody closes."""

    def __init__(self, url: str, *, baud: int = _BAUD) -> None:
        """Open the port. Raises UplinkError."""
        self.url: Final = url
        try:
            self._port = serial.serial_for_url(url, baudrate=baud, timeout=0, write_timeout=_WRITE_TIMEOUT_S)
            self._file = self._port.fileno()
        except (serial.SerialException, OSError, ValueError) as error:
            raise UplinkError(
                f"port {url}: cannot be opened ({error}): give a device such as /dev/ttyUSB0 or socket://HOST:PORT"
            ) from error
        if url.startswith("socket://"):
            _send_at_once(self._file)
        self._wake_reader, self._wake = os.pipe()
        self._lock = threading.Lock()
        self._closed = False

    def read(self, timeout: float | None = None) -> bytes:
        """What has arrived, at least one byte; b"" after `timeout` seconds without any. Raises PortClosed."""
        try:
            ready, _, _ = select.select([self._file, self._wake_reader], [], [], timeout)
            if self._wake_reader in ready or self._closed:
                raise PortClosed(f"port {self.url}: closed")
            if not ready:
                return b""
            data: bytes = self._port.read(_CHUNK)
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortClosed(f"port {self.url}: the other end is gone ({error})") from error
        return data

    def write(self, data: bytes) -> None:
        """Send all of `data`. Raises PortClosed when the other end is gone or takes nothing for 10 s."""
        try:
            view = memoryview(data)
            while view:
                view = view[self._port.write(view) :]
        except (serial.SerialException, OSError, ValueError) as error:
            raise PortClosed(f"port {self.url}: cannot be written ({error})") from error
        except TypeError as error:
            if not self._closed:  # pyserial forgets its socket when another thread closes the port meanwhile
                raise
            raise PortClosed(f"port {self.url}: closed") from error

    def wake(self) -> None:
        """Make the reader's read() raise PortClosed, now or next."""
        with self._lock:
            if not self._closed:
                os.write(self._wake, b"x")

    def close(self) -> None:
        """Close the port; later calls do nothing. The reader must have returned from read()."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            os.close(self._wake)
            os.close(self._wake_reader)
        # pyserial sleeps 0.3 s when it closes a socket:// port; nobody needs to wait for that.
        threading.Thread(target=self._port.close, name="brownout-port-close", daemon=True).start()


def _send_at_once(file: int) -> None:
    """TCP_NODELAY: a UART does not wait for more bytes either, and pyserial leaves it off."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(file)) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
