"""Boards: what is wrong with one is said key by key; what is generated from one compiles and links."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import tomli

from brownout.board import Board, board_problems, export_board, find_platform, list_boards, load_board
from brownout.board import load_board_file as load
from brownout.errors import BoardError, SettingsError
from brownout.settings import load_settings

TEXT = (find_platform() / "mps2-an385" / "board.toml").read_text()


def problems_of(tmp_path: Path, *changes: tuple[str, str]) -> tuple[str, ...]:
    """Problems of the reference board after textual changes, each of which must apply."""
    text = TEXT
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    path = tmp_path / "board.toml"
    path.write_text(text)
    problems = board_problems(load_settings(path, Board))
    if problems:
        with pytest.raises(BoardError, match=re.escape(f"{path}: {problems[0]}")) as caught:
            load(path)
        assert "\n" not in str(caught.value)
    return problems


def test_the_reference_board_is_sound(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == ()
    assert "mps2-an385" in list_boards()


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        (
            "offset = 0x04_0000",
            "offset = 0x03_0000",
            "flash.regions.app: overlaps flash.regions.kernel at 0x30000",
        ),
        (
            "offset = 0x04_0000",
            "offset = 0x04_0010",
            "flash.regions.app.offset: 0x40010 is not a multiple of",
        ),
        (
            "offset = 0x15_0000",
            "offset = 0x3f_8000",
            "flash.regions.staged_assets: ends at 0x408000, outside",
        ),
        (
            "base = 0x2002_0000",
            "base = 0x2002_8000",
            "memory.app_code.base: 0x20028000 is not aligned to the size",
        ),
        (
            "base = 0x2000_c000",
            "base = 0x2000_8000",
            "memory.boot_ram: overlaps memory.kernel_ram at 0x20008000",
        ),
        ("index = 1\n", "index = 0\n", "uart.uplink: index 0x0 is already taken by uart.console"),
        ("rx_irq = 2\n", "rx_irq = 40\n", "uart.uplink.rx_irq: 40 is not in 0..31"),
        ("rx_irq = 2\n", "rx_irq = 0\n", "uart.uplink: irq 0x0 is already taken by uart.console"),
        ("write_unit = 4 ", "write_unit = 3 ", "flash.write_unit: 3 is not a power of two"),
        (
            "program_buffer = 256",
            "program_buffer = 512",
            "flash.program_buffer: 512 is over the controller's 256",
        ),
        ("erased_value = 0xff", "erased_value = 0x00", "flash.erased_value: 0x0 is not 0xff"),
        (
            "command_block = 0x21ff_f000",
            "command_block = 0x2100_0000",
            "flash.controller.command_block: overlaps",
        ),
        (
            "command_block = 0x21ff_f000",
            "command_block = 0x2200_0000",
            "is outside engine.qemu's backend_base",
        ),
        (
            "doorbell = 0x4000_9000",
            "doorbell = 0x4000_7000",
            "flash.controller.doorbell: is 0x40007000, expected",
        ),
        ("[uart.doorbell]", "[uart.bell]", "uart.doorbell: missing"),
        (
            'staged_region = "staged_app"',
            'staged_region = "stage_app"',
            "no flash region 'stage_app'; known: ",
        ),
        (
            'staged_region = "staged_app"',
            'staged_region = "staged_kernel"',
            "'staged_kernel' has 0x20000 bytes",
        ),
        ("id = 2\nkind = 2", "id = 1\nkind = 2", "modules.app.id: 1 is already taken by modules.kernel"),
        ("kind = 2\n", "kind = 9\n", "modules.app.kind: 9 is not 1 (in place)"),
        ('core = "cortex-m3"', 'core = "z80"', "cpu.core: 'z80' is not one of"),
        ("[memory.boot_rom]", "[memory.Boot-Rom]", "memory.Boot-Rom: a name is a-z"),
    ],
)
def test_each_inconsistency_is_named(tmp_path: Path, old: str, new: str, problem: str) -> None:
    found = problems_of(tmp_path, (old, new))
    assert any(problem in line for line in found), found


def test_an_app_region_must_be_a_power_of_two(tmp_path: Path) -> None:
    found = problems_of(
        tmp_path, ("base = 0x2003_0000\nsize = 0x0001_0000", "base = 0x2003_0000\nsize = 0xc000")
    )
    assert found == ("memory.app_data.size: 0xc000 is not a power of two >= 32, as an MPU region must be",)


def test_a_problem_counts_the_others(tmp_path: Path) -> None:
    path = tmp_path / "board.toml"
    path.write_text(TEXT.replace("index = 1\n", "index = 0\n").replace("rx_irq = 2\n", "rx_irq = 99\n"))
    with pytest.raises(BoardError, match=r"\(and 1 more: see 'brownout board check'\)"):
        load(path)


def test_an_unknown_key_and_an_unknown_board_suggest_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"flash\.sector_siz: unknown key; did you mean 'sector_size'\?"):
        problems_of(tmp_path, ("sector_size =", "sector_siz ="))
    with pytest.raises(BoardError, match="did you mean 'mps2-an385'"):
        load_board("mps2-an386")
    with pytest.raises(BoardError, match="expected one that holds"):
        list_boards(tmp_path / "nowhere")


def test_a_board_lies_in_the_folder_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "board.toml").write_text(TEXT)
    with pytest.raises(BoardError, match="is 'mps2-an385', expected the folder's name 'other'"):
        load_board("other", tmp_path)


def test_the_header_has_the_conventions_that_the_firmware_uses(board: Board) -> None:
    text = export_board(board, "c-header")
    for line in (
        '#define BOARD_NAME "mps2-an385"',
        "#define BOARD_CPU_CLOCK_HZ 25000000u",
        "#define BOARD_CPU_MPU_REGIONS 8u",
        "#define BOARD_MEMORY_KERNEL_RAM_BASE 0x20000000u",
        "#define BOARD_FLASH_WRITE_ONCE 0",
        "#define BOARD_FLASH_COMMAND_BLOCK 0x21fff000u",
        "#define BOARD_REGION_STAGED_APP_OFFSET 0x00140000u",
        "#define BOARD_UART_UPLINK_RX_IRQ 2u",
        "#define BOARD_UART_DOORBELL_INDEX 4u",
    ):
        assert f"{line}\n" in text
    assert str(Path.cwd()) not in text
    assert "Generated from platform/mps2-an385/board.toml" in text


def test_the_header_compiles_in_c_and_in_assembler(board: Board, tmp_path: Path) -> None:
    (tmp_path / "board.h").write_text(export_board(board, "c-header"))
    (tmp_path / "main.c").write_text(
        '#include "board.h"\n#include "board.h"\n'
        "#if BOARD_FLASH_WRITE_ONCE\n#error write once\n#endif\n"
        "_Static_assert(BOARD_FLASH_BASE + BOARD_REGION_KERNEL_OFFSET == 0x21020000u, BOARD_NAME);\n"
    )
    command = ["arm-none-eabi-gcc", "-Wall", "-Wextra", "-Werror", "-std=c11", "-fsyntax-only", "main.c"]
    subprocess.run(command, check=True, cwd=tmp_path)


def test_the_linker_memory_links(board: Board, tmp_path: Path) -> None:
    (tmp_path / "memory.ld").write_text(export_board(board, "linker"))
    (tmp_path / "image.ld").write_text(
        "INCLUDE memory.ld\n"
        "SECTIONS { .text : { *(.text*) } > flash_kernel .bss : { *(.bss*) } > kernel_ram }\n"
    )
    (tmp_path / "main.c").write_text("int value; int main(void); int main(void) { return value; }\n")
    subprocess.run(
        [
            "arm-none-eabi-gcc",
            "-mcpu=cortex-m3",
            "-nostdlib",
            "-Wl,-e,main",
            "-T",
            "image.ld",
            "main.c",
            "-o",
            "a",
        ],
        check=True,
        cwd=tmp_path,
    )
    symbols = subprocess.run(
        ["arm-none-eabi-nm", "a"], check=True, cwd=tmp_path, capture_output=True, text=True
    ).stdout
    assert "21020000 T main" in symbols
    assert "20000000 B value" in symbols


def test_the_layout_is_what_fieldlink_reads(board: Board, tmp_path: Path) -> None:
    from fieldlink.layout import load_layout

    path = tmp_path / "layout.toml"
    path.write_text(export_board(board, "layout"))
    layout = load_layout(path)
    assert layout.board == "mps2-an385"
    kernel = layout.find("kernel")
    assert (kernel.id, int(kernel.kind), kernel.region_offset, kernel.region_size) == (1, 1, 0x20000, 0x20000)
    assert [module.id for module in layout.modules] == [1, 2, 3]
    assert tomli.loads(path.read_text())["modules"]["assets"]["region_offset"] == 0x50000


def test_an_unknown_format_is_refused(board: Board) -> None:
    with pytest.raises(BoardError, match="export format 'svd': expected one of c-header, linker, layout"):
        export_board(board, "svd")
