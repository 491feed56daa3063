"""Stacks of the reference device, and how far they were ever used.

Boot and kernel fill their stacks with a pattern before they use them; the kernel clears the application's.
The high-water mark is the distance from the first word that differs to the stack's upper end. It can be too
small by some words: those that were used and happen to hold the fill value.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.elf import load_elf
from brownout.errors import ElfError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from brownout.board import Board
    from brownout.lab import FirmwareBuild

_WORD: Final = 4
PATTERN: Final = b"\xa5" * _WORD
"""STACK_FILL of firmware/boot/startup.c and firmware/kernel/startup.c."""
CLEARED: Final = bytes(_WORD)


@dataclass(frozen=True, slots=True, kw_only=True)
class StackArea:
    """A stack in memory: it grows from the end of `size` bytes at `base` downwards over words of `fill`."""

    name: str
    base: int
    size: int
    fill: bytes

    def used(self, content: bytes) -> int:
        """Bytes ever used, given what the area holds now."""
        for untouched in range(0, len(content), _WORD):
            if content[untouched : untouched + _WORD] != self.fill:
                return len(content) - untouched
        return 0


def boot_stack(build: FirmwareBuild) -> StackArea:
    """Boot's stack. Nothing else uses its RAM, so it can be read while the kernel runs. Raises ElfError."""
    return _area("boot", build.boot, "__stack")


def kernel_stacks(build: FirmwareBuild) -> tuple[StackArea, StackArea]:
    """Stacks of the kernel thread and of the kernel's handlers. Raises ElfError."""
    elf = build.elf("kernel")
    return _area("kernel", elf, "__kernel_stack"), _area("interrupt", elf, "__interrupt_stack")


def app_stack(board: Board, build: FirmwareBuild) -> StackArea:
    """The application's stack, the first thing in its data RAM. Raises ElfError."""
    size = load_elf(build.elf("app")).symbol("__app_stack_size")
    return StackArea(name="app", base=board.memory["app_data"].base, size=size, fill=CLEARED)


def read_marks(
    read_memory: Callable[[int, int], bytes], areas: Iterable[StackArea], marks: dict[str, int]
) -> None:
    """Read `areas` of the running device; keep in `marks`, by name, the most that was ever seen in use."""
    for area in areas:
        used = area.used(read_memory(area.base, area.size))
        marks[area.name] = max(used, marks.get(area.name, 0))


def _area(name: str, path: Path, prefix: str) -> StackArea:
    elf = load_elf(path)
    base, top = elf.symbol(f"{prefix}_limit"), elf.symbol(f"{prefix}_top")
    if not base < top or (top - base) % _WORD:
        raise ElfError(f"{path}: {prefix}_limit {base:#x} and {prefix}_top {top:#x} enclose no words")
    return StackArea(name=name, base=base, size=top - base, fill=PATTERN)
