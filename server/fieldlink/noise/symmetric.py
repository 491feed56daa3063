"""SymmetricState, HKDF over HMAC-BLAKE2b, X25519 (Noise specification, sections 4.3, 5.2, 12.1, 12.8)."""

import hashlib
import hmac

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.noise.cipher import KEY_SIZE, CipherState

DH_SIZE = 32
HASH_SIZE = 64  # BLAKE2b; HMAC works on its 128-byte blocks, which hashlib's block_size says to hmac


def hash_bytes(data: bytes) -> bytes:
    """BLAKE2b-512 of `data`."""
    return hashlib.blake2b(data).digest()


def _hmac(key: bytes, data: bytes) -> bytes:
    return hmac.new(key, data, hashlib.blake2b).digest()


def hkdf2(chaining_key: bytes, material: bytes) -> tuple[bytes, bytes]:
    """The first two outputs of Noise's HKDF, 64 bytes each."""
    temporary = _hmac(chaining_key, material)
    first = _hmac(temporary, b"\x01")
    second = _hmac(temporary, first + b"\x02")
    return first, second


def private_key(raw: bytes) -> X25519PrivateKey:
    """X25519 private key from its 32 bytes."""
    if len(raw) != DH_SIZE:
        raise LocalProtocolError(f"X25519 private key has {len(raw)} bytes, expected {DH_SIZE}")
    return X25519PrivateKey.from_private_bytes(raw)


def public_key(raw_private: bytes) -> bytes:
    """The 32-byte X25519 public key that belongs to a 32-byte private key."""
    return private_key(raw_private).public_key().public_bytes_raw()


def exchange(private: X25519PrivateKey, peer_public: bytes) -> bytes:
    """X25519 shared secret. RemoteProtocolError for a peer key of small order (all-zero result)."""
    try:
        return private.exchange(X25519PublicKey.from_public_bytes(peer_public))
    except ValueError as error:
        raise RemoteProtocolError("peer's public key is not usable (small order or wrong size)") from error


class SymmetricState:
    """Chaining key, transcript hash and the handshake's cipher."""

    def __init__(self, name: bytes) -> None:
        self._hash = name.ljust(HASH_SIZE, b"\x00") if len(name) <= HASH_SIZE else hash_bytes(name)
        self._chaining_key = self._hash
        self._cipher = CipherState()

    @property
    def handshake_hash(self) -> bytes:
        """Transcript hash so far, 64 bytes; a channel binding once the handshake is complete."""
        return self._hash

    @property
    def has_key(self) -> bool:
        """Whether what follows is encrypted."""
        return self._cipher.has_key

    def mix_key(self, material: bytes) -> None:
        """Takes a DH result into the chaining key."""
        self._chaining_key, key = hkdf2(self._chaining_key, material)
        self._cipher = CipherState(key[:KEY_SIZE])

    def mix_hash(self, data: bytes) -> None:
        """Takes `data` into the transcript hash."""
        self._hash = hash_bytes(self._hash + data)

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        """Encrypts once there is a key, and binds the result to the transcript."""
        ciphertext = self._cipher.encrypt(self._hash, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        """Reverse of `encrypt_and_hash`. RemoteProtocolError when it does not authenticate."""
        plaintext = self._cipher.decrypt(self._hash, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """Transport ciphers: the initiator's sending one, then the responder's."""
        first, second = hkdf2(self._chaining_key, b"")
        return CipherState(first[:KEY_SIZE]), CipherState(second[:KEY_SIZE])
