"""Sizes of the images, from their ELF files: what each occupies in flash (or ROM) and in RAM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.elf import load_elf

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.lab import FirmwareBuild

_IN_PLACE: Final = frozenset({".vectors", ".header", ".text", ".rodata"})
"""Sections that stay where they were loaded; every other one that occupies memory is counted as RAM."""


def flash_size(elf: Path) -> int:
    """Bytes from the image's first to its last, gaps included. Raises ElfError."""
    segments = load_elf(elf).segments
    return max(segment.end for segment in segments) - min(segment.address for segment in segments)


def ram_size(elf: Path) -> int:
    """Bytes of data, zeroed data and stacks. Raises ElfError."""
    return sum(size for name, size in load_elf(elf).sections.items() if name not in _IN_PLACE)


def app_ram_size(elf: Path) -> int:
    """Bytes that the kernel fills for the application: code, data, zeroed data and stack. Raises ElfError."""
    image = load_elf(elf)
    parts = ("__app_code_size", "__app_data_size", "__app_bss_size", "__app_stack_size")
    return sum(image.symbol(part) for part in parts)


def image_sizes(build: FirmwareBuild) -> dict[str, int]:
    """All sizes of a build, in bytes, by the key of the figure. Raises ElfError, BuildError."""
    boot, kernel, app = build.boot, build.elf("kernel"), build.elf("app")
    boot_ram, kernel_ram = ram_size(boot), ram_size(kernel)
    return {
        "boot-flash": flash_size(boot),
        "kernel-flash": flash_size(kernel),
        "app-flash": flash_size(app),
        "assets-flash": len(build.image("assets")),
        "boot-ram": boot_ram,
        "kernel-ram": kernel_ram,
        "both-ram": boot_ram + kernel_ram,
        "app-ram": app_ram_size(app),
    }
