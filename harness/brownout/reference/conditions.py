"""Names for moments of an upgrade, for cuts with at= and after= (brownout.power)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.flash import Erase, Program, Region
from brownout.reference.flag import FlagState, parse_flag
from brownout.reference.record_log import parse_record

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import Board
    from brownout.flash import FlashModel, Operation
    from brownout.power import Condition


def reference_conditions(board: Board) -> Mapping[str, Condition]:
    """Conditions for the reference layout on `board`; those whose region it lacks are left out.

    `flag-requested`, `flag-copying`, `flag-clear`: the operation that writes this state. Reprogramming a
    record that is there already (it settles half-way bits) is not one. `manifest-erase`, `manifest-program`,
    `staged-manifest-program`: operations on these regions; `NAME-erase` and `NAME-program` for each module's
    regions too, such as `kernel-program` and `staged_app-erase`.
    """
    regions = {
        name: Region(offset=region.offset, size=region.size) for name, region in board.flash.regions.items()
    }
    conditions: dict[str, Condition] = {}
    if "flag" in regions:
        for state in FlagState:
            conditions[f"flag-{state.name.lower()}"] = _FlagWrite(regions["flag"], state)
    for name, region in regions.items():
        conditions[f"{name}-erase"] = _Touches(region, Erase)
        conditions[f"{name}-program"] = _Touches(region, Program)
    return conditions


class _FlagWrite:
    """The operation writes a new flag record with the given state."""

    def __init__(self, region: Region, state: FlagState) -> None:
        self._region = region
        self._state = state

    def __call__(self, model: FlashModel, operation: Operation, /) -> bool:
        if not isinstance(operation, Program) or not self._region.contains(
            operation.offset, operation.length
        ):
            return False
        record = parse_record(operation.data)
        flag = parse_flag(record.payload) if record is not None else None
        if flag is None or flag.state is not self._state:
            return False
        return model.read(Region(offset=operation.offset, size=operation.length)) != operation.data


class _Touches:
    """The operation is of the given kind and touches a region."""

    def __init__(self, region: Region, kind: type[Erase] | type[Program]) -> None:
        self._region = region
        self._kind = kind

    def __call__(self, model: FlashModel, operation: Operation, /) -> bool:
        del model
        return isinstance(operation, self._kind) and self._region.touches(
            operation.offset, max(1, operation.length)
        )
