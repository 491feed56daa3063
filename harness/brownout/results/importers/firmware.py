"""Firmware images of a run: digests, sizes and what takes the room."""

from __future__ import annotations

import hashlib
import io
from collections import Counter
from typing import TYPE_CHECKING, Final

from elftools.elf.elffile import ELFFile

from brownout.elf import load_elf
from brownout.errors import ImportFileError
from brownout.results.model import Better, Figure, FirmwareImage

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

_SUFFIXES: Final = (".elf", ".bin")
_WRITE, _ALLOC, _EXECUTE = 0x1, 0x2, 0x4
_TITLES: Final = {"text": "code", "rodata": "constants", "data": "initialised data", "bss": "zeroed data"}


def read_firmware(paths: Iterable[Path]) -> list[FirmwareImage]:
    """The images among `paths`, and the .elf and .bin files in folders among them, by name.

    A name is relative to the folder, such as "1.0.0/boot.elf". Raises ImportFileError, ElfError.
    """
    found: dict[str, FirmwareImage] = {}
    for path in paths:
        images = [path]
        if path.is_dir():
            images = [file for file in sorted(path.rglob("*")) if file.suffix in _SUFFIXES and file.is_file()]
            if not images:
                raise ImportFileError(f"{path}: has no firmware: expected files like *.elf or *.bin in it")
        for file in images:
            name = file.relative_to(path).as_posix() if file != path else file.name
            if name in found:
                raise ImportFileError(f"{file}: another image is called '{name}' too: give their folder")
            found[name] = _image(file, name)
    return [found[name] for name in sorted(found)]


def firmware_figures(images: Iterable[FirmwareImage]) -> list[Figure]:
    """What each image takes, in bytes: an ELF file's by section group, a plain binary's size."""
    return [
        Figure(
            name=f"image.{image.name}.{group}",
            title=f"{_TITLES.get(group, group)} of {image.name}",
            unit="B",
            value=size,
            better=Better.LOWER,
            noisy=False,
        )
        for image in images
        for group, size in (image.sections or {"size": image.size}).items()
    ]


def elf_files(paths: Iterable[Path]) -> Sequence[Path]:
    """The ELF files among `paths`, and in folders among them."""
    found: list[Path] = []
    for path in paths:
        found += sorted(path.rglob("*.elf")) if path.is_dir() else [path] if path.suffix == ".elf" else []
    return found


def _image(path: Path, name: str) -> FirmwareImage:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise ImportFileError(f"{path}: cannot be read ({error.strerror})") from error
    return FirmwareImage(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        size=len(data),
        sections=_sections(path, data) if path.suffix == ".elf" else {},
    )


def _sections(path: Path, data: bytes) -> Mapping[str, int]:
    """Bytes on the device by group; what the device does not get (symbols, debug information) is left out."""
    load_elf(path)  # its checks, and their messages
    sizes: Counter[str] = Counter()
    for section in ELFFile(io.BytesIO(data)).iter_sections():
        flags, size = int(section["sh_flags"]), int(section["sh_size"])
        if not flags & _ALLOC or not size:
            continue
        if section["sh_type"] == "SHT_NOBITS":
            sizes["bss"] += size
        elif flags & _WRITE:
            sizes["data"] += size
        else:
            sizes["text" if flags & _EXECUTE else "rodata"] += size
    return {group: sizes[group] for group in _TITLES if group in sizes}
