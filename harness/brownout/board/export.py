"""Text that is generated from a board: C header, linker memory, module layout, a platform for Renode."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from brownout.errors import BoardError

if TYPE_CHECKING:
    from brownout.board.model import Board

FORMATS: Final = {"c-header": "board.h.jinja", "linker": "memory.ld.jinja", "layout": "layout.toml.jinja"}
"""Export format to template."""
RENODE_FILES: Final = {
    "board.repl": "renode/board.repl.jinja",
    "board.resc": "renode/board.resc.jinja",
    "flash_doorbell.py": "renode/flash_doorbell.py.jinja",
}
"""What Renode needs to run a board: file to template."""


def export_board(board: Board, export_format: str) -> str:
    """The text of `board` in one of FORMATS. Raises BoardError for an unknown format."""
    if export_format not in FORMATS:
        raise BoardError(f"export format '{export_format}': expected one of {', '.join(FORMATS)}")
    return _render(board, FORMATS[export_format])


def export_renode(board: Board) -> dict[str, str]:
    """The files of a folder that Renode runs `board` from, by name. Raises BoardError."""
    if board.engine.renode is None:
        raise BoardError(
            f"board '{board.name}': Renode does not run it (no [engine.renode] in its board.toml)"
        )
    return {name: _render(board, template) for name, template in RENODE_FILES.items()}


def export_doorbell(board: Board) -> str:
    """The script at the doorbell of `board`, for any machine that Renode has it on."""
    return _render(board, RENODE_FILES["flash_doorbell.py"])


def _render(board: Board, template: str) -> str:
    environment = Environment(
        loader=PackageLoader("brownout.board"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - code and TOML, not HTML; every value was checked by validate.py
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["hex"] = _hex
    flash = board.flash
    sectors = flash.sectors or ((flash.size // flash.sector_size, flash.sector_size),)
    return environment.get_template(template).render(
        board=board, flash=flash, sectors=sectors, vector_table=start_address(board)
    )


def start_address(board: Board) -> int:
    """Address of the vector table that the core starts with: the ROM's, else the flash's."""
    roms = [memory.base for memory in board.memory.values() if memory.kind == "rom"]
    return min(roms, default=board.flash.base)


def _hex(value: int) -> str:
    return f"0x{value:08x}"
