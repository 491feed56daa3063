"""The reference flash controller (firmware/SPEC.md section 10): a command block in memory, a doorbell on
the bus.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.controller import (
    BLOCK_SIZE,
    ENTROPY,
    ENTROPY_SIZE,
    answer_block,
    operation_of_block,
)

if TYPE_CHECKING:
    from brownout.board import FlashSettings
    from brownout.engines.unicorn.interface import ControllerBus

_DATA: Final = 0x0


class ReferenceController:
    """Its registers are the doorbell's UART: a store to DATA is a command, all else is ignored and reads
    0.
    """

    def __init__(self, bus: ControllerBus, flash: FlashSettings) -> None:
        self._bus = bus
        self._block = bus.map_ram(flash.controller.command_block, BLOCK_SIZE)

    def reset(self) -> None:
        """Clear the block and refill the entropy: the same at each reset of a power-on, so that states
        can be told.
        """
        self._block[:] = bytes(len(self._block))
        self._block[ENTROPY] = self._bus.draw(ENTROPY_SIZE, "entropy")

    def read(self, offset: int, size: int) -> int:
        """Nothing to read."""
        del offset, size
        return 0

    def write(self, offset: int, size: int, value: int) -> None:
        """A store to the doorbell carries out the command in the block."""
        del size, value
        if offset != _DATA:
            return
        status = self._bus.operate(operation_of_block(self._block))
        if status is not None:
            answer_block(self._block, status)

    def store(self, offset: int, size: int, value: int) -> None:
        """The array is plain memory to the processor: the store changes it, and the flash model never
        knows.
        """
        self._bus.bypass(offset, value.to_bytes(size, "little"))

    def save(self) -> object:
        """The command block, and the rest of its page."""
        return bytes(self._block)

    def load(self, state: object) -> None:
        """Go back to save()."""
        assert isinstance(state, bytes)  # noqa: S101 - a bug
        self._block[:] = state


__all__ = ["ReferenceController"]
