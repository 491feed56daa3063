"""`brownout sweep --replay ID --trace`: the recovery, instruction by instruction."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from brownout.flash import Program
from brownout.sweep.places import Places
from brownout.sweep.points import kind_name
from brownout.symbols import Disassembler

if TYPE_CHECKING:
    from brownout.sweep.machine import Machine
    from brownout.sweep.port import DoneOperation
    from brownout.target import Target

_SYMBOL_WIDTH: Final = 28
_SHOWN_BYTES: Final = 8
_WIDE, _NARROW = 4, 2


class TracePrinter:
    """Prints one power session: number of the boot, address, symbol, instruction; and flash operations."""

    def __init__(self, target: Target, session: int) -> None:
        self._session = session
        self._places = Places(target)
        self._base = target.board.flash.base
        self._disassembler = Disassembler()
        self._machine: Machine | None = None
        self._known: dict[tuple[int, bytes], str] = {}

    def wants(self, session: int, machine: Machine) -> bool:
        """Whether it prints this power session."""
        self._machine = machine
        return session == self._session

    def instruction(self, address: int) -> None:
        """Print the line of an instruction."""
        code = self._code(address)
        line = self._known.get((address, code))
        if line is None:
            words = self._disassembler.line(address, code) if code else "?"
            symbol = self._places.symbol(address)
            line = f"boot {self._session}  {address:#010x}  {symbol:<{_SYMBOL_WIDTH}}  {words}\n"
            self._known[address, code] = line
        sys.stdout.write(line)

    def operation(self, done: DoneOperation) -> None:
        """Print the line of a flash operation."""
        operation = done.operation
        region = self._places.region(operation.offset)
        data = ""
        if isinstance(operation, Program):
            shown = operation.data[:_SHOWN_BYTES].hex(" ")
            data = f": {shown}{' ...' if operation.length > _SHOWN_BYTES else ''}"
        status = "power lost" if done.status is None else done.status.name.lower()
        sys.stdout.write(
            f"boot {self._session}  flash       {kind_name(operation)} of {operation.length} bytes at "
            f"{self._base + operation.offset:#x}{f' ({region})' if region else ''}{data}; {status}\n"
        )

    def _code(self, address: int) -> bytes:
        """What is there now: code in flash or RAM may be another one than it was at first."""
        if self._machine is None:
            return b""
        for size in (_WIDE, _NARROW):
            try:
                return self._machine.read(address, size)
            except LookupError:
                continue
        return b""
