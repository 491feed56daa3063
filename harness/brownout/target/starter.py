"""Writes a first target file for a board, to be filled in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import jinja2

from brownout.errors import TargetError
from brownout.target.explain import size_text

if TYPE_CHECKING:
    from brownout.board import Board

_BOOT_SIZE: Final = 64 * 1024
_WORD: Final = 4


def starter_text(board: Board, *, elf: str = "build/boot.elf", file: str = "target.toml") -> str:
    """A commented target file for `board`: a bootloader and two slots that split the flash on sector bounds.

    Raises TargetError when the flash has too few sectors for that.
    """
    flash = board.flash
    unit = max(size for _, size in board.flash.sector_runs)
    boot = -(-_BOOT_SIZE // unit) * unit
    slot = (flash.size - boot) // 2 // unit * unit
    if slot <= 0:
        raise TargetError(
            f"board '{board.name}': its flash has too few sectors for a bootloader and two slots"
        )
    regions = [
        ("boot", flash.base, boot),
        ("slot0", flash.base + boot, slot),
        ("slot1", flash.base + boot + slot, slot),
    ]
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("brownout.target"),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701 - the output is TOML
    )
    return environment.get_template("target.toml.jinja").render(
        board=board,
        flash=flash,
        elf=elf,
        file=file,
        regions=regions,
        sectors=", ".join(f"{count} x {size_text(size)}" for count, size in board.flash.sector_runs),
        slot0=regions[1][1],
        last_word=regions[2][1] + slot - _WORD,
        ram=next((memory.base for memory in board.memory.values() if memory.kind == "ram"), 0),
        hex=_hex,
        span=lambda start, end: f"{_hex(start)}..{_hex(end - 1)}",
    )


def _hex(value: int) -> str:
    digits = f"{value:08x}"
    return f"0x{digits[:4]}_{digits[4:]}"
