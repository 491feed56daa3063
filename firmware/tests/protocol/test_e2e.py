"""The device's end of the E2E channel against `noiseprotocol`, and against whoever sits in between."""

import hashlib
from collections.abc import Callable

import pytest
from firmware.tests.protocol.e2e_peers import (
    AUTHENTICATION,
    BAD_SIGNATURE,
    CLOSED,
    DEVICE_ID,
    DEVICE_PRIVATE,
    HANDSHAKE,
    KK_1,
    KK_2,
    MALFORMED,
    MANIFEST,
    NO_SPACE,
    NOW,
    OK,
    PROTOCOL,
    READY,
    TIMEOUT,
    TRANSPORT,
    UNPROVEN,
    WRONG_STATE,
    Ask,
    Binding,
    Client,
    End,
    TokenFields,
)
from firmware.tests.protocol.link_peers import public
from hypothesis import given, settings
from hypothesis import strategies as st

OTHER_SESSION = hashlib.sha256(b"another session").digest()[:16]


@pytest.fixture
def end(host: Ask) -> End:
    return End(ask=host).reset()


def _assert_closed(end: End) -> None:
    assert end.state() == (CLOSED, 0)
    assert end.seal(b"x") == (b"", WRONG_STATE)
    assert end.receive(bytes([TRANSPORT]) + bytes(40)) == (b"", b"", WRONG_STATE)


# ---- the good case


def test_handshake_and_traffic_both_ways(ask: Ask) -> None:
    end = End(ask=ask).reset()
    assert end.state() == (CLOSED, 0)
    client = end.connect()
    assert end.state()[0] == UNPROVEN
    for number, length in enumerate([0, 1, 64, 975]):
        text = bytes([number]) * length
        assert end.receive(client.seal(text)) == (b"", text, OK)
        assert end.state()[0] == READY
        frame, status = end.seal(text)
        assert (client.open(frame), status) == (text, OK)
    end.close()
    _assert_closed(end)


def test_two_sessions_at_once(end: End) -> None:
    second = end.other()
    client = end.ready()
    assert second.open(session_id=OTHER_SESSION) == OK
    other = Client(binding=Binding(session_id=OTHER_SESSION))
    other.finish(second.receive(other.start())[0])
    for number in range(3):
        assert second.receive(other.seal(b"%d" % number))[1] == b"%d" % number
        assert end.receive(client.seal(b"%d" % number))[1] == b"%d" % number


def test_every_handshake_has_a_fresh_ephemeral_key(end: End) -> None:
    keys = set()
    for _ in range(4):
        assert end.open() == OK
        keys.add(end.receive(Client().start())[0][1:33])
    assert len(keys) == 4


def test_opening_again_forgets_the_session_before(end: End) -> None:
    client = end.ready()
    assert end.open() == OK
    assert end.state()[0] == HANDSHAKE
    assert end.receive(client.seal(b"old")) == (b"", b"", PROTOCOL)
    _assert_closed(end)


# ---- nothing before proof


def test_nothing_is_sealed_before_the_client_has_proved_itself(ask: Ask) -> None:
    end = End(ask=ask).reset()
    assert end.seal(b"secret") == (b"", WRONG_STATE)
    assert end.open() == OK
    assert end.seal(b"secret") == (b"", WRONG_STATE)
    client = Client()
    client.finish(end.receive(client.start())[0])
    assert end.seal(b"secret") == (b"", WRONG_STATE)
    assert end.receive(client.seal(b"hello")) == (b"", b"hello", OK)
    assert end.seal(b"secret")[1] == OK


def test_a_transport_message_before_the_handshake_is_refused(end: End) -> None:
    assert end.open() == OK
    assert end.receive(bytes([TRANSPORT]) + bytes(64)) == (b"", b"", PROTOCOL)
    _assert_closed(end)


def test_a_recorded_session_cannot_be_played_to_the_device_again(end: End) -> None:
    """The same token, session id and frames: the device's ephemeral is another one."""
    client = Client()
    hello = client.start()
    assert end.open() == OK
    client.finish(end.receive(hello)[0])
    request = client.seal(b"hello")
    assert end.receive(request)[2] == OK
    assert end.open() == OK
    answer, plain, status = end.receive(hello)
    assert (len(answer), plain, status) == (49, b"", OK)
    assert end.receive(request) == (b"", b"", AUTHENTICATION)
    _assert_closed(end)


