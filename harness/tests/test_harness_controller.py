"""The reference flash controller on plain memory: what it writes when, and what it never writes."""

from __future__ import annotations

import dataclasses
import struct
from typing import TYPE_CHECKING

import pytest

from brownout.engines.controller import BLOCK_SIZE, FlashController, Ring
from brownout.engines.tally import TALLY
from brownout.errors import CutNotFired, StateError, ViolationError
from brownout.flash import Phase
from brownout.power import Cut, OperationTrigger, RegionTrigger

if TYPE_CHECKING:
    from brownout.board import Board

PROGRAM, ERASE = 1, 2
BUSY = 1
KERNEL = 0x20000


class Bench:
    """A controller between two byte arrays."""

    def __init__(self, board: Board, *, seed: int = 1) -> None:
        self.array = bytearray(board.flash.size)
        self.block = bytearray(b"\x5a" * BLOCK_SIZE)
        self.controller = FlashController(
            board.flash, seed, array=memoryview(self.array), block=memoryview(self.block)
        )

    def command(self, command: int, offset: int, length: int, data: bytes = b"") -> tuple[Ring, int]:
        """Ring for a command; what came of it and the STATUS word."""
        struct.pack_into("<4I", self.block, 0, BUSY, command, offset, length)
        self.block[0x10 : 0x10 + len(data)] = data
        ring = self.controller.ring()
        return ring, struct.unpack_from("<I", self.block)[0]


@pytest.fixture
def bench(board: Board) -> Bench:
    made = Bench(board)
    made.controller.power_on()
    return made


def test_power_on_clears_the_block_and_refills_the_entropy(board: Board) -> None:
    bench, entropies = Bench(board), []
    for _ in range(2):
        bench.controller.power_on()
        assert bytes(bench.block[:0x110]) == bytes(0x110)
        entropies.append(bytes(bench.block[0x110:]))
        bench.controller.reset(1)
        entropies.append(bytes(bench.block[0x110:]))
        bench.controller.power_off()
    assert len(set(entropies)) == 4
    again = Bench(board)
    again.controller.power_on()
    assert bytes(again.block[0x110:]) == entropies[0]
    other = Bench(board, seed=2)
    other.controller.power_on()
    assert bytes(other.block[0x110:]) not in entropies


def test_commands_change_the_array_and_answer(bench: Bench) -> None:
    assert bench.command(PROGRAM, KERNEL, 8, b"ABCDEFGH") == (Ring.SERVED, 0)
    assert bench.array[KERNEL : KERNEL + 8] == b"ABCDEFGH"
    assert bench.command(ERASE, KERNEL, 0x1000) == (Ring.SERVED, 0)
    assert bench.array[KERNEL : KERNEL + 8] == b"\xff" * 8
    assert bench.controller.checkpoint() == ()


@pytest.mark.parametrize(
    ("command", "offset", "length", "status"),
    [
        (9, 0, 4, 2),
        (PROGRAM, 2, 4, 3),
        (PROGRAM, 0xFC, 8, 3),
        (PROGRAM, 0x400000, 4, 3),
        (PROGRAM, 0, 260, 3),
        (PROGRAM, 0, 0xFFFFFFFF, 3),
        (PROGRAM, 0xFFFFFFFC, 4, 3),
        (PROGRAM, 0, 0, 3),
        (ERASE, 0x800, 0x1000, 3),
        (ERASE, 0, 0x800, 3),
    ],
)
def test_bad_commands_are_refused(bench: Bench, command: int, offset: int, length: int, status: int) -> None:
    assert bench.command(command, offset, length) == (Ring.SERVED, status)
    assert set(bench.array) == {0xFF}
    assert len(bench.controller.checkpoint()) == 1


