"""The provisioned identity (firmware/SPEC.md section 2). Private keys stay out of what is shown."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

from brownout.errors import ImageError

SIZE: Final = 256
MAGIC: Final = 0x44495542
VERSION: Final = 1
_HEAD: Final = struct.Struct("<II16s")
_KEYS_OFFSET: Final = 88
_CRC_OFFSET: Final = 252


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who the device is and whom it trusts (32-byte public keys)."""

    device_id: str
    server_public_key: bytes
    release_public_key: bytes
    fleet_public_key: bytes


def read_identity(region: bytes) -> Identity:
    """The identity at the start of the `identity` region. Raises ImageError."""
    blob = region[:SIZE]
    if len(blob) < SIZE:
        raise ImageError(f"identity: {len(blob)} bytes, expected {SIZE}")
    magic, version, device_id = _HEAD.unpack_from(blob)
    if magic != MAGIC or version != VERSION:
        raise ImageError(
            f"identity: starts with {blob[:8].hex()}, expected magic {MAGIC:#x} and version {VERSION}: "
            "was the device provisioned?"
        )
    if struct.unpack_from("<I", blob, _CRC_OFFSET)[0] != zlib.crc32(blob[:_CRC_OFFSET]):
        raise ImageError("identity: its CRC is wrong: provision the device again")
    keys = [blob[_KEYS_OFFSET + 32 * index : _KEYS_OFFSET + 32 * (index + 1)] for index in range(3)]
    return Identity(
        device_id=device_id.rstrip(b"\0").decode("ascii", errors="replace"),
        server_public_key=keys[0],
        release_public_key=keys[1],
        fleet_public_key=keys[2],
    )
