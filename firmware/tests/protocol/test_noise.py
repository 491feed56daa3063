"""The firmware's Noise against `noiseprotocol`: IK and KK, both roles, host and emulated device."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from noise.connection import Keypair, NoiseConnection

Ask = Callable[[str], list[str]]

OK = "=0"
INVALID_ARGUMENT = "=1"
OUT_OF_RANGE = "=2"
NO_SPACE = "=3"
MALFORMED = "=6"
AUTHENTICATION = "=12"
WRONG_STATE = "=14"

PROLOGUE = b"fieldlink-p2p-1"
PATTERNS = {"IK": 0, "KK": 1}
OVERHEADS = {"IK": (96, 48), "KK": (48, 48)}

OURS = hashlib.sha256(b"our static key").digest()
THEIRS = hashlib.sha256(b"their static key").digest()
EPHEMERAL = hashlib.sha256(b"our ephemeral key").digest()

# The points of low order on Curve25519 and its twist, as 32-byte encodings; 0 and 1 also as p and p + 1.
LOW_ORDER = [
    (0).to_bytes(32, "little"),
    (1).to_bytes(32, "little"),
    (2**255 - 20).to_bytes(32, "little"),  # p - 1
    (2**255 - 19).to_bytes(32, "little"),  # p
    (2**255 - 18).to_bytes(32, "little"),  # p + 1
    bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
    bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
]


def _public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def _hex(data: bytes) -> str:
    return data.hex() or "-"


def _bytes(word: str) -> bytes:
    return bytes.fromhex(word.strip("-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Ours:
    """The firmware's end."""

    ask: Ask
    slot: int = 0

    def start(
        self,
        pattern: str,
        *,
        initiator: bool,
        remote: bytes | None,
        private: bytes = OURS,
        prologue: bytes = PROLOGUE,
    ) -> str:
        role = 0 if initiator else 1
        keys = f"{private.hex()} {'-' if remote is None else remote.hex()}"
        (status,) = self.ask(f"noisestart {self.slot} {PATTERNS[pattern]} {role} {_hex(prologue)} {keys}")
        return status

    def write(
        self, payload: bytes, *, capacity: int = 1024, ephemeral: bytes = EPHEMERAL
    ) -> tuple[bytes, str]:
        message, status = self.ask(f"noisewrite {self.slot} {ephemeral.hex()} {capacity} {_hex(payload)}")
        return _bytes(message), status

    def read(self, message: bytes, *, capacity: int = 1024) -> tuple[bytes, str]:
        payload, _, status = self.ask(f"noiseread {self.slot} {capacity} {_hex(message)}")
        return _bytes(payload), status

    def secrets_left(self) -> int:
        return int(self.ask(f"noisesecrets {self.slot}")[0])


def _theirs(
    pattern: str, *, initiator: bool, remote: bytes | None, prologue: bytes = PROLOGUE
) -> NoiseConnection:
    peer = NoiseConnection.from_name(f"Noise_{pattern}_25519_ChaChaPoly_BLAKE2b".encode())
    peer.set_as_initiator() if initiator else peer.set_as_responder()
    peer.set_prologue(prologue)
    peer.set_keypair_from_private_bytes(Keypair.STATIC, THEIRS)
    if remote is not None:
        peer.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, remote)
    peer.start_handshake()
    return peer


def _finish(ours: Ours, peer: NoiseConnection) -> None:
    """Both ends have the same transcript and can talk, in both directions, several times."""
    assert peer.handshake_finished
    (transcript, status) = ours.ask(f"noisesplit {ours.slot}")
    assert (bytes.fromhex(transcript), status) == (peer.get_handshake_hash(), OK)
    for number, length in enumerate([0, 1, 64, 1000]):
        text = bytes([number]) * length
        sealed, status = ours.ask(f"noiseseal {ours.slot} - {_hex(text)}")
        assert (bytes(peer.decrypt(_bytes(sealed))), status) == (text, OK)
        assert ours.ask(f"noiseopen {ours.slot} - {_hex(peer.encrypt(text))}") == [_hex(text), OK]