def test_a_write_once_board_refuses_the_second_program(board: Board) -> None:
    bench = Bench(dataclasses.replace(board, flash=dataclasses.replace(board.flash, write_once=True)))
    bench.controller.power_on()
    assert bench.command(PROGRAM, KERNEL, 4, b"ABCD") == (Ring.SERVED, 0)
    assert bench.command(PROGRAM, KERNEL, 4, b"ABCD") == (Ring.SERVED, 4)


@pytest.mark.parametrize("phase", list(Phase))
def test_a_cut_never_answers(bench: Bench, phase: Phase) -> None:
    armed = bench.controller.arm(Cut(trigger=OperationTrigger(number=1), phase=phase))
    assert bench.command(PROGRAM, KERNEL, 256, bytes(256)) == (Ring.POWER_LOST, BUSY)
    with pytest.raises(CutNotFired):
        armed.wait(0)
    bench.controller.power_off()
    bench.controller.announce_cut()
    assert armed.wait(0).ordinal == 1
    assert bench.array == bytearray(bench.controller.model.shadow)
    with pytest.raises(StateError):
        bench.controller.ring()


def test_stray_stores_are_found_at_the_next_operation_and_at_power_off(bench: Bench) -> None:
    bench.array[KERNEL + 0x800] = 0
    bench.command(PROGRAM, KERNEL, 4, bytes(4))
    assert len(bench.controller.model.violations) == 1
    bench.array[0x3FFFFF] = 0
    bench.controller.power_off()
    assert [violation.offset for violation in bench.controller.model.violations] == [KERNEL + 0x800, 0x3FFFFF]
    with pytest.raises(ViolationError):
        bench.controller.model.raise_for_violations()


def test_operations_are_counted_across_a_restore_which_drops_the_times_of_later_ones(bench: Bench) -> None:
    tally, controller = TALLY.count, bench.controller
    bench.command(PROGRAM, KERNEL, 4, bytes(4))
    controller.power_off()
    before = controller.snapshot()
    controller.power_on()
    bench.command(PROGRAM, KERNEL + 4, 4, bytes(4))
    bench.command(9, KERNEL, 4)
    assert sorted(controller.moments) == [1, 2, 3]
    controller.power_off()
    controller.restore(before)
    assert sorted(controller.moments) == [1]
    assert (controller.served, TALLY.count - tally) == (3, 3)


def test_regions_are_known_by_name(bench: Bench) -> None:
    bench.command(PROGRAM, KERNEL, 4, b"ABCD")
    assert bench.controller.read("kernel")[:5] == b"ABCD\xff"
    with pytest.raises(StateError, match="flash region 'kernle': not on this board; known: identity, "):
        bench.controller.read("kernle")
    armed = bench.controller.arm(Cut(trigger=RegionTrigger(region="app", kind="erase"), phase=Phase.AFTER))
    assert bench.command(ERASE, KERNEL, 0x1000)[0] is Ring.SERVED
    assert bench.command(PROGRAM, 0x40000, 4, bytes(4))[0] is Ring.SERVED
    assert bench.command(ERASE, 0x40000, 0x1000)[0] is Ring.POWER_LOST
    assert bench.controller.gate.armed is None
    assert armed.fired is None


def test_snapshots_are_of_a_device_without_power(bench: Bench) -> None:
    with pytest.raises(StateError, match="flash snapshot: the power is on"):
        bench.controller.snapshot()
    bench.command(PROGRAM, KERNEL, 4, b"ABCD")
    bench.controller.power_off()
    snapshot = bench.controller.snapshot()
    bench.array[0] = 0  # a stray store is no part of the snapshot
    bench.controller.power_on()
    with pytest.raises(StateError, match="flash restore: the power is on"):
        bench.controller.restore(snapshot)
    bench.command(ERASE, KERNEL, 0x1000)
    bench.controller.power_off()
    bench.controller.restore(snapshot, seed=9)
    assert bench.controller.model.seed == 9
    assert bench.array[KERNEL : KERNEL + 4] == b"ABCD"
    assert bench.array[0] == 0xFF
