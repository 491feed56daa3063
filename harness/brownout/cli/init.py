"""`brownout init`: a project that passes as it is."""

from __future__ import annotations

from pathlib import Path

import click

from brownout.scaffold import BOARDS, create_project, project_files


@click.command("init")
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--board",
    type=click.Choice(list(BOARDS)),
    default="mps2-an385",
    show_default=True,
    help="Board of the project; the second runs on Unicorn only.",
)
@click.option("--name", help="Name of the project (default: the folder's).")
def init_command(folder: Path, board: str, name: str | None) -> None:
    """Start a project in the folder DIR: firmware, target file, tests, and CI that pass as they are.

    A small bootloader and an app to begin with, a Robot suite, pytest tests, and a workflow for GitHub.
    Nothing is overwritten: when one of the files is there already, none is written.

    \b
    Examples:
      brownout init my-device
      brownout init my-device --board nrf52840-dk --name sensor
      brownout init --name sensor
    """
    files = project_files(board, folder.absolute().name if name is None else name)
    create_project(folder, files)
    click.echo(f"{folder}: {len(files)} files for {board}; now: make -C {folder} test")
