"""What a traced run tells: flash operations and instructions of the boots that are asked for."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from brownout.sweep.machine import Machine
    from brownout.sweep.port import DoneOperation


class Wanted(enum.Enum):
    """What a tracer wants to be told of a power session."""

    NOTHING = "nothing"
    OPERATIONS = "flash operations"
    EVERYTHING = "flash operations, and each instruction: slow"


class Tracer(Protocol):
    """Told what a run does."""

    def wants(self, session: int, machine: Machine) -> Wanted:
        """A power session (from 1) begins on this machine: what to be told of it."""

    def instruction(self, address: int) -> None:
        """The instruction at this address is about to be executed."""

    def operation(self, done: DoneOperation) -> None:
        """The instruction told last has started this flash operation."""

    def ended(self, session: int) -> None:
        """A power session is over; the machine still is as it was then."""
