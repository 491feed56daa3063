"""Reads firmware images: load segments, symbols, section sizes.

Every error is one line with the file's name.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from elftools.common.exceptions import ELFError as ElfToolsError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from brownout.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_MACHINE = "EM_ARM"
_FLAG_ALLOC = 0x2


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """Bytes that belong at the physical (load) address `address`."""

    address: int
    data: bytes

    @property
    def end(self) -> int:
        """First address after the segment."""
        return self.address + len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class ElfImage:
    """A firmware image.

    `segments` holds what an image carries in non-volatile memory, by load address; `sections` the sizes in
    bytes of the sections that occupy memory; `symbols` addresses by name.
    """

    path: Path
    entry: int
    segments: tuple[Segment, ...]
    symbols: Mapping[str, int]
    sections: Mapping[str, int]

    def symbol(self, name: str) -> int:
        """Address of `name`. Raises ElfError."""
        if name not in self.symbols:
            raise ElfError(f"{self.path}: has no symbol '{name}': was it stripped?")
        return self.symbols[name]

    def flat(self, base: int, size: int, region: str, fill: int = 0xFF) -> bytes:
        """All segments as one block that starts at address `base`, gaps filled with `fill`.

        Raises ElfError when a segment lies outside the `size` bytes at `base`, which are called `region` in
        the error.
        """
        for segment in self.segments:
            if segment.address < base or segment.end > base + size:
                raise ElfError(
                    f"{self.path}: segment {segment.address:#x}..{segment.end - 1:#x} is outside {region} "
                    f"({base:#x}..{base + size - 1:#x}): check the linker script"
                )
        end = max((segment.end for segment in self.segments), default=base)
        block = bytearray([fill]) * (end - base)
        for segment in self.segments:
            block[segment.address - base : segment.end - base] = segment.data
        return bytes(block)


def load_elf(path: Path) -> ElfImage:
    """Read the 32-bit little-endian Arm ELF file at `path`.

    Raises ElfError: missing, not ELF, truncated, for another machine, nothing to load.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ElfError(f"{path}: cannot be read ({error.strerror}): build the firmware first") from error
    if content[:4] != b"\x7fELF":
        raise ElfError(f"{path}: is not an ELF file (starts with {content[:4].hex() or 'nothing'})")
    try:
        return _read(path, content)
    except ElfError:
        raise
    except Exception as error:  # pyelftools lets many types through when it meets a damaged file
        raise ElfError(f"{path}: is truncated or damaged ({type(error).__name__}): build it again") from error


def _read(path: Path, content: bytes) -> ElfImage:
    try:
        elf = ELFFile(io.BytesIO(content))
    except ElfToolsError as error:
        raise ElfError(f"{path}: is truncated or damaged ({error}): build it again") from error
    machine = str(elf["e_machine"])
    if machine != _MACHINE or elf.elfclass != 32 or not elf.little_endian:
        order = "little" if elf.little_endian else "big"
        raise ElfError(
            f"{path}: is for {machine}, {elf.elfclass} bit, {order}-endian; expected {_MACHINE}, 32, little"
        )
    if int(elf["e_shoff"]) + int(elf["e_shnum"]) * int(elf["e_shentsize"]) > len(content):
        raise ElfError(f"{path}: is truncated ({len(content)} bytes): build it again")
    segments = _segments(path, elf, len(content))
    symbols: dict[str, int] = {}
    sections: dict[str, int] = {}
    for section in elf.iter_sections():
        if isinstance(section, SymbolTableSection):
            symbols.update({str(symbol.name): int(symbol["st_value"]) for symbol in section.iter_symbols()})
        if int(section["sh_flags"]) & _FLAG_ALLOC:
            sections[str(section.name)] = int(section["sh_size"])
    symbols.pop("", None)
    return ElfImage(
        path=path, entry=int(elf["e_entry"]), segments=segments, symbols=symbols, sections=sections
    )


def _segments(path: Path, elf: ELFFile, length: int) -> tuple[Segment, ...]:
    segments = []
    for header in elf.iter_segments():
        size = int(header["p_filesz"])
        if header["p_type"] != "PT_LOAD" or size == 0:
            continue
        if int(header["p_offset"]) + size > length:
            raise ElfError(f"{path}: is truncated ({length} bytes): build it again")
        segments.append(Segment(address=int(header["p_paddr"]), data=bytes(header.data())))
    if not segments:
        raise ElfError(f"{path}: has no segment to load: is it a linked image?")
    return tuple(sorted(segments, key=lambda segment: segment.address))
