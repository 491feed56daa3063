"""Stop replies (`T` packets)."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Literal

from fieldlink.debug.rsp.documents import REGISTER_NAMES


class Signal(IntEnum):
    """GDB's numbers of the signals that stops are reported as."""

    NONE = 0x00
    INT = 0x02
    ILL = 0x04
    TRAP = 0x05
    SEGV = 0x0B
    TERM = 0x0F


@dataclass(frozen=True, slots=True, kw_only=True)
class StopReport:
    """Why the app stopped, in GDB's terms.

    `registers`: 68 bytes, sent along so that GDB need not ask. `watched` is the address for a watchpoint.
    `cause` swbreak or hwbreak only for a breakpoint that GDB itself has set there: GDB goes on by itself
    when it knows of none.
    """

    signal: Signal
    registers: bytes
    cause: Literal["swbreak", "hwbreak", "watch", "rwatch", "awatch"] | None = None
    watched: int = 0

    def encode(self, *, swbreak: bool, hwbreak: bool) -> bytes:
        """The packet's data; `swbreak` and `hwbreak` say what GDB understands."""
        parts = [f"T{self.signal:02x}"]
        if self.cause in ("watch", "rwatch", "awatch"):
            parts.append(f"{self.cause}:{self.watched:x};")
        elif (self.cause == "swbreak" and swbreak) or (self.cause == "hwbreak" and hwbreak):
            parts.append(f"{self.cause}:;")
        for number in range(len(REGISTER_NAMES)):
            parts.append(f"{number:02x}:{self.registers[4 * number : 4 * number + 4].hex()};")
        parts.append("thread:1;")
        return "".join(parts).encode("ascii")
