"""How many clean boots show enough, and which of them may still change the flash.

A half-way bit may read right at the recovery and wrong at a later power-on. Firmware that looks at it repairs
it only then, and no firmware can do better. So a boot that starts with unstable cells may change the flash,
and the row of clean boots starts again after it; a boot that starts with stable cells only may not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

LATE_REPAIRS: Final = 2
"""So many boots of a row may change a flash with unstable cells: one for each cut that a sweep makes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellState:
    """The flash at the end of a boot.

    `cells` is a key of what its cells hold, whatever unstable ones happen to read (FlashKeys.stable());
    `unstable`: there are such cells.
    """

    cells: bytes
    unstable: bool


def boots_missing(states: Sequence[CellState], clean_boots: int) -> int:
    """How many more clean boots are needed.

    Args:
        states: at the end of the recovery, and of each clean boot so far.
        clean_boots: so many in a row must leave the flash alone.
    """
    late = [number for number, allowed in _changes(states) if allowed]
    return max(0, max(late, default=0) + clean_boots + 1 - len(states))


def unrest(states: Sequence[CellState]) -> int | None:
    """The first clean boot, from 1, that changed the flash and should not have; None when there is none."""
    return next((number for number, allowed in _changes(states) if not allowed), None)


def _changes(states: Sequence[CellState]) -> Iterator[tuple[int, bool]]:
    """The boots that changed the flash, and whether that is a late repair."""
    repairs = 0
    for number in range(1, len(states)):
        before, after = states[number - 1], states[number]
        if before.cells != after.cells:
            repairs += 1
            yield number, before.unstable and repairs <= LATE_REPAIRS
