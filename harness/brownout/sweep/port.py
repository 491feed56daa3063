"""The flash of a sweep's machine: the flash model, the next cut or fault, and a record of what was done."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.engines.unicorn.interface import OperationResult
from brownout.flash import Erase
from brownout.power import ArmedCut, Cut, FlashFaultAt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from brownout.flash import FlashModel, Operation, Region, Status, Violation
    from brownout.power import Condition, FiredCut
    from brownout.sweep.machine import Machine

SYNC_PROGRAMS = 64
"""So many operations after the last point where states are compared, there is another one."""
SYNC_TIME = 100_000
"""So much virtual time (halfwords of code) after it, the next operation is one: comparing is cheaper."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DoneOperation:
    """An operation that ran: where from and when, what the firmware was told, which rules it broke."""

    operation: Operation
    pc: int
    time: int
    status: Status | None
    violations: tuple[Violation, ...]


class SweepPort:
    """Carries out operations on `model`. `machine` is set once it exists."""

    def __init__(
        self, model: FlashModel, regions: Mapping[str, Region], conditions: Mapping[str, Condition]
    ) -> None:
        self.model = model
        self.machine: Machine | None = None
        self.done: list[DoneOperation] = []
        self.since_sync = 0
        self.synced_at = 0
        self.fired: FiredCut | FlashFaultAt | None = None
        self.on_operation: Callable[[DoneOperation], None] | None = None
        """Told each operation when it is done."""
        self._regions = regions
        self._conditions = conditions
        self._cut: ArmedCut | None = None
        self._fault: FlashFaultAt | None = None

    @property
    def armed(self) -> bool:
        """A cut or a fault waits for its operation."""
        return self._cut is not None or self._fault is not None

    def arm(self, event: Cut | FlashFaultAt | None) -> None:
        """Have this happen at its operation, instead of what was armed before. Raises StateError."""
        self.fired = None
        self._cut = ArmedCut(event, self._regions, self._conditions) if isinstance(event, Cut) else None
        self._fault = event if isinstance(event, FlashFaultAt) else None

    def take(self) -> tuple[DoneOperation, ...]:
        """What was done since the last call."""
        done = tuple(self.done)
        self.done.clear()
        return done

    def sync(self, time: int) -> None:
        """States are compared now."""
        self.since_sync, self.synced_at = 0, time

    def _due(self, operation: Operation, time: int) -> bool:
        """Depends on what happened since the last such point only: so does what follows it."""
        return (
            isinstance(operation, Erase)
            or self.since_sync >= SYNC_PROGRAMS
            or time - self.synced_at >= SYNC_TIME
            or self.fired is not None
        )

    def operate(self, operation: Operation) -> OperationResult:
        """Carry it out; ask the machine to pause where states are compared."""
        machine, model = self.machine, self.model
        assert machine is not None  # noqa: S101 - set by who made both
        cut, fault = self._cut, self._fault
        if cut is not None and cut.decide(model, operation):
            effect = model.apply(operation, cut=cut.cut.phase, torn=cut.cut.torn)
            cut.power_is_off()
            self.fired, self._cut = cut.fired, None
        elif fault is not None and model.ordinal + 1 == fault.number:
            effect = model.apply(operation, fault=fault.fault)
            self.fired, self._fault = fault, None
        else:
            effect = model.apply(operation)
        self.done.append(
            DoneOperation(
                operation=operation,
                pc=machine.operation_pc,
                time=machine.time,
                status=effect.status,
                violations=effect.violations,
            )
        )
        if self.on_operation is not None:
            self.on_operation(self.done[-1])
        self.since_sync += 1
        if effect.status is not None and self._due(operation, machine.time):
            machine.pause()
        return OperationResult(patches=effect.patches, status=effect.status)
