"""Record logs (firmware/SPEC.md section 3), read as the firmware reads them."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Final

MAGIC: Final = 0x474F4C52
RECORD_SIZE: Final = 64
PAYLOAD_SIZE: Final = 52
_HEAD: Final = struct.Struct("<II")
_CRC: Final = struct.Struct("<I")
_CRC_OFFSET: Final = RECORD_SIZE - _CRC.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A valid record: `offset` in its region, `generation`, 52 bytes of payload."""

    offset: int
    generation: int
    payload: bytes


def parse_record(data: bytes, offset: int = 0) -> Record | None:
    """The record in the 64 bytes `data`, None when magic or CRC are wrong. `offset` is noted in it."""
    if len(data) != RECORD_SIZE:
        return None
    magic, generation = _HEAD.unpack_from(data)
    (crc,) = _CRC.unpack_from(data, _CRC_OFFSET)
    if magic != MAGIC or crc != zlib.crc32(data[:_CRC_OFFSET]):
        return None
    return Record(offset=offset, generation=generation, payload=data[_HEAD.size : _CRC_OFFSET])


def encode_record(generation: int, payload: bytes) -> bytes:
    """The 64 bytes of a record; a short payload is filled with 0xFF."""
    body = _HEAD.pack(MAGIC, generation) + payload.ljust(PAYLOAD_SIZE, b"\xff")
    return body + _CRC.pack(zlib.crc32(body))


def records(region: bytes) -> tuple[Record, ...]:
    """All valid records of a log's region, by offset."""
    found = (parse_record(region[at : at + RECORD_SIZE], at) for at in range(0, len(region), RECORD_SIZE))
    return tuple(record for record in found if record is not None)


def current_record(region: bytes) -> Record | None:
    """The valid record with the highest generation (the first of equal ones); None when there is none."""
    return max(records(region), key=lambda record: record.generation, default=None)
