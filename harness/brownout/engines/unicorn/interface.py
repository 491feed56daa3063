"""What the in-process microcontroller is made of, for who writes a peripheral, a flash controller or a sweep."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from brownout.flash import Operation, Patch, Status


class StopKind(enum.Enum):
    """Why Machine.run() came back."""

    ARRIVED = "arrived"
    """The processor is about to execute an address of a stop range, or stored the awaited marker."""
    BUDGET = "out of budget"
    """The virtual time given to run() has passed."""
    LOCKUP = "lockup"
    """A fault that the firmware does not handle: in the fault handler itself, or with no valid vector."""
    FAULT = "fault"
    """The firmware entered a fault handler (HardFault, MemManage, BusFault, UsageFault); run() may go on."""
    SLEEP = "sleeps for ever"
    """WFI or WFE, and no event can ever come."""
    SPIN = "branches to itself"
    """An unconditional branch to itself with no interrupt that could end it."""
    RESET = "reset"
    """AIRCR.SYSRESETREQ or a watchdog: the core has been reset, RAM kept; run() goes on at the reset vector."""
    POWER_LOST = "power lost"
    """The flash port took the power in an operation; only power_on() may follow."""
    PAUSED = "paused"
    """pause() was called; run() goes on as if nothing had been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where and why the processor stopped. `time` is the virtual time since power-on (halfwords of code executed)."""

    kind: StopKind
    pc: int
    time: int
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationResult:
    """What the flash port made of an operation. `status` None: the power is lost, nothing may run on."""

    patches: tuple[Patch, ...]
    status: Status | None


class FlashPort(Protocol):
    """Carries out flash operations; the machine writes the patches into the array.

    The sweep implements it with the flash model, a cut gate and faults.
    """

    def operate(self, operation: Operation) -> OperationResult:
        """Called once for each program or erase, in order, before any of it is visible in the array."""


class Peripheral(Protocol):
    """A block of registers on the bus. State is plain data in attributes: save() and load() copy it.

    Offsets are from the peripheral's base; sizes are 1, 2 or 4 bytes; values are little-endian integers.
    """

    def reset(self) -> None:
        """Reset values (power-on and system reset)."""

    def read(self, offset: int, size: int) -> int:
        """Value of the register at `offset`."""

    def write(self, offset: int, size: int, value: int) -> None:
        """A store to the register at `offset`."""

    def save(self) -> object:
        """State that decides what follows, as a hashable, picklable value (tuples of ints and bytes)."""

    def load(self, state: object) -> None:
        """Go back to a value of save()."""


class Bus(Protocol):
    """What a peripheral may ask of the machine it sits in."""

    @property
    def now(self) -> int:
        """Virtual time since power-on."""

    def at(self, time: int, action: str) -> None:
        """Have the peripheral's `tick(action)` called at virtual time `time` or soon after."""

    def set_irq(self, number: int, level: bool) -> None:
        """Drive external interrupt line `number`."""

    def read_memory(self, address: int, size: int) -> bytes:
        """Memory as the processor reads it (for DMA)."""

    def write_memory(self, address: int, data: bytes) -> None:
        """Store to RAM (for DMA)."""

    def operate(self, operation: Operation) -> Status | None:
        """Have a flash operation carried out and its patches applied. None: the power is lost."""

    def request_reset(self) -> None:
        """System reset after the current instruction."""

    def log(self, message: str) -> None:
        """A line for the machine's log, once for each different message."""


class FlashControllerPeripheral(Peripheral, Protocol):
    """A flash controller: registers on the bus, and the judge of stores into the array.

    The array is mapped readable and executable; a store into it comes here instead of changing it.
    """

    def store(self, offset: int, size: int, value: int) -> None:
        """The processor stored `value` at `offset` from the start of the array."""
