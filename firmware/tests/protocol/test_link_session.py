"""The firmware's link from back-off to session and back, against the test server of link_peers."""

import hashlib

import cbor2
import pytest
from cobs import cobs
from cryptography.exceptions import InvalidTag
from firmware.tests.protocol.link_peers import (
    APPLICATION,
    DEBUG,
    FAIL,
    HANDSHAKE_1,
    HANDSHAKE_2,
    SERVER_TIME,
    TRANSPORT,
    UPGRADE,
    WRONG_STATE,
    Ask,
    Device,
    Server,
    assert_ended,
    connect,
    encode,
)

# ---- handshake and back-off


def test_connects_at_once_and_pings(ask: Ask) -> None:
    device, server = Device(ask), Server()
    assert device.wait() == 0
    assert device.room() == [0, 0, 0, 0]
    outcome = device.poll()
    assert outcome.stream[0] == 0  # flushes what a reset may have cut
    (hello,) = outcome.frames()
    outcome = device.input(server.respond(hello))
    assert server.hello == [1, b"device-7"]
    assert outcome.sessions == ["up"]
    ((channel, ping),) = server.open_all(outcome)
    assert isinstance(ping, list)
    assert (channel, ping[0], len(ping)) == (0, 2, 2)
    assert device.room() == [0, 1024, 1024, 1024]


def test_device_id_of_full_length(host: Ask, server: Server) -> None:
    connect(Device(host, device_id=b"0123456789abcdef"), server)
    assert server.hello == [1, b"0123456789abcdef"]


def test_without_answer_it_tries_again_with_growing_back_off(device: Device) -> None:
    expected = [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]
    device.poll()
    for back_off in expected:
        assert device.wait() == 1000
        assert device.poll(after=999).stream == b""
        assert device.poll(after=1).stream == b""
        assert back_off <= device.wait() <= back_off * 5 // 4
        (hello,) = device.poll_at_deadline().frames()
        assert hello[0] == HANDSHAKE_1


def test_jitter_differs_between_devices(host: Ask) -> None:
    waits = set()
    for seed in range(12):
        device = Device(host, seed=seed)
        device.poll()
        device.poll(after=1000)
        waits.add(device.wait())
    assert len(waits) > 3


def test_every_handshake_has_a_fresh_ephemeral_key(device: Device) -> None:
    keys = set()
    for _ in range(4):
        (hello,) = device.poll_at_deadline().frames()
        keys.add(hello[1:33])
        device.poll(after=1000)
    assert len(keys) == 4


def test_back_off_falls_back_only_after_a_valid_transport_frame(device: Device) -> None:
    server = Server()
    device.poll()
    for _ in range(3):
        device.poll(after=1000)
        (hello,) = device.poll_at_deadline().frames()
    device.input(server.respond(hello))
    assert_ended(device, device.input(encode(b"\x04")), wait=(800, 1000))
    connect(device, server)
    device.input(server.control(3, 0))
    assert_ended(device, device.input(encode(b"\x04")), wait=(100, 125))


def test_reset_while_waiting_for_the_answer_starts_over(device: Device) -> None:
    device.poll()
    assert device.input(encode(b"\x04")).sessions == []
    assert 100 <= device.wait() <= 125
    (hello,) = device.poll_at_deadline().frames()
    assert hello[0] == HANDSHAKE_1


def test_a_damaged_answer_is_not_believed(device: Device, server: Server) -> None:
    (hello,) = device.poll().frames()
    answer = bytearray(cobs.decode(server.respond(hello)[:-1]))
    answer[-1] ^= 1
    assert device.input(encode(bytes(answer))).sessions == []
    assert 100 <= device.wait() <= 125


def test_a_server_with_another_key_cannot_answer(device: Device) -> None:
    (hello,) = device.poll().frames()
    with pytest.raises(InvalidTag):
        Server(private=hashlib.sha256(b"impostor").digest()).respond(hello)


WRONG_HELLOS = [
    b"",
    b"\x80",
    b"\xa0",
    cbor2.dumps([1]),  # without the time
    cbor2.dumps([2, SERVER_TIME]),
    cbor2.dumps([1, -1]),
    cbor2.dumps([1, 2**32]),
    cbor2.dumps([1, b"time"]),
    cbor2.dumps([1, SERVER_TIME, 0]),
    cbor2.dumps([1, SERVER_TIME]) + b"\x00",
    b"\x82\x01\x18\x01",  # the time is not in its shortest form
]


