"""Where a processor is, in words. The engines' part is in test_harness_engine.py."""

from __future__ import annotations

import re
import struct
import subprocess
from typing import TYPE_CHECKING

import pytest

from brownout.elf import ElfImage, load_elf
from brownout.engines.base import PowerState, Registers
from brownout.errors import EngineError, StateError
from brownout.processor import describe_processor

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board

SOURCE = """\
void handler(void);
void leaf(int n);
void middle(int n);
void outer(void);
__attribute__((noinline)) void leaf(int n)
{
    for (volatile int i = n; i > 0; --i) {
    }
}
__attribute__((noinline)) void middle(int n)
{
    leaf(n);
    leaf(n + 1);
}
void handler(void)
{
    leaf(3);
    __asm__ volatile("nop");
}
void outer(void)
{
    void (*volatile call)(int) = middle;
    call(7);
    __asm__ volatile("nop");
}
"""
BASE = 0x21020000
RETURN_TO_MAIN_STACK = 0xFFFFFFF9
RETURN_TO_PROCESS_STACK = 0xFFFFFFFD


class Still:
    """An engine whose processor stands at some place."""

    def __init__(self, memory: dict[int, bytes], registers: Registers) -> None:
        self.state = PowerState.ON
        self._memory = memory
        self._registers = registers

    def registers(self) -> Registers:
        return self._registers

    def read_memory(self, address: int, size: int) -> bytes:
        for start, data in self._memory.items():
            if start <= address < start + len(data):
                return data[address - start : address - start + size]
        return bytes(size)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> ElfImage:
    return build(tmp_path_factory.mktemp("code"))


def build(folder: Path, source: str = SOURCE) -> ElfImage:
    (folder / "code.c").write_text(source)
    command = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-Os", "-g", "-nostdlib", "-ffreestanding"]
    command += ["-fno-optimize-sibling-calls", f"-Wl,-Ttext={BASE:#x}", "-Wl,-e,outer"]
    subprocess.run([*command, "-o", "code.elf", "code.c"], cwd=folder, check=True)
    return load_elf(folder / "code.elf")


def after_calls(image: ElfImage, function: str) -> list[int]:
    """Return addresses (with the Thumb bit) behind the calls of a function."""
    found = []
    listing = subprocess.run(
        ["arm-none-eabi-objdump", "-d", f"--disassemble={function}", str(image.path)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for line in listing.splitlines():
        call = re.match(r" *([0-9a-f]+):\t([0-9a-f ]+?) *\t(bl|blx)\t", line)
        if call is not None:
            found.append(int(call[1], 16) + len(call[2].replace(" ", "")) // 2 | 1)
    assert found, listing
    return found


def describe(board: Board, image: ElfImage, pc: int, lr: int, stack: list[int], code: bytes = b"") -> str:
    ram = next(memory for memory in board.memory.values() if memory.kind == "ram")
    sp = ram.end - 4 * len(stack)
    (segment,) = image.segments
    memory = {sp: struct.pack(f"<{len(stack)}I", *stack), BASE: code or segment.data}
    return describe_processor(Still(memory, Registers(pc=pc, lr=lr, sp=sp)), board, [image.path])  # type: ignore[arg-type]


def test_calls_are_found_by_their_return_addresses(board: Board, image: ElfImage) -> None:
    leaf = image.symbol("leaf") & ~1
    inner, outermost = after_calls(image, "middle")[1], after_calls(image, "outer")[0]
    data = image.symbol("leaf")  # a pointer to a function: no call returns there
    text = describe(board, image, leaf, inner, [7, data, outermost & ~1, inner, 0x20000000, outermost])
    assert text.splitlines()[:2] == [
        "8 samples, 10 ms apart, while the processor ran on:",
        f"  8x pc {leaf:#010x} leaf (code.c:6)",
    ]
    assert re.search(rf"^  lr {inner:#010x} middle\+0x[0-9a-f]+ \(code.c:14\)$", text, re.M)
    assert re.search(rf"^  -> {leaf:#010x} \w", text, re.M)
    calls = text[text.index("return addresses") :].splitlines()[1:]
    assert [re.sub(r"^  0x\w+ (\w+).*", r"\1", line) for line in calls] == ["middle", "outer"]


def test_an_exception_shows_where_it_came(board: Board, image: ElfImage) -> None:
    leaf, inner = image.symbol("leaf") & ~1, after_calls(image, "middle")[0]
    frame = [0, 1, 2, 3, 12, inner, leaf + 2, 1 << 24]
    text = describe(board, image, leaf, after_calls(image, "handler")[0], [RETURN_TO_MAIN_STACK, *frame])
    calls = text[text.index("return addresses") :].splitlines()[1:]
    assert calls[0].endswith(" an exception, which came while the main stack was in use")
    assert re.search(r"it came at leaf\+0x2 \(code.c:\d+\)$", calls[1])
    assert re.search(r" middle\+0x\w+ \(code.c:1[34]\)$", calls[2])
    other = describe(board, image, leaf, RETURN_TO_PROCESS_STACK, [0])
    assert f"lr {RETURN_TO_PROCESS_STACK:#010x} an exception, which came while the process stack" in other


def test_a_file_is_believed_only_where_the_device_has_its_code(
    board: Board, image: ElfImage, tmp_path: Path
) -> None:
    (segment,) = image.segments
    leaf, middle = image.symbol("leaf") & ~1, image.symbol("middle") & ~1
    torn = bytearray(segment.data)
    torn[middle - BASE] ^= 0xFF
    inner, outermost = after_calls(image, "middle")[0], after_calls(image, "outer")[0]
    text = describe(board, image, leaf, inner, [inner, outermost], bytes(torn))
    assert "leaf (code.c:6)" in text
    assert "middle" not in text
    assert " outer+0x" in text
    # Nobody knows the code: addresses are left, and no call is made up.
    assert "code.c" not in describe(board, image, leaf, inner, [inner, outermost], bytes(len(torn)))
    assert "code.c" not in describe(board, image, 0xFFFFFFFE, inner ^ 0x100000, [])


def test_nothing_is_said_without_power(board: Board, image: ElfImage) -> None:
    off = Still({}, Registers(pc=0, lr=0, sp=0))
    off.state = PowerState.OFF
    assert describe_processor(off, board, [image.path]) == ""  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [StateError("the power is off"), EngineError("gone")])
def test_power_that_goes_meanwhile_is_no_error_and_a_dead_emulator_is(
    board: Board, image: ElfImage, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    engine = Still({}, Registers(pc=0, lr=0, sp=0))

    def registers() -> Registers:
        raise error

    monkeypatch.setattr(engine, "registers", registers)
    if isinstance(error, StateError):
        assert describe_processor(engine, board, []) == ""  # type: ignore[arg-type]
        return
    with pytest.raises(EngineError, match="gone"):
        describe_processor(engine, board, [])  # type: ignore[arg-type]


def test_files_that_cannot_be_read_are_left_out(board: Board, image: ElfImage, tmp_path: Path) -> None:
    half = tmp_path / "half.elf"
    half.write_bytes(image.path.read_bytes()[:200])
    leaf = image.symbol("leaf") & ~1
    (segment,) = image.segments
    engine = Still({BASE: segment.data}, Registers(pc=leaf, lr=0, sp=0))
    text = describe_processor(engine, board, [half, tmp_path / "missing.elf", image.path])  # type: ignore[arg-type]
    assert "leaf (code.c:6)" in text
