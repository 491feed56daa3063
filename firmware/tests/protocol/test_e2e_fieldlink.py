"""The device's end of the E2E channel against `fieldlink`: its Noise, and the client's channel on it."""

import hashlib

import pytest
from firmware.tests.protocol.e2e_peers import (
    AUTHENTICATION,
    CLIENT_PRIVATE,
    CLOSED,
    DEVICE_ID,
    DEVICE_PRIVATE,
    KK_1,
    MANIFEST,
    OK,
    SESSION_ID,
    TRANSPORT,
    Ask,
    Binding,
    End,
)
from firmware.tests.protocol.link_peers import public

from fieldlink.debug.e2e import PLAINTEXT_LIMIT, E2eChannel, prologue
from fieldlink.errors import RemoteProtocolError
from fieldlink.noise import KK, HandshakeState, Role


def _prologue(session_id: bytes = SESSION_ID) -> bytes:
    return prologue(device_id=DEVICE_ID, session_id=session_id, permissions=7, manifest=MANIFEST)


def _channel(prologue_bytes: bytes | None = None) -> E2eChannel:
    return E2eChannel(
        role=Role.INITIATOR,
        static_private=CLIENT_PRIVATE,
        remote_public=public(DEVICE_PRIVATE),
        prologue_bytes=_prologue() if prologue_bytes is None else prologue_bytes,
    )


def test_against_fieldlinks_noise(ask: Ask) -> None:
    end = End(ask=ask).reset()
    assert end.open() == OK
    handshake = HandshakeState(
        pattern=KK,
        role=Role.INITIATOR,
        static=CLIENT_PRIVATE,
        remote_static=public(DEVICE_PRIVATE),
        prologue=Binding().prologue(),
    )
    answer, plain, status = end.receive(bytes([KK_1]) + handshake.write_message(b""))
    assert (plain, status) == (b"", OK)
    assert handshake.read_message(answer[1:]) == b""
    sending, receiving = handshake.split()
    for number, length in enumerate([0, 1, 64, 975]):
        text = bytes([number]) * length
        assert end.receive(bytes([TRANSPORT]) + sending.encrypt(b"", text)) == (b"", text, OK)
        frame, _ = end.seal(text)
        assert receiving.decrypt(b"", frame[1:]) == text


def test_against_the_clients_channel(ask: Ask) -> None:
    end, channel = End(ask=ask).reset(), _channel()
    assert end.open() == OK
    assert channel.receive(end.receive(channel.start())[0]) == (None, None)
    assert channel.is_open
    for length in (0, 1, PLAINTEXT_LIMIT):
        assert end.receive(channel.seal(bytes(length))) == (b"", bytes(length), OK)
        assert channel.receive(end.seal(bytes(length))[0]) == (bytes(length), None)


def test_both_sides_write_the_same_prologue() -> None:
    assert _prologue() == Binding().prologue()


def test_another_session_id_is_refused(host: Ask) -> None:
    end = End(ask=host).reset()
    assert end.open() == OK
    other = _channel(_prologue(hashlib.sha256(b"other").digest()[:16]))
    assert end.receive(other.start()) == (b"", b"", AUTHENTICATION)
    assert end.state() == (CLOSED, 0)


def test_the_client_refuses_a_replayed_response(host: Ask) -> None:
    end, channel = End(ask=host).reset(), _channel()
    assert end.open() == OK
    channel.receive(end.receive(channel.start())[0])
    end.receive(channel.seal(b"hello"))
    frame, _ = end.seal(b"reply")
    assert channel.receive(frame) == (b"reply", None)
    with pytest.raises(RemoteProtocolError):
        channel.receive(frame)
    assert not channel.is_open
