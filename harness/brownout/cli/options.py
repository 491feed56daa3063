"""Options that several subcommands share."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brownout.board import list_boards
from brownout.engines.factory import ENGINES
from brownout.engines.renode import LISTENERS_VARIABLE
from brownout.errors import BoardError

if TYPE_CHECKING:
    from collections.abc import Iterator


def complete_board(context: click.Context, _: click.Parameter, incomplete: str) -> list[str]:
    """For a shell: names of boards that begin so."""
    try:
        return [name for name in list_boards(context.params.get("platform")) if name.startswith(incomplete)]
    except BoardError:
        return []


platform_option = click.option(
    "--platform",
    type=click.Path(path_type=Path),
    help="Folder that holds <board>/board.toml (default: the repository's, else the installed one).",
)
board_option = click.option(
    "--board",
    default="mps2-an385",
    show_default=True,
    shell_complete=complete_board,
    help="Board to use.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
engine_option = click.option(
    "--engine", type=click.Choice(ENGINES), help="Emulator to run on.  [default: qemu]"
)


def _allow_listeners(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    """As the variable, so that it reaches every process that this command starts, and none after it."""
    if wanted:
        context.with_resource(_environment(LISTENERS_VARIABLE, "1"))


@contextlib.contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before


listeners_option = click.option(
    "--insecure-renode-listeners",
    is_flag=True,
    expose_value=False,
    callback=_allow_listeners,
    help="Leave Renode in this machine's network and let it listen there (docs/renode.md).",
)
"""For every command with an engine to choose."""
