"""Real boards: each one's machine can be built, and the reference firmware boots and upgrades on its own."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.board import Board, list_boards, load_board
from brownout.elf import load_elf
from brownout.engines.controller import geometry_of
from brownout.engines.unicorn import Machine, create_machine
from brownout.engines.unicorn.interface import OperationResult, StopKind
from brownout.flash import Erase, FlashModel
from brownout.target import load_target

if TYPE_CHECKING:
    from brownout.flash import Operation

    from .conftest import Assemble

ROOT = Path(__file__).resolve().parents[3]
BOOT = ROOT / "build" / "firmware" / "1.0.0" / "boot.elf"


class Bench:
    """A machine of a board with a flash model behind it."""

    def __init__(
        self, board: Board, image: bytes, rom: list[tuple[int, bytes]], *, native: bool | None = None
    ) -> None:
        self.model = FlashModel(geometry_of(board.flash), seed=1)
        self.model.load_image(0, image)
        self.operations: list[tuple[Operation, int, int]] = []
        if native is None:
            self.machine = create_machine(board, rom=rom, port=self)
        else:
            self.machine = Machine(board, rom=rom, port=self, vector_table=0, native=native)
        self.model.power_on()
        self.machine.power_on(self.model.snapshot().array.sectors, ram_seed=1)

    def operate(self, operation: Operation) -> OperationResult:
        self.operations.append((operation, self.machine.operation_pc, self.machine.time))
        effect = self.model.apply(operation)
        return OperationResult(patches=effect.patches, status=effect.status)


@pytest.mark.parametrize("name", list_boards())
def test_code_runs_on_every_board(name: str) -> None:
    board = load_board(name)
    unicorn = board.engine.unicorn
    base = board.flash.base
    table = base if unicorn is None or unicorn.vector_table is None else unicorn.vector_table
    ram = next(memory for memory in board.memory.values() if memory.kind == "ram")
    code = struct.pack("<2I", ram.base + 0x800, table + 9) + bytes.fromhex("fee7")
    in_flash = base <= table < board.flash.end
    bench = Bench(board, code if in_flash else b"\xff", [] if in_flash else [(table, code)])
    stop = bench.machine.run(1000)
    assert (stop.kind, stop.pc) == (StopKind.SPIN, table + 8)
    assert bench.machine.state_digest() == bench.machine.state_digest()
    state = bench.machine.save()
    bench.machine.load(state, bench.model.snapshot().array.sectors)
    assert bench.machine.save() == state
    bench.machine.close()


@pytest.mark.parametrize(("enable", "left"), [(True, 0x0000FFFF), (False, 0xFFFFFFFF)])
def test_a_store_changes_the_array_only_as_the_controller_says(
    assemble: Assemble, *, enable: bool, left: int
) -> None:
    # NOR: the second store cannot set bits again. Without CONFIG.Wen it is a fault, and nothing is stored.
    board = load_board("nrf52840-dk")
    code, symbols = assemble(f"""
function reset
    {"set 0x4001e504, 1" if enable else "nop"}
    ldr r0, =0x40000
    ldr r1, =0x0000ffff
    str r1, [r0]
    ldr r1, =0xffffffff
    str r1, [r0]
    ldr r4, [r0]
    b .
function hard
    ldr r0, =0x40000
    ldr r4, [r0]
    b .
""")
    del symbols
    bench = Bench(board, code, [])
    kinds = [bench.machine.run(1000).kind]
    if not enable:
        kinds.append(bench.machine.run(1000).kind)
    assert kinds == ([] if enable else [StopKind.FAULT]) + [StopKind.SPIN]
    assert len(bench.operations) == (2 if enable else 0)
    assert bench.machine.registers().r[4] == left
    assert bench.machine.array == bench.model.shadow
    bench.machine.close()


def reference_image(board: Board) -> bytes:
    """A device with a staged set, as the reference example makes it."""
    target = load_target(ROOT / "examples" / "reference" / "target.toml")
    image = bytearray(b"\xff") * board.flash.size
    for placed in target.placed:
        at = placed.address - board.flash.base
        if 0 <= at < board.flash.size:
            image[at : at + len(placed.data)] = placed.data
    return bytes(image)


def upgraded(board: Board, *, native: bool | None) -> Bench:
    rom = [(segment.address, segment.data) for segment in load_elf(BOOT).segments]
    bench = Bench(board, reference_image(board), rom, native=native)
    kernel = board.flash.regions["kernel"]
    start = board.flash.base + kernel.offset
    bench.machine.stop_at([(start, start + kernel.size)])
    stop = bench.machine.run(200_000_000)
    assert stop.kind is StopKind.ARRIVED
    assert bench.machine.vtor == start
    return bench


def test_the_reference_firmware_upgrades_itself_and_starts_its_kernel(board: Board) -> None:
    bench = upgraded(board, native=None)
    output = bench.machine.output("console").decode()
    assert "boot: staged set seq=2 accepted" in output
    assert output.endswith("boot: set seq=2 verified\r\nboot: starting kernel\r\n")
    assert bench.machine.log == ()
    assert bench.machine.array == bench.model.shadow
    assert not bench.model.violations
    assert sum(isinstance(operation, Erase) for operation, _, _ in bench.operations) > 10
    (pc,) = {pc for _, pc, _ in bench.operations}
    assert load_elf(BOOT).symbols  # every operation comes from the one store to the doorbell
    assert pc < board.memory["boot_rom"].end
    bench.machine.close()


def test_the_kernel_comes_up_with_its_application(board: Board) -> None:
    bench = upgraded(board, native=None)
    bench.machine.stop_at([])
    bench.machine.run(30_000_000)
    output = bench.machine.output("console").decode()
    assert "kernel 1.1.0" in output
    assert "app 1.1.0" in output
    bench.machine.close()


def test_the_upgrade_is_the_same_with_the_python_counter(board: Board) -> None:
    native, python = upgraded(board, native=True), upgraded(board, native=False)
    assert native.operations == python.operations
    assert native.machine.time == python.machine.time
    assert native.machine.state_digest() == python.machine.state_digest()
    native.machine.close()
    python.machine.close()
