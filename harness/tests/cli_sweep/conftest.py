"""A bootloader of 50 lines on the reference board: it copies slot 1 to slot 0 when a flag asks for it.

It survives every cut, unless it is built with DEFECT: then it clears the flag before it copies.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from brownout.cli import main

if TYPE_CHECKING:
    from pathlib import Path

FLASH = 0x2100_0000
FLAG, SLOT0, SLOT1 = 0x1000, 0x20000, 0x40000
V1, V2, REQUEST = 0x1111_0001, 0x2222_0002, 0x5555_AAAA

SOURCE = f"""
#include <stdint.h>
#define FLASH {FLASH:#x}u
#define WORD(address) (*(volatile uint32_t *)(address))
enum {{ FLAG = {FLAG:#x}, SLOT0 = {SLOT0:#x}, SLOT1 = {SLOT1:#x}, SIZE = 512 }};

volatile uint32_t running;
volatile uint32_t spent;

static void command(uint32_t code, uint32_t offset, uint32_t length) {{
    WORD(0x21fff004u) = code;
    WORD(0x21fff008u) = offset;
    WORD(0x21fff00cu) = length;
    WORD(0x21fff000u) = 1u;
    WORD(0x40009000u) = 'F';
    while (WORD(0x21fff000u) == 1u) {{
    }}
}}

static void __attribute__((noinline)) erase_sector(uint32_t offset) {{ command(2u, offset, 0x1000u); }}

/* The first page to copy: with LISTENS, a letter on the console says it (B: the second; Q: none, ever). */
static uint32_t first_page(void) {{
#ifdef LISTENS
    WORD(0x40004010u) = 16u;
    WORD(0x40004008u) = 2u;
    while ((WORD(0x40004004u) & 2u) == 0u) {{
    }}
    uint32_t letter = WORD(0x40004000u);
    while (letter == 'Q') {{
    }}
    return letter == 'B' ? 256u : 0u;
#else
    return 0u;
#endif
}}

static void __attribute__((noinline)) copy_slot(void) {{
    uint32_t first = first_page();
    erase_sector(SLOT0);
    for (uint32_t count = 0; count < SIZE; count += 256u) {{
        uint32_t page = count ^ first;
        for (uint32_t at = 0; at < 256u; at += 4u) {{
            WORD(0x21fff010u + at) = WORD(FLASH + SLOT1 + page + at);
        }}
        command(1u, SLOT0 + page, 256u);
    }}
}}

void reset(void);
void reset(void) {{
    WORD(0x40009008u) = 1u;
    WORD(0x40009010u) = 16u;
    running = 0;
    if (WORD(FLASH + FLAG) == {REQUEST:#x}u) {{
#ifdef STUCK
        for (;;) {{
        }}
#endif
#ifdef DEFECT
        erase_sector(FLAG);
#endif
#ifndef LAZY
        copy_slot();
#endif
#if !defined(DEFECT) && !defined(LAZY)
        erase_sector(FLAG);
#endif
    }}
#ifdef SLOW
    while (WORD(FLASH + SLOT0) == 0xffffffffu) {{
        spent++;
    }}
#endif
#ifdef UNDEFINED
    __asm volatile("udf #0");
#endif
    running = WORD(FLASH + SLOT0);
    for (;;) {{
    }}
}}
__attribute__((section(".vectors"), used)) const uintptr_t vectors[16] = {{0x2000c000u, (uintptr_t)reset}};
"""
SCRIPT = """
ENTRY(reset)
SECTIONS {
  .text 0 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  .bss 0x20000000 (NOLOAD) : { *(.bss*) *(COMMON) }
  /DISCARD/ : { *(.ARM.exidx*) }
}
"""
TARGET = f"""
name = "tiny"
board = "mps2-an385"
elf = "boot.elf"
expected = "new"

[boot]
budget = 200_000
vector_table = 0

[regions.slot0]
address = {FLASH + SLOT0:#x}
size = 0x1000

[[image]]
file = "v1.bin"
region = "slot0"

[[image]]
file = "v2.bin"
address = {FLASH + SLOT1:#x}

[[word]]
address = {FLASH + FLAG:#x}
value = {REQUEST:#x}

[[outcome]]
name = "new"
marker = [{{ symbol = "running", value = {V2:#x} }}]
flash = [{{ region = "slot0", file = "v2.bin" }}]

[[outcome]]
name = "old"
marker = [{{ symbol = "running", value = {V1:#x} }}]
flash = [{{ region = "slot0", file = "v1.bin" }}]

[hooks]
file = "hooks.py"
state = "state"
"""
HOOKS = f"""
def state(flash):
    return "idle" if flash[{FLAG}:{FLAG} + 4] == b"\\xff" * 4 else "requested"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tiny:
    """Folder of the target; `build()` makes its bootloader with these defines."""

    path: Path

    @property
    def file(self) -> Path:
        return self.path / "target.toml"

    def build(self, *defines: str) -> Tiny:
        subprocess.run(
            [
                *("arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-Os", "-nostdlib", "-ffreestanding"),
                *("-fno-tree-loop-distribute-patterns", *(f"-D{name}" for name in defines)),
                *(
                    "-T",
                    str(self.path / "boot.ld"),
                    str(self.path / "boot.c"),
                    "-o",
                    str(self.path / "boot.elf"),
                ),
            ],
            check=True,
        )
        return self


@pytest.fixture
def tiny(tmp_path: Path) -> Tiny:
    (tmp_path / "boot.c").write_text(SOURCE)
    (tmp_path / "boot.ld").write_text(SCRIPT)
    (tmp_path / "hooks.py").write_text(HOOKS)
    (tmp_path / "target.toml").write_text(TARGET)
    for name, word in (("v1.bin", V1), ("v2.bin", V2)):
        (tmp_path / name).write_bytes(word.to_bytes(4, "little") * 128)
    return Tiny(path=tmp_path)


class Result:
    """What a command printed, and its exit code."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: str | Path) -> None:
        capfd.readouterr()
        with pytest.raises(SystemExit) as caught:
            main([str(argument) for argument in arguments])
        self.code = caught.value.code
        self.out, self.err = capfd.readouterr()

    @property
    def error(self) -> str:
        """The single line of an error."""
        assert self.code == 2, self.out + self.err
        assert self.err.count("\n") == 1, self.err
        return self.err


@pytest.fixture
def result_of(capfd: pytest.CaptureFixture[str]) -> type[Result]:
    class Bound(Result):
        def __init__(self, *arguments: str | Path) -> None:
            super().__init__(capfd, *arguments)

    return Bound  # type: ignore[return-value]
