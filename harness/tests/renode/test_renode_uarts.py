"""Pseudo-terminals behind sockets: every byte, in order, to the end of a power session."""

from __future__ import annotations

import os
import random
import select
import socket
import threading
import tty
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlparse

import pytest

from brownout.engines.renode import uarts
from brownout.engines.renode.uarts import Terminal, UartSession
from brownout.errors import EngineError

from .conftest import TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Iterator


class Line:
    """A UART: Renode's end of the pseudo-terminal, and the harness's."""

    def __init__(self) -> None:
        self.device, self._other = os.openpty()
        tty.setraw(self.device)
        os.set_blocking(self.device, False)
        self.terminal = Terminal(Path(os.ttyname(self._other)))
        self.session = UartSession({"console": self.terminal})
        self.closed = False

    def connect(self) -> socket.socket:
        url = urlparse(self.session.ports["console"])
        assert (url.scheme, url.hostname) == ("socket", "127.0.0.1")
        peer = socket.create_connection((url.hostname, url.port), TIMEOUT_S)
        self.session.await_connections(frozenset({"console"}))
        return peer

    def sent_to_device(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            ready, _, _ = select.select([self.device], [], [], TIMEOUT_S)
            assert ready, f"{len(data)} of {count} bytes came"
            data += os.read(self.device, 4096)
        return data

    def device_sends(self, data: bytes) -> None:
        while data:
            _, ready, _ = select.select([], [self.device], [], TIMEOUT_S)
            assert ready, f"{len(data)} bytes were not taken"
            data = data[os.write(self.device, data[:1024]) :]

    def close(self) -> None:
        if not self.closed:
            self.session.close()
        self.terminal.close()
        self.terminal.close()
        os.close(self.device)
        os.close(self._other)


@pytest.fixture
def line() -> Iterator[Line]:
    made = Line()
    yield made
    made.close()


def received(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count and (part := peer.recv(4096)):
        data += part
    return data


DATA = bytes(range(256)) + b"\r\n\n\x03\x04\x11\x13\x1a\x7f" + random.Random(3).randbytes(100_000)
"""Every byte, those that a terminal would take for itself, and more than any buffer in between holds."""


def test_every_byte_of_the_device_reaches_the_socket(line: Line) -> None:
    with line.connect() as peer:
        sender = threading.Thread(target=line.device_sends, args=(DATA,))
        sender.start()
        assert received(peer, len(DATA)) == DATA
        sender.join(TIMEOUT_S)


def test_every_byte_of_the_socket_reaches_the_device(line: Line) -> None:
    with line.connect() as peer:
        sender = threading.Thread(target=peer.sendall, args=(DATA,))
        sender.start()
        assert line.sent_to_device(len(DATA)) == DATA
        sender.join(TIMEOUT_S)
        # Nothing comes back: the terminal does not echo.
        peer.setblocking(False)
        with pytest.raises(BlockingIOError):
            peer.recv(1)


def test_what_was_sent_before_the_end_arrives_and_then_the_end(line: Line) -> None:
    with line.connect() as peer:
        line.device_sends(b"last words")
        line.session.close()
        line.closed = True
        assert received(peer, 100) == b"last words"


def test_the_end_waits_for_a_reader_that_is_slow(line: Line) -> None:
    with line.connect() as peer:
        sent = 0
        # Until nothing on the way takes a byte more.
        while select.select([], [line.device], [], 0.3)[1]:
            sent += os.write(line.device, bytes(1024))
        ending = threading.Thread(target=line.session.close)
        ending.start()
        wake = line.session._lines["console"]._wake
        assert select.select([wake], [], [], TIMEOUT_S)[0]
        line.closed = True
        assert len(received(peer, 1 << 30)) == sent
        ending.join(TIMEOUT_S)


def test_a_new_session_has_a_new_socket_and_nothing_of_the_last(line: Line) -> None:
    first = line.session.ports
    line.session.close()
    line.device_sends(b"after the power went")
    select.select([line.terminal.descriptor], [], [], TIMEOUT_S)
    assert line.terminal.drain() == b"after the power went"
    line.session = UartSession({"console": line.terminal})
    assert line.session.ports != first
    with line.connect() as peer:
        line.device_sends(b"new")
        assert received(peer, 3) == b"new"


def test_without_a_reader_bytes_are_dropped_and_the_device_is_not_held_up(line: Line) -> None:
    line.device_sends(DATA)
    with line.connect() as peer:
        line.device_sends(b"heard")
        assert _until(peer, b"heard").endswith(b"heard")


def _until(peer: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end) and (part := peer.recv(4096)):
        data += part
    return data


def test_a_reader_that_leaves_may_be_followed_by_another(line: Line) -> None:
    with line.connect() as peer:
        line.device_sends(b"one")
        assert received(peer, 3) == b"one"
    with socket.create_connection(("127.0.0.1", urlparse(line.session.ports["console"]).port)) as peer:
        peer.settimeout(TIMEOUT_S)
        peer.sendall(b"two")
        assert line.sent_to_device(3) == b"two"


def test_who_took_a_port_and_does_not_connect_is_named(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uarts, "_CONNECT_TIMEOUT_S", 0.1)
    with pytest.raises(EngineError, match=r"UART console: nobody connected within 0\.1 s"):
        line.session.await_connections(frozenset({"console"}))
    line.session.await_connections(frozenset())


def test_a_terminal_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(EngineError, match=f"Renode's terminal {tmp_path / 'no'}: cannot be opened"):
        Terminal(tmp_path / "no")
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(EngineError, match=r"file: cannot be opened \(Inappropriate ioctl for device\)"):
        Terminal(file)


def test_only_the_loopback_interface_is_listened_on(line: Line) -> None:
    for listener in [item._listener for item in line.session._lines.values()]:
        assert listener.getsockname()[0] == "127.0.0.1"
