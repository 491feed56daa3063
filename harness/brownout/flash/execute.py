"""Programs and erases carried out on the cells, wholly or torn. The rules have been checked before."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.flash.bits import increment, to_bytes, to_int
from brownout.flash.faults import Draw, TornStyle, tear_erase, tear_program
from brownout.flash.operations import BadCommand, Erase, Operation, Patch, Program
from brownout.flash.rules import programmed_words

if TYPE_CHECKING:
    from brownout.flash.array import CellArray


def execute(array: CellArray, operation: Operation, torn: TornStyle | None, draw: Draw) -> tuple[Patch, ...]:
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


def _program(array: CellArray, operation: Program, torn: TornStyle | None, draw: Draw) -> None:
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


def _erase(array: CellArray, operation: Erase, torn: TornStyle | None, draw: Draw) -> None:
    sector = array.geometry.sector_index(operation.offset)
    array.wear(sector)
    if torn is None:
        array.erase(sector)
    else:
        cells = array.cells(operation.offset, operation.length)
        array.put(operation.offset, tear_erase(cells, unit=array.geometry.write_unit, style=torn, draw=draw))
