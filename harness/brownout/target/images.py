"""Files of firmware as bytes at addresses: raw binaries, Intel HEX, ELF."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.elf import load_elf
from brownout.errors import TargetError
from brownout.files import read_file

if TYPE_CHECKING:
    from pathlib import Path

_ELF_MAGIC: Final = b"\x7fELF"
_HEX_SUFFIXES: Final = (".hex", ".ihex", ".ihx")
_DATA, _END, _SEGMENT, _START_SEGMENT, _LINEAR, _START_LINEAR = range(6)


def has_addresses(path: Path, content: bytes) -> bool:
    """Tell whether the file says itself where its bytes belong."""
    return content[:4] == _ELF_MAGIC or path.suffix.lower() in _HEX_SUFFIXES


def read_blocks(path: Path, address: int | None) -> tuple[tuple[int, bytes], ...]:
    """Blocks (address, bytes) of the file; a raw binary is one block at `address`.

    Raises:
        TargetError: unreadable, empty or damaged; an address where none is needed, none where one is.
        ElfError: a damaged ELF file.
    """
    content = read_file(path, "an image")
    if not content:
        raise TargetError(f"{path}: is empty, expected an image")
    if has_addresses(path, content):
        if address is not None:
            raise TargetError(f"{path}: says itself where its bytes belong: leave out address and region")
        if content[:4] == _ELF_MAGIC:
            return tuple((segment.address, segment.data) for segment in load_elf(path).segments)
        return _read_hex(path, content)
    if address is None:
        raise TargetError(f"{path}: is a raw binary: expected address or region")
    return ((address, content),)


def _read_hex(path: Path, content: bytes) -> tuple[tuple[int, bytes], ...]:
    """Intel HEX: contiguous records become one block."""
    blocks: list[tuple[int, bytearray]] = []
    upper = 0
    for number, line in enumerate(content.decode("ascii", errors="replace").splitlines(), 1):
        if not line.strip():
            continue
        kind, offset, data = _hex_record(path, number, line.strip())
        if kind == _DATA:
            address = upper + offset
            if blocks and blocks[-1][0] + len(blocks[-1][1]) == address:
                blocks[-1][1].extend(data)
            else:
                blocks.append((address, bytearray(data)))
        elif kind == _END:
            break
        elif kind in (_SEGMENT, _LINEAR) and len(data) == 2:
            upper = int.from_bytes(data, "big") << (4 if kind == _SEGMENT else 16)
        elif kind not in (_START_SEGMENT, _START_LINEAR):
            raise TargetError(f"{path}: line {number}: record type {kind}: expected 0 to 5")
    else:
        raise TargetError(f"{path}: has no end record: it is truncated")
    if not blocks:
        raise TargetError(f"{path}: has no data record")
    return tuple((address, bytes(data)) for address, data in blocks)


def _hex_record(path: Path, number: int, line: str) -> tuple[int, int, bytes]:
    try:
        record = bytes.fromhex(line.removeprefix(":"))
    except ValueError:
        record = b""
    if not line.startswith(":") or len(record) < 5 or len(record) != record[0] + 5 or sum(record) & 0xFF:
        raise TargetError(
            f"{path}: line {number}: is no Intel HEX record with a right checksum: {line[:24]!r}"
        )
    return record[3], int.from_bytes(record[1:3], "big"), record[4:-1]
