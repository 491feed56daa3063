"""Key files: small JSON texts that say what they are for.

::

    {"fieldlink-key": 1, "use": "release", "type": "ed25519-private", "key": "<64 hex digits>", "check":
    "<16 hex digits>"}

`check` is the start of the BLAKE2b-256 of the public key, so that a damaged file is noticed and that a
private and a public file that belong together show the same value. Private files get mode 0600.
"""

import hashlib
import json
import os
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fieldlink.atomic import PRIVATE_MODE, PUBLIC_MODE, read_input, write_file
from fieldlink.errors import KeyFileError

KEY_SIZE = 32
_FILE_LIMIT = 4096
_FIELDS = {"fieldlink-key", "use", "type", "key", "check"}


class KeyUse(Enum):
    """What a key pair is for.

    A debug client has two `CLIENT` pairs: one for its link to the server, one for the end-to-end channel.
    """

    SERVER = "server"
    DEVICE = "device"
    CLIENT = "client"
    RELEASE = "release"
    FLEET = "fleet"

    @property
    def algorithm(self) -> str:
        """`ed25519` for keys that sign, `x25519` for keys that agree."""
        return "ed25519" if self in (KeyUse.RELEASE, KeyUse.FLEET) else "x25519"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPair:
    """32-byte private and public key."""

    use: KeyUse
    private: bytes = field(repr=False)
    public: bytes

    @staticmethod
    def generate(use: KeyUse) -> "KeyPair":
        """A fresh pair."""
        return KeyPair.from_private(use, os.urandom(KEY_SIZE))

    @staticmethod
    def from_private(use: KeyUse, private: bytes) -> "KeyPair":
        """The pair of a private key (32 bytes)."""
        return KeyPair(use=use, private=private, public=_public_of(use, private))


def _public_of(use: KeyUse, private: bytes) -> bytes:
    if use.algorithm == "ed25519":
        return Ed25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def key_check(public: bytes) -> str:
    """The short value by which people compare keys."""
    return hashlib.blake2b(public, digest_size=32).hexdigest()[:16]


def _encode(use: KeyUse, part: str, key: bytes, public: bytes) -> bytes:
    fields = {
        "fieldlink-key": 1,
        "use": use.value,
        "type": f"{use.algorithm}-{part}",
        "key": key.hex(),
        "check": key_check(public),
    }
    return (json.dumps(fields) + "\n").encode()


def save_key_pair(pair: KeyPair, path: Path, *, force: bool = False) -> tuple[Path, Path]:
    """Writes PATH (private, mode 0600) and PATH.pub.

    KeyFileError when one exists and `force` is not given.
    """
    public_path = path.with_name(path.name + ".pub")
    if not force:
        for existing in (path, public_path):
            if existing.exists():
                raise KeyFileError(f"key file {existing} exists already; choose another name or use --force")
    try:
        write_file(
            public_path,
            _encode(pair.use, "public", pair.public, pair.public),
            mode=PUBLIC_MODE,
            replace=force,
        )
        try:
            private = _encode(pair.use, "private", pair.private, pair.public)
            write_file(path, private, mode=PRIVATE_MODE, replace=force)
        except OSError:
            public_path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise KeyFileError(f"key file {path}: cannot be written: {error.strerror}") from error
    return path, public_path


def load_private_key(path: Path, use: KeyUse) -> KeyPair:
    """The key pair in a private key file for `use`. KeyFileError says what is wrong with it."""
    key, check = _load(path, use, "private")
    pair = KeyPair.from_private(use, key)
    if key_check(pair.public) != check:
        raise KeyFileError(f"key file {path}: damaged: key and check do not fit; restore it from a copy")
    return pair


def load_public_key(path: Path, use: KeyUse) -> bytes:
    """The 32 bytes of a public key file for `use`. KeyFileError says what is wrong with it."""
    key, check = _load(path, use, "public")
    if key_check(key) != check:
        raise KeyFileError(f"key file {path}: damaged: key and check do not fit; restore it from a copy")
    return key


def _load(path: Path, use: KeyUse, part: str) -> tuple[bytes, str]:
    wanted = f"{use.value} key of type {use.algorithm}-{part}"
    text = read_input(path, "key file", _FILE_LIMIT)
    try:
        fields = json.loads(text)
    except (ValueError, RecursionError) as error:
        hint = "truncated?" if text[:1] == b"{" else "not a key file?"
        raise KeyFileError(
            f"key file {path}: cannot be understood ({hint}); expected a {wanted} made by `fieldlink keygen`"
        ) from error
    if not isinstance(fields, dict) or set(fields) != _FIELDS or fields["fieldlink-key"] != 1:
        raise KeyFileError(f"key file {path}: not a key file; expected a {wanted} made by `fieldlink keygen`")
    if fields["use"] != use.value or fields["type"] != f"{use.algorithm}-{part}":
        found = f"{fields['use']} key of type {fields['type']}"
        raise KeyFileError(f"key file {path}: holds a {found:.60}, expected a {wanted}")
    try:
        key = bytes.fromhex(fields["key"])
    except (TypeError, ValueError):
        key = b""
    if len(key) != KEY_SIZE or not isinstance(fields["check"], str):
        raise KeyFileError(f"key file {path}: damaged: the key is not {2 * KEY_SIZE} hex digits")
    return key, fields["check"]