@pytest.mark.parametrize("answer", WRONG_HELLOS, ids=bytes.hex)
def test_a_wrong_hello_is_refused(device: Device, server: Server, answer: bytes) -> None:
    server.answer = answer
    (hello,) = device.poll().frames()
    assert device.input(server.respond(hello)).sessions == []
    assert 100 <= device.wait() <= 125
    assert device.server_time() == 0


def test_noise_and_leftovers_during_the_handshake_are_ignored(device: Device, server: Server) -> None:
    (hello,) = device.poll().frames()
    garbage = (
        b"\x05ab\x00" + encode(b"\x03" + bytes(40)) + encode(b"\x77") + b"\x00\x00" + b"\xff" * 1500 + b"\x00"
    )
    assert device.input(garbage).sessions == []
    assert device.input(server.respond(hello)).sessions == ["up"]


def test_nothing_is_heard_during_the_back_off(device: Device, server: Server) -> None:
    (hello,) = device.poll().frames()
    answer = server.respond(hello)
    device.poll(after=1000)
    assert device.input(answer).sessions == []
    assert not device.is_up


def test_the_clock_may_wrap(host: Ask, server: Server) -> None:
    device = Device(host, now=2**32 - 500)
    device.poll()
    assert device.wait() == 1000
    device.poll(after=1000)
    assert device.now == 500
    connect(device, server)
    assert device.wait() == 2000


# ---- the server's time


def _connect_at(device: Device, time: int) -> None:
    server = Server()
    server.answer = cbor2.dumps([1, time])
    connect(device, server)


def test_the_time_is_what_the_server_told_and_goes_on(ask: Ask) -> None:
    device = Device(ask)
    assert device.server_time() == 0
    device.poll()
    device.poll(after=5000)
    assert device.server_time() == 0  # time without a start is no time
    _connect_at(device, SERVER_TIME)
    assert device.server_time() == SERVER_TIME
    device.poll(after=999)
    assert device.server_time() == SERVER_TIME
    for _ in range(10):
        device.poll(after=300)
    assert device.server_time() == SERVER_TIME + 3  # 3999 ms


def test_the_largest_time_counts(device: Device) -> None:
    """A server that goes back in time does not bring expired tokens back to life."""
    expected = 0
    for told in (SERVER_TIME, SERVER_TIME - 100_000, 0, SERVER_TIME + 50, SERVER_TIME + 49):
        before = device.now
        _connect_at(device, told)
        passed = (device.now - before) // 1000
        expected = max(expected + passed, told)
        assert expected <= device.server_time() <= expected + 1
        device.fail()


def test_the_time_survives_the_end_of_a_session(device: Device) -> None:
    _connect_at(device, SERVER_TIME)
    device.fail()
    device.poll(after=60_000)
    assert device.server_time() == SERVER_TIME + 60


def test_the_time_stops_at_its_end_and_passes_the_clocks_wrap(host: Ask) -> None:
    device = Device(host, now=2**32 - 1500)
    _connect_at(device, 2**32 - 3)
    device.poll(after=2000)
    assert device.server_time() == 2**32 - 1
    device.poll(after=60_000)
    assert device.server_time() == 2**32 - 1


# ---- liveness


def test_silence_is_answered_with_pings_and_then_ends_the_session(session: tuple[Device, Server]) -> None:
    device, server = session
    nonces = []
    for _ in range(2):
        assert device.poll(after=1999).stream == b""
        ((channel, ping),) = server.open_all(device.poll(after=1))
        assert isinstance(ping, list)
        assert (channel, ping[0]) == (0, 2)
        nonces.append(ping[1])
    assert len(set(nonces)) == 2
    assert device.poll(after=1999).sessions == []
    # Nothing had failed before this session: the back-off is the first one.
    assert_ended(device, device.poll(after=1))


def test_whatever_is_received_keeps_the_session(session: tuple[Device, Server]) -> None:
    device, server = session
    for _ in range(8):
        assert device.poll(after=1900).sessions == []
        device.input(server.control(3, 1))
    assert device.wait() == 2000
    assert device.is_up


def test_ping_is_answered_with_its_nonce(session: tuple[Device, Server]) -> None:
    device, server = session
    for nonce in (0, 23, 24, 65536, 2**32 - 1):
        assert server.open_all(device.input(server.control(2, nonce))) == [(0, [3, nonce])]


def test_close_and_reset_end_the_session(host: Ask) -> None:
    for farewell in ("close", "reset"):
        device, server = Device(host), Server()
        connect(device, server)
        data = server.control(4, 0) if farewell == "close" else encode(b"\x04")
        assert_ended(device, device.input(data))
        connect(device, server)


