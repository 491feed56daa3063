"""Options that several subcommands share."""

from __future__ import annotations

from pathlib import Path

import click

platform_option = click.option(
    "--platform",
    type=click.Path(path_type=Path),
    help="Folder that holds <board>/board.toml (default: the repository's, else the installed one).",
)
board_option = click.option("--board", default="mps2-an385", show_default=True, help="Board to use.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