# ---- binding

BINDINGS = {
    "device id": Binding(device_id=b"device-8"),
    "session id": Binding(session_id=OTHER_SESSION),
    "permissions": Binding(permissions=1),
    "manifest": Binding(manifest=bytes(32)),
    "label": Binding(label=b"fieldlink-p2p-1"),
}


@pytest.mark.parametrize("name", BINDINGS)
def test_a_client_that_is_bound_to_something_else_is_refused(ask: Ask, name: str) -> None:
    end = End(ask=ask).reset()
    assert end.open() == OK
    assert end.receive(Client(binding=BINDINGS[name]).start()) == (b"", b"", AUTHENTICATION)
    _assert_closed(end)


def test_the_device_is_bound_to_what_it_is_itself(end: End) -> None:
    for device_id, manifest in ((DEVICE_ID, bytes(32)), (b"device-77", MANIFEST)):
        end.reset(device_id=device_id, manifest=manifest)
        assert end.open(token=TokenFields(device_id=b"").signed()) == OK
        assert end.receive(Client().start()) == (b"", b"", AUTHENTICATION)
        _assert_closed(end)
    end.reset()
    assert end.open(token=TokenFields(permissions=15).signed()) == OK
    assert end.receive(Client().start()) == (b"", b"", AUTHENTICATION)
    assert end.open(token=TokenFields(permissions=15).signed()) == OK
    assert end.receive(Client(binding=Binding(permissions=15)).start())[2] == OK


def test_only_the_client_of_the_token_can_shake_hands(end: End) -> None:
    stranger = hashlib.sha256(b"stranger").digest()
    assert end.open() == OK
    assert end.receive(Client(private=stranger).start()) == (b"", b"", AUTHENTICATION)
    _assert_closed(end)
    assert end.open(token=TokenFields(client=public(stranger)).signed()) == OK
    assert end.receive(Client().start()) == (b"", b"", AUTHENTICATION)


def test_a_client_of_another_device_is_refused(end: End) -> None:
    assert end.open() == OK
    client = Client(device_private=hashlib.sha256(DEVICE_PRIVATE).digest())
    assert end.receive(client.start()) == (b"", b"", AUTHENTICATION)
    _assert_closed(end)


@pytest.mark.parametrize("point", [bytes(32), b"\x01" + bytes(31)], ids=["0", "1"])
def test_keys_of_low_order_are_refused(end: End, point: bytes) -> None:
    """As the client's key in a token, and as an ephemeral key."""
    assert end.open(token=TokenFields(client=point).signed()) == OK
    assert end.receive(Client().start()) == (b"", b"", AUTHENTICATION)
    assert end.open() == OK
    assert end.receive(bytes([KK_1]) + point + bytes(16)) == (b"", b"", AUTHENTICATION)
    _assert_closed(end)


def test_a_handshake_message_with_a_payload_is_refused(end: End) -> None:
    assert end.open() == OK
    assert end.receive(Client().start(b"payload")) == (b"", b"", NO_SPACE)
    _assert_closed(end)


# ---- the token decides whether there is a session


def _damaged_token() -> bytes:
    token = TokenFields().signed()
    return token[:-1] + bytes([token[-1] ^ 1])


REFUSED_TOKENS = {
    "other device": (TokenFields(device_id=b"device-8").signed(), AUTHENTICATION),
    "expired": (TokenFields(expires=NOW).signed(), TIMEOUT),
    "damaged": (_damaged_token(), BAD_SIGNATURE),
    "garbage": (b"garbage", MALFORMED),
}


@pytest.mark.parametrize("name", REFUSED_TOKENS)
def test_a_bad_token_opens_nothing_and_ends_what_was_there(end: End, name: str) -> None:
    end.ready()
    token, status = REFUSED_TOKENS[name]
    assert end.open(token=token) == status
    _assert_closed(end)


# ---- an adversary between the two

Attack = Callable[[Client, Client], list[bytes]]


def _flip(frame: bytes) -> bytes:
    return frame[:-1] + bytes([frame[-1] ^ 1])


