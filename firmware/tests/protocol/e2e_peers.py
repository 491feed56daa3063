"""The client's end of an E2E channel for the tests, and the tokens it shows.

Written from server/PROTOCOL.md section 7 and server/cddl/debug.cddl on `noiseprotocol`, `cbor2` and
`cryptography`; `fieldlink`'s own ends are joined to the firmware's in test_e2e_fieldlink.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from firmware.tests.protocol.link_peers import public
from noise.connection import Keypair, NoiseConnection

Ask = Callable[[str], list[str]]

OK, NO_SPACE, MALFORMED, BAD_SIGNATURE = "=0", "=3", "=6", "=7"
AUTHENTICATION, PROTOCOL, WRONG_STATE, WOULD_BLOCK, TIMEOUT = "=12", "=13", "=14", "=15", "=16"
CLOSED, HANDSHAKE, UNPROVEN, READY = range(4)
KK_1, KK_2, TRANSPORT = 1, 2, 3
OVERHEAD = 17

NOW = 1_800_000_000
"""The server's time in these tests, Unix seconds."""

DEVICE_ID = b"device-7"
MANIFEST = hashlib.sha256(b"installed manifest").digest()
SESSION_ID = hashlib.sha256(b"session").digest()[:16]
DEVICE_PRIVATE = hashlib.sha256(b"device's debug key").digest()
CLIENT_PRIVATE = hashlib.sha256(b"client's E2E key").digest()
FLEET = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"fleet").digest())
FLEET_PUBLIC = FLEET.public_key().public_bytes_raw()
PROTECTED = cbor2.dumps({1: -8})


def padded(device_id: bytes) -> bytes:
    return device_id.ljust(16, b"\0")


def sign(payload: bytes, *, key: Ed25519PrivateKey = FLEET, protected: bytes = PROTECTED) -> bytes:
    """COSE_Sign1 of any payload."""
    signature = key.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFields:
    """A token's payload."""

    client: bytes = field(default_factory=lambda: public(CLIENT_PRIVATE))
    device_id: bytes = DEVICE_ID
    permissions: int = 7
    expires: int = NOW + 3600
    serial: int = 5

    def payload(self) -> bytes:
        return cbor2.dumps(
            {1: 1, 2: self.client, 3: self.device_id, 4: self.permissions, 5: self.expires, 6: self.serial}
        )

    def signed(self) -> bytes:
        return sign(self.payload())


@dataclass(frozen=True, slots=True, kw_only=True)
class Binding:
    """What the prologue binds."""

    device_id: bytes = DEVICE_ID
    session_id: bytes = SESSION_ID
    permissions: int = 7
    manifest: bytes = MANIFEST
    label: bytes = b"fieldlink-e2e-1"

    def prologue(self) -> bytes:
        rest = self.permissions.to_bytes(4, "little") + self.manifest
        return self.label + padded(self.device_id) + self.session_id + rest


class Client:
    """Noise_KK initiator on `noiseprotocol`."""

    def __init__(
        self,
        *,
        binding: Binding | None = None,
        private: bytes = CLIENT_PRIVATE,
        device_private: bytes = DEVICE_PRIVATE,
    ) -> None:
        self.noise = NoiseConnection.from_name(b"Noise_KK_25519_ChaChaPoly_BLAKE2b")
        self.noise.set_as_initiator()
        self.noise.set_prologue((binding or Binding()).prologue())
        self.noise.set_keypair_from_private_bytes(Keypair.STATIC, private)
        self.noise.set_keypair_from_public_bytes(Keypair.REMOTE_STATIC, public(device_private))
        self.noise.start_handshake()

    def start(self, payload: bytes = b"") -> bytes:
        return bytes([KK_1]) + bytes(self.noise.write_message(payload))

    def finish(self, frame: bytes) -> None:
        assert frame[0] == KK_2
        assert bytes(self.noise.read_message(frame[1:])) == b""

    def seal(self, plain: bytes) -> bytes:
        return bytes([TRANSPORT]) + bytes(self.noise.encrypt(plain))

    def open(self, frame: bytes) -> bytes:
        assert frame[0] == TRANSPORT
        return bytes(self.noise.decrypt(frame[1:]))


def to_hex(data: bytes) -> str:
    return data.hex() or "-"


def from_hex(word: str) -> bytes:
    return bytes.fromhex(word.strip("-"))


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """One session of the firmware's e2e.c, behind its command line."""

    ask: Ask
    slot: int = 0

    def reset(self, *, device_id: bytes = DEVICE_ID, manifest: bytes = MANIFEST, seed: int = 1) -> "End":
        """A device without sessions."""
        keys = f"{DEVICE_PRIVATE.hex()} {FLEET_PUBLIC.hex()} {manifest.hex()}"
        assert self.ask(f"e2einit {padded(device_id).hex()} {keys} {bytes([seed] * 32).hex()}") == [OK]
        return self

    def other(self) -> "End":
        return replace(self, slot=1)

    def open(self, *, session_id: bytes = SESSION_ID, token: bytes | None = None, now: int = NOW) -> str:
        token = TokenFields().signed() if token is None else token
        (status,) = self.ask(f"e2eopen {self.slot} {session_id.hex()} {now} {to_hex(token)}")
        return status

    def receive(self, frame: bytes) -> tuple[bytes, bytes, str]:
        """Answer, plaintext, status."""
        answer, plain, status = self.ask(f"e2ereceive {self.slot} {to_hex(frame)}")
        return from_hex(answer), from_hex(plain), status

    def seal(self, plain: bytes) -> tuple[bytes, str]:
        frame, status = self.ask(f"e2eseal {self.slot} {to_hex(plain)}")
        return from_hex(frame), status

    def close(self) -> None:
        self.ask(f"e2eclose {self.slot}")

    def state(self) -> tuple[int, int]:
        """Phase, and bytes of secrets that are left."""
        phase, secrets, _ = self.ask(f"e2estate {self.slot}")
        return int(phase), int(secrets)

    def connect(self, client: Client | None = None) -> Client:
        """Opens the session and shakes hands; nothing is proved yet."""
        client = client or Client()
        assert self.open() == OK
        answer, plain, status = self.receive(client.start())
        assert (plain, status) == (b"", OK)
        client.finish(answer)
        return client

    def ready(self) -> Client:
        """A session whose client has said hello."""
        client = self.connect()
        assert self.receive(client.seal(b"hello")) == (b"", b"hello", OK)
        return client
