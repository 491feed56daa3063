"""Sessions of the kernel's debug channel: a scripted link and agent, on the host under sanitizers."""

import cbor2
import pytest
from firmware.tests.protocol.channel_peers import (
    BUSY,
    E2E_FAILED,
    ENDED,
    EXPIRED,
    MALFORMED,
    NOT_AUTHORISED,
    OK,
    OPEN,
    OPEN_DEVICE,
    OPENED,
    PROTOCOL,
    RELAY,
    WRONG_STATE,
    Channel,
    frame_size,
)
from firmware.tests.protocol.e2e_peers import (
    NOW,
    Client,
    TokenFields,
)


def test_a_session_from_open_to_detach(channel: Channel) -> None:
    client = channel.connect(9)
    outcome = channel.request(client, 9, b"hello")
    assert (outcome.attached, outcome.requests, outcome.sent) == ([(0, 7)], [(0, b"hello")], [])
    outcome = channel.respond(0, b"a reply")
    assert outcome.taken
    ((kind, number, frame),) = outcome.sent
    assert (kind, number) == (RELAY, 9)
    assert isinstance(frame, bytes)
    assert client.open(frame) == b"a reply"
    outcome = channel.receive(ENDED, 9, 0)
    assert (outcome.detached, outcome.sent, outcome.status) == ([0], [], OK)
    assert not channel.respond(0, b"too late").taken


def test_the_agent_hears_nothing_before_the_client_has_proved_itself(channel: Channel) -> None:
    client = channel.connect(1)
    assert channel.poll().polls == 1
    outcome = channel.receive(ENDED, 1, 0)
    assert (outcome.detached, outcome.attached) == ([], [])
    assert channel.request(client, 1, b"hello").requests == []


def test_the_agent_is_told_the_permissions_of_the_token(channel: Channel) -> None:
    client = channel.connect(1, permissions=1)
    assert channel.request(client, 1, b"hello").attached == [(0, 1)]


def test_two_sessions_and_a_third_that_finds_no_place(channel: Channel) -> None:
    clients = {1: channel.ready(1), 2: channel.ready(2, permissions=1)}
    assert channel.open(3).sent == [[ENDED, 3, BUSY]]
    for session, client in clients.items():
        assert channel.request(client, session, b"x").requests == [(session - 1, b"x")]
    assert channel.receive(ENDED, 1, 0).detached == [0]
    assert channel.request(clients[2], 2, b"y").requests == [(1, b"y")]
    assert channel.open(3).sent == []


def test_readers_leave_a_place_for_who_may_control(channel: Channel) -> None:
    reader = channel.ready(1, permissions=1)
    for _ in range(3):
        assert channel.open(2, TokenFields(permissions=1).signed()).sent == [[ENDED, 2, BUSY]]
    controller = channel.ready(3)
    assert channel.receive(ENDED, 1, 0).detached == [0]
    assert channel.request(reader, 1, b"x").requests == []
    other = channel.ready(4, permissions=1)  # the place of the reader that has gone
    for session, client, index in ((3, controller, 1), (4, other, 0)):
        assert channel.request(client, session, b"y").requests == [(index, b"y")]


@pytest.mark.parametrize("permissions", [2, 4, 8, 15])
def test_a_reader_is_who_may_do_nothing_else(channel: Channel, permissions: int) -> None:
    channel.ready(1, permissions=1)
    channel.connect(2, permissions=permissions)


def test_a_token_without_any_permission_takes_no_more_than_a_reader(channel: Channel) -> None:
    channel.ready(1, permissions=0)
    assert channel.open(2, TokenFields(permissions=1).signed()).sent == [[ENDED, 2, BUSY]]
    channel.ready(3)


def test_a_session_that_the_agent_does_not_take_is_busy(channel: Channel) -> None:
    client = channel.connect(1)
    channel.agent(attach=WRONG_STATE)
    outcome = channel.request(client, 1, b"hello")
    assert (outcome.sent, outcome.requests, outcome.detached) == ([[ENDED, 1, BUSY]], [], [])
    assert channel.request(client, 1, b"again").sent == []  # the session is gone


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (TokenFields(expires=NOW).signed(), EXPIRED),
        (TokenFields(device_id=b"device-8").signed(), NOT_AUTHORISED),
        (b"garbage", NOT_AUTHORISED),
        (TokenFields().signed()[:-64] + bytes(64), NOT_AUTHORISED),
    ],
    ids=["expired", "other device", "garbage", "signature"],
)
def test_refused_tokens(channel: Channel, token: bytes, reason: int) -> None:
    for _ in range(3):  # and no place is lost
        assert channel.open(5, token).sent == [[ENDED, 5, reason]]
    channel.ready(5)
    channel.ready(6)


