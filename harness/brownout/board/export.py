"""Text that is generated from a board: C header, linker memory, module layout for the release tooling."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from brownout.errors import BoardError

if TYPE_CHECKING:
    from brownout.board.model import Board

FORMATS: Final = {"c-header": "board.h.jinja", "linker": "memory.ld.jinja", "layout": "layout.toml.jinja"}
"""Export format to template."""


def export_board(board: Board, export_format: str) -> str:
    """The text of `board` in one of FORMATS. Raises BoardError for an unknown format."""
    if export_format not in FORMATS:
        raise BoardError(f"export format '{export_format}': expected one of {', '.join(FORMATS)}")
    environment = Environment(
        loader=PackageLoader("brownout.board"),
        undefined=StrictUndefined,
        autoescape=False,  # noqa: S701 - C and TOML, not HTML; every value was checked by validate.py
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["hex"] = _hex
    return environment.get_template(FORMATS[export_format]).render(board=board, flash=board.flash)


def _hex(value: int) -> str:
    return f"0x{value:08x}"
