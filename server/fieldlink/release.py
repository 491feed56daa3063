"""Encryption of module images and of content keys (PROTOCOL.md, section 5)."""

import hashlib
import os
import struct
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.manifest import KEY_ID_SIZE
from fieldlink.noise.symmetric import exchange, private_key

CHUNK_SIZE: Final = 4096
"""Plaintext bytes of every chunk but the last."""

TAG_SIZE: Final = 16
KEY_SIZE: Final = 32
WRAPPED_SIZE: Final = 80
DEVICE_ID_SIZE: Final = 16

_WRAP_LABEL = b"fieldlink-wrap-1"
_ZERO_NONCE = bytes(12)


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentKey:
    """The key that a release's modules are encrypted with, and its public name."""

    key: bytes = field(repr=False)
    key_id: bytes

    @staticmethod
    def generate() -> "ContentKey":
        """A fresh key with a fresh id."""
        return ContentKey(key=os.urandom(KEY_SIZE), key_id=os.urandom(KEY_ID_SIZE))


def chunk_count(image_size: int) -> int:
    """Chunks of an image of `image_size` bytes."""
    return -(-image_size // CHUNK_SIZE)


def chunk_plain_size(image_size: int, chunk: int) -> int:
    """Plaintext bytes of chunk `chunk`. LocalProtocolError when the image has no such chunk."""
    if not 0 <= chunk < chunk_count(image_size):
        raise LocalProtocolError(f"no chunk {chunk} in an image of {image_size} bytes")
    return min(CHUNK_SIZE, image_size - chunk * CHUNK_SIZE)


def blob_size(image_size: int) -> int:
    """Bytes of the encrypted blob of an image."""
    return image_size + chunk_count(image_size) * TAG_SIZE


def blob_chunk(blob: bytes, image_size: int, chunk: int) -> bytes:
    """Encrypted chunk `chunk` of a blob: ciphertext and tag."""
    start = chunk * (CHUNK_SIZE + TAG_SIZE)
    return blob[start : start + chunk_plain_size(image_size, chunk) + TAG_SIZE]


def _nonce(module_id: int, chunk: int) -> bytes:
    return struct.pack("<III", module_id, chunk, 0)


def _associated_data(sequence: int, module_id: int, chunk: int, image_size: int) -> bytes:
    return struct.pack("<IIII", sequence, module_id, chunk, image_size)


def encrypt_image(image: bytes, *, module_id: int, sequence: int, content_key: bytes) -> bytes:
    """Encrypted blob of `image`. A content key must never see two images for one module id."""
    aead = ChaCha20Poly1305(content_key)
    blob = b""
    for chunk in range(chunk_count(len(image))):
        plain = image[chunk * CHUNK_SIZE : (chunk + 1) * CHUNK_SIZE]
        associated = _associated_data(sequence, module_id, chunk, len(image))
        blob += aead.encrypt(_nonce(module_id, chunk), plain, associated)
    return blob


def open_chunk(
    sealed: bytes, *, module_id: int, chunk: int, sequence: int, image_size: int, content_key: bytes
) -> bytes:
    """Plaintext of one encrypted chunk. RemoteProtocolError when it does not authenticate."""
    associated = _associated_data(sequence, module_id, chunk, image_size)
    try:
        return ChaCha20Poly1305(content_key).decrypt(_nonce(module_id, chunk), sealed, associated)
    except InvalidTag as error:
        raise RemoteProtocolError(f"chunk {chunk} of module {module_id} does not authenticate") from error


def padded_device_id(device_id: bytes) -> bytes:
    """Device id with NULs up to 16 bytes."""
    if not 1 <= len(device_id) <= DEVICE_ID_SIZE:
        raise LocalProtocolError(f"device id of {len(device_id)} bytes, expected 1..{DEVICE_ID_SIZE}")
    return device_id.ljust(DEVICE_ID_SIZE, b"\x00")


def _key_encryption_key(secret: bytes, ephemeral: bytes, wrap_public: bytes) -> bytes:
    message = _WRAP_LABEL + ephemeral + wrap_public
    return hashlib.blake2b(message, key=secret, digest_size=KEY_SIZE).digest()


def _wrap_associated_data(device_id: bytes, sequence: int, key_id: bytes) -> bytes:
    return padded_device_id(device_id) + struct.pack("<I", sequence) + key_id


def wrap_key(
    content_key: ContentKey,
    *,
    wrap_public: bytes,
    device_id: bytes,
    sequence: int,
    ephemeral: bytes | None = None,
) -> bytes:
    """The content key for one device, 80 bytes. `ephemeral` (32 private bytes) is for test vectors only."""
    private = X25519PrivateKey.generate() if ephemeral is None else private_key(ephemeral)
    public = private.public_key().public_bytes_raw()
    kek = _key_encryption_key(exchange(private, wrap_public), public, wrap_public)
    associated = _wrap_associated_data(device_id, sequence, content_key.key_id)
    return public + ChaCha20Poly1305(kek).encrypt(_ZERO_NONCE, content_key.key, associated)


def unwrap_key(
    wrapped: bytes, *, wrap_private: bytes, device_id: bytes, sequence: int, key_id: bytes
) -> bytes:
    """Content key in `wrapped`. RemoteProtocolError unless made for this device, sequence and key id."""
    if len(wrapped) != WRAPPED_SIZE:
        raise RemoteProtocolError(f"wrapped key of {len(wrapped)} bytes, expected {WRAPPED_SIZE}")
    private = private_key(wrap_private)
    ephemeral = wrapped[:32]
    kek = _key_encryption_key(
        exchange(private, ephemeral), ephemeral, private.public_key().public_bytes_raw()
    )
    associated = _wrap_associated_data(device_id, sequence, key_id)
    try:
        return ChaCha20Poly1305(kek).decrypt(_ZERO_NONCE, wrapped[32:], associated)
    except InvalidTag as error:
        raise RemoteProtocolError("content key was not wrapped for this device and release") from error