def test_a_session_number_that_is_in_use_is_a_protocol_error(channel: Channel) -> None:
    channel.ready(1)
    assert channel.open(1).status == PROTOCOL


def test_a_session_number_can_be_used_again_after_its_end(channel: Channel) -> None:
    for _ in range(3):
        client = channel.ready(1)
        channel.receive(ENDED, 1, 0)
        assert channel.request(client, 1, b"late").requests == []


# ---- failures


@pytest.mark.parametrize("attack", ["replayed", "dropped", "changed", "of another session", "handshake"])
def test_a_frame_that_does_not_belong_here_ends_its_session_only(channel: Channel, attack: str) -> None:
    victim, other = channel.ready(1), channel.ready(2, permissions=1)
    first, second = victim.seal(b"1"), victim.seal(b"2")
    if attack == "replayed":
        assert channel.receive(RELAY, 1, first).requests == [(0, b"1")]
    frame = {
        "replayed": first,
        "dropped": second,
        "changed": first[:-1] + bytes([first[-1] ^ 1]),
        "of another session": other.seal(b"1") if attack == "of another session" else b"",
        "handshake": Client().start(),
    }[attack]
    outcome = channel.receive(RELAY, 1, frame)
    assert outcome.status == OK  # the link is not at fault
    assert (outcome.sent, outcome.detached, outcome.requests) == ([[ENDED, 1, E2E_FAILED]], [0], [])
    if attack != "of another session":
        assert channel.request(other, 2, b"unharmed").requests == [(1, b"unharmed")]
    assert channel.request(victim, 1, b"more").requests == []


def test_a_request_that_the_agent_finds_malformed_ends_the_session(channel: Channel) -> None:
    client = channel.ready(1)
    channel.agent(request=MALFORMED)
    outcome = channel.request(client, 1, b"nonsense")
    assert (outcome.sent, outcome.detached) == ([[ENDED, 1, E2E_FAILED]], [0])
    assert len(outcome.credit) == 1


MALFORMED_MESSAGES = {
    "empty": b"",
    "not CBOR": b"\xff\xff",
    "a number": b"\x01",
    "unknown type": cbor2.dumps([6, 1, 2]),
    "relay without payload": cbor2.dumps([RELAY, 1]),
    "empty relay": cbor2.dumps([RELAY, 1, b""]),
    "relay of 993 bytes": cbor2.dumps([RELAY, 1, bytes(993)]),
    "short session id": cbor2.dumps([OPEN_DEVICE, 1, bytes(15), b"token"]),
    "token of 401 bytes": cbor2.dumps([OPEN_DEVICE, 1, bytes(16), bytes(401)]),
    "session over 32 bits": cbor2.dumps([ENDED, 2**32, 0]),
    "bytes behind it": cbor2.dumps([ENDED, 1, 0]) + b"\0",
}


@pytest.mark.parametrize("name", MALFORMED_MESSAGES)
def test_malformed_messages_are_errors_of_the_link(channel: Channel, name: str) -> None:
    channel.ready(1)
    outcome = channel.receive_bytes(MALFORMED_MESSAGES[name])
    assert (outcome.status, outcome.sent, outcome.requests) == (MALFORMED, [], [])
    assert channel.down().detached == [0]


def test_messages_that_a_server_does_not_send_are_errors_of_the_link(channel: Channel) -> None:
    assert channel.receive(OPEN, 1, b"device-7", bytes(16), b"token").status == PROTOCOL
    assert channel.receive(OPENED, 1, bytes(32)).status == PROTOCOL


def test_frames_of_unknown_sessions_are_dropped_and_their_credit_comes_back(channel: Channel) -> None:
    for frame in ([RELAY, 4, b"late"], [ENDED, 4, 0]):
        outcome = channel.receive(*frame)
        assert (outcome.status, outcome.sent, outcome.credit) == (OK, [], [frame_size(*frame)])
