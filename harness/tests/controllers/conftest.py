"""Tiny images that try out flash controllers (firmware/tests/controllers), on the real machine."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from brownout.board import Board, load_board
from brownout.elf import load_elf
from brownout.engines.controller import geometry_of
from brownout.engines.unicorn.interface import OperationResult, Stop, StopKind
from brownout.engines.unicorn.machine import Machine, create_machine
from brownout.flash import FlashModel, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SOURCES = Path(__file__).resolve().parents[3] / "firmware" / "tests" / "controllers"
FLAGS = ["-mthumb", "-std=c11", "-Os", "-nostdlib", "-ffreestanding", "-Wall", "-Wextra", "-Werror"]
WARNINGS = ["-Wconversion", "-Wmissing-prototypes", "-Wl,--fatal-warnings", "-Wl,--build-id=none"]
BUDGET = 20_000_000
RAM_SEED = 7


@dataclass
class ModelPort:
    """Flash operations carried out by the flash model, and kept."""

    model: FlashModel
    operations: list[Operation] = field(default_factory=list)

    def operate(self, operation: Operation) -> OperationResult:
        self.operations.append(operation)
        effect = self.model.apply(operation)
        return OperationResult(patches=effect.patches, status=effect.status)


@dataclass
class Rig:
    """A board with an image at the start of its flash, ready to be run."""

    machine: Machine
    port: ModelPort

    def power_on(self) -> None:
        self.port.model.power_on()
        self.machine.power_on(self.port.model.snapshot().array.sectors, ram_seed=RAM_SEED)

    def run_to_the_end(self) -> Stop:
        """Run over resets until nothing can happen any more."""
        for _ in range(10):
            stop = self.machine.run(BUDGET)
            if stop.kind not in (StopKind.RESET, StopKind.FAULT):
                return stop
        raise AssertionError(f"still running: {stop}")

    @property
    def output(self) -> str:
        return self.machine.output("console").decode()


class RigFactory(Protocol):
    """Builds the image of that name for a board and loads it."""

    def __call__(self, board: str, source: str) -> Rig: ...


@pytest.fixture(scope="session")
def build_image(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Board, str], Path]:
    folder = tmp_path_factory.mktemp("controllers")
    built: dict[str, Path] = {}

    def build(board: Board, source: str) -> Path:
        if source not in built:
            ram = next(board.memory[name] for name in ("ram", "axi") if name in board.memory)
            output = folder / f"{source}.elf"
            symbols = {"FLASH_ORIGIN": board.flash.base, "RAM_ORIGIN": ram.base, "RAM_SIZE": ram.size}
            defines = [f"-Wl,--defsym={name}={value:#x}" for name, value in symbols.items()]
            files = [str(SOURCES / "image.c"), str(SOURCES / f"{source}.c")]
            script = ["-T", str(SOURCES / "image.ld")]
            command = ["arm-none-eabi-gcc", f"-mcpu={board.cpu.core}", *FLAGS, *WARNINGS]
            subprocess.run([*command, *defines, *script, *files, "-o", str(output)], check=True)
            built[source] = output
        return built[source]

    return build


@pytest.fixture
def rig(build_image: Callable[[Board, str], Path]) -> Iterator[RigFactory]:
    machines: list[Machine] = []

    def make(board: str, source: str) -> Rig:
        settings = load_board(board)
        model = FlashModel(geometry_of(settings.flash), seed=1)
        for segment in load_elf(build_image(settings, source)).segments:
            model.load_image(segment.address - settings.flash.base, segment.data)
        port = ModelPort(model)
        machine = create_machine(settings, rom=(), port=port)
        machines.append(machine)
        return Rig(machine=machine, port=port)

    yield make
    for machine in machines:
        machine.close()
