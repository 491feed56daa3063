"""The `brownout` command: its subcommands, each imported when it is run."""

from __future__ import annotations

from typing import Final, NoReturn

import click

from brownout.errors import BrownoutError
from fieldlink.cli.program import HELP_OPTIONS, LazyGroup, completion_command, run_program

COMMANDS: Final = {
    "bench": (
        "brownout.cli.bench:bench_command",
        "Measure the reference device; docs/figures.md says what each figure means.",
    ),
    "board": ("brownout.cli.board:board_group", "List, show, check, export and start boards."),
    "crosscheck": (
        "brownout.cli.crosscheck:crosscheck_command",
        "Make the same power cuts on several engines; flash and verdict must be the same on all.",
    ),
    "doctor": (
        "brownout.cli.doctor:doctor_command",
        "Say what is installed, which engine works, and what to do about what is missing.",
    ),
    "flash": ("brownout.cli.flash:flash_group", "Flash images of the reference firmware."),
    "init": (
        "brownout.cli.init:init_command",
        "Start a project in the folder DIR: firmware, target file, tests, and CI that pass as they are.",
    ),
    "report": (
        "brownout.cli.report:report_command",
        "Say what broke since the baseline: index.html, report.md, junit.xml, findings.sarif, report.json.",
    ),
    "results": (
        "brownout.cli.results:results_group",
        "Record what runs found, and look at it: Robot suites, sweeps, benches, mutants, pytest.",
    ),
    "run": ("brownout.cli.run:run_command", "Power a device on and show its console until Ctrl-C."),
    "sweep": (
        "brownout.cli.sweep:sweep_command",
        "Cut the power at every flash operation of the target FILE, recover, and say which cuts brick it.",
    ),
    "target": (
        "brownout.cli.target:target_group",
        "Target files: a bootloader of your own, what lies in its flash, what a good boot is.",
    ),
    "uplink": (
        "brownout.cli.uplink:uplink_command",
        "Carry bytes between a board's UART and the server until Ctrl-C.",
    ),
}
"""Name of a command -> where it is, and the first paragraph of its help."""


@click.group(cls=LazyGroup, lazy=COMMANDS, context_settings=HELP_OPTIONS)
@click.version_option(package_name="brownout", prog_name="brownout")
def cli() -> None:
    """Cut the power of an emulated board at any flash operation.

    \b
    Examples:
      brownout doctor
      brownout init my-device --board nrf52840-dk
      brownout board list
      brownout board up mps2-an385
      brownout board export mps2-an385 --format c-header --output build/board.h
      brownout run --boot build/boot.elf --flash build/flash.bin
      brownout flash inspect build/flash.bin
      brownout target init --board nrf52840-dk --output target.toml
      brownout sweep target.toml --html report.html
      brownout crosscheck target.toml --points 20
      brownout results list
      brownout report --baseline previous --out report
      brownout uplink --port /dev/ttyUSB0 --server 127.0.0.1:7000
    """


cli.add_command(completion_command("brownout"))


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    run_program(cli, "brownout", BrownoutError, arguments)
