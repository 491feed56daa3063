"""`brownout target`: explain target files, and start new ones."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import click

from brownout.board import load_board
from brownout.cli.options import complete_board, json_option, platform_option
from brownout.errors import TargetError
from brownout.files import write_atomic
from brownout.target import as_document, explain, load_target, starter_text


@click.group("target")
def target_group() -> None:
    """Target files: a bootloader of your own, what lies in its flash, what a good boot is.

    \b
    Examples:
      brownout target init --board nrf52840-dk --output target.toml
      brownout target check target.toml
    """


@target_group.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@platform_option
@json_option
def check_command(file: Path, platform: Path | None, as_json: bool) -> None:
    """Check FILE and everything it names, and say it back in words.

    \b
    Examples:
      brownout target check target.toml
      brownout target check target.toml --json
    """
    target = load_target(file, platform)
    if as_json:
        print(json.dumps(as_document(target), indent=2))
        return
    print(explain(target))
    print(f"\nReady: brownout sweep {file} --html report.html")


@target_group.command("init")
@click.option(
    "--board",
    required=True,
    shell_complete=complete_board,
    help="Board that the bootloader runs on; brownout board list shows them.",
)
@click.option("--output", type=click.Path(path_type=Path), help="File to write (default: standard output).")
@click.option(
    "--elf", default="build/boot.elf", show_default=True, help="The bootloader, from the file's folder."
)
@click.option("--force", is_flag=True, help="Overwrite the file.")
@platform_option
def init_command(board: str, output: Path | None, elf: str, force: bool, platform: Path | None) -> None:
    """Write a commented first target file.

    \b
    Examples:
      brownout target init --board nrf52840-dk
      brownout target init --board nrf52840-dk --elf build/zephyr.elf --output target.toml
    """
    name = "target.toml" if output is None else output.name
    text = starter_text(load_board(board, platform), elf=elf, file=name)
    if output is None:
        print(text, end="")
        return
    if output.exists() and not force:
        raise TargetError(f"{output}: is there already: give another name, or --force to overwrite it")
    write_atomic(output, text.encode())
    print(f"{output}: written; name your files in it, then: brownout target check {output}", file=sys.stderr)
