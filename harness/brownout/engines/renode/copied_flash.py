"""The flash of a machine that is reached over the doorbell's pipes: a copy here, kept like the one there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.controller import BLOCK_SIZE, ArrayMirror, FlashController, Ring

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import Board
    from brownout.engines.renode.doorbell import DoorbellPipes

_STATUS_SIZE: Final = 4


class CopiedFlash:
    """Array and command block of `board`. Everything that takes pipes is for an event of the doorbell only.

    Attributes: `controller`, whose windows these copies are; `array`, to be compared with the machine's.
    """

    def __init__(self, board: Board, seed: int, mirror: ArrayMirror) -> None:
        self._board = board
        self._block = bytearray(BLOCK_SIZE)
        self.array: Final = bytearray(board.flash.size)
        self.controller: Final = FlashController(
            board.flash, seed, array=memoryview(self.array), block=memoryview(self._block), mirror=mirror
        )

    def fill_array(self, pipes: DoorbellPipes) -> None:
        """Give the machine the whole array: at a power-on."""
        pipes.write(self._board.flash.base, self.array)

    def fill_volatile(self, pipes: DoorbellPipes, garbage: Mapping[str, bytes]) -> None:
        """Give the machine the command block, and each RAM what it holds after a start (memory -> bytes)."""
        pipes.write(self._board.flash.controller.command_block, self._block)
        for name, data in garbage.items():
            pipes.write(self._board.memory[name].base, data)

    def take_array(self, pipes: DoorbellPipes) -> None:
        """Take over what the machine's array holds."""
        self.array[:] = pipes.read(self._board.flash.base, len(self.array))

    def ring(self, pipes: DoorbellPipes) -> Ring:
        """Carry out the command that the firmware wrote, and answer it when the power stayed."""
        block = self._board.flash.controller.command_block
        self._block[:] = pipes.read(block, BLOCK_SIZE)
        rung = self.controller.ring()
        if rung is Ring.SERVED:
            pipes.write(block, self._block[:_STATUS_SIZE])
        return rung

    def give(self, pipes: DoorbellPipes, offset: int, length: int) -> None:
        """Give the machine a part of the array."""
        pipes.write(self._board.flash.base + offset, self.array[offset : offset + length])


def first_difference(found: bytes, wanted: bytes | bytearray) -> int | None:
    """Offset of the first byte that differs, None when all are the same; both are of the same length."""
    if found == wanted:
        return None
    return next(at for at, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])


__all__ = ["CopiedFlash", "first_difference"]
