"""`brownout sweep --replay ID --trace`: the recovery, instruction by instruction."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from brownout.sweep.trace_lines import TraceLines
from brownout.sweep.tracing import Wanted

if TYPE_CHECKING:
    from brownout.sweep.machine import Machine
    from brownout.sweep.port import DoneOperation
    from brownout.target import Target


class TracePrinter:
    """Prints one power session: its instructions and flash operations."""

    def __init__(self, target: Target, session: int) -> None:
        self._session = session
        self._lines = TraceLines(target)
        self._machine: Machine | None = None

    def wants(self, session: int, machine: Machine) -> Wanted:
        """Whether it prints this power session."""
        self._machine = machine
        return Wanted.EVERYTHING if session == self._session else Wanted.NOTHING

    def instruction(self, address: int) -> None:
        """Print the line of an instruction."""
        if self._machine is not None:
            sys.stdout.write(f"{self._lines.instruction(self._machine, self._session, address)}\n")

    def operation(self, done: DoneOperation) -> None:
        """Print the line of a flash operation."""
        sys.stdout.write(f"{self._lines.operation(self._session, done)}\n")

    def ended(self, session: int) -> None:
        """Everything is printed."""
