"""What a sweep needs of a microcontroller: brownout.engines.unicorn has one, tests may bring their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brownout.engines.unicorn.interface import FlashPort, Stop
    from brownout.target import Target


class Machine(Protocol):
    """A microcontroller whose flash operations go to a port. What it does follows from what it is given."""

    @property
    def time(self) -> int:
        """Virtual time since power-on: halfwords of code executed."""

    @property
    def vtor(self) -> int:
        """Where the vector table is."""

    @property
    def array(self) -> bytearray | memoryview:
        """The flash array as the processor reads it. A store past the controller shows here and is logged."""

    @property
    def operation_pc(self) -> int:
        """PC of the store that started the flash operation; valid while the port is called."""

    @property
    def log(self) -> Sequence[str]:
        """Lines about unknown peripherals and the like, each once."""

    def power_on(self, sectors: Sequence[bytes], *, ram_seed: int) -> None:
        """Reset everything; the array holds `sectors`, RAM holds seeded garbage, time is 0."""

    def run(self, budget: int) -> Stop:
        """Run up to `budget` more virtual time."""

    def pause(self) -> None:
        """Inside a port call: come back from run() once this instruction is done."""

    def stop_at(self, ranges: Sequence[tuple[int, int]], markers: Sequence[int] = ()) -> None:
        """Stop before code in a range (start, end) is executed, and after a store to a marker word."""

    def read(self, address: int, size: int) -> bytes:
        """Memory as the processor reads it."""

    def output(self, role: str) -> bytes:
        """What the firmware sent on the UART of a role of the board since power-on.

        Raises EngineError: there is no such UART.
        """

    def state_digest(self) -> bytes:
        """Digest of everything but the array that decides what follows."""

    def take_read_ranges(self) -> Sequence[tuple[int, int]]:
        """Parts (start, end) of the array that were read, executed or stored to since the last call."""

    def save(self) -> object:
        """Everything but the array, to come back to."""

    def load(self, state: object, sectors: Sequence[bytes]) -> None:
        """Go back to a saved state, with this array."""

    def reset(self) -> None:
        """Reset the processor as AIRCR.SYSRESETREQ does; RAM stays."""

    def trace(self, on_instruction: Callable[[int], None] | None) -> None:
        """Call this with the address of each instruction from now on (slow)."""

    def close(self) -> None:
        """Give everything back."""


class MachineFactory(Protocol):
    """Makes a machine for a target; it can be pickled."""

    def __call__(self, target: Target, port: FlashPort, /) -> Machine:
        """A machine without power whose ROM holds what the target places there."""
