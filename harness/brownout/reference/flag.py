"""The upgrade flag and the download progress (firmware/SPEC.md sections 4 and 5)."""

from __future__ import annotations

import enum
import struct
from dataclasses import dataclass
from typing import Final

from brownout.reference.record_log import current_record

_FLAG: Final = struct.Struct("<III32sI")
_PROGRESS: Final = struct.Struct("<32s4I")


class FlagState(enum.Enum):
    """States of the upgrade flag."""

    CLEAR = 0xC1EA0000
    REQUESTED = 0x5E7F1A60
    COPYING = 0xC0B11A60


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeFlag:
    """The flag.

    `module_mask` has bit `id` set for each staged module; `drop_reason` is a status_t, 0 for none.
    """

    state: FlagState
    module_mask: int = 0
    floor: int = 0
    manifest_digest: bytes = bytes(32)
    drop_reason: int = 0

    def encode(self) -> bytes:
        """The payload of its record."""
        return _FLAG.pack(
            self.state.value, self.module_mask, self.floor, self.manifest_digest, self.drop_reason
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Complete 4 KiB chunks by module id, of the set whose envelope has `manifest_digest`."""

    manifest_digest: bytes
    chunks: tuple[int, ...]

    @property
    def active(self) -> bool:
        """Whether a download is in progress."""
        return any(self.manifest_digest)


def parse_flag(payload: bytes) -> UpgradeFlag | None:
    """The flag in a record's payload; None for an unknown state."""
    state, mask, floor, digest, reason = _FLAG.unpack_from(payload)
    if state not in {known.value for known in FlagState}:
        return None
    return UpgradeFlag(
        state=FlagState(state), module_mask=mask, floor=floor, manifest_digest=digest, drop_reason=reason
    )


def read_flag(region: bytes) -> UpgradeFlag:
    """The flag of a `flag` region; CLEAR when there is no valid record or an unknown state."""
    record = current_record(region)
    flag = parse_flag(record.payload) if record is not None else None
    return flag or UpgradeFlag(state=FlagState.CLEAR)


def read_progress(region: bytes) -> Progress:
    """The progress of a `progress` region; inactive when there is no valid record."""
    record = current_record(region)
    if record is None:
        return Progress(manifest_digest=bytes(32), chunks=(0, 0, 0, 0))
    digest, *chunks = _PROGRESS.unpack_from(record.payload)
    return Progress(manifest_digest=digest, chunks=tuple(chunks))
