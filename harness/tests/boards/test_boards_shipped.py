"""The boards of the in-process engine, and what their files may say beyond the reference board's."""

from __future__ import annotations

import dataclasses
import json
import subprocess
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from brownout.board import board_problems, export_board, find_platform, load_board
from brownout.cli.main import main
from brownout.cli.root import cli
from brownout.engines.controller import geometry_of
from brownout.engines.factory import create_engine
from brownout.engines.unicorn.bench_bus import BenchBus
from brownout.engines.unicorn.interface import Retaining
from brownout.engines.unicorn.kinds import kind_problems
from brownout.engines.unicorn.peripherals.registry import CONTROLLERS, PERIPHERALS
from brownout.errors import EngineError, SettingsError
from brownout.settings import parse_settings

if TYPE_CHECKING:
    from pathlib import Path

BOARDS = ("nrf52840-dk", "stm32f4-discovery", "stm32h7-nucleo")
UNEQUAL = "sectors = [[4, 0x4000], [1, 0x1_0000], [7, 0x2_0000]]"

QEMU_TABLE = """[engine.qemu]
machine = "x"
flash_backend = "machine"
backend_base = 0
backend_size = 1
[engine.unicorn]"""


def problems_of(board: str, *changes: tuple[str, str]) -> tuple[str, ...]:
    """Problems of a board after textual changes, each of which must apply."""
    from brownout.board import Board

    text = (find_platform() / board / "board.toml").read_text()
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    loaded = parse_settings(text, Board, source="board.toml")
    return (*board_problems(loaded), *kind_problems(loaded))


@pytest.mark.parametrize("name", BOARDS)
def test_a_board_is_sound_and_its_kinds_are_known(name: str) -> None:
    assert problems_of(name) == ()
    board = load_board(name)
    assert (board.engine.qemu, board.engine.unicorn is not None) == (None, True)
    geometry = geometry_of(board.flash)
    assert geometry.sector(geometry.sector_count - 1).end == board.flash.size


def test_the_boards_have_the_flash_of_their_data_sheets() -> None:
    nrf, f4, h7 = (load_board(name).flash for name in BOARDS)
    assert (nrf.size, nrf.sector_size, nrf.write_unit, nrf.max_programs) == (0x100000, 0x1000, 4, 2)
    sizes = [0x4000] * 4 + [0x10000] + [0x20000] * 7
    geometry = geometry_of(f4)
    assert [geometry.sector(index).size for index in range(geometry.sector_count)] == sizes
    assert (f4.write_unit, f4.program_buffer, f4.write_once) == (1, 8, False)
    assert (h7.size, h7.sector_size, h7.write_unit, h7.write_once) == (0x200000, 0x20000, 32, True)


@pytest.mark.parametrize("name", BOARDS)
def test_every_peripheral_can_be_read_saved_and_loaded(name: str) -> None:
    board = load_board(name)
    for settings in board.peripheral.values():
        bus = BenchBus(flash=board.flash, clock_hz=board.cpu.clock_hz)
        peripheral = bus.attach(PERIPHERALS[settings.kind](bus, settings))
        state = peripheral.save()
        assert hash(state) is not None
        for offset in range(0, min(settings.size, 0x1000), 4):
            assert 0 <= peripheral.read(offset, 4) <= 0xFFFFFFFF
        peripheral.load(state)
        assert repr(peripheral.save()) == repr(state)
        item: object = peripheral
        if isinstance(item, Retaining):
            item.power_on()
        peripheral.reset()
        assert repr(peripheral.save()) == repr(state), f"{settings.kind}: power-on is not like the first"
    bus = BenchBus(flash=board.flash)
    controller = bus.attach(CONTROLLERS[board.flash.controller.kind](bus, board.flash))
    assert hash(controller.save()) is not None


@pytest.mark.parametrize(
    ("board", "old", "new", "problem"),
    [
        ("stm32f4-discovery", UNEQUAL, "", "flash.sector_size: give it for equal sectors or sectors"),
        ("stm32f4-discovery", UNEQUAL, UNEQUAL + "\nsector_size = 0x4000", "one of both"),
        ("stm32f4-discovery", "[7, 0x2_0000]]", "[6, 0x2_0000]]", "flash.sectors: add up to 0xe0000 bytes"),
        ("stm32f4-discovery", "[4, 0x4000]", "[4, 0x4000, 1]", "flash.sectors.0: has 3 numbers"),
        ("stm32f4-discovery", "[1, 0x1_0000]", "[1, 0x1_1000]", "flash.sectors.1: [1, 69632] is not a"),
        ("nrf52840-dk", "max_programs = 2", "max_programs = 255", "flash.max_programs: 255 is not in 0"),
        ("nrf52840-dk", "base = 0x4001_e000\n", "", "flash.controller.base: missing; expected the address"),
        (
            "nrf52840-dk",
            "base = 0x4001_e000\n",
            "base = 0x4001_f000\n",
            "peripheral.ppi: overlaps flash.contr",
        ),
        (
            "nrf52840-dk",
            '"nrf52-nvmc"',
            '"nrf52-nvmz"',
            "'nrf52-nvmz' is not known; did you mean 'nrf52-nvmc'",
        ),
        (
            "nrf52840-dk",
            '"nrf52-ficr"',
            '"nrf52-fica"',
            "peripheral.ficr.kind: 'nrf52-fica' is not known; did",
        ),
        ("nrf52840-dk", "irq = 39", "irq = 48", "peripheral.usbd.irq: 48 is not in 0..47"),
        ("nrf52840-dk", "[peripheral.usbd]", "[peripheral.USBD]", "peripheral.USBD: a name is a-z"),
        ("nrf52840-dk", "base = 0x4002_7000", "base = 0x4002_8800", "overlaps peripheral.uarte1"),
        ("nrf52840-dk", '"nrf52-nvmc"', '"reference"', "flash.controller.command_block: missing"),
        (
            "stm32f4-discovery",
            "[engine.unicorn]",
            "[flash.regions.app]\noffset = 0x8000\nsize = 0x1_0000\n[engine.unicorn]",
            "flash.regions.app.size: 0x10000 does not end where a sector",
        ),
        (
            "stm32f4-discovery",
            "[engine.unicorn]",
            "[flash.regions.app]\noffset = 0x1_8000\nsize = 0x8000\n[engine.unicorn]",
            "flash.regions.app.offset: 0x18000 is not where a sector",
        ),
        (
            "nrf52840-dk",
            "[engine.unicorn]",
            QEMU_TABLE,
            "engine.qemu: runs flash controller 'reference' only, not 'nrf52-nvmc'",
        ),
    ],
)
def test_each_inconsistency_is_named(board: str, old: str, new: str, problem: str) -> None:
    found = problems_of(board, (old, new))
    assert any(problem in line for line in found), found


