"""Output for people: tables with colour on a terminal, the same rows as plain text anywhere else."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


def is_terminal() -> bool:
    """Whether standard output is a terminal that a person reads (and not a dumb one)."""
    return sys.stdout.isatty() and os.environ.get("TERM") != "dumb"


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    styles: Mapping[str, str] | None = None,
    header: bool = False,
) -> None:
    """Print rows of cells below their columns.

    On a terminal: a head line, long cells wrapped to the width, and cells that are a key of `styles` in that
    style of rich ("green", "bold red"); without colour where NO_COLOR is set. Elsewhere: one line for each
    row, columns aligned, no head unless `header` asks for it.
    """
    if is_terminal():
        _print_rich(columns, rows, styles or {})
        return
    lines = [list(columns), *rows] if header else rows
    widths = [max((len(line[at]) for line in lines), default=0) for at in range(len(columns))]
    for line in lines:
        click.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(columns: Sequence[str], rows: Sequence[Sequence[str]], styles: Mapping[str, str]) -> None:
    # Here: most commands print no table, or not to a terminal.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
    Console(file=sys.stdout, highlight=False).print(table)