def test_a_user_of_the_link_can_end_the_session(session: tuple[Device, Server]) -> None:
    device, server = session
    assert_ended(device, device.fail())
    assert device.fail().sessions == []
    assert device.send(APPLICATION, b"x").status == WRONG_STATE
    connect(device, server)


def test_a_user_can_end_the_session_while_receiving(session: tuple[Device, Server]) -> None:
    device, server = session
    device.set_mode(FAIL)
    outcome = device.input(server.message(UPGRADE, b"bad") + server.message(UPGRADE, b"never seen"))
    assert outcome.received == [(UPGRADE, b"bad")]
    assert_ended(device, outcome)


# ---- what ends a session


def _violations(server: Server) -> dict[str, bytes]:
    """Streams that a session does not survive."""
    damaged = bytearray(server.message(APPLICATION, b"payload"))
    damaged[9] ^= 1 if damaged[9] != 1 else 2
    return {
        "damaged message": bytes(damaged),
        "unknown frame type": encode(b"\x09abc"),
        "handshake message from a server": encode(bytes([HANDSHAKE_1]) + bytes(96)),
        "transport frame without a tag": encode(bytes([TRANSPORT]) + bytes(15)),
        "broken framing": b"\x09abc\x00",
        "oversized frame": encode(b"\x03" + b"x" * 1060),
    }


@pytest.mark.parametrize(
    "name",
    [
        "broken framing",
        "damaged message",
        "handshake message from a server",
        "oversized frame",
        "transport frame without a tag",
        "unknown frame type",
    ],
)
def test_failures_of_frames_end_the_session(session: tuple[Device, Server], name: str) -> None:
    device, server = session
    assert_ended(device, device.input(_violations(server)[name]))


MALFORMED_MESSAGES = {
    "empty plaintext": None,
    "unknown channel": (4, b"x"),
    "unknown channel 255": (255, b""),
    "empty control": (0, b""),
    "control is not CBOR": (0, b"\xff\xff"),
    "control of unknown type": (0, cbor2.dumps([9, 1])),
    "control with a missing field": (0, cbor2.dumps([1, 1])),
    "control with an extra field": (0, cbor2.dumps([2, 1, 1])),
    "control with a negative number": (0, cbor2.dumps([2, -1])),
    "control number over 32 bits": (0, cbor2.dumps([2, 2**32])),
    "control with bytes behind it": (0, cbor2.dumps([2, 1]) + b"\x00"),
    "credit for control": (0, cbor2.dumps([1, 0, 1])),
    "credit for an unknown channel": (0, cbor2.dumps([1, 4, 1])),
    "more credit than was spent": (0, cbor2.dumps([1, APPLICATION, 1])),
    "absurd credit": (0, cbor2.dumps([1, UPGRADE, 2**32 - 1])),
}


@pytest.mark.parametrize("name", MALFORMED_MESSAGES)
def test_malformed_messages_end_the_session(session: tuple[Device, Server], name: str) -> None:
    device, server = session
    assert server.noise is not None
    what = MALFORMED_MESSAGES[name]
    plain = b"" if what is None else bytes([what[0]]) + what[1]
    stream = encode(bytes([TRANSPORT]) + bytes(server.noise.encrypt(plain)))
    outcome = device.input(stream)
    assert outcome.received == []
    assert_ended(device, outcome)


def test_a_message_over_the_limit_ends_the_session(session: tuple[Device, Server]) -> None:
    device, server = session
    assert device.input(server.message(UPGRADE, bytes(1024))).received == [(UPGRADE, bytes(1024))]
    assert_ended(device, device.input(server.message(UPGRADE, bytes(1025))))


def test_replayed_and_reordered_messages_end_the_session(host: Ask) -> None:
    for swap in (True, False):
        device, server = Device(host), Server()
        connect(device, server)
        first, second = server.message(APPLICATION, b"1"), server.message(APPLICATION, b"2")
        outcome = device.input(second + first if swap else first + first)
        assert outcome.received == ([] if swap else [(APPLICATION, b"1")])
        assert outcome.sessions == ["down"]


def test_a_late_second_answer_is_harmless(session: tuple[Device, Server]) -> None:
    device, server = session
    assert device.input(encode(bytes([HANDSHAKE_2]) + bytes(50))).sessions == []
    assert device.input(server.message(APPLICATION, b"still here")).received == [(APPLICATION, b"still here")]


def test_a_stream_of_zeros_is_harmless(session: tuple[Device, Server]) -> None:
    device, server = session
    assert device.input(bytes(3000)).sessions == []
    assert device.input(server.message(DEBUG, b"")).received == [(DEBUG, b"")]
