"""Which operations a live sweep cuts. Each cut takes seconds, so a sample has some of every kind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.errors import SweepError
from brownout.flash import seeded_bytes

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from brownout.sweep.result import OperationInfo


def in_states(operations: Iterable[OperationInfo], states: Collection[str]) -> list[OperationInfo]:
    """Operations before which the upgrade protocol is in one of `states`; all when there are none.

    Raises SweepError when that leaves nothing, and for a state that the run never was in.
    """
    found = list(operations)
    seen = dict.fromkeys(operation.state for operation in found)
    for state in sorted(states):
        if state not in seen:
            raise SweepError(
                f"live.states: '{state}': the run without a cut has no flash operation in it; it has some in "
                f"{', '.join(name or '(no name)' for name in seen)}"
            )
    return [operation for operation in found if not states or operation.state in states]


def spread(operations: Sequence[OperationInfo], wanted: int | None, seed: int) -> list[OperationInfo]:
    """As many as wanted, in order, drawn from the seed; None takes all.

    One of each kind (state, region, program or erase), then a second one of each, and so on: otherwise a few
    points would all be among the many programs of data, and none on a journal or a flag.
    """
    if wanted is None or wanted >= len(operations):
        return list(operations)
    kinds: dict[tuple[str, str, str], list[OperationInfo]] = {}
    for operation in sorted(operations, key=lambda item: _draw(seed, item)):
        kinds.setdefault((operation.state, operation.region, operation.kind), []).append(operation)
    ranked = sorted(
        (rank, _draw(seed, operation), operation.number)
        for members in kinds.values()
        for rank, operation in enumerate(members)
    )
    chosen = {number for _, _, number in ranked[:wanted]}
    return [operation for operation in operations if operation.number in chosen]


def _draw(seed: int, operation: OperationInfo) -> bytes:
    return seeded_bytes(seed, 8, "points", operation.number)
