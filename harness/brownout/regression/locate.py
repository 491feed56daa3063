"""Where a symbol is in the sources: by the debug information of the very image that a run used."""

from __future__ import annotations

import functools
import hashlib
import io
import os
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from elftools.elf.elffile import ELFFile

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from elftools.dwarf.lineprogram import LineProgram

    from brownout.results.model import Location, Run

_DWARF_5: Final = 5
_MOST_FILES: Final = 500
_LARGEST: Final = 64 << 20


class Locator:
    """Finds lines of symbols.

    An ELF file below one of `folders` is used for a run only when its SHA-256 is that of an image of the
    run, so that a line is never one of other sources. File names are relative to `root` when they are below.
    """

    def __init__(self, folders: Iterable[Path], root: Path) -> None:
        self._folders = tuple(folders)
        self._root = root.resolve()

    def __call__(self, run: Run, location: Location) -> Location:
        """The same place with file and line when these can be found, else as it is."""
        function = location.symbol.split("+")[0].strip()
        if location.file or not function:
            return location
        for image in run.firmware:
            path = self._files.get(image.sha256.lower())
            found = None if path is None else _functions(path).get(function)
            if found is not None:
                return replace(location, file=self._relative(found[0]), line=found[1])
        return location

    @functools.cached_property
    def _files(self) -> dict[str, Path]:
        """ELF files by their SHA-256."""
        found = {}
        for number, path in enumerate(self._candidates()):
            if number >= _MOST_FILES:
                break
            try:
                data = path.read_bytes() if path.stat().st_size <= _LARGEST else b""
            except OSError:
                continue
            found[hashlib.sha256(data).hexdigest()] = path
        return found

    def _candidates(self) -> Iterator[Path]:
        for folder in self._folders:
            if folder.is_file():
                yield folder
            elif folder.is_dir():
                yield from sorted(folder.rglob("*.elf"))

    def _relative(self, file: str) -> str:
        path = Path(os.path.normpath(file))
        if path.is_absolute() and path.is_relative_to(self._root):
            return path.relative_to(self._root).as_posix()
        return path.as_posix()


@functools.lru_cache(maxsize=16)
def _functions(path: Path) -> dict[str, tuple[str, int]]:
    """Functions of an ELF file and where they are declared; nothing for one without debug information."""
    found: dict[str, tuple[str, int]] = {}
    try:
        elf = ELFFile(io.BytesIO(path.read_bytes()))
        if not elf.has_dwarf_info():
            return {}
        dwarf = elf.get_dwarf_info()
        for unit in dwarf.iter_CUs():
            program = dwarf.line_program_for_CU(unit)
            top = unit.get_top_DIE()
            folder = _attribute(top, "DW_AT_comp_dir")
            for die in unit.iter_DIEs():
                if (
                    die.tag != "DW_TAG_subprogram"
                    or "DW_AT_decl_line" not in die.attributes
                    or program is None
                ):
                    continue
                name = _attribute(die, "DW_AT_name")
                file = _file(program, die.attributes["DW_AT_decl_file"].value, folder)
                if name and file and ("DW_AT_low_pc" in die.attributes or name not in found):
                    found[name] = (file, int(die.attributes["DW_AT_decl_line"].value))
    except Exception:
        return found
    return found


def _attribute(die: object, name: str) -> str:
    attributes = getattr(die, "attributes", {})
    value = attributes[name].value if name in attributes else ""
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _file(program: LineProgram, number: int, folder: str) -> str:
    """Name of a file of a line program, with its folders."""
    files, folders = program["file_entry"], program["include_directory"]
    late = program["version"] >= _DWARF_5  # which counts files and folders from 0, older ones from 1
    index = number if late else number - 1
    if not 0 <= index < len(files):
        return ""
    entry = files[index]
    at = entry.dir_index if late else entry.dir_index - 1
    around = folders[at] if 0 <= at < len(folders) else b""
    parts = [
        part.decode(errors="replace") if isinstance(part, bytes) else str(part)
        for part in (around, entry.name)
    ]
    return str(PurePosixPath(folder, *parts))
