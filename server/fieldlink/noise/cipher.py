"""CipherState: ChaCha20-Poly1305 with a counting nonce (Noise specification, sections 5.1 and 12.3)."""

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fieldlink.errors import LocalProtocolError, RemoteProtocolError

KEY_SIZE = 32
TAG_SIZE = 16
_NONCE_LIMIT = 2**64 - 1  # reserved by the specification


class CipherState:
    """One direction's key and nonce.

    Without a key it passes bytes through, as in the first handshake tokens.
    """

    def __init__(self, key: bytes | None = None) -> None:
        if key is not None and len(key) != KEY_SIZE:
            raise LocalProtocolError(f"cipher key has {len(key)} bytes, expected {KEY_SIZE}")
        self._aead = None if key is None else ChaCha20Poly1305(key)
        self._nonce = 0

    @property
    def has_key(self) -> bool:
        """Whether a key was set."""
        return self._aead is not None

    @property
    def nonce(self) -> int:
        """Messages processed under this key so far."""
        return self._nonce

    def _nonce_bytes(self) -> bytes:
        if self._nonce >= _NONCE_LIMIT:
            raise LocalProtocolError("nonces of this key are used up: start a new handshake")
        return bytes(4) + self._nonce.to_bytes(8, "little")

    def encrypt(self, associated_data: bytes, plaintext: bytes) -> bytes:
        """Ciphertext with its 16-byte tag; uses up one nonce."""
        if self._aead is None:
            return plaintext
        sealed = self._aead.encrypt(self._nonce_bytes(), plaintext, associated_data)
        self._nonce += 1
        return sealed

    def decrypt(self, associated_data: bytes, ciphertext: bytes) -> bytes:
        """Plaintext of `ciphertext`.

        RemoteProtocolError when it does not authenticate; the nonce then stays.
        """
        if self._aead is None:
            return ciphertext
        if len(ciphertext) < TAG_SIZE:
            raise RemoteProtocolError(f"ciphertext of {len(ciphertext)} bytes is shorter than its tag")
        try:
            plaintext = self._aead.decrypt(self._nonce_bytes(), ciphertext, associated_data)
        except InvalidTag as error:
            raise RemoteProtocolError("authentication failed") from error
        self._nonce += 1
        return plaintext
