"""A machine's whole state but for its flash array, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brownout.engines.unicorn.core import Registers


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineState:
    """What Machine.save() returns: it can be pickled, and loaded into any machine of the same board and ROM.

    Not in it, and reset by load(): the exclusive monitor of LDREX, and the stack limits of an M33.
    """

    time: int
    resets: int
    ram_seed: int
    registers: Registers
    floats: tuple[int, ...]
    system: tuple[object, ...]
    event: bool
    waiting: str
    block: tuple[int, int]
    ram: tuple[bytes, ...]
    peripherals: tuple[tuple[str, object], ...]
    log: tuple[str, ...]
