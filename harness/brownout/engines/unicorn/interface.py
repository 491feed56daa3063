"""What the in-process microcontroller is made of, for who writes a peripheral, a flash controller or a
sweep.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar, runtime_checkable

if TYPE_CHECKING:
    from brownout.flash import Operation, Patch, Status


_P = TypeVar("_P")


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
    """AIRCR.SYSRESETREQ or a watchdog: the core has been reset, RAM kept; run() goes on at the reset
    vector.
    """
    POWER_LOST = "power lost"
    """The flash port took the power in an operation; only power_on() may follow."""
    PAUSED = "paused"
    """pause() was called; run() goes on as if nothing had been."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """Where and why the processor stopped. `time` is the virtual time since power-on (halfwords of code
    executed).
    """

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
        """State that decides what follows, as a picklable value whose repr() tells all of it (tuples of ints
        and bytes).

        It holds no absolute virtual time: what a timer will show later is told by its count, or by how far
        off it is. Two states that are equal behave alike from here on; the sweep takes a run for known by
        that.
        """

    def load(self, state: object) -> None:
        """Go back to a value of save()."""


@runtime_checkable
class Ticking(Protocol):
    """A peripheral that asks to be woken by Bus.at().

    load() asks again for what it needs: the machine forgets what was asked for before, and so it does at a
    system reset, before reset() is called. A tick that has become meaningless does nothing.
    """

    def tick(self, action: str) -> None:
        """The virtual time asked for has come."""


@runtime_checkable
class Retaining(Protocol):
    """A peripheral that keeps something over a system reset (retention registers, reset reasons, UICR)."""

    def power_on(self) -> None:
        """The power came: called before reset(); forget what only a power loss takes."""


@runtime_checkable
class Preloaded(Protocol):
    """A peripheral that an image may hold bytes for (UICR of an nRF52)."""

    def preload(self, offset: int, data: bytes) -> None:
        """Put bytes in place as a factory's programmer does, before the first power-on."""


@runtime_checkable
class Serial(Protocol):
    """A UART: what it sent (no part of save(): it decides nothing), and bytes for it to receive."""

    @property
    def sent(self) -> bytes:
        """What the firmware sent since power-on."""

    def feed(self, data: bytes) -> None:
        """Bytes that arrive on the receive line, after those that arrived before."""


class Bus(Protocol):
    """What a peripheral may ask of the machine it sits in; each has its own."""

    @property
    def now(self) -> int:
        """Virtual time since power-on."""

    @property
    def clock_hz(self) -> int:
        """Virtual time that passes in a second (the board's cpu.clock_hz)."""

    def at(self, time: int, action: str) -> None:
        """Have the peripheral's `tick(action)` called at virtual time `time` or soon after."""

    def set_irq(self, number: int, level: bool) -> None:
        """Drive external interrupt line `number`."""

    def read_memory(self, address: int, size: int) -> bytes:
        """Memory as the processor reads it (for DMA). Raises LookupError where there is none."""

    def write_memory(self, address: int, data: bytes) -> None:
        """Store to RAM (for DMA). Raises LookupError where there is none."""

    def operate(self, operation: Operation) -> Status | None:
        """Have a flash operation carried out and its patches applied. None: the power is lost."""

    def request_reset(self) -> None:
        """System reset before the next block of code."""

    def log(self, message: str) -> None:
        """A line for the machine's log, once for each different message."""

    def find(self, kind: type[_P]) -> _P | None:
        """The machine's peripheral or flash controller of a class, for those that are wired to each other."""


class ControllerBus(Bus, Protocol):
    """What a flash controller may ask for besides."""

    def bypass(self, offset: int, data: bytes) -> None:
        """Change the array past the flash model, as a store that no controller carries out does (oracle
        5).
        """

    def map_ram(self, address: int, size: int) -> memoryview:
        """Put RAM of the peripheral's own on the bus; only in the constructor. It is no part of the
        machine's state.
        """

    def draw(self, size: int, *use: str | int) -> bytes:
        """Bytes from the seed of the power-on: the same for the same use."""


class AccessFaultError(Exception):
    """A peripheral or a flash controller answers an access with a bus error.

    Raised by read(), write() and store(); the machine has the core take a BusFault (HardFault where it is not
    enabled). The message goes to the machine's log.
    """


class FlashControllerPeripheral(Peripheral, Protocol):
    """A flash controller: registers on the bus, and the judge of stores into the array.

    The array is mapped readable and executable; a store into it comes here instead of changing it.
    """

    def store(self, offset: int, size: int, value: int) -> None:
        """The processor stored `value` at `offset` from the start of the array."""
