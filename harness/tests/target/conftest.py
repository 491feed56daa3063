"""A folder with a small bootloader ELF, two application images and a target file that names them."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import pytest

from brownout.board import find_platform

if TYPE_CHECKING:
    from pathlib import Path

FLASH = 0x2100_0000
SLOT0, SLOT1 = FLASH + 0x20000, FLASH + 0x40000

SOURCE = """
#include <stdint.h>
extern uint32_t boot_result;
uint32_t boot_result;
void jump_to_app(void);
void __attribute__((noinline)) jump_to_app(void) { for (;;) { boot_result = 0x600d; } }
void reset(void);
void reset(void) { jump_to_app(); }
__attribute__((section(".vectors"), used)) const uintptr_t vectors[2] = {0x2000c000u, (uintptr_t)reset};
"""
SCRIPT = """
ENTRY(reset)
SECTIONS {
  .text ORIGIN : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  .bss 0x20000000 (NOLOAD) : { *(.bss*) *(COMMON) }
  /DISCARD/ : { *(.ARM.exidx*) }
}
"""
TARGET = f"""
board = "mps2-an385"
elf = "boot.elf"
expected = "new"

[regions.slot0]
address = {SLOT0:#x}
size = 0x2000

[regions.slot1]
address = {SLOT1:#x}
size = 0x2000

[[image]]
file = "v1.bin"
region = "slot0"

[[image]]
file = "v2.bin"
address = {SLOT1:#x}

[[outcome]]
name = "new"
pc = {{ region = "slot0" }}
vector_table = {SLOT0:#x}
flash = [{{ region = "slot0", file = "v2.bin" }}]

[[outcome]]
name = "old"
pc = {{ symbol = "jump_to_app" }}
marker = [{{ symbol = "boot_result", value = 0x600d }}]
flash = [{{ region = "slot0", unchanged = true }}]
"""


class ElfBuilder(Protocol):
    """Links the bootloader for a core, with its vector table at an address."""

    def __call__(
        self, output: Path, *, core: str = "cortex-m3", origin: int = 0, flags: str = ""
    ) -> Path: ...


@pytest.fixture(scope="session")
def build_elf(tmp_path_factory: pytest.TempPathFactory) -> ElfBuilder:
    folder = tmp_path_factory.mktemp("elf")
    (folder / "boot.c").write_text(SOURCE)

    def build(output: Path, *, core: str = "cortex-m3", origin: int = 0, flags: str = "") -> Path:
        script = folder / f"{origin:x}.ld"
        script.write_text(SCRIPT.replace("ORIGIN", f"{origin:#x}"))
        subprocess.run(
            [
                *("arm-none-eabi-gcc", f"-mcpu={core}", "-mthumb", "-Os", "-nostdlib", "-ffreestanding"),
                *(*flags.split(), "-T", str(script), str(folder / "boot.c"), "-o", str(output)),
            ],
            check=True,
        )
        return output

    return build


@pytest.fixture(scope="session")
def boot_elf(build_elf: ElfBuilder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_elf(tmp_path_factory.mktemp("boot") / "boot.elf")


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFolder:
    """The folder; `write()` writes its target file, changed as asked."""

    path: Path

    def write(self, *changes: tuple[str, str], text: str = TARGET, more: str = "") -> Path:
        for old, new in changes:
            assert text.count(old) >= 1, old
            text = text.replace(old, new)
        file = self.path / "target.toml"
        file.write_text(f"{text}\n{more}")
        return file

    def board(self, *changes: tuple[str, str]) -> str:
        """Write a changed copy of the reference board; its file's name."""
        text = (find_platform() / "mps2-an385" / "board.toml").read_text()
        for old, new in changes:
            assert old in text, old
            text = text.replace(old, new)
        (self.path / "board.toml").write_text(text)
        return "board.toml"


@pytest.fixture
def folder(tmp_path: Path, boot_elf: Path) -> TargetFolder:
    (tmp_path / "boot.elf").write_bytes(boot_elf.read_bytes())
    (tmp_path / "v1.bin").write_bytes(b"\x11" * 0x1000)
    (tmp_path / "v2.bin").write_bytes(b"\x22" * 0x1800)
    return TargetFolder(path=tmp_path)
