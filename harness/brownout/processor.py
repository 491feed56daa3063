"""Where a running processor is, with symbols, for evidence: registers, calls on the stack, code around."""

from __future__ import annotations

import contextlib
import struct
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.elf import load_elf
from brownout.engines.base import PowerState
from brownout.errors import ElfError, StateError
from brownout.symbols import Disassembler, Symbols

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from brownout.board import Board
    from brownout.elf import Segment
    from brownout.engines.base import Engine, Registers
    from brownout.symbols import Function

_SAMPLES: Final = 8
_PERIOD_S: Final = 0.01
_STACK_BYTES: Final = 1024
_MOST_CALLS: Final = 24
_AROUND: Final = 4
"""Instructions before and after the one that is next."""
_WORD: Final = struct.Struct("<I")
_THUMB: Final = 1
_EXCEPTION: Final = 0xFFFFFF00
"""An EXC_RETURN value is from here on."""
_PROCESS_STACK: Final = 1 << 2
_FRAME_PC, _FRAME_WORDS = 6, 8
"""What the processor saves when an exception begins: r0-r3, r12, lr, pc, xpsr."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Code:
    """A function whose bytes in the device's memory are those of an ELF file."""

    symbols: Symbols
    function: Function
    data: bytes


class _Program:
    """The code of several ELF files, as far as it is what the device really holds at its place."""

    def __init__(self, engine: Engine, files: Iterable[Path]) -> None:
        self._engine = engine
        self._segments: list[tuple[Path, Segment]] = []
        for path in files:
            with contextlib.suppress(ElfError):  # one that is just being built, say
                self._segments += [(path, segment) for segment in load_elf(path).segments]
        self._memory: dict[tuple[int, int], bytes] = {}

    def at(self, address: int) -> _Code | None:
        """The function around an address; None when no file has the code that is there."""
        address &= ~_THUMB
        for path, segment in self._segments:
            # First a look at the place itself: symbols take a second to read.
            if not segment.address <= address < segment.end or not self._holds(segment, address, address + 2):
                continue
            with contextlib.suppress(ElfError):
                symbols = Symbols([path])
                function = symbols.function(address)
                if function is not None and self._holds(segment, function.start, function.end):
                    data = segment.data[function.start - segment.address : function.end - segment.address]
                    return _Code(symbols=symbols, function=function, data=data)
        return None

    def describe(self, address: int) -> str:
        """Function, offset and source of an address; "" when it is not known."""
        code = self.at(address)
        return "" if code is None else code.symbols.describe(address)

    def is_return(self, address: int) -> bool:
        """Whether a word can be what a call left: it points behind a BL or BLX of code that is there."""
        code = self.at(address) if address & _THUMB else None
        if code is None:
            return False
        offset = (address & ~_THUMB) - code.function.start
        before = [
            int.from_bytes(code.data[at : at + 2], "little") if at >= 0 else 0
            for at in (offset - 4, offset - 2)
        ]
        return _is_bl(*before) or before[1] & 0xFF87 == 0x4780

    def _holds(self, segment: Segment, start: int, end: int) -> bool:
        """Whether the device's memory is from `start` to `end` as the segment has it."""
        if not segment.address <= start <= end <= segment.end:
            return False
        place = segment.address, len(segment.data)
        if place not in self._memory:
            self._memory[place] = self._engine.read_memory(*place)
        part = slice(start - segment.address, end - segment.address)
        return self._memory[place][part] == segment.data[part]


def _is_bl(first: int, second: int) -> bool:
    return first & 0xF800 == 0xF000 and second & 0xD000 == 0xD000


def describe_processor(engine: Engine, board: Board, files: Iterable[Path]) -> str:
    """Lines of text about the processor, which runs on meanwhile; "" without power.

    Args:
        engine: what it runs on.
        board: its memories say where a stack can be.
        files: ELF files. One is believed only where the device holds the same code.

    Raises:
        EngineError: the emulator does not answer.
    """
    if engine.state is not PowerState.ON:
        return ""
    try:
        return "".join(f"{line}\n" for line in _lines(engine, board, _Program(engine, files)))
    except StateError:
        return ""  # the power went off meanwhile


def _lines(engine: Engine, board: Board, program: _Program) -> Iterator[str]:
    seen: Counter[int] = Counter()
    for number in range(_SAMPLES):
        if number:
            time.sleep(_PERIOD_S)
        seen[engine.registers().pc] += 1
    now, stack = _still(engine, board)
    yield f"{_SAMPLES} samples, {_PERIOD_S * 1000:.0f} ms apart, while the processor ran on:"
    for pc, count in seen.most_common():
        yield f"  {count}x pc {pc:#010x} {program.describe(pc)}".rstrip()
    yield ""
    yield "the last one:"
    for name, value in (("pc", now.pc), ("lr", now.lr), ("sp", now.sp)):
        yield f"  {name} {value:#010x} {_meaning(value, program)}".rstrip()
    yield from _around(now.pc, program)
    calls = list(_calls(now.sp, stack, program))
    if calls:
        yield ""
        yield "return addresses on the stack, the innermost first (some may be left from earlier calls):"
        yield from calls[:_MOST_CALLS]


def _still(engine: Engine, board: Board) -> tuple[Registers, bytes]:
    """Registers and the stack of the same moment, as far as that can be had of a processor that runs."""
    now, stack = engine.registers(), b""
    for _ in range(3):
        stack = _stack(engine, board, now.sp)
        later = engine.registers()
        if later.sp == now.sp:
            break
        now = later
    return now, stack


def _stack(engine: Engine, board: Board, sp: int) -> bytes:
    for memory in board.memory.values():
        if memory.kind == "ram" and memory.base <= sp < memory.end:
            return engine.read_memory(sp, min(_STACK_BYTES, memory.end - sp))
    return b""


def _meaning(value: int, program: _Program) -> str:
    if value >= _EXCEPTION:
        stack = "process" if value & _PROCESS_STACK else "main"
        return f"an exception, which came while the {stack} stack was in use"
    return program.describe(value)


def _around(pc: int, program: _Program) -> Iterator[str]:
    code = program.at(pc)
    if code is None:
        return
    disassembler, lines = Disassembler(), list[tuple[int, str]]()
    here = offset = 0
    while offset < len(code.data):
        address = code.function.start + offset
        if address == pc:
            here = len(lines)
        lines.append((address, disassembler.line(address, code.data[offset : offset + 4])))
        first = int.from_bytes(code.data[offset : offset + 2], "little")
        offset += 4 if first >> 11 in (0b11101, 0b11110, 0b11111) else 2
    yield ""
    for address, text in lines[max(0, here - _AROUND) : here + _AROUND + 1]:
        yield f"  {'->' if address == pc else '  '} {address:#010x} {text}"


def _calls(sp: int, stack: bytes, program: _Program) -> Iterator[str]:
    words = [_WORD.unpack_from(stack, at)[0] for at in range(0, len(stack) - 3, 4)]
    for number, word in enumerate(words):
        place = f"  {sp + 4 * number:#010x}"
        if word >= _EXCEPTION and word != 0xFFFFFFFF:
            yield f"{place} {_meaning(word, program)}"
            frame = words[number + 1 : number + 1 + _FRAME_WORDS]
            if not word & _PROCESS_STACK and len(frame) == _FRAME_WORDS:
                yield f"{place} it came at {program.describe(frame[_FRAME_PC]) or hex(frame[_FRAME_PC])}"
        elif program.is_return(word):
            yield f"{place} {program.describe(word & ~_THUMB)}"
