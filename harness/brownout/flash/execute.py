"""Programs and erases carried out on the cells, wholly or torn. The rules have been checked before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.flash.bits import increment, to_bytes, to_int
from brownout.flash.faults import Draw, tear_erase, tear_program
from brownout.flash.faults_injected import FlashFault, changed_by, flip_bits, worn_part
from brownout.flash.operations import BadCommand, Erase, Operation, Patch, Program
from brownout.flash.rules import programmed_words

if TYPE_CHECKING:
    from brownout.flash.array import CellArray
    from brownout.flash.faults_styles import Torn
    from brownout.flash.geometry import Region


def execute(array: CellArray, operation: Operation, torn: Torn | None, draw: Draw) -> tuple[Patch, ...]:
    """Carry out an operation; return what changed, as one patch or none.

    Args:
        array: the cells to change.
        operation: what to do.
        torn: do only such a part of it; None does all.
        draw: where the random bytes of a torn operation come from.
    """
    if isinstance(operation, BadCommand):
        return ()
    offset, length = operation.offset, operation.length
    old = bytes(array.value[offset : offset + length])
    if isinstance(operation, Program):
        _program(array, operation, torn, draw)
    else:
        _erase(array, operation, torn, draw)
    new = bytes(array.value[offset : offset + length])
    return ((offset, new),) if new != old else ()


def execute_faulty(
    array: CellArray,
    operation: Operation,
    torn: Torn | None,
    draw: Draw,
    fault: FlashFault | None,
    worn: list[Region],
) -> tuple[Patch, ...]:
    """As execute(), on a flash with faults; return what changed, a patch for each place.

    Args:
        array: the cells to change.
        operation: what to do.
        torn: do only such a part of it; None does all.
        draw: where random bytes come from.
        fault: what goes wrong this time, None for nothing; REJECTED is the caller's to tell.
        worn: parts of the array that keep their content whatever is done; a new one is added here.
    """
    if fault in (FlashFault.DROPPED, FlashFault.REJECTED):
        return ()
    if fault is FlashFault.WORN:
        part = worn_part(array, operation)
        if part is not None:
            worn.append(part)
    touched = [part for part in worn if part.touches(operation.offset, operation.length)]
    kept = [(part.offset, array.cells(part.offset, part.size)) for part in touched]
    flips = isinstance(operation, Program) and fault in _FLIPS
    changing = changed_by(array, operation) if flips and isinstance(operation, Program) else 0
    before = bytes(array.value[operation.offset : operation.offset + operation.length])
    patches = execute(array, operation, torn, draw)
    for offset, cells in kept:
        array.put(offset, cells)
    if flips and fault is not None and isinstance(operation, Program):
        place = flip_bits(array, operation, fault, draw, changing)
        patches = _patches(array, operation, before) + _outside(array, operation, place)
    elif kept:
        patches = _patches(array, operation, before)
    return patches


_FLIPS = (FlashFault.KEPT_BIT, FlashFault.EXTRA_BIT, FlashFault.DISTURBED)


def _patches(array: CellArray, operation: Operation, before: bytes) -> tuple[Patch, ...]:
    now = bytes(array.value[operation.offset : operation.offset + operation.length])
    return ((operation.offset, now),) if now != before else ()


def _outside(array: CellArray, operation: Operation, place: Region) -> tuple[Patch, ...]:
    if place.touches(operation.offset, operation.length):
        return ()
    return ((place.offset, bytes(array.value[place.offset : place.end])),)


def _program(array: CellArray, operation: Program, torn: Torn | None, draw: Draw) -> None:
    offset, data, size = operation.offset, operation.data, operation.length
    words = programmed_words(array.geometry, data)
    if torn is not None:
        unit = array.geometry.write_unit
        cells = array.cells(offset, size)
        array.put(offset, tear_program(cells, data, words=words, unit=unit, style=torn, draw=draw))
        return
    wanted = to_int(data)
    array.put_value(offset, to_bytes(to_int(array.value[offset : offset + size]) & wanted, size))
    unstable = to_int(array.unstable(offset, size))
    if unstable:
        # A bit that was asked to be 0 is 0 now; a half-way bit that was asked to be 1 stays half-way.
        array.put_unstable(offset, to_bytes(unstable & wanted, size))
    array.put_programs(offset, increment(array.programs(offset, size), words))


def _erase(array: CellArray, operation: Erase, torn: Torn | None, draw: Draw) -> None:
    sector = array.geometry.sector_index(operation.offset)
    array.wear(sector)
    if torn is None:
        array.erase(sector)
    else:
        cells = array.cells(operation.offset, operation.length)
        array.put(operation.offset, tear_erase(cells, unit=array.geometry.write_unit, style=torn, draw=draw))
