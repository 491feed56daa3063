"""What a flash can do wrong while the power stays on. Functions on cells; which bit comes from the seed."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from brownout.flash.bits import nth_bit, ones, to_bytes, to_int
from brownout.flash.faults import changing_bits
from brownout.flash.geometry import Region
from brownout.flash.operations import Erase, Program

if TYPE_CHECKING:
    from brownout.flash.array import CellArray
    from brownout.flash.faults import Draw
    from brownout.flash.operations import Operation


class FlashFault(enum.Enum):
    """A fault of the flash in one operation; the processor runs on."""

    KEPT_BIT = "kept-bit"
    """One of the bits that a program should clear still reads 1; the status says that all is well."""
    EXTRA_BIT = "extra-bit"
    """One bit more of the programmed words is 0; the status says that all is well."""
    DROPPED = "dropped"
    """Nothing happens; the status says that all is well."""
    REJECTED = "rejected"
    """Nothing happens; the status says so."""
    DISTURBED = "disturbed"
    """The program is done, and one bit of the word next to it is 0."""
    WORN = "worn"
    """The first word that a program should change, or the sector of an erase, keeps its content for ever."""


def possible_faults(array: CellArray, operation: Operation) -> frozenset[FlashFault]:
    """The faults that would make a difference to an operation that breaks no rule."""
    if isinstance(operation, Erase):
        return frozenset({FlashFault.DROPPED, FlashFault.REJECTED, FlashFault.WORN})
    if not isinstance(operation, Program):
        return frozenset()
    found = {FlashFault.REJECTED}
    if _changing(array, operation):
        found |= {FlashFault.KEPT_BIT, FlashFault.DROPPED, FlashFault.WORN}
    if _left(array, operation):
        found.add(FlashFault.EXTRA_BIT)
    neighbour = _neighbour(array, operation)
    if neighbour is not None and any(array.value[neighbour.offset : neighbour.end]):
        found.add(FlashFault.DISTURBED)
    return frozenset(found)


def worn_part(array: CellArray, operation: Operation) -> Region | None:
    """What an operation wears out: the first word that it should change, or its sector."""
    if isinstance(operation, Erase):
        return Region(offset=operation.offset, size=operation.length)
    changing = _changing(array, operation) if isinstance(operation, Program) else 0
    if not changing:
        return None
    unit = array.geometry.write_unit
    first = ((changing & -changing).bit_length() - 1) // 8
    return Region(offset=operation.offset + first - first % unit, size=unit)


def flip_bits(array: CellArray, operation: Program, fault: FlashFault, draw: Draw, changing: int) -> Region:
    """After a program: undo one of its bits, clear one more, or one of the next word; return what changed.

    `changing` holds the bits that the program changed.
    """
    region = Region(offset=operation.offset, size=operation.length)
    if fault is FlashFault.KEPT_BIT:
        _store(array, region, set_bits=_one(changing, draw))
    elif fault is FlashFault.EXTRA_BIT:
        _store(array, region, clear_bits=_one(_left(array, operation), draw))
    else:
        region = _neighbour(array, operation) or region
        _store(array, region, clear_bits=_one(_value(array, region), draw))
    return region


def changed_by(array: CellArray, operation: Program) -> int:
    """The bits that a program is about to change."""
    return _changing(array, operation)


def _changing(array: CellArray, operation: Program) -> int:
    return changing_bits(array.cells(operation.offset, operation.length), operation.data)


def _left(array: CellArray, operation: Program) -> int:
    """Bits of the operation's range that read 1 after it."""
    value = _value(array, Region(offset=operation.offset, size=operation.length))
    return value & to_int(operation.data)


def _neighbour(array: CellArray, operation: Program) -> Region | None:
    """The word after a program, or before it where its sector ends."""
    geometry = array.geometry
    sector = geometry.sector(geometry.sector_index(operation.offset))
    unit = geometry.write_unit
    end = operation.offset + operation.length
    if end + unit <= sector.end:
        return Region(offset=end, size=unit)
    if operation.offset - unit >= sector.offset:
        return Region(offset=operation.offset - unit, size=unit)
    return None


def _one(mask: int, draw: Draw) -> int:
    count = mask.bit_count()
    return nth_bit(mask, int.from_bytes(draw("fault", 8), "little") % count) if count else 0


def _value(array: CellArray, region: Region) -> int:
    return to_int(array.value[region.offset : region.end])


def _store(array: CellArray, region: Region, *, set_bits: int = 0, clear_bits: int = 0) -> None:
    value = (_value(array, region) | set_bits) & ~clear_bits & ones(region.size)
    array.put_value(region.offset, to_bytes(value, region.size))
