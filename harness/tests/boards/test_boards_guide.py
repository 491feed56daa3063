"""docs/add-a-board.md: each file that it shows is taken from there and run."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.board import Board, board_problems, load_board
from brownout.elf import load_elf
from brownout.engines.controller import geometry_of
from brownout.engines.unicorn.interface import OperationResult, StopKind
from brownout.engines.unicorn.kinds import kind_problems
from brownout.engines.unicorn.machine import create_machine
from brownout.engines.unicorn.peripherals import registry
from brownout.flash import Erase, FlashModel, Operation, Program

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).resolve().parents[3]
IMAGES = ROOT / "firmware" / "tests" / "controllers"
BOARD = "platform/efm32g-stk/board.toml"
CONTROLLER = "harness/brownout/engines/unicorn/controllers/msc.py"
TESTS = "harness/tests/controllers/test_controller_msc.py"
IMAGE = "firmware/tests/controllers/msc.c"
MODULE = "brownout.engines.unicorn.controllers.msc"


@pytest.fixture
def guide(tmp_path: Path) -> Path:
    """A folder with the files of the guide."""
    text = (ROOT / "docs" / "add-a-board.md").read_text(encoding="utf-8")
    files = re.findall(r"<!-- file: (\S+) -->\n```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
    for name, content in files:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content, encoding="utf-8")
    assert [name for name, _ in files] == [BOARD, CONTROLLER, TESTS, IMAGE]
    return tmp_path


def load_module(path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def board(guide: Path, monkeypatch: pytest.MonkeyPatch) -> Board:
    """The guide's board, once the guide's controller has its name."""
    board = load_board("efm32g-stk", guide / "platform")
    assert kind_problems(board)[0].startswith("flash.controller.kind: 'efm32-msc' is not known")
    module = load_module(guide / CONTROLLER, MODULE, monkeypatch)
    monkeypatch.setitem(registry.CONTROLLERS, "efm32-msc", module.Msc)  # type: ignore[misc]
    return board


def test_the_board_is_sound(board: Board) -> None:
    assert board_problems(board) == ()
    assert kind_problems(board) == ()


def test_the_tests_of_the_controller_pass(guide: Path, board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    module = load_module(guide / TESTS, "guide_tests", monkeypatch)
    tests = [value for name, value in vars(module).items() if name.startswith("test_")]
    for test in tests:
        test(board.flash)
    assert len(tests) == 3


def test_the_image_runs(guide: Path, board: Board, tmp_path: Path) -> None:
    elf = tmp_path / "msc.elf"
    places = {"FLASH_ORIGIN": 0, "RAM_ORIGIN": board.memory["ram"].base, "RAM_SIZE": board.memory["ram"].size}
    subprocess.run(
        [
            *("arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-std=c11", "-Os", "-nostdlib"),
            *("-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wmissing-prototypes", f"-I{IMAGES}"),
            *(f"-Wl,--defsym={name}={value:#x}" for name, value in places.items()),
            *("-T", str(IMAGES / "image.ld"), str(IMAGES / "image.c"), str(guide / IMAGE), "-o", str(elf)),
        ],
        check=True,
    )
    model = FlashModel(geometry_of(board.flash), seed=1)
    image = load_elf(elf)
    for segment in image.segments:
        model.load_image(segment.address, segment.data)
    operations: list[Operation] = []

    class Port:
        def operate(self, operation: Operation) -> OperationResult:
            operations.append(operation)
            effect = model.apply(operation)
            return OperationResult(patches=effect.patches, status=effect.status)

    model.power_on()
    machine = create_machine(board, rom=(), port=Port())
    machine.power_on(model.snapshot().array.sectors, ram_seed=1)
    stop = machine.run(10_000_000)
    assert stop.kind is StopKind.SPIN
    assert machine.read(image.symbol("output"), 30) == b"flash=cafe0000 flash=cafe0001 "
    assert operations == [
        Erase(offset=0x4000, length=0x200),
        Program(offset=0x4000, data=bytes.fromhex("0000feca")),
        Program(offset=0x4004, data=bytes.fromhex("0100feca")),
    ]
    machine.close()
