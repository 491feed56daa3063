"""Addresses into functions, files and lines; disassembly."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from brownout.elf import load_elf
from brownout.errors import ElfError
from brownout.symbols import Disassembler, Symbols

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """\
int add(int a, int b);
int add(int a, int b)
{
    return a + b;
}
int main(void);
int main(void)
{
    return
        add(1, 2);
}
"""
ASSEMBLY = """
    .syntax unified
    .thumb
    .thumb_func
    .global bare
bare:
    nop
    nop
    .thumb_func
    .global last
last:
    bx lr
"""


def build(folder: Path, base: int, *options: str, assembly: bool = False) -> Path:
    source = folder / ("code.s" if assembly else "code.c")
    source.write_text(ASSEMBLY if assembly else SOURCE)
    output = folder / f"{base:x}{''.join(options)}.elf"
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-O0", "-nostdlib", "-ffreestanding"]
    entry = "bare" if assembly else "main"
    command += [f"-Wl,-Ttext={base:#x}", f"-Wl,-e,{entry}", *options]
    subprocess.run([*command, "-o", str(output), str(source)], check=True)
    return output


@pytest.mark.parametrize("dwarf", ["-gdwarf-5", "-gdwarf-4", "-gdwarf-3"])
def test_an_address_has_function_file_and_line(tmp_path: Path, dwarf: str) -> None:
    path = build(tmp_path, 0x1000, dwarf)
    add = load_elf(path).symbol("add")
    symbols = Symbols([path])
    assert symbols.name(add) == "add"
    assert symbols.describe(add & ~1) == "add (code.c:3)"
    lines = {symbols.describe(address) for address in range(add & ~1, (add & ~1) + 24, 2)}
    assert any(line.startswith("add+0x") and line.endswith("(code.c:4)") for line in lines)


def test_lines_of_code_that_the_linker_left_out_are_not_taken(tmp_path: Path) -> None:
    # Code at address 0, and a function that is not linked: its lines begin at 0 as well.
    source = tmp_path / "code.c"
    source.write_text("int unused(void);\nint unused(void)\n{\n    return 5;\n}\n" + SOURCE)
    path = tmp_path / "gc.elf"
    command = [
        "arm-none-eabi-gcc",
        "-mcpu=cortex-m3",
        "-mthumb",
        "-g",
        "-O0",
        "-nostdlib",
        "-ffunction-sections",
    ]
    command += ["-Wl,--gc-sections", "-Wl,-Ttext=0", "-Wl,-e,main"]
    subprocess.run([*command, "-o", str(path), str(source)], check=True)
    symbols = Symbols([path])
    image = load_elf(path)
    assert "unused" not in image.symbols
    assert symbols.describe(image.symbol("add")) == "add (code.c:8)"


def test_what_is_not_known_is_the_address(tmp_path: Path) -> None:
    symbols = Symbols([build(tmp_path, 0x1000, "-g")])
    assert symbols.function(0x900) is None
    assert symbols.describe(0x2000_0000) == "0x20000000"
    assert symbols.name(0x2000_0000) == symbols.line(0x2000_0000) == ""
    assert Symbols([]).describe(4) == "0x00000004"
    main = symbols.function(0x101C)
    assert main is not None
    assert symbols.describe(main.end) == f"{main.end:#010x}"  # nothing of the last line is left over


def test_several_files_are_asked_in_turn(tmp_path: Path) -> None:
    one, two = build(tmp_path, 0x1000, "-g"), build(tmp_path, 0x8000)
    symbols = Symbols([one, two])
    assert symbols.describe(0x1000) == "add (code.c:3)"
    assert symbols.describe(0x8000) == "add"  # no debug information there


def test_assembly_without_sizes_reaches_to_the_next_label(tmp_path: Path) -> None:
    symbols = Symbols([build(tmp_path, 0x4000, assembly=True)])
    assert [symbols.name(address) for address in (0x4000, 0x4002, 0x4004)] == ["bare", "bare+0x2", "last"]
    assert symbols.name(0x4006) == ""


def test_a_file_that_was_built_again_is_read_again(tmp_path: Path) -> None:
    path = build(tmp_path, 0x1000)
    assert Symbols([path]).name(0x1000) == "add"
    other = build(tmp_path, 0x3000)
    other.replace(path)
    assert Symbols([path]).name(0x1000) == ""
    assert Symbols([path]).name(0x3000) == "add"


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ElfError, match=r"none\.elf: cannot be read"):
        Symbols([tmp_path / "none.elf"])


def test_instructions_are_disassembled() -> None:
    disassembler = Disassembler()
    assert disassembler.line(0x1000, bytes.fromhex("4868")) == "ldr r0, [r1, #4]"
    assert disassembler.line(0x1000, bytes.fromhex("00f002f8")) == "bl #0x1008"
    assert disassembler.line(0x1000, bytes.fromhex("eff30880")) == "mrs r0, msp"
    assert disassembler.line(0x1000, bytes.fromhex("ffff")).startswith(".inst.n 0xffff")