ATTACKS: dict[str, tuple[int, Attack]] = {
    "replayed": (1, lambda client, _: [client.seal(b"1")] * 2),
    "replayed later": (2, lambda client, _: [first := client.seal(b"1"), client.seal(b"2"), first]),
    "reordered": (0, lambda client, _: [client.seal(b"1"), client.seal(b"2")][::-1]),
    "dropped": (1, lambda client, _: [client.seal(b"1"), client.seal(b"2"), client.seal(b"3")][::2]),
    "spliced": (0, lambda client, _: [client.seal(b"a" * 40)[:30] + client.seal(b"b" * 40)[30:]]),
    "of another session": (0, lambda _, other: [other.seal(b"1")]),
    "changed": (0, lambda client, _: [_flip(client.seal(b"1"))]),
    "of another type": (0, lambda client, _: [bytes([KK_2]) + client.seal(b"1")[1:]]),
    "of an unknown type": (0, lambda client, _: [b"\x00" + client.seal(b"1")[1:]]),
    "truncated": (0, lambda client, _: [client.seal(b"12345")[:-1]]),
    "extended": (0, lambda client, _: [client.seal(b"1") + b"\x00"]),
    "too short": (0, lambda client, _: [client.seal(b"")[:-1]]),
    "empty": (0, lambda client, _: [b""]),
    "a second handshake": (0, lambda _, __: [Client().start()]),
}
"""How many frames of each are good, and the frames."""


@pytest.mark.parametrize("name", ATTACKS)
def test_a_frame_that_is_not_the_next_of_its_session_ends_the_session(end: End, name: str) -> None:
    second = end.other()
    client = end.ready()
    assert second.open(session_id=OTHER_SESSION) == OK
    other = Client(binding=Binding(session_id=OTHER_SESSION))
    other.finish(second.receive(other.start())[0])
    good, attack = ATTACKS[name]
    outcomes = [end.receive(frame) for frame in attack(client, other)]
    assert [outcome[2] for outcome in outcomes[:good]] == [OK] * good
    assert outcomes[good] in [(b"", b"", status) for status in (AUTHENTICATION, PROTOCOL, MALFORMED)]
    assert outcomes[good + 1 :] == [(b"", b"", WRONG_STATE)] * (len(outcomes) - good - 1)
    _assert_closed(end)
    assert second.state()[0] == UNPROVEN  # the other session does not notice


def test_what_the_device_sent_does_not_come_back(end: End) -> None:
    end.ready()
    frame, _ = end.seal(b"reply")
    assert end.receive(frame) == (b"", b"", AUTHENTICATION)
    _assert_closed(end)


def test_every_changed_byte_of_the_handshake_is_refused(end: End) -> None:
    hello = Client().start()
    for position in range(len(hello)):
        changed = bytearray(hello)
        changed[position] ^= 1
        assert end.open() == OK
        answer, plain, status = end.receive(bytes(changed))
        assert (answer, plain) == (b"", b""), position
        assert status == (PROTOCOL if position == 0 else AUTHENTICATION), position
        _assert_closed(end)
    for length in range(len(hello)):
        assert end.open() == OK
        assert end.receive(hello[:length]) == (b"", b"", MALFORMED), length


@given(
    frames=st.lists(st.tuples(st.integers(0, 4), st.binary(max_size=100)), min_size=1, max_size=4),
    ready=st.booleans(),
)
@settings(deadline=None, max_examples=150)
def test_any_frames(host: Ask, frames: list[tuple[int, bytes]], ready: bool) -> None:
    """Whatever arrives in whatever phase, nothing is delivered and no key is left."""
    end = End(ask=host).reset()
    if ready:
        end.ready()
    else:
        assert end.open() == OK
    for kind, body in frames:
        answer, plain, status = end.receive(bytes([kind]) + body)
        assert (answer, plain) == (b"", b"")
        assert status != OK
    _assert_closed(end)


def test_the_bindings_differ() -> None:
    """A test that changed nothing would prove nothing."""
    prologues = {binding.prologue() for binding in (*BINDINGS.values(), Binding())}
    assert len(prologues) == len(BINDINGS) + 1
    assert {len(prologue) for prologue in prologues} == {15 + 16 + 16 + 4 + 32}
