"""The firmware's link against the real server's end, `fieldlink.link.Responder`."""

import hashlib
import random

import pytest
from firmware.tests.protocol.link_peers import (
    CONSUME,
    DEVICE_PRIVATE,
    ECHO,
    KEEP,
    SERVER_PRIVATE,
    SERVER_TIME,
    Ask,
    Device,
    Outcome,
    public,
)

from fieldlink.link import Event, HandshakeReceived, Message, Responder, SessionDown, SessionUp
from fieldlink.mux import Channel


class Pair:
    """Device and server on one wire, with one clock (the device's milliseconds)."""

    def __init__(self, ask: Ask, *, mode: int = KEEP, seed: int = 1) -> None:
        self.device = Device(ask, mode=mode, seed=seed)
        self.server = Responder(static_private=SERVER_PRIVATE)
        self.events: list[Event] = []
        self.received: list[tuple[int, bytes]] = []
        self.cut = random.Random(seed)

    @property
    def now(self) -> float:
        return self.device.now / 1000

    def _take(self, outcome: Outcome) -> bytes:
        self.received += outcome.received
        return outcome.stream

    def _serve(self, data: bytes) -> bytes:
        while data:
            size = self.cut.randint(1, 400)
            self.server.receive_data(data[:size])
            data = data[size:]
            while (event := self.server.next_event(self.now)) is not None:
                self.events.append(event)
                if isinstance(event, HandshakeReceived):
                    self.server.accept(self.now, unix_time=SERVER_TIME)
                elif isinstance(event, Message):
                    self.server.consume(event.channel, len(event.payload))
        self.server.poll(self.now)
        return self.server.data_to_send()

    def run(self, outcome: Outcome) -> None:
        """Carries bytes until both ends are quiet."""
        to_server = self._take(outcome)
        for _ in range(200):
            to_device = self._serve(to_server)
            to_server = b""
            while to_device:
                size = self.cut.randint(1, 400)
                to_server += self._take(self.device.input(to_device[:size]))
                to_device = to_device[size:]
            to_server += self._take(self.device.poll())
            if not to_server:
                return
        pytest.fail("the two ends never become quiet")

    def connect(self) -> None:
        self.run(self.device.poll_at_deadline())
        assert self.device.is_up
        assert self.server.is_up

    def pass_time(self, milliseconds: int) -> None:
        """Time goes by in steps of 10 ms, both ends polled."""
        for _ in range(milliseconds // 10):
            self.run(self.device.poll(after=10))


def test_session_comes_up_for_the_device_that_proved_itself(ask: Ask) -> None:
    pair = Pair(ask)
    pair.connect()
    up = [event for event in pair.events if isinstance(event, SessionUp)]
    assert up == [SessionUp(peer_key=public(DEVICE_PRIVATE), device_id=b"device-7")]


def test_session_lives_on_pings_alone(host: Ask) -> None:
    pair = Pair(host)
    pair.connect()
    pair.pass_time(15_000)
    assert not [event for event in pair.events if isinstance(event, SessionDown)]
    assert pair.device.is_up


def test_much_data_both_ways_within_the_credit(ask: Ask) -> None:
    pair = Pair(ask, mode=CONSUME)
    pair.connect()
    down = [hashlib.shake_128(b"down%d" % n).digest(1 + n * 41 % 1024) for n in range(40)]
    up = [hashlib.shake_128(b"up%d" % n).digest(1 + n * 67 % 1024) for n in range(40)]
    waiting_down, waiting_up = list(down), list(up)
    for _ in range(400):
        while waiting_down and pair.server.has_room(Channel.UPGRADE):
            pair.server.send(Channel.UPGRADE, waiting_down.pop(0))
        outcome = Outcome()
        if waiting_up and len(waiting_up[0]) <= pair.device.room()[Channel.APPLICATION]:
            outcome = pair.device.send(Channel.APPLICATION, waiting_up.pop(0))
        pair.run(outcome)
        if not waiting_down and not waiting_up:
            break
    pair.run(Outcome())
    assert pair.received == [(int(Channel.UPGRADE), payload) for payload in down]
    got = [event.payload for event in pair.events if isinstance(event, Message)]
    assert got == up


def test_echo_on_every_channel(host: Ask) -> None:
    pair = Pair(host, mode=ECHO)
    pair.connect()
    for channel in (Channel.APPLICATION, Channel.UPGRADE, Channel.DEBUG):
        pair.server.send(channel, b"over " + bytes([channel]))
    pair.run(Outcome())
    got = [(event.channel, event.payload) for event in pair.events if isinstance(event, Message)]
    assert sorted(got) == [(channel, b"over " + bytes([channel])) for channel in (1, 2, 3)]


def test_device_that_was_reset_gets_a_new_session(host: Ask) -> None:
    pair = Pair(host)
    pair.connect()
    pair.device = Device(host, now=pair.device.now, seed=2)
    pair.connect()
    assert len([event for event in pair.events if isinstance(event, SessionUp)]) == 2


def test_server_that_forgot_the_session_gets_a_new_one(host: Ask) -> None:
    pair = Pair(host)
    pair.connect()
    pair.server = Responder(static_private=SERVER_PRIVATE)
    pair.pass_time(5_000)  # the device's ping is what tells the server that there was a session
    assert pair.device.is_up
    assert pair.server.is_up


@pytest.mark.parametrize("damage", range(8))
def test_recovers_from_a_damaged_stream(host: Ask, damage: int) -> None:
    """Bytes lost on the way: both ends end their session and find to each other again."""
    pair = Pair(host, mode=CONSUME)
    pair.connect()
    pair.server.send(Channel.UPGRADE, bytes(600))
    stream = pair.server.data_to_send()
    position = damage * len(stream) // 8
    pair.run(pair.device.input(stream[:position] + stream[position + 3 :]))
    pair.pass_time(8_000)
    assert pair.device.is_up
    assert pair.server.is_up
    pair.server.send(Channel.UPGRADE, b"after")
    pair.run(Outcome())
    assert pair.received[-1] == (int(Channel.UPGRADE), b"after")


def test_close_by_the_server_is_followed_by_a_new_session(host: Ask) -> None:
    pair = Pair(host)
    pair.connect()
    pair.server.close(0)
    pair.run(Outcome())
    assert not pair.device.is_up
    pair.pass_time(1_000)
    assert pair.device.is_up
