"""The modem and the console over loopback sockets and a pseudo terminal."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import queue
import socket
import threading
from typing import TYPE_CHECKING

import pexpect
import pytest

from brownout.console import Console
from brownout.engines.base import PowerEvent, PowerEventKind
from brownout.errors import StateError, UplinkError
from brownout.ports import PortClosed, SerialPort
from brownout.uplink import Backoff, Direction, Modem, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

TIMEOUT_S = 10.0
QUICK = Backoff(first=0.01, most=0.02)


class Listener:
    """A TCP server on a free port that hands out its connections."""

    def __init__(self, port: int = 0) -> None:
        self._server = socket.create_server(("127.0.0.1", port))
        self._server.settimeout(TIMEOUT_S)
        self.address: tuple[str, int] = self._server.getsockname()
        self.connections: list[socket.socket] = []

    @property
    def url(self) -> str:
        return f"socket://127.0.0.1:{self.address[1]}"

    def accept(self) -> socket.socket:
        connection, _ = self._server.accept()
        connection.settimeout(TIMEOUT_S)
        self.connections.append(connection)
        return connection

    def close(self) -> None:
        for connection in (*self.connections, self._server):
            connection.close()


@pytest.fixture
def device() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def server() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@contextlib.contextmanager
def modem_between(
    device: Listener, server: Listener, *, capture: bool = False
) -> Iterator[tuple[Modem, socket.socket, socket.socket]]:
    modem = Modem(server.address, backoff=QUICK, capture=capture)
    try:
        modem.open(device.url)
        modem.wait_connected(TIMEOUT_S)
        yield modem, device.accept(), server.accept()
    finally:
        modem.close()


def receive(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        assert piece
        data += piece
    return data


def test_bytes_pass_unchanged_in_both_directions_and_are_counted(
    device: Listener, server: Listener, tmp_path: Path
) -> None:
    up, down = bytes(range(256)) * 40, bytes(reversed(range(256))) * 30
    with modem_between(device, server, capture=True) as (modem, uart, peer):
        uart.sendall(up)
        assert receive(peer, len(up)) == up
        peer.sendall(down)
        assert receive(uart, len(down)) == down
        modem.close()
        assert (modem.counters.up, modem.counters.down) == (len(up), len(down))
        assert (modem.counters.lost_up, modem.counters.lost_down, modem.counters.connects) == (0, 0, 1)
        modem.save_capture(tmp_path / "link.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "link.jsonl").read_text().splitlines()]
    for direction, data in (("up", up), ("down", down)):
        assert (
            b"".join(bytes.fromhex(item["data"]) for item in lines if item["direction"] == direction) == data
        )
    assert [item["time_s"] for item in lines] == sorted(item["time_s"] for item in lines)


def test_what_a_device_sends_byte_by_byte_is_passed_on_by_frames(device: Listener, server: Listener) -> None:
    """Each piece costs a turn of the modem, the server and its peer."""
    frames = [bytes([1 + number]) * 40 + b"\0" for number in range(50)]
    with modem_between(device, server, capture=True) as (modem, uart, gateway):
        uart.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in b"".join(frames):
            uart.send(bytes([byte]))
        assert receive(gateway, 50 * 41) == b"".join(frames)
        pieces = [item.data for item in modem.captured]
        # A machine under load may let a byte wait for longer than the modem does.
        assert len(pieces) < 400
        uart.sendall(b"no frame's end")
        assert receive(gateway, 14) == b"no frame's end"
        uart.sendall(b"the last")
        uart.close()
        assert receive(gateway, 8) == b"the last"


def test_a_tap_can_change_and_drop(device: Listener, server: Listener) -> None:
    def tamper(direction: Direction, data: bytes, /) -> bytes:
        return data.replace(b"good", b"evil") if direction is Direction.UP else b""

    with modem_between(device, server) as (modem, uart, peer):
        modem.add_tap(tamper)
        peer.sendall(b"dropped")
        uart.sendall(b"good morning")
        assert receive(peer, 12) == b"evil morning"
        modem.remove_tap(tamper)
        uart.sendall(b"good")
        assert receive(peer, 4) == b"good"
        assert modem.counters.up == 16


def test_the_server_is_connected_again_after_a_loss(device: Listener, server: Listener) -> None:
    with modem_between(device, server) as (modem, uart, peer):
        peer.close()
        again = server.accept()
        modem.wait_connected(TIMEOUT_S)
        again.sendall(b"back")
        assert receive(uart, 4) == b"back"
        uart.sendall(b"here")
        assert receive(again, 4) == b"here"
        modem.disconnect()
        server.accept()
        assert modem.counters.connects >= 2


def test_an_unreachable_server_is_told_and_tried_again() -> None:
    messages: queue.SimpleQueue[str] = queue.SimpleQueue()
    refused = Listener()
    port = refused.address[1]
    refused.close()
    modem = Modem(("127.0.0.1", port), backoff=QUICK, on_unreachable=messages.put)
    try:
        for _ in range(2):
            message = messages.get(timeout=TIMEOUT_S)
            assert message.startswith(f"server 127.0.0.1:{port}: unreachable (Connection refused)")
        with pytest.raises(UplinkError, match="not connected within"):
            modem.wait_connected(0.01)
    finally:
        modem.close()


def test_the_modem_follows_the_power(server: Listener) -> None:
    modem = Modem(server.address, backoff=QUICK)
    try:
        peer = server.accept()
        for session in (1, 2):
            uart = Listener()
            ports = {"uplink": uart.url, "console": "socket://127.0.0.1:1"}
            event = PowerEvent(kind=PowerEventKind.ON, session=session, ports=ports)
            modem.power_changed(event)
            assert event.taken == {"uplink"}
            connection = uart.accept()
            connection.sendall(b"last words")
            uart.close()
            modem.power_changed(PowerEvent(kind=PowerEventKind.CUT, session=session))
            assert receive(peer, 10) == b"last words"
        assert modem.counters.up == 20
        assert modem.counters.connects == 1
    finally:
        modem.close()


def test_a_lost_port_is_an_error(device: Listener, server: Listener) -> None:
    with modem_between(device, server) as (modem, uart, _):
        modem.wait_port_lost(0)
        uart.close()
        with pytest.raises(UplinkError, match="the other end is gone"):
            modem.wait_port_lost(TIMEOUT_S)


@pytest.mark.parametrize("text", ["", "host", "host:", ":1", "host:x", "host:0", "host:65536"])
def test_bad_addresses(text: str) -> None:
    with pytest.raises(UplinkError, match="expected HOST:PORT"):
        parse_address(text)


def test_good_addresses() -> None:
    assert parse_address("example.org:7000") == ("example.org", 7000)
    assert parse_address("[::1]:1") == ("::1", 1)


def test_a_pseudo_terminal_is_a_port_like_any_other() -> None:
    master, slave = pty.openpty()
    port = SerialPort(os.ttyname(slave))
    try:
        os.write(master, b"hello")
        assert port.read(TIMEOUT_S) == b"hello"
        assert port.read(0) == b""
        port.write(b"\x00\xffbinary")
        assert os.read(master, 100) == b"\x00\xffbinary"
    finally:
        port.close()
        os.close(master)
        os.close(slave)


def test_a_port_that_cannot_be_opened() -> None:
    with pytest.raises(UplinkError, match=r"port /dev/nothing: cannot be opened"):
        SerialPort("/dev/nothing")
    with pytest.raises(UplinkError, match=r"port socket://x: cannot be opened"):
        SerialPort("socket://x")


def test_a_reader_can_be_woken(device: Listener) -> None:
    port = SerialPort(device.url)
    ended = threading.Event()

    def read() -> None:
        with contextlib.suppress(PortClosed):
            port.read()
        ended.set()

    threading.Thread(target=read, daemon=True).start()
    port.wake()
    assert ended.wait(TIMEOUT_S)
    port.close()
    port.close()


def test_the_console_is_logged_and_driven_with_pexpect(device: Listener) -> None:
    console = Console(timeout=TIMEOUT_S)
    heard: list[bytes] = []
    console.add_sink(heard.append)
    console.power_changed(PowerEvent(kind=PowerEventKind.ON, session=1, ports={"console": device.url}))
    uart = device.accept()
    uart.sendall(b"boot 1.2.3\r\nlogin: ")
    assert console.spawn.expect([r"boot (\S+)\r\n"]) == 0
    assert console.spawn.match[1] == "1.2.3"
    console.spawn.expect_exact("login: ")
    console.spawn.sendline("root")
    assert receive(uart, 5) == b"root\n"
    uart.sendall(b"half\xff a line")
    console.spawn.expect("a line")
    uart.sendall(b", the end")
    uart.close()
    console.power_changed(PowerEvent(kind=PowerEventKind.CUT, session=1))
    assert [line.text for line in console.lines()] == [
        "--- power on, session 1 ---",
        "boot 1.2.3",
        "login: half\N{REPLACEMENT CHARACTER} a line, the end",
        "--- power cut, session 1 ---",
    ]
    assert b"".join(heard).endswith(b"the end--- power cut, session 1 ---\n")
    times = [line.time_s for line in console.lines()]
    assert times == sorted(times)
    assert console.log_text().splitlines()[1].endswith("] boot 1.2.3")
    with pytest.raises(StateError, match="has no power"):
        console.spawn.send("x")
    console.close()


def test_the_console_forgets_at_power_on_what_was_not_matched(device: Listener) -> None:
    console = Console()
    for session, text in ((1, b"old news\n"), (2, b"fresh news\n")):
        event = PowerEvent(kind=PowerEventKind.ON, session=session, ports={"console": device.url})
        console.power_changed(event)
        uart = device.accept()
        uart.sendall(text)
        uart.close()
        console.power_changed(PowerEvent(kind=PowerEventKind.CUT, session=session))
    assert console.spawn.expect([r"(\w+) news", pexpect.TIMEOUT], timeout=TIMEOUT_S) == 0
    assert console.spawn.match[1] == "fresh"
    assert console.spawn.expect(["news", pexpect.TIMEOUT], timeout=0) == 1
    assert "old news" in console.text()
    console.close()
