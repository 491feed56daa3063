"""Flash images of the small board with signed sets of modules.

Made with cbor2 and cryptography alone, so that the firmware is not tested against its own tooling.
"""

import hashlib
import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

HERE = Path(__file__).parent


def small_board() -> dict[str, int | str]:
    """Return the macros of small_board/board.h."""
    text = (HERE / "small_board" / "board.h").read_text()
    numbers = re.findall(r"#define BOARD_(\w+) +(0x[0-9a-f]+|\d+)u?\n", text)
    return {"NAME": "small", **{name: int(value, 0) for name, value in numbers}}


BOARD = small_board()
MODULES = {"kernel": (1, 1), "app": (2, 2), "assets": (3, 3)}  # name: (id, kind)
RELEASE_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
WRONG_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))


def region(name: str) -> tuple[int, int]:
    """Return offset and size of a region of the small board."""
    offset, size = BOARD[f"REGION_{name.upper()}_OFFSET"], BOARD[f"REGION_{name.upper()}_SIZE"]
    assert isinstance(offset, int)
    assert isinstance(size, int)
    return offset, size


def image(name: str, generation: int) -> bytes:
    """Return a module's content: a few program operations, the last one short of a word."""
    size = {"kernel": 4650, "app": 701, "assets": 515}[name] + 4 * generation
    return hashlib.shake_128(f"{name} {generation}".encode()).digest(size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A set of modules, and what may be wrong with its manifest."""

    sequence: int
    images: Mapping[str, bytes]
    version: int = 0x01000000
    key: Ed25519PrivateKey = RELEASE_KEY
    board: str = "small"
    dependencies: Mapping[str, list[list[int]]] = field(default_factory=dict)
    changes: Mapping[str, Mapping[int, object]] = field(default_factory=dict)
    """Fields of a module's map (by CBOR key) that are set to something else before signing."""

    def module(self, name: str) -> dict[int, object]:
        """Return the module's CBOR map."""
        ident, kind = MODULES[name]
        offset, size = region(name)
        content = self.images[name]
        digest = hashlib.blake2b(content, digest_size=32).digest()
        dependencies = self.dependencies.get(name, [])
        entries = [ident, kind, self.version, offset, size, len(content), digest, dependencies]
        return {**dict(enumerate(entries, start=1)), **self.changes.get(name, {})}

    def payload(self) -> bytes:
        """Return the encoded manifest."""
        modules = [self.module(name) for name in self.images]
        return cbor2.dumps({1: 1, 2: self.sequence, 3: self.board, 4: modules, 5: bytes(16)})

    def envelope(self) -> bytes:
        """Return the signed envelope."""
        protected = cbor2.dumps({1: -8})
        payload = self.payload()
        signed = cbor2.dumps(["Signature1", protected, b"", payload])
        return cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, self.key.sign(signed)]))


OLD = Release(sequence=5, images={name: image(name, 1) for name in MODULES})
NEW = Release(sequence=6, images={name: image(name, 2) for name in MODULES}, version=0x01010000)


def identity_blob() -> bytes:
    """Return an identity region's content; only the release key matters here."""
    body = (
        struct.pack("<II16s", 0x44495542, 1, b"host-test")
        + bytes(96)
        + RELEASE_KEY.public_key().public_bytes_raw()
    )
    body = body.ljust(252, b"\xff")
    return body + struct.pack("<I", zlib.crc32(body))


def manifest_blob(envelope: bytes) -> bytes:
    """Return a manifest region's content."""
    return struct.pack("<II", 0x464E414D, len(envelope)) + envelope


class World:
    """A flash image of the small board."""

    def __init__(self) -> None:
        size = BOARD["FLASH_SIZE"]
        assert isinstance(size, int)
        self.flash = bytearray(b"\xff" * size)
        self.put("identity", identity_blob())

    def put(self, name: str, content: bytes) -> None:
        """Write `content` to the start of a region."""
        offset, size = region(name)
        assert len(content) <= size
        self.flash[offset : offset + len(content)] = content

    def install(self, release: Release) -> None:
        """Put a set in place."""
        self.put("manifest", manifest_blob(release.envelope()))
        for name, content in release.images.items():
            self.put(name, content)

    def stage(self, release: Release, only: Sequence[str] = tuple(MODULES)) -> int:
        """Put a set, or some modules of it, into staging; returns the module mask."""
        self.put("staged_manifest", manifest_blob(release.envelope()))
        for name in only:
            self.put(f"staged_{name}", release.images[name])
        return sum(1 << MODULES[name][0] for name in only)

    def save(self, path: Path) -> Path:
        """Write the image to a file."""
        path.write_bytes(self.flash)
        return path
