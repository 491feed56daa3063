"""A small board and tiny Thumb programs for the tests of the in-process microcontroller."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Protocol

import pytest

from brownout.board import Board
from brownout.engines.controller import geometry_of
from brownout.engines.unicorn import Machine
from brownout.engines.unicorn.interface import OperationResult
from brownout.flash import FlashModel
from brownout.settings import parse_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from brownout.engines.unicorn.interface import Stop
    from brownout.flash import Operation

RAM = 0x20000000
FLASH = 0x21000000
BLOCK = 0x21FFF000
SEED = 7

BOARD = """
schema = 1
name = "tiny"
[cpu]
core = "{core}"
clock_hz = 1000000
interrupts = 40
mpu_regions = 8
[memory.rom]
base = 0
size = 0x4000
kind = "rom"
[memory.ram]
base = 0x20000000
size = 0x10000
kind = "ram"
[flash]
base = 0x21000000
size = 0x10000
sector_size = 0x1000
write_unit = 4
program_buffer = 256
[flash.controller]
kind = "reference"
command_block = 0x21fff000
doorbell = 0x40009000
[uart.console]
base = 0x40004000
index = 0
rx_irq = 0
tx_irq = 1
[peripheral.uart0]
kind = "cmsdk-uart"
base = 0x40004000
irq = 0
[engine.unicorn]
unmapped_read = 0x5a5a5a5a
"""

HANDLERS = ["nmi", "hard", "memmanage", "bus", "usage", "r7", "r8", "r9", "r10"]
HANDLERS += ["svc", "monitor", "r13", "pendsv", "systick"]
PRELUDE = """
    .syntax unified
    .thumb
    .equ RAM, 0x20000000
    .equ SCS, 0xe000e000
    .macro put offset, register
    ldr r7, =RAM + \\offset
    str \\register, [r7]
    .endm
    .macro set address, value
    ldr r6, =\\address
    ldr r7, =\\value
    str r7, [r6]
    .endm
    .macro function name
    .global \\name
    .thumb_func
\\name:
    .endm
vectors:
    .word 0x20008000, reset
"""

CONTROLLER = """
    @ r0 command, r1 offset, r2 length; returns STATUS in r0
function flash_command
    ldr r3, =0x21fff000
    str r1, [r3, #8]
    str r2, [r3, #12]
    str r0, [r3, #4]
    movs r1, #1
    str r1, [r3]
    ldr r2, =0x40009000
    str r0, [r2]
1:  ldr r0, [r3]
    cmp r0, #1
    beq 1b
    bx lr
    .ltorg
"""


class Assemble(Protocol):
    """Assembles a program; returns its bytes from address 0 and its symbols."""

    def __call__(self, source: str, core: str = "cortex-m3") -> tuple[bytes, dict[str, int]]: ...


class Port:
    """A flash model without cuts. `on_operation` is called before each operation."""

    def __init__(self, board: Board) -> None:
        self.model = FlashModel(geometry_of(board.flash), seed=SEED)
        self.on_operation: Callable[[Operation], None] = lambda _operation: None
        self.operations: list[Operation] = []
        self.lose_power_at = 0

    def operate(self, operation: Operation) -> OperationResult:
        self.operations.append(operation)
        self.on_operation(operation)
        if len(self.operations) == self.lose_power_at:
            return OperationResult(patches=(), status=None)
        effect = self.model.apply(operation)
        return OperationResult(patches=effect.patches, status=effect.status)


class Rig:
    """A machine with a program in its ROM, and what it is wired to."""

    def __init__(
        self, board: Board, code: bytes, symbols: dict[str, int], *, native: bool | None, flash: bytes = b""
    ) -> None:
        self.symbols = symbols
        self.port = Port(board)
        if flash:
            self.port.model.load_image(0, flash)
        self.port.model.power_on()
        self.machine = Machine(board, rom=[(0, code)], port=self.port, vector_table=0, native=native)
        self.power_on()

    def power_on(self) -> None:
        self.machine.power_on(self.sectors, ram_seed=SEED)

    @property
    def sectors(self) -> tuple[bytes, ...]:
        return self.port.model.snapshot().array.sectors

    def run(self, budget: int = 1_000_000) -> Stop:
        return self.machine.run(budget)

    def word(self, offset: int) -> int:
        """A word of RAM."""
        return int.from_bytes(self.machine.read(RAM + offset, 4), "little")

    def words(self, count: int) -> list[int]:
        return [self.word(4 * number) for number in range(count)]


class MakeRig(Protocol):
    """Makes a rig that is closed at the end of the test."""

    def __call__(
        self, source: str, *, core: str = "cortex-m3", native: bool | None = None, flash: bytes = b""
    ) -> Rig: ...


def tiny_board(core: str = "cortex-m3") -> Board:
    return parse_settings(BOARD.format(core=core), Board, source="tiny")


@pytest.fixture(scope="session")
def assemble(tmp_path_factory: pytest.TempPathFactory) -> Assemble:
    known: dict[tuple[str, str], tuple[bytes, dict[str, int]]] = {}

    def make(source: str, core: str = "cortex-m3") -> tuple[bytes, dict[str, int]]:
        if (source, core) not in known:
            known[source, core] = _assemble(tmp_path_factory.mktemp("thumb"), source, core)
        return known[source, core]

    return make


def _assemble(folder: Path, source: str, core: str) -> tuple[bytes, dict[str, int]]:
    handlers = [*HANDLERS, *(f"irq{number}" for number in range(40))]
    vectors = "".join(f"    .weak {name}\n    .word {name}\n" for name in handlers)
    text, elf, image = folder / "a.s", folder / "a.elf", folder / "a.bin"
    text.write_text(PRELUDE + vectors + source)
    float_options = ["-mfpu=fpv4-sp-d16", "-mfloat-abi=hard"] if core in ("cortex-m4", "cortex-m7") else []
    command = ["arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", *float_options, "-nostdlib"]
    command += ["-Wl,-Ttext=0", "-Wl,-e,reset", "-Wl,--build-id=none", "-o", str(elf), str(text)]
    subprocess.run(command, check=True)
    subprocess.run(["arm-none-eabi-objcopy", "-O", "binary", str(elf), str(image)], check=True)
    listing = subprocess.run(
        ["arm-none-eabi-nm", "--defined-only", str(elf)], check=True, capture_output=True, text=True
    ).stdout
    symbols = (line.split() for line in listing.splitlines())
    return image.read_bytes(), {name: int(value, 16) for value, _, name in symbols}


@pytest.fixture
def make_rig(assemble: Assemble) -> Iterator[MakeRig]:
    rigs: list[Rig] = []

    def make(source: str, *, core: str = "cortex-m3", native: bool | None = None, flash: bytes = b"") -> Rig:
        rig = Rig(tiny_board(core), *assemble(source, core), native=native, flash=flash)
        rigs.append(rig)
        return rig

    yield make
    for rig in rigs:
        rig.machine.close()
