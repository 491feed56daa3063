"""Long pieces of runs that need not be run again on another flash, when they never looked at what differs.

What code does until the next point where states are compared follows from the machine's state and from those
parts of the flash that it reads. Another flash that holds the same there gives the same operations and the
same machine at the end; only what the operations make of the rest of the flash has to be worked out anew.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from brownout.engines.unicorn.interface import Stop
    from brownout.flash import Geometry, Snapshot
    from brownout.sweep.keys import FlashKeys
    from brownout.sweep.port import DoneOperation

ECHO_TIME: Final = 200_000
"""Pieces shorter than this (halfwords of code) are run again: keeping a machine's state costs more."""
_KEPT: Final = 96


@dataclass(frozen=True, slots=True, kw_only=True)
class Echo:
    """A piece of a run. Times of its operations count from its start.

    `stop` ended it, with the machine in `state`; `digest` is that of the machine, b"" where the run ended.
    """

    operations: tuple[DoneOperation, ...]
    time: int
    stop: Stop
    fault: Stop | None
    state: object
    digest: bytes


class Echoes:
    """Pieces by the machine's state at their start, the sectors that they read, and what these held."""

    def __init__(self, geometry: Geometry, keys: FlashKeys) -> None:
        self._geometry = geometry
        self._keys = keys
        self._pieces: dict[bytes, dict[tuple[int, ...], dict[int, Echo]]] = {}
        self._used: OrderedDict[tuple[bytes, tuple[int, ...], int], None] = OrderedDict()
        self.followed = 0
        """So often a piece was found."""

    def find(self, state: bytes, flash: Snapshot) -> Echo | None:
        """The piece that starts in this state of the machine and reads only what this flash holds too."""
        if flash.worn:  # what a program leaves depends on more than what is read
            return None
        for sectors, found in self._pieces.get(state, {}).items():
            part = self._keys.part(flash, sectors)
            if part in found:
                self._used.move_to_end((state, sectors, part))
                self.followed += 1
                return found[part]
        return None

    def add(self, state: bytes, flash: Snapshot, reads: Iterable[tuple[int, int]], echo: Echo) -> None:
        """Keep a piece that started in `state` with `flash` and read these ranges (start, end)."""
        if flash.worn:
            return
        sectors = self._sectors(reads)
        part = self._keys.part(flash, sectors)
        self._pieces.setdefault(state, {}).setdefault(sectors, {})[part] = echo
        self._used[state, sectors, part] = None
        if len(self._used) > _KEPT:
            self._forget(*self._used.popitem(last=False)[0])

    def _sectors(self, reads: Iterable[tuple[int, int]]) -> tuple[int, ...]:
        index, size = self._geometry.sector_index, self._geometry.size
        found: set[int] = set()
        for start, end in reads:
            found.update(range(index(start), index(min(end, size) - 1) + 1))
        return tuple(sorted(found))

    def _forget(self, state: bytes, sectors: tuple[int, ...], part: int) -> None:
        by_sectors = self._pieces[state]
        del by_sectors[sectors][part]
        if not by_sectors[sectors]:
            del by_sectors[sectors]
        if not by_sectors:
            del self._pieces[state]
