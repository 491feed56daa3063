"""Addresses into words: function and offset, file and line, from the ELF files of what runs; and disassembly.

symbols = Symbols([Path("boot.elf"), Path("kernel.elf")])
symbols.describe(0x0e46)     # "controller_program+0x12 (flash_controller.c:62)"
"""

from __future__ import annotations

import functools
import io
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import capstone
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from brownout.elf import load_elf
from brownout.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

_THUMB: Final = 1
_CACHE: Final = 8
_DWARF_5: Final = 5
_LONGEST_INSTRUCTION: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function: bytes from `start` up to `end`."""

    name: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Line:
    """From `address` on code comes from `line` of `file`; line 0: from nothing that is known."""

    address: int
    file: str
    line: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """What one ELF file tells, sorted by address."""

    functions: tuple[Function, ...]
    starts: tuple[int, ...]
    lines: tuple[_Line, ...]
    line_starts: tuple[int, ...]


class Symbols:
    """Names for code addresses of several ELF files; the first file that knows an address is asked."""

    def __init__(self, paths: Iterable[Path]) -> None:
        """Read the files; what was read before by this process is not read again. Raises ElfError."""
        self._tables = [_read(path, _stamp(path)) for path in paths]

    def function(self, address: int) -> Function | None:
        """The function that holds an address; None when there is none."""
        address &= ~_THUMB
        for table in self._tables:
            number = bisect_right(table.starts, address) - 1
            if number >= 0 and address < table.functions[number].end:
                return table.functions[number]
        return None

    def line(self, address: int) -> str:
        """Source of an address, such as "main.c:17"; "" when it is not known."""
        address &= ~_THUMB
        for table in self._tables:
            number = bisect_right(table.line_starts, address) - 1
            if number >= 0 and table.lines[number].line:
                return f"{table.lines[number].file}:{table.lines[number].line}"
        return ""

    def name(self, address: int) -> str:
        """Function and offset, such as "copy_sector+0x1c"; "" when it is not known."""
        found = self.function(address)
        if found is None:
            return ""
        offset = (address & ~_THUMB) - found.start
        return f"{found.name}+{offset:#x}" if offset else found.name

    def describe(self, address: int) -> str:
        """Function, offset and source as far as they are known, else the address in hex."""
        name, line = self.name(address) or f"{address:#010x}", self.line(address)
        return f"{name} ({line})" if line else name


class Disassembler:
    """Thumb instructions as text, for traces."""

    def __init__(self) -> None:
        mode = capstone.CS_MODE_THUMB + capstone.CS_MODE_MCLASS
        self._engine = capstone.Cs(capstone.CS_ARCH_ARM, mode)

    def line(self, address: int, code: bytes) -> str:
        """The instruction that `code` (2 bytes or more) starts with, such as "ldr r0, [r1, #4]"."""
        for _, _, mnemonic, operands in self._engine.disasm_lite(code[:_LONGEST_INSTRUCTION], address, 1):
            return f"{mnemonic} {operands}".rstrip()
        return f".inst.n {int.from_bytes(code[:2], 'little'):#06x}"


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError as error:
        raise ElfError(f"{path}: cannot be read ({error.strerror}): build the firmware first") from error
    return status.st_mtime_ns, status.st_size


@functools.lru_cache(maxsize=_CACHE)
def _read(path: Path, _stamp: tuple[int, int]) -> _Table:
    load_elf(path)  # its checks, and their messages
    try:
        elf = ELFFile(io.BytesIO(path.read_bytes()))
        functions = _functions(elf)
        lines = _lines(elf, functions)
    except Exception as error:  # pyelftools lets many types through when it meets damaged debug information
        raise ElfError(f"{path}: its symbols cannot be read ({type(error).__name__}: {error})") from error
    return _Table(
        functions=functions,
        starts=tuple(function.start for function in functions),
        lines=lines,
        line_starts=tuple(line.address for line in lines),
    )


def _functions(elf: ELFFile) -> tuple[Function, ...]:
    found: dict[int, Function] = {}
    labels: list[tuple[int, str]] = []
    ends = _code_ends(elf)
    for section in elf.iter_sections():
        if not isinstance(section, SymbolTableSection):
            continue
        for symbol in section.iter_symbols():
            if symbol["st_info"]["type"] != "STT_FUNC" or symbol["st_shndx"] == "SHN_UNDEF":
                continue
            start, size, name = int(symbol["st_value"]) & ~_THUMB, int(symbol["st_size"]), str(symbol.name)
            if size:
                found[start] = Function(name=name, start=start, end=start + size)
            else:
                labels.append((start, name))
    starts = sorted({*found, *(start for start, _ in labels), *ends})
    for start, name in labels:  # assembly without sizes: up to what comes next
        if start not in found:
            following = starts[bisect_right(starts, start)] if start < starts[-1] else start
            found[start] = Function(name=name, start=start, end=following)
    return tuple(found[start] for start in sorted(found))


def _code_ends(elf: ELFFile) -> list[int]:
    executable = 0x4
    return [
        int(section["sh_addr"]) + int(section["sh_size"])
        for section in elf.iter_sections()
        if int(section["sh_flags"]) & executable
    ]


def _lines(elf: ELFFile, functions: Sequence[Function]) -> tuple[_Line, ...]:
    if not elf.has_dwarf_info():
        return ()
    dwarf = elf.get_dwarf_info()
    lines: dict[int, _Line] = {}
    starts = [function.start for function in functions]
    for unit in dwarf.iter_CUs():
        program = dwarf.line_program_for_CU(unit)
        if program is None:
            continue
        # DWARF 5 counts files from 0, older ones from 1.
        files = [_text(entry.name) for entry in program["file_entry"]]
        first = 0 if program["version"] >= _DWARF_5 else 1
        run: list[_Line] = []
        for entry in program.get_entries():
            state = entry.state
            if state is None:
                continue
            if not state.end_sequence:
                name = _file(files, state.file - first)
                run.append(_Line(address=state.address, file=name, line=state.line))
                continue
            # What the linker left out has lines, too, from address 0 on.
            number = bisect_right(starts, run[0].address) - 1 if run else -1
            if number >= 0 and run[0].address < min(functions[number].end, state.address):
                lines.update({line.address: line for line in run if line.address < state.address})
                lines.setdefault(state.address, _Line(address=state.address, file="", line=0))
            run = []
    return tuple(lines[address] for address in sorted(lines))


def _file(files: Sequence[str], number: int) -> str:
    return files[number].replace("\\", "/").rsplit("/", 1)[-1] if 0 <= number < len(files) else "?"


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)
