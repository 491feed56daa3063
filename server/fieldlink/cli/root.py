"""The `fieldlink` command: its subcommands, each imported when it is run."""

from typing import Final, NoReturn

import click

from fieldlink.cli.common import FieldlinkGroup
from fieldlink.cli.program import HELP_OPTIONS, completion_command, run_program
from fieldlink.errors import FieldlinkError

COMMANDS: Final = {
    "audit": ("fieldlink.cli.audit:audit", "Look into the log of debug sessions."),
    "client": ("fieldlink.cli.client:client", "Register debug clients."),
    "debug": ("fieldlink.cli.debug:debug", "Debug the app on a device, end to end encrypted."),
    "devices": ("fieldlink.cli.devices:devices", "List devices and what was last heard of them."),
    "keygen": ("fieldlink.cli.keygen:keygen", "Make a key pair: PATH (private, mode 0600) and PATH.pub."),
    "provision": (
        "fieldlink.cli.provision:provision",
        "Make keys for a new device, register it, and write its identity blob.",
    ),
    "release": ("fieldlink.cli.release:release", "Publish, list and export releases."),
    "serve": ("fieldlink.cli.serve:serve", "Serve devices and debug clients until interrupted."),
    "token": ("fieldlink.cli.token:token", "Issue and show debug tokens."),
}
"""Name of a command -> where it is, and the first paragraph of its help."""


@click.group(cls=FieldlinkGroup, lazy=COMMANDS, context_settings=HELP_OPTIONS)
@click.version_option(package_name="brownout", prog_name="fieldlink")
def cli() -> None:
    """Secure links to devices in the field, and their upgrades.

    \b
    Examples (a first server, from nothing):
      fieldlink keygen server keys/server.key
      fieldlink keygen release keys/release.key
      fieldlink keygen fleet keys/fleet.key
      fieldlink provision dev-1 --store store --board mps2-an385 --keys keys --out dev-1.identity
      fieldlink release publish --store store --board mps2-an385 --sequence 1 \\
          --key keys/release.key --layout layout.toml --module kernel:1.0.0:kernel.bin \\
          --module app:1.0.0:app.bin --module assets:1.0.0:assets.bin
      fieldlink serve --store store --key keys/server.key --port 7400
    """


cli.add_command(completion_command("fieldlink"))


def run(arguments: list[str] | None = None) -> NoReturn:
    """Run the command line and exit."""
    run_program(cli, "fieldlink", FieldlinkError, arguments)