def test_regions_lie_on_unequal_sectors() -> None:
    regions = (
        "[flash.regions.boot]\noffset = 0\nsize = 0xc000\n"
        "[flash.regions.app]\noffset = 0x1_0000\nsize = 0x3_0000\n[engine.unicorn]"
    )
    assert problems_of("stm32f4-discovery", ("[engine.unicorn]", regions)) == ()


def test_sectors_that_are_no_arrays_are_refused() -> None:
    with pytest.raises(SettingsError, match=r"flash\.sectors\.0: expected an array"):
        problems_of("stm32f4-discovery", (UNEQUAL, "sectors = [4, 0x4000]"))


@pytest.mark.parametrize("name", BOARDS)
def test_qemu_refuses_them_with_one_clear_line(name: str, tmp_path: Path) -> None:
    words = (
        rf"board '{name}' does not run on QEMU \(no \[engine.qemu\] in its board.toml\): sweep it on unicorn"
    )
    with pytest.raises(EngineError, match=words):
        create_engine("qemu", load_board(name), tmp_path / "boot.elf", seed=1)


def test_a_board_without_qemu_cannot_be_brought_up(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["board", "up", "nrf52840-dk"])
    assert ended.value.code == 2
    assert "QEMU does not run it" in capsys.readouterr().err


def test_the_command_line_lists_shows_and_checks_them(tmp_path: Path) -> None:
    runner = CliRunner()
    listed = json.loads(runner.invoke(cli, ["board", "list", "--json"]).output)
    assert set(BOARDS) <= {entry["name"] for entry in listed}
    shown = runner.invoke(cli, ["board", "show", "stm32f4-discovery"]).output
    for words in ("sectors 4 x 16384 + 1 x 65536 + 7 x 131072", "0x40023c00  stm32f4-flash", "irq 38 "):
        assert words in shown
    assert "2 programs of a word" in runner.invoke(cli, ["board", "show", "nrf52840-dk"]).output
    as_json = json.loads(runner.invoke(cli, ["board", "show", "nrf52840-dk", "--json"]).output)
    assert as_json["peripheral"]["rtc0"]["options"] == {"channels": 3}
    broken = tmp_path / "board.toml"
    text = (find_platform() / "nrf52840-dk" / "board.toml").read_text()
    broken.write_text(text.replace('"nrf52-rtc"', '"nrf52-rct"', 1))
    checked = runner.invoke(cli, ["board", "check", str(broken)], standalone_mode=False)
    assert checked.return_value == 2
    assert "did you mean 'nrf52-rtc'?" in checked.output


@pytest.mark.parametrize("name", BOARDS)
def test_their_headers_and_linker_memories_are_valid(name: str, tmp_path: Path) -> None:
    board = load_board(name)
    (tmp_path / "board.h").write_text(export_board(board, "c-header"))
    (tmp_path / "memory.ld").write_text(export_board(board, "linker"))
    runs = (
        "BOARD_FLASH_RUN0_COUNT * BOARD_FLASH_RUN0_SIZE > 0"
        if board.flash.sectors
        else "BOARD_FLASH_SECTOR_SIZE"
    )
    (tmp_path / "main.c").write_text(
        f'#include "board.h"\n_Static_assert({runs}, BOARD_NAME);\n'
        f"_Static_assert(BOARD_FLASH_CONTROLLER_BASE == {board.flash.controller.base:#x}, BOARD_NAME);\n"
        "int main(void);\nint main(void) { return 0; }\n"
    )
    command = [
        "arm-none-eabi-gcc",
        "-mthumb",
        f"-mcpu={board.cpu.core}",
        "-nostdlib",
        "-Werror",
        "-Wl,-e,main",
    ]
    subprocess.run([*command, "-Wl,-T,memory.ld", "main.c", "-o", "a"], check=True, cwd=tmp_path)


def test_max_programs_and_sectors_reach_the_flash_model() -> None:
    flash = dataclasses.replace(load_board("stm32f4-discovery").flash, max_programs=3)
    geometry = geometry_of(flash)
    assert (geometry.max_programs, geometry.sectors) == (3, ((4, 0x4000), (1, 0x10000), (7, 0x20000)))
