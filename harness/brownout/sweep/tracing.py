"""What a traced run tells: each instruction of the boots that are asked for, and their flash operations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from brownout.sweep.machine import Machine
    from brownout.sweep.port import DoneOperation


class Tracer(Protocol):
    """Told what a run does. Instructions are slow to tell."""

    def wants(self, session: int, machine: Machine) -> bool:
        """A power session (from 1) begins on this machine: whether to be told what happens in it."""

    def instruction(self, address: int) -> None:
        """The instruction at this address is about to be executed."""

    def operation(self, done: DoneOperation) -> None:
        """The instruction told last has started this flash operation."""
