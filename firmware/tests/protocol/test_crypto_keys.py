"""Content keys and encrypted chunks (server/PROTOCOL.md section 5) and the random generator."""

import hashlib
import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

Ask = Callable[[str], list[str]]

OK = "=0"
AUTHENTICATION = "=12"
CONTENT_KEY = bytes(range(100, 132))
WRAP_PRIVATE = bytes(range(1, 33))


@dataclass(frozen=True, slots=True, kw_only=True)
class Wrap:
    """What a content key is wrapped for."""

    private: bytes = WRAP_PRIVATE
    device_id: bytes = b"dev-1".ljust(16, b"\x00")
    sequence: int = 0x01020304
    key_id: bytes = bytes(range(200, 216))

    def wrapped(self, ephemeral: bytes = bytes(range(32, 64))) -> bytes:
        """PROTOCOL.md's `wrapped`, with other libraries."""
        public = X25519PrivateKey.from_private_bytes(self.private).public_key().public_bytes_raw()
        sender = X25519PrivateKey.from_private_bytes(ephemeral)
        sender_public = sender.public_key().public_bytes_raw()
        shared = sender.exchange(X25519PublicKey.from_public_bytes(public))
        message = b"fieldlink-wrap-1" + sender_public + public
        kek = hashlib.blake2b(message, digest_size=32, key=shared).digest()
        ad = self.device_id + struct.pack("<I", self.sequence) + self.key_id
        return sender_public + ChaCha20Poly1305(kek).encrypt(bytes(12), CONTENT_KEY, ad)

    def unwrap(self, ask: Ask, wrapped: bytes) -> list[str]:
        """The firmware's answer."""
        names = f"{self.device_id.hex()} {self.sequence} {self.key_id.hex()}"
        return ask(f"unwrap {wrapped.hex()} {self.private.hex()} {names}")


def test_content_key_is_unwrapped(ask: Ask) -> None:
    assert Wrap().unwrap(ask, Wrap().wrapped()) == [CONTENT_KEY.hex(), OK]


@pytest.mark.parametrize(
    "other",
    [
        Wrap(private=bytes(range(2, 34))),
        Wrap(device_id=b"dev-2".ljust(16, b"\x00")),
        Wrap(sequence=0x01020305),
        Wrap(key_id=bytes(range(201, 217))),
    ],
    ids=["key", "device", "sequence", "key id"],
)
def test_content_key_of_another_is_refused(ask: Ask, other: Wrap) -> None:
    assert other.unwrap(ask, Wrap().wrapped()) == ["00" * 32, AUTHENTICATION]


def test_damaged_wrapped_key_is_refused(ask: Ask) -> None:
    for position in range(0, 80, 3):
        damaged = bytearray(Wrap().wrapped())
        damaged[position] ^= 1
        assert Wrap().unwrap(ask, bytes(damaged))[-1] == AUTHENTICATION, position


def test_wrapped_key_from_a_low_order_point_is_refused(ask: Ask) -> None:
    """With E = 0 the shared secret is zero whatever the private key is: anybody could have wrapped this."""
    wrap = Wrap()
    public = X25519PrivateKey.from_private_bytes(wrap.private).public_key().public_bytes_raw()
    kek = hashlib.blake2b(b"fieldlink-wrap-1" + bytes(32) + public, digest_size=32, key=bytes(32)).digest()
    ad = wrap.device_id + struct.pack("<I", wrap.sequence) + wrap.key_id
    forged = bytes(32) + ChaCha20Poly1305(kek).encrypt(bytes(12), CONTENT_KEY, ad)
    assert wrap.unwrap(ask, forged) == ["00" * 32, AUTHENTICATION]


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Names of one encrypted chunk."""

    sequence: int = 7
    module_id: int = 2
    chunk: int = 3
    image_size: int = 0x00010203

    def sealed(self, plain: bytes) -> bytes:
        """PROTOCOL.md's encryption of a chunk."""
        nonce = struct.pack("<III", self.module_id, self.chunk, 0)
        ad = struct.pack("<IIII", self.sequence, self.module_id, self.chunk, self.image_size)
        return ChaCha20Poly1305(CONTENT_KEY).encrypt(nonce, plain, ad)

    def open(self, ask: Ask, sealed: bytes) -> list[str]:
        """The firmware's answer."""
        names = f"{self.sequence} {self.module_id} {self.chunk} {self.image_size}"
        return ask(f"chunk {CONTENT_KEY.hex()} {names} {sealed.hex()}")


@pytest.mark.parametrize("length", [1, 16, 63, 64, 65, 1000, 3000])
def test_chunk_is_opened_in_place(ask: Ask, length: int) -> None:
    plain = hashlib.shake_128(b"chunk").digest(length)
    assert Chunk().open(ask, Chunk().sealed(plain)) == [plain.hex(), OK]


@pytest.mark.parametrize("field", ["sequence", "module_id", "chunk", "image_size"])
def test_chunk_of_another_place_is_refused(ask: Ask, field: str) -> None:
    other = replace(Chunk(), **{field: getattr(Chunk(), field) + 1})
    assert other.open(ask, Chunk().sealed(b"x" * 64))[-1] == AUTHENTICATION


def test_random_generator_follows_fast_key_erasure(ask: Ask) -> None:
    seed = bytes(range(32))

    def draw(key: bytes, length: int) -> tuple[bytes, bytes]:
        stream = Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(64 + length))
        return stream[:32], stream[64:]

    key = hashlib.blake2b(b"brownout-drbg-1", digest_size=32, key=seed).digest()
    key, first = draw(key, 100)
    _, second = draw(key, 32)
    assert ask(f"random {seed.hex()} 100 32") == [first.hex(), second.hex(), OK]


def test_random_draws_never_repeat(host: Ask) -> None:
    draws = {host(f"random {bytes([n] * 32).hex()} 32 32")[part] for n in range(50) for part in (0, 1)}
    assert len(draws) == 100
