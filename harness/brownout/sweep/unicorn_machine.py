"""The machine of brownout.engines.unicorn, set up for a target."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from brownout.engines.unicorn.machine import Machine as UnicornMachine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brownout.engines.unicorn.interface import FlashPort
    from brownout.sweep.machine import Machine
    from brownout.target import Target


def unicorn_machine(target: Target, port: FlashPort, /) -> Machine:
    """A machine without power whose ROM holds what the target places outside the flash."""
    machine = UnicornMachine(
        target.board, rom=tuple(_outside(target)), port=port, vector_table=vector_table_of(target)
    )
    # It is given the states only that its own save() made.
    return cast("Machine", machine)


def vector_table_of(target: Target) -> int:
    """Where the core starts: as the target says, else the board, else the start of the flash."""
    if target.vector_table is not None:
        return target.vector_table
    unicorn = target.board.engine.unicorn
    if unicorn is not None and unicorn.vector_table is not None:
        return unicorn.vector_table
    return target.board.flash.base


def _outside(target: Target) -> Iterator[tuple[int, bytes]]:
    """The parts of placed bytes that are not in the flash array."""
    flash = target.board.flash
    for placed in target.placed:
        end = placed.address + len(placed.data)
        if placed.address < flash.base:
            yield placed.address, placed.data[: flash.base - placed.address]
        if end > flash.end:
            first = max(placed.address, flash.end)
            yield first, placed.data[first - placed.address :]
