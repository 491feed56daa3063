"""Entry point of the `brownout` command: groups the subcommands and turns errors into one line."""

from __future__ import annotations

import sys

import click

from brownout.cli.bench import bench_command
from brownout.cli.board import board_group
from brownout.cli.board_up import up_command
from brownout.cli.crosscheck import crosscheck_command
from brownout.cli.flash import flash_group
from brownout.cli.run import run_command
from brownout.cli.sweep import sweep_command
from brownout.cli.target import target_group
from brownout.cli.uplink import uplink_command
from brownout.errors import BrownoutError

EXIT_ERROR = 2
EXIT_INTERRUPTED = 130


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="brownout")
def cli() -> None:
    """Cut the power of an emulated board at any flash operation.

    \b
    Examples:
      brownout board list
      brownout board up mps2-an385
      brownout board export mps2-an385 --format c-header --output build/board.h
      brownout run --boot build/boot.elf --flash build/flash.bin
      brownout flash inspect build/flash.bin
      brownout target init --board nrf52840-dk --output target.toml
      brownout sweep target.toml --html report.html
      brownout crosscheck target.toml --points 20
      brownout uplink --port /dev/ttyUSB0 --server 127.0.0.1:7000
    """


board_group.add_command(up_command)
for command in (
    bench_command,
    board_group,
    crosscheck_command,
    flash_group,
    run_command,
    sweep_command,
    target_group,
    uplink_command,
):
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: 0 done, 2 with one line on stderr for an error, 130 after Ctrl-C."""
    try:
        status = cli.main(args=arguments, prog_name="brownout", standalone_mode=False)
    except BrownoutError as error:
        _fail(str(error))
    except click.exceptions.NoArgsIsHelpError as error:
        print(error.format_message())
        sys.exit(0)
    except click.ClickException as error:
        _fail(error.format_message())
    except (click.Abort, KeyboardInterrupt):
        sys.exit(EXIT_INTERRUPTED)
    sys.exit(status if isinstance(status, int) else 0)


def _fail(message: str) -> None:
    print(f"brownout: error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(EXIT_ERROR)
