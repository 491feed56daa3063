"""What the controller refuses, and what it does but no firmware should ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.flash.bits import any_bit, to_bytes, to_int
from brownout.flash.operations import BadCommand, Command, Erase, Operation, Program, Status, ViolationKind

if TYPE_CHECKING:
    from brownout.flash.array import CellArray
    from brownout.flash.geometry import Geometry


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokenRule:
    """A rule that an operation breaks; it is carried out all the same if `status` is OK."""

    kind: ViolationKind
    status: Status
    offset: int
    length: int
    detail: str


def programmed_words(geometry: Geometry, data: bytes) -> bytes:
    """Tell which words (write units) a program of `data` programs: one byte a word, 0xFF or 0.

    Programming the erased value is no pulse on plain NOR: drivers pad with it. On write-once flash it
    counts, because it writes the word's check bits.
    """
    count = len(data) // geometry.write_unit
    if geometry.write_once:
        return b"\xff" * count
    return any_bit(data.translate(_INVERTED), geometry.write_unit)


def broken_rule(array: CellArray, operation: Operation) -> BrokenRule | None:
    """Return the rule that an operation breaks, or None."""
    match operation:
        case Program():
            return _range_of_program(array.geometry, operation) or _cells_of_program(array, operation)
        case Erase():
            return _range_of_erase(array.geometry, operation)
        case BadCommand(code=Command.PROGRAM):
            return _bad_range(operation, "a program longer than the buffer")
        case BadCommand():
            return BrokenRule(
                kind=ViolationKind.BAD_COMMAND,
                status=Status.BAD_COMMAND,
                offset=operation.offset,
                length=operation.length,
                detail=f"command {operation.code}: expected {Command.PROGRAM:d} or {Command.ERASE:d}",
            )


def _range_of_program(geometry: Geometry, operation: Program) -> BrokenRule | None:
    offset, length = operation.offset, operation.length
    unit, page = geometry.write_unit, geometry.program_buffer
    if not 0 < length <= page:
        return _bad_range(operation, f"program of {length} bytes: expected {unit}..{page}")
    if offset % unit or length % unit:
        return _bad_range(
            operation, f"program of {length} bytes: expected offset and length in steps of {unit}"
        )
    if offset < 0 or offset + length > geometry.size:
        return _bad_range(operation, f"program of {length} bytes: the array ends at {geometry.size:#x}")
    if offset // page != (offset + length - 1) // page:
        return _bad_range(operation, f"program of {length} bytes crosses a page of {page}: split it there")
    return None


def _range_of_erase(geometry: Geometry, operation: Erase) -> BrokenRule | None:
    offset, length = operation.offset, operation.length
    if not 0 <= offset < geometry.size:
        return _bad_range(operation, f"erase: the array ends at {geometry.size:#x}")
    sector = geometry.sector(geometry.sector_index(offset))
    if (sector.offset, sector.size) != (offset, length):
        return _bad_range(
            operation,
            f"erase of {length} bytes: expected the sector's {sector.size} from {sector.offset:#x} on",
        )
    return None


def _cells_of_program(array: CellArray, operation: Program) -> BrokenRule | None:
    geometry, offset, data = array.geometry, operation.offset, operation.data
    unit = geometry.write_unit
    if geometry.write_once:
        counts = array.programs(offset, len(data))
        if any(counts):
            first = next(number for number, count in enumerate(counts) if count)
            return BrokenRule(
                kind=ViolationKind.WRITE_ONCE,
                status=Status.WRITE_ONCE,
                offset=offset + first * unit,
                length=unit,
                detail="the word was programmed since its sector's last erase; erase the sector first",
            )
    old = bytes(array.value[offset : offset + len(data)])
    asked = to_int(data) & ~to_int(old)
    if asked:
        # Padding with the erased value is not asking for a bit to be set.
        words = programmed_words(geometry, data)
        wrong = any_bit(to_bytes(asked, len(data)), unit)
        meant = to_bytes(to_int(words) & to_int(wrong), len(words))
        first = meant.find(b"\xff")
        if first >= 0:
            word = slice(first * unit, first * unit + unit)
            return BrokenRule(
                kind=ViolationKind.SETS_BIT,
                status=Status.OK,
                offset=offset + first * unit,
                length=unit,
                detail=f"data {data[word].hex()} over {old[word].hex()}: programming clears bits only; erase",
            )
    return _too_often(array, operation) if geometry.max_programs else None


def _too_often(array: CellArray, operation: Program) -> BrokenRule | None:
    """Return the first word that this program makes one more than the data sheet allows."""
    geometry, limit = array.geometry, array.geometry.max_programs
    words = programmed_words(geometry, operation.data)
    for number, count in enumerate(array.programs(operation.offset, operation.length)):
        if count >= limit and words[number]:
            return BrokenRule(
                kind=ViolationKind.TOO_OFTEN,
                status=Status.OK,
                offset=operation.offset + number * geometry.write_unit,
                length=geometry.write_unit,
                detail=f"program {count + 1} of the word since its last erase, {limit} allowed; erase first",
            )
    return None


def _bad_range(operation: Operation, detail: str) -> BrokenRule:
    return BrokenRule(
        kind=ViolationKind.BAD_RANGE,
        status=Status.BAD_RANGE,
        offset=operation.offset,
        length=operation.length,
        detail=detail,
    )


_INVERTED = bytes(255 - value for value in range(256))
