"""What goes into the flash model and what comes out: operations, phases of a cut, effects, violations."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TypeAlias

Patch: TypeAlias = tuple[int, bytes]
"""(offset from the start of the array, bytes to put there)."""


class Command(enum.IntEnum):
    """COMMAND words of the reference controller (firmware/SPEC.md, section 10)."""

    PROGRAM = 1
    ERASE = 2


class Status(enum.IntEnum):
    """STATUS words of the reference controller (firmware/SPEC.md, section 10)."""

    OK = 0
    BUSY = 1
    BAD_COMMAND = 2
    BAD_RANGE = 3
    """Address or length: out of the array, misaligned, too long, crossing a page."""
    WRITE_ONCE = 4
    DEVICE = 5
    """The flash reports a failure (injected with `fail=`)."""


class Phase(enum.Enum):
    """Where in an operation the power goes."""

    BEFORE = "before"
    """Nothing of it happened."""
    TORN = "torn"
    """Part of it happened."""
    AFTER = "after"
    """All of it happened, but the firmware never saw the status."""


class Resolve(enum.Enum):
    """How a power-on reads the bits that an interrupted operation left half-way."""

    RANDOM = "random"
    """Each anew from the seed."""
    ONES = "ones"
    """All as 1: interrupted programs look undone, interrupted erases look done."""
    ZEROS = "zeros"
    """All as 0: interrupted programs look done, interrupted erases look undone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """Clear the bits that are 0 in `data`, from byte `offset` of the array on."""

    offset: int
    data: bytes

    @property
    def length(self) -> int:
        """Bytes that the operation asks for."""
        return len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class Erase:
    """Set all bits of the sector that starts at `offset`; any `length` but its size is refused."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class BadCommand:
    """A command block that holds no operation: an unknown code, or a program longer than the buffer.

    It is refused and recorded.
    """

    code: int
    offset: int
    length: int


Operation: TypeAlias = Program | Erase | BadCommand


def decode_command(command: int, address: int, length: int, buffer: bytes) -> Operation:
    """Turn the words of a command block into an operation; never fails.

    Args:
        command: COMMAND word.
        address: ADDRESS word, byte offset into the array.
        length: LENGTH word, bytes.
        buffer: the whole program buffer; a program takes its first `length` bytes.
    """
    if command == Command.ERASE:
        return Erase(offset=address, length=length)
    if command == Command.PROGRAM and length <= len(buffer):
        return Program(offset=address, data=bytes(buffer[:length]))
    return BadCommand(code=command, offset=address, length=length)


class ViolationKind(enum.Enum):
    """Rules of the flash that firmware can break."""

    BAD_COMMAND = "bad command"
    BAD_RANGE = "bad address or length"
    WRITE_ONCE = "second program of a write-once word"
    SETS_BIT = "program of a 0 bit to 1"
    TOO_OFTEN = "more programs of a word than allowed between erases"
    BYPASS = "store that bypassed the controller"


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One broken rule.

    Args:
        kind: the rule.
        session: number of the power session, 1 for the first power-on (0: before it).
        sequence: the operation that broke it; for a bypass, the last operation before it was found.
        offset: first byte concerned, from the start of the array.
        length: bytes concerned (for a bypass: from the first to the last differing byte of one sector).
        detail: the rest of the message in words.
        expected: for a bypass, what the controller left at `offset` (at most 16 bytes); else empty.
        found: for a bypass, what the array holds there; else empty.
    """

    kind: ViolationKind
    session: int
    sequence: int
    offset: int
    length: int
    detail: str
    expected: bytes = b""
    found: bytes = b""

    def __str__(self) -> str:
        return (
            f"{self.kind.value} at flash offset {self.offset:#x} "
            f"(operation {self.sequence}, power session {self.session}): {self.detail}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """What an operation did; the engine's adapter applies it.

    Args:
        sequence: number of the operation since the model was made, from 1.
        session: number of the power session, from 1.
        ordinal: number of the operation within its power session, from 1.
        operation: what was asked for.
        patches: bytes to write into the array, before the status.
        status: word to write into STATUS; None when the power was lost, then nothing may be delivered.
        power_lost: the engine must cut the power now.
        violations: rules that this operation broke.
    """

    sequence: int
    session: int
    ordinal: int
    operation: Operation
    patches: tuple[Patch, ...]
    status: Status | None
    power_lost: bool
    violations: tuple[Violation, ...] = ()