@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_initiator(ask: Ask, pattern: str) -> None:
    ours = Ours(ask=ask)
    peer = _theirs(pattern, initiator=False, remote=_public(OURS) if pattern == "KK" else None)
    assert ours.start(pattern, initiator=True, remote=_public(THEIRS)) == OK
    message, status = ours.write(b"hello one")
    assert (status, len(message)) == (OK, OVERHEADS[pattern][0] + 9)
    assert bytes(peer.read_message(message)) == b"hello one"
    assert ours.read(bytes(peer.write_message(b""))) == (b"", OK)
    _finish(ours, peer)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_as_responder(ask: Ask, pattern: str) -> None:
    ours = Ours(ask=ask)
    peer = _theirs(pattern, initiator=True, remote=_public(OURS))
    assert ours.start(pattern, initiator=False, remote=_public(THEIRS) if pattern == "KK" else None) == OK
    payload, remote, status = ask(f"noiseread 0 1024 {peer.write_message(b'first').hex()}")
    assert (_bytes(payload), bytes.fromhex(remote), status) == (b"first", _public(THEIRS), OK)
    message, status = ours.write(b"second")
    assert (status, len(message)) == (OK, OVERHEADS[pattern][1] + 6)
    assert bytes(peer.read_message(message)) == b"second"
    _finish(ours, peer)


@pytest.mark.parametrize("pattern", PATTERNS)
def test_every_damaged_byte_of_a_message_is_refused_and_ends_the_handshake(host: Ask, pattern: str) -> None:
    ours = Ours(ask=host)
    message = bytes(_theirs(pattern, initiator=True, remote=_public(OURS)).write_message(b"payload"))
    for position in range(len(message)):
        damaged = bytearray(message)
        damaged[position] ^= 1
        ours.start(pattern, initiator=False, remote=_public(THEIRS) if pattern == "KK" else None)
        assert ours.read(bytes(damaged)) == (b"", AUTHENTICATION), position
        assert ours.secrets_left() == 0, position
        assert ours.read(message) == (b"", WRONG_STATE), position
    for length in range(len(message)):
        ours.start(pattern, initiator=False, remote=_public(THEIRS) if pattern == "KK" else None)
        expected = MALFORMED if length < OVERHEADS[pattern][0] else AUTHENTICATION
        assert ours.read(message[:length]) == (b"", expected), length


@pytest.mark.parametrize("pattern", PATTERNS)
@pytest.mark.parametrize("position", [0, 31, 32, 47, 50])
def test_damaged_answer_is_refused(host: Ask, pattern: str, position: int) -> None:
    ours = Ours(ask=host)
    peer = _theirs(pattern, initiator=False, remote=_public(OURS) if pattern == "KK" else None)
    ours.start(pattern, initiator=True, remote=_public(THEIRS))
    peer.read_message(ours.write(b"")[0])
    answer = bytearray(peer.write_message(b"answer"))
    answer[position] ^= 0x80 if position != 31 else 0x01  # the top bit of an X25519 point does not count
    assert ours.read(bytes(answer)) == (b"", AUTHENTICATION)
    assert ours.secrets_left() == 0


def test_another_prologue_is_refused(host: Ask) -> None:
    ours = Ours(ask=host)
    ours.start("IK", initiator=False, remote=None)
    peer = _theirs("IK", initiator=True, remote=_public(OURS), prologue=b"fieldlink-p2p-2")
    assert ours.read(bytes(peer.write_message(b""))) == (b"", AUTHENTICATION)


def test_a_stranger_is_refused_by_kk(host: Ask) -> None:
    ours = Ours(ask=host)
    ours.start("KK", initiator=False, remote=_public(hashlib.sha256(b"somebody else").digest()))
    peer = _theirs("KK", initiator=True, remote=_public(OURS))
    assert ours.read(bytes(peer.write_message(b""))) == (b"", AUTHENTICATION)


