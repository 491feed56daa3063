"""Which engines that run in real time can run a target, here and now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.engines.factory import ENGINES, TITLES, engine_problem

if TYPE_CHECKING:
    from brownout.target import Target


def live_problem(target: Target, engine: str) -> str:
    """Why `engine` cannot run `target` on this machine, "" when it can.

    Raises EngineError for an unknown engine.
    """
    board, title = target.board, TITLES.get(engine, engine)
    problem = engine_problem(engine, board, script=target.renode)
    if problem:
        return problem
    if target.elf is None:
        return f"{target.path}: elf: missing; {title} starts a board with an ELF file only"
    flash = board.flash
    roms = {(segment.address, segment.data) for segment in target.elf.segments}
    for item in target.placed:
        inside = flash.base <= item.address and item.address + len(item.data) <= flash.end
        if not inside and (item.address, item.data) not in roms:
            return f"{target.path}: {item.source}: on {title} the ROM holds the ELF file only"
    return ""


def live_engines(target: Target) -> tuple[str, ...]:
    """Those that can."""
    return tuple(engine for engine in ENGINES if not live_problem(target, engine))
