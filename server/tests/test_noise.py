"""Ours against PyPI `noiseprotocol`: both roles, both patterns, every message and the transport after it."""

import os
from collections.abc import Callable

import pytest
from noise.connection import Keypair, NoiseConnection

from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.noise import IK, KK, HandshakePattern, HandshakeState, Role, protocol_name, public_key

A = bytes(range(32))
B = bytes(range(100, 132))
PROLOGUE = b"fieldlink-p2p-1"


def ours(pattern: HandshakePattern, role: Role, **changes: object) -> HandshakeState:
    own, peer = (A, B) if role is Role.INITIATOR else (B, A)
    knows = pattern.responder_static_known if role is Role.INITIATOR else pattern.initiator_static_known
    arguments: dict[str, object] = {
        "pattern": pattern,
        "role": role,
        "static": own,
        "remote_static": public_key(peer) if knows else None,
        "prologue": PROLOGUE,
    }
    return HandshakeState(**(arguments | changes))  # type: ignore[arg-type]


def theirs(pattern: HandshakePattern, role: Role) -> NoiseConnection:
    own, peer = (A, B) if role is Role.INITIATOR else (B, A)
    connection = NoiseConnection.from_name(protocol_name(pattern))
    if role is Role.INITIATOR:
        connection.set_as_initiator()
    else:
        connection.set_as_responder()
    connection.set_keypair_from_private_bytes(Keypair.STATIC, own)
    if role is Role.INITIATOR or pattern is KK:
        connection.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, public_key(peer))
    connection.set_prologue(PROLOGUE)
    connection.start_handshake()
    return connection


def transport_agrees(
    our_ends: tuple[Callable[[bytes, bytes], bytes], Callable[[bytes, bytes], bytes]], other: NoiseConnection
) -> None:
    encrypt, decrypt = our_ends
    for size in (0, 1, 1025):
        text = os.urandom(size)
        assert other.decrypt(encrypt(b"", text)) == text
        assert decrypt(b"", bytes(other.encrypt(text))) == text


@pytest.mark.parametrize("pattern", [IK, KK], ids=lambda pattern: pattern.name)
@pytest.mark.parametrize("payloads", [(b"", b""), (b"hello from device", b"x" * 300)])
def test_our_initiator_talks_to_the_reference(pattern, payloads):
    us, them = ours(pattern, Role.INITIATOR), theirs(pattern, Role.RESPONDER)
    assert bytes(them.read_message(us.write_message(payloads[0]))) == payloads[0]
    assert us.read_message(bytes(them.write_message(payloads[1]))) == payloads[1]
    assert us.handshake_hash == them.get_handshake_hash()
    sending, receiving = us.split()
    transport_agrees((sending.encrypt, receiving.decrypt), them)


@pytest.mark.parametrize("pattern", [IK, KK], ids=lambda pattern: pattern.name)
@pytest.mark.parametrize("payloads", [(b"", b""), (b"hello from device", b"x" * 300)])
def test_our_responder_talks_to_the_reference(pattern, payloads):
    us, them = ours(pattern, Role.RESPONDER), theirs(pattern, Role.INITIATOR)
    assert us.read_message(bytes(them.write_message(payloads[0]))) == payloads[0]
    assert us.remote_static == public_key(A)
    assert bytes(them.read_message(us.write_message(payloads[1]))) == payloads[1]
    assert us.handshake_hash == them.get_handshake_hash()
    sending, receiving = us.split()
    transport_agrees((sending.encrypt, receiving.decrypt), them)


@pytest.mark.parametrize("pattern", [IK, KK], ids=lambda pattern: pattern.name)
def test_every_changed_bit_of_a_message_is_noticed(pattern):
    message = bytearray(ours(pattern, Role.INITIATOR).write_message(b"payload"))
    for index in range(len(message)):
        changed = bytes(message[:index]) + bytes([message[index] ^ 1]) + bytes(message[index + 1 :])
        with pytest.raises(RemoteProtocolError):
            ours(pattern, Role.RESPONDER).read_message(changed)


def test_another_prologue_is_noticed():
    message = ours(IK, Role.INITIATOR).write_message(b"")
    with pytest.raises(RemoteProtocolError):
        ours(IK, Role.RESPONDER, prologue=b"fieldlink-p2p-2").read_message(message)


@pytest.mark.parametrize("size", [0, 31, 32, 79, 95])
def test_short_messages_are_refused(size):
    message = ours(IK, Role.INITIATOR).write_message(b"")
    with pytest.raises(RemoteProtocolError):
        ours(IK, Role.RESPONDER).read_message(message[:size])


def test_a_key_of_small_order_is_refused():
    with pytest.raises(RemoteProtocolError, match="small order"):
        ours(IK, Role.RESPONDER).read_message(bytes(32) + bytes(64))


def test_replayed_and_reordered_transport_messages_are_refused():
    initiator, responder = ours(IK, Role.INITIATOR), ours(IK, Role.RESPONDER)
    responder.read_message(initiator.write_message(b""))
    initiator.read_message(responder.write_message(b""))
    sending, _ = initiator.split()
    _, receiving = responder.split()
    first, second = sending.encrypt(b"", b"one"), sending.encrypt(b"", b"two")
    with pytest.raises(RemoteProtocolError):
        receiving.decrypt(b"", second)
    assert receiving.decrypt(b"", first) == b"one"
    with pytest.raises(RemoteProtocolError):
        receiving.decrypt(b"", first)
    assert receiving.decrypt(b"", second) == b"two"


def test_use_out_of_turn_is_our_own_fault():
    initiator, responder = ours(IK, Role.INITIATOR), ours(IK, Role.RESPONDER)
    with pytest.raises(LocalProtocolError):
        responder.write_message(b"")
    with pytest.raises(LocalProtocolError):
        initiator.read_message(bytes(96))
    with pytest.raises(LocalProtocolError):
        initiator.split()
    with pytest.raises(RemoteProtocolError):
        responder.read_message(bytes(range(96)))
    with pytest.raises(LocalProtocolError, match="failed"):
        responder.read_message(initiator.write_message(b""))
    with pytest.raises(LocalProtocolError, match="needs"):
        HandshakeState(pattern=IK, role=Role.INITIATOR, static=A)
    with pytest.raises(LocalProtocolError, match="does not take"):
        HandshakeState(pattern=IK, role=Role.RESPONDER, static=B, remote_static=public_key(A))
