"""Provisioning: a device's keys, its identity blob (firmware/SPEC.md, section 2), its entry in the store."""

import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

from fieldlink.atomic import PRIVATE_MODE, write_file
from fieldlink.errors import ConfigError
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import BOARD_LIMIT
from fieldlink.release import padded_device_id
from fieldlink.store import DeviceRecord, Store

IDENTITY_MAGIC = 0x44495542
IDENTITY_VERSION = 1
IDENTITY_SIZE = 256
CHECK_INTERVAL_UNSET = 0xFFFFFFFF
_RESERVED_SIZE = 32

_DEVICE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,15}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustedKeys:
    """The public keys that a device is born with (32 bytes each)."""

    server: bytes
    release: bytes
    fleet: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceKeys:
    """A device's own key pairs."""

    link: KeyPair
    wrap: KeyPair
    debug: KeyPair

    @staticmethod
    def generate() -> "DeviceKeys":
        """Fresh keys."""
        return DeviceKeys(
            link=KeyPair.generate(KeyUse.DEVICE),
            wrap=KeyPair.generate(KeyUse.DEVICE),
            debug=KeyPair.generate(KeyUse.DEVICE),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ProvisionedDevice:
    """A new device.

    `identity` (256 bytes) holds its private keys: it belongs into the device and nowhere else.
    """

    record: DeviceRecord
    keys: DeviceKeys
    identity: bytes


def identity_blob(
    *, device_id: str, keys: DeviceKeys, trusted: TrustedKeys, check_interval_ms: int | None = None
) -> bytes:
    """The 256 bytes at the start of the `identity` region. No interval leaves the firmware's default."""
    body = struct.pack("<II", IDENTITY_MAGIC, IDENTITY_VERSION)
    body += padded_device_id(device_id.encode("ascii"))
    body += keys.link.private + keys.wrap.private
    body += trusted.server + trusted.release + trusted.fleet
    body += keys.debug.private
    body += struct.pack("<I", CHECK_INTERVAL_UNSET if check_interval_ms is None else check_interval_ms)
    body += b"\xff" * _RESERVED_SIZE
    return body + struct.pack("<I", zlib.crc32(body))


def provision_device(
    store: Store,
    *,
    device_id: str,
    board: str,
    trusted: TrustedKeys,
    keys: DeviceKeys | None = None,
    identity_path: Path | None = None,
    check_interval_ms: int | None = None,
    replace: bool = False,
) -> ProvisionedDevice:
    """Makes a device and registers it; with `identity_path` writes its blob there (mode 0600).

    ConfigError for a bad id, an id that is taken (unless `replace`), or a path that cannot be written. When
    registering fails the path holds what it held before.
    """
    if not _DEVICE_ID.fullmatch(device_id):
        raise ConfigError(
            f"device id {device_id!r}: expected 1..16 letters, digits, dots, dashes or underscores, "
            "starting with a letter or digit"
        )
    if not 1 <= len(board.encode()) <= BOARD_LIMIT:
        raise ConfigError(f"board {board!r}: expected a name of 1..{BOARD_LIMIT} bytes")
    if check_interval_ms is not None and not 1 <= check_interval_ms < CHECK_INTERVAL_UNSET:
        raise ConfigError(f"check interval {check_interval_ms} ms: expected 1..{CHECK_INTERVAL_UNSET - 1}")
    keys = keys or DeviceKeys.generate()
    device = ProvisionedDevice(
        record=DeviceRecord(
            device_id=device_id,
            board=board,
            link_public=keys.link.public,
            wrap_public=keys.wrap.public,
            debug_public=keys.debug.public,
        ),
        keys=keys,
        identity=identity_blob(
            device_id=device_id, keys=keys, trusted=trusted, check_interval_ms=check_interval_ms
        ),
    )
    if identity_path is None:
        store.add_device(device.record, replace=replace)
        return device
    previous = identity_path.read_bytes() if replace and identity_path.is_file() else None
    _write_identity(identity_path, device.identity, replace=replace)
    try:
        store.add_device(device.record, replace=replace)
    except BaseException:
        if previous is None:
            identity_path.unlink(missing_ok=True)
        else:
            _write_identity(identity_path, previous, replace=True)
        raise
    return device


def _write_identity(path: Path, identity: bytes, *, replace: bool) -> None:
    try:
        write_file(path, identity, mode=PRIVATE_MODE, replace=replace)
    except FileExistsError as error:
        raise ConfigError(f"identity file {path} exists already; choose another or use --replace") from error
    except OSError as error:
        raise ConfigError(f"identity file {path}: cannot be written: {error.strerror}") from error
