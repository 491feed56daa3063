"""Which operations of which recoveries a sweep of depth 2 cuts: pieces that recoveries share, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from brownout.power import Cut
    from brownout.sweep.tasks import SegmentInfo


@dataclass(slots=True)
class RunGraph:
    """Pieces of runs by the key of the state that they start in."""

    _pieces: dict[bytes, SegmentInfo] = field(default_factory=dict)
    _totals: dict[bytes, int] = field(default_factory=dict)

    def add(self, pieces: Iterable[SegmentInfo]) -> None:
        """Add what workers told; the same piece may come from several."""
        for piece in pieces:
            self._pieces[piece.key] = piece

    def operations(self, key: bytes) -> int:
        """Operations of the run from a state to its end."""
        chain: list[bytes] = []
        at: bytes | None = key
        while at is not None and at not in self._totals:
            chain.append(at)
            at = self._pieces[at].following
        total = self._totals[at] if at is not None else 0
        for piece in reversed(chain):
            total += self._pieces[piece].operations
            self._totals[piece] = total
        return self._totals[key]

    def shares(self, recoveries: Sequence[tuple[int, Cut, bytes]]) -> list[tuple[int, Cut, tuple[int, ...]]]:
        """The operations that each recovery (number, cut, key) is the first to do, from its power-on."""
        taken: set[bytes] = set()
        found: list[tuple[int, Cut, tuple[int, ...]]] = []
        for number, cut, key in recoveries:
            count = 0
            at: bytes | None = key
            while at is not None and at not in taken:
                taken.add(at)
                count += self._pieces[at].operations
                at = self._pieces[at].following
            if count:
                found.append((number, cut, tuple(range(1, count + 1))))
        return found


def sampled(
    shares: Sequence[tuple[int, Cut, tuple[int, ...]]], chosen: Sequence[int]
) -> list[tuple[int, Cut, tuple[int, ...]]]:
    """Of all operations of `shares`, counted through from 1, the `chosen` ones only."""
    wanted = set(chosen)
    found: list[tuple[int, Cut, tuple[int, ...]]] = []
    before = 0
    for number, cut, operations in shares:
        left = tuple(n for index, n in enumerate(operations, before + 1) if index in wanted)
        before += len(operations)
        if left:
            found.append((number, cut, left))
    return found


def chunks(
    shares: Sequence[tuple[int, Cut, tuple[int, ...]]], size: int
) -> list[tuple[tuple[int, Cut, tuple[int, ...]], ...]]:
    """Groups of about `size` operations."""
    found: list[tuple[tuple[int, Cut, tuple[int, ...]], ...]] = []
    group: list[tuple[int, Cut, tuple[int, ...]]] = []
    count = 0
    for number, cut, operations in shares:
        for start in range(0, len(operations), size):
            part = operations[start : start + size]
            group.append((number, cut, part))
            count += len(part)
            if count >= size:
                found.append(tuple(group))
                group, count = [], 0
    if group:
        found.append(tuple(group))
    return found
