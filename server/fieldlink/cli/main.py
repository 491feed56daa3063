"""The root command."""

import click

from fieldlink.cli.audit import audit
from fieldlink.cli.client import client
from fieldlink.cli.common import FieldlinkGroup
from fieldlink.cli.debug import debug
from fieldlink.cli.devices import devices
from fieldlink.cli.keygen import keygen
from fieldlink.cli.provision import provision
from fieldlink.cli.release import release
from fieldlink.cli.serve import serve
from fieldlink.cli.token import token


@click.group(cls=FieldlinkGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="brownout", prog_name="fieldlink")
def main() -> None:
    """Secure links to devices in the field, and their upgrades.

    \b
    A first server, from nothing:
      fieldlink keygen server keys/server.key
      fieldlink keygen release keys/release.key
      fieldlink keygen fleet keys/fleet.key
      fieldlink provision dev-1 --store store --board mps2-an385 --keys keys --out dev-1.identity
      fieldlink release publish --store store --board mps2-an385 --sequence 1 \\
          --key keys/release.key --layout layout.toml --module kernel:1.0.0:kernel.bin \\
          --module app:1.0.0:app.bin --module assets:1.0.0:assets.bin
      fieldlink serve --store store --key keys/server.key --port 7400
    """


for _command in (keygen, provision, release, serve, devices, client, token, audit, debug):
    main.add_command(_command)