@pytest.mark.parametrize("point", LOW_ORDER, ids=lambda point: point.hex()[:8])
def test_keys_of_low_order_are_refused(host: Ask, point: bytes) -> None:
    """As the peer's static key for the initiator, and as the peer's ephemeral key for the responder."""
    ours = Ours(ask=host)
    ours.start("IK", initiator=True, remote=point)
    assert ours.write(b"payload") == (b"", AUTHENTICATION)
    assert ours.secrets_left() == 0
    ours.start("IK", initiator=False, remote=None)
    assert ours.read(point + bytes(64)) == (b"", AUTHENTICATION)


def test_both_ends_in_firmware(ask: Ask) -> None:
    for pattern in PATTERNS:
        client, server = Ours(ask=ask, slot=0), Ours(ask=ask, slot=1)
        client.start(pattern, initiator=True, remote=_public(THEIRS))
        server.start(
            pattern, initiator=False, private=THEIRS, remote=_public(OURS) if pattern == "KK" else None
        )
        assert server.read(client.write(b"1")[0]) == (b"1", OK)
        assert client.read(server.write(b"2", ephemeral=bytes(range(32)))[0]) == (b"2", OK)
        assert ask("noisesplit 0") == ask("noisesplit 1")
        assert (client.secrets_left(), server.secrets_left()) == (0, 0)


def test_turns_and_sizes_are_checked_without_harm(host: Ask) -> None:
    ours = Ours(ask=host)
    peer = _theirs("IK", initiator=False, remote=None)
    ours.start("IK", initiator=True, remote=_public(THEIRS))
    assert ours.read(bytes(100)) == (b"", WRONG_STATE)
    assert ours.write(b"abc", capacity=98) == (b"", NO_SPACE)
    assert host("noisesplit 0")[-1] == WRONG_STATE
    message, status = ours.write(b"abc", capacity=99)
    assert status == OK
    assert ours.write(b"abc") == (b"", WRONG_STATE)
    peer.read_message(message)
    assert ours.read(bytes(peer.write_message(b"12345")), capacity=4) == (b"", NO_SPACE)
    assert ours.secrets_left() == 0


def test_missing_remote_key_is_a_caller_error(host: Ask) -> None:
    ours = Ours(ask=host)
    assert ours.start("IK", initiator=True, remote=None) == INVALID_ARGUMENT
    assert ours.start("KK", initiator=False, remote=None) == INVALID_ARGUMENT
    assert ours.start("KK", initiator=True, remote=None) == INVALID_ARGUMENT
    assert ours.write(b"") == (b"", WRONG_STATE)


def _transport(host: Ask) -> NoiseConnection:
    ours = Ours(ask=host)
    peer = _theirs("IK", initiator=False, remote=None)
    ours.start("IK", initiator=True, remote=_public(THEIRS))
    peer.read_message(ours.write(b"")[0])
    assert ours.read(bytes(peer.write_message(b""))) == (b"", OK)
    assert host("noisesplit 0")[-1] == OK
    return peer


def test_transport_refuses_replay_reordering_and_damage_and_then_goes_on(host: Ask) -> None:
    peer = _transport(host)
    first, second = bytes(peer.encrypt(b"first")).hex(), bytes(peer.encrypt(b"second")).hex()
    assert host(f"noiseopen 0 - {second}") == ["-", AUTHENTICATION]
    assert host(f"noiseopen 0 - {first[:-2]}00") == ["-", AUTHENTICATION]
    assert host(f"noiseopen 0 00 {first}") == ["-", AUTHENTICATION]
    assert host(f"noiseopen 0 - {first[:30]}") == ["-", AUTHENTICATION]
    assert host(f"noiseopen 0 - {first}") == [b"first".hex(), OK]
    assert host(f"noiseopen 0 - {first}") == ["-", AUTHENTICATION]
    assert host(f"noiseopen 0 - {second}") == [b"second".hex(), OK]


def test_the_last_nonce_is_never_used(host: Ask) -> None:
    _transport(host)
    host("noisenonce 0 1")
    assert host("noiseseal 0 - 00")[-1] == OK
    assert host("noiseseal 0 - 00") == ["-", OUT_OF_RANGE]
    host("noisenonce 0 0")
    assert host(f"noiseopen 0 - {bytes(20).hex()}") == ["-", OUT_OF_RANGE]
