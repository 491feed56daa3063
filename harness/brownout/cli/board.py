"""`brownout board`: look at boards, check them, generate files from them."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import click

from brownout.board import (
    FORMATS,
    Board,
    Engines,
    FlashSettings,
    board_problems,
    export_board,
    export_renode,
    list_boards,
    load_board,
)
from brownout.cli.options import complete_board, json_option, platform_option
from brownout.cli.terminal import print_table
from brownout.engines.factory import ENGINES
from brownout.engines.unicorn.kinds import kind_problems
from brownout.errors import BoardError
from brownout.files import write_folder, write_if_changed
from brownout.settings import load_settings
from fieldlink.cli.program import LazyGroup


@click.group(
    "board",
    cls=LazyGroup,
    lazy={
        "up": (
            "brownout.cli.board_up:up_command",
            "Start board NAME with an upgrade and debug server; Ctrl-C takes it all down.",
        )
    },
)
def board_group() -> None:
    """List, show, check, export and start boards.

    \b
    Examples:
      brownout board show mps2-an385
      brownout board check platform/my-board/board.toml
      brownout board export mps2-an385 --format linker --output build/memory.ld
      brownout board export mps2-an385 --engine renode build/renode
    """


@board_group.command("list")
@click.option("--markdown", is_flag=True, help="Print a table of the engines that run each board.")
@platform_option
@json_option
def list_command(platform: Path | None, as_json: bool, markdown: bool) -> None:
    """List the boards, with the engines that run each.

    \b
    Examples:
      brownout board list
      brownout board list --json
    """
    if as_json and markdown:
        raise click.UsageError("--json and --markdown: expected one of them")
    boards = [load_board(name, platform) for name in list_boards(platform)]
    if as_json:
        entries = [
            {"name": board.name, "description": board.description, "engines": board.engine.names}
            for board in boards
        ]
        print(json.dumps(entries, indent=2))
        return
    if markdown:
        print(engine_table(boards))
        return
    rows = [(board.name, ", ".join(board.engine.names), board.description) for board in boards]
    print_table(("board", "engines", "description"), rows)


def engine_table(boards: list[Board]) -> str:
    """Which engine serves which board, as a table in Markdown."""
    names = [item.name for item in dataclasses.fields(Engines)]
    head = ["board", "core", "flash controller", *names, "sweeps"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for board in boards:
        serves = ["yes" if name in board.engine.names else "no" for name in names]
        live = [name for name in ENGINES if name in board.engine.names]
        swept = "unicorn" if board.engine.unicorn is not None else "no"
        swept += f", samples on {' and '.join(live)}" if live else ""
        cells = [f"`{board.name}`", board.cpu.core, f"`{board.flash.controller.kind}`", *serves, swept]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


@board_group.command("show")
@click.argument("name", shell_complete=complete_board)
@platform_option
@json_option
def show_command(name: str, platform: Path | None, as_json: bool) -> None:
    """Show what board NAME consists of.

    \b
    Examples:
      brownout board show mps2-an385
      brownout board show nrf52840-dk --json
    """
    board = load_board(name, platform)
    print(json.dumps(dataclasses.asdict(board), indent=2) if as_json else _describe(board))


@board_group.command("check")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def check_command(file: Path, as_json: bool) -> int:
    """Check the board file FILE; every problem is one line.

    \b
    Examples:
      brownout board check platform/my-board/board.toml
      brownout board check board.toml --json
    """
    board = load_settings(file, Board)
    problems = (*board_problems(board), *kind_problems(board))
    if as_json:
        print(json.dumps({"file": str(file), "problems": problems}, indent=2))
    elif problems:
        for problem in problems:
            click.echo(f"{file}: {problem}", err=True)
    else:
        print(f"{file}: ok")
    return 2 if problems else 0


@board_group.command("export")
@click.argument("name", shell_complete=complete_board)
@click.argument("folder", required=False, metavar="[DIR]", type=click.Path(path_type=Path))
@click.option("--format", "export_format", type=click.Choice(list(FORMATS)), help="Kind of file.")
@click.option("--output", type=click.Path(path_type=Path), help="File to write (default: standard output).")
@click.option(
    "--engine", type=click.Choice(["renode"]), help="Instead of a file: the folder DIR for this emulator."
)
@platform_option
def export_command(
    name: str,
    folder: Path | None,
    export_format: str | None,
    output: Path | None,
    engine: str | None,
    platform: Path | None,
) -> None:
    """Generate a file from board NAME, or a folder that an emulator runs it from.

    What is there is written whole or not at all, and not touched when its content is already right.

    \b
    Examples:
      brownout board export mps2-an385 --format c-header --output build/board.h
      brownout board export mps2-an385 --engine renode build/renode
    """
    _check_export(folder, export_format, output, engine)
    board = load_board(name, platform)
    if folder is not None:
        write_folder(folder, {file: text.encode() for file, text in export_renode(board).items()})
        return
    text = export_board(board, str(export_format))
    if output is None:
        print(text, end="")
        return
    if not output.parent.is_dir():
        raise BoardError(f"{output}: its folder does not exist: create {output.parent} first")
    write_if_changed(output, text.encode())


def _check_export(
    folder: Path | None, export_format: str | None, output: Path | None, engine: str | None
) -> None:
    """Raise UsageError unless either a file or a folder is asked for."""
    if engine is None and export_format is None:
        raise click.UsageError("Missing option '--format' (a file) or '--engine' (a folder)")
    if engine is not None and export_format is not None:
        raise click.UsageError("--engine and --format: expected one of them")
    if engine is not None and output is not None:
        raise click.UsageError(f"--output: is for --format; name the folder after --engine {engine}")
    if engine is not None and folder is None:
        raise click.UsageError(f"--engine {engine}: expected the folder to write as well")
    if engine is None and folder is not None:
        raise click.UsageError(f"{folder}: a folder is for --engine; name the file with --output")


def _describe(board: Board) -> str:
    flash = board.flash
    lines = [
        f"{board.name}: {board.description}",
        f"cpu        {board.cpu.core}, {board.cpu.clock_hz / 1e6:g} MHz, {board.cpu.interrupts} interrupts",
        f"flash      {flash.base:#010x}, {flash.size // 1024} KiB, {_sectors(flash)}, "
        f"write unit {flash.write_unit}, program buffer {flash.program_buffer}"
        + (", write once" if flash.write_once else "")
        + (f", {flash.max_programs} programs of a word" if flash.max_programs else ""),
        f"controller {flash.controller.base or flash.controller.doorbell:#010x}  {flash.controller.kind}",
    ]
    lines += [
        f"memory     {memory.base:#010x}  {memory.size // 1024:>5} KiB  {memory.kind:<4} {name}"
        for name, memory in board.memory.items()
    ]
    lines += [
        f"region     {flash.base + region.offset:#010x}  {region.size // 1024:>5} KiB       {name}"
        for name, region in flash.regions.items()
    ]
    lines += [
        f"uart       {uart.base:#010x}  {uart.index:>5}            {name}"
        for name, uart in board.uart.items()
    ]
    lines += [
        f"module     {module.id}  {module.region} (staged in {module.staged_region}), kind {module.kind}"
        for module in board.modules.values()
    ]
    lines += [
        f"peripheral {peripheral.base:#010x}  {_interrupt(peripheral.irq)}  {peripheral.kind:<18} {name}"
        for name, peripheral in board.peripheral.items()
    ]
    lines.append(f"engines    {', '.join(board.engine.names) or 'none'}")
    return "\n".join(lines)


def _sectors(flash: FlashSettings) -> str:
    if flash.sectors:
        return "sectors " + " + ".join(f"{count} x {size}" for count, size in flash.sectors)
    return f"sector {flash.sector_size}"


def _interrupt(irq: int | None) -> str:
    return "       " if irq is None else f"irq {irq:<3}"
