"""Instructions and flash operations of a run as lines of text, with symbols."""

from __future__ import annotations

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


class TraceLines:
    """Lines without ends: number of the boot, address, symbol, instruction; or what a flash operation did."""

    def __init__(self, target: Target) -> None:
        self._places = Places(target)
        self._base = target.board.flash.base
        self._disassembler = Disassembler()
        self._known: dict[tuple[int, bytes], str] = {}

    def instruction(self, machine: Machine, session: int, address: int) -> str:
        """What is at the address now: code in flash or RAM may be another one than it was at first."""
        code = _code(machine, address)
        line = self._known.get((address, code))
        if line is None:
            words = self._disassembler.line(address, code) if code else "?"
            line = f"{address:#010x}  {self._places.symbol(address):<{_SYMBOL_WIDTH}}  {words}"
            self._known[address, code] = line
        return f"boot {session}  {line}"

    def operation(self, session: int, done: DoneOperation) -> str:
        """What it did, and what the firmware was told."""
        operation = done.operation
        region = self._places.region(operation.offset)
        data = ""
        if isinstance(operation, Program):
            shown = operation.data[:_SHOWN_BYTES].hex(" ")
            data = f": {shown}{' ...' if operation.length > _SHOWN_BYTES else ''}"
        status = "power lost" if done.status is None else done.status.name.lower()
        return (
            f"boot {session}  flash       {kind_name(operation)} of {operation.length} bytes at "
            f"{self._base + operation.offset:#x}{f' ({region})' if region else ''}{data}; {status}"
        )


def _code(machine: Machine, address: int) -> bytes:
    for size in (_WIDE, _NARROW):
        try:
            return machine.read(address, size)
        except LookupError:
            continue
    return b""
