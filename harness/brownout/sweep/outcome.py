"""How a boot ended: which outcome of the target it is, or what is wrong with it."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.engines.unicorn.interface import StopKind
from brownout.sweep.clean_boots import CellState

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.engines.unicorn.interface import Stop
    from brownout.flash import FlashModel, Snapshot
    from brownout.sweep.machine import Machine
    from brownout.target import Outcome, Target

_WORD = 4


class EndKind(enum.Enum):
    """Ways in which a boot ends."""

    ARRIVED = "arrived"
    WRONG_FLASH = "arrived, but not in an outcome of the target"
    POWER_LOST = "power lost"
    LOCKUP = "locked up"
    SPIN = "branches to itself"
    SLEEP = "sleeps for ever"
    BUDGET = "ran out of its budget"
    REPEATS = "comes back to the same state for ever"


ENDS = {
    StopKind.LOCKUP: EndKind.LOCKUP,
    StopKind.SPIN: EndKind.SPIN,
    StopKind.SLEEP: EndKind.SLEEP,
    StopKind.BUDGET: EndKind.BUDGET,
    StopKind.POWER_LOST: EndKind.POWER_LOST,
}
"""Stops that end a boot whatever the target says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEnd:
    """The end of a boot. `outcome` is "" when there is none; `wrong` says what an arrival lacked."""

    kind: EndKind
    pc: int
    outcome: str
    wrong: str
    detail: str
    flash: Snapshot
    key: bytes
    """Key of the flash."""
    stable: bytes
    """Key of what its cells hold."""

    @property
    def state(self) -> CellState:
        """The flash as clean boots are compared by it."""
        return CellState(cells=self.stable, unstable=bool(self.flash.array.unstable))


class Arrivals:
    """The outcomes of a target: where a machine stops for them, and whether one is reached."""

    def __init__(self, target: Target) -> None:
        self._outcomes = target.outcomes
        self._base = target.board.flash.base

    def watch(self, machine: Machine) -> None:
        """Have the machine stop where a boot may have arrived."""
        ranges = [(outcome.pc.start, outcome.pc.end) for outcome in self._outcomes if outcome.pc is not None]
        markers = {address for outcome in self._outcomes for address in outcome.marker}
        machine.stop_at(sorted(set(ranges)), sorted(markers))

    def reached(self, stop: Stop, machine: Machine, model: FlashModel) -> tuple[str, str] | None:
        """(name of the outcome, "") or ("", what is wrong); None when the boot has not arrived."""
        arrived = [outcome for outcome in self._outcomes if self._has_arrived(outcome, stop, machine)]
        wrong: list[str] = []
        for outcome in arrived:
            lack = self._lacks(outcome, machine, model)
            if not lack:
                return outcome.name, ""
            wrong.append(f"not {outcome.name}: {lack}")
        return ("", "; ".join(wrong)) if arrived else None

    def _has_arrived(self, outcome: Outcome, stop: Stop, machine: Machine) -> bool:
        if outcome.pc is not None and outcome.pc.start <= stop.pc < outcome.pc.end:
            return True
        return bool(outcome.marker) and not _differing(machine, outcome.marker)

    def _lacks(self, outcome: Outcome, machine: Machine, model: FlashModel) -> str:
        if outcome.vector_table is not None and machine.vtor != outcome.vector_table:
            return f"the vector table is at {machine.vtor:#x}, expected {outcome.vector_table:#x}"
        for address in _differing(machine, outcome.marker) + _differing(machine, outcome.memory):
            found = int.from_bytes(machine.read(address, _WORD), "little")
            expected = outcome.memory.get(address, outcome.marker.get(address, 0))
            return f"the word at {address:#x} is {found:#x}, expected {expected:#x}"
        for placed in outcome.flash:
            offset = placed.address - self._base
            found_bytes = bytes(model.shadow[offset : offset + len(placed.data)])
            if found_bytes != placed.data:
                at = next(i for i, (a, b) in enumerate(zip(found_bytes, placed.data, strict=True)) if a != b)
                return f"flash at {placed.address + at:#x} differs from {placed.source}"
        return ""


def _differing(machine: Machine, words: Mapping[int, int]) -> list[int]:
    return [
        address
        for address, value in words.items()
        if int.from_bytes(machine.read(address, _WORD), "little") != value
    ]
