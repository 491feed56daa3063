"""`fieldlink keygen`."""

from pathlib import Path

import click

from fieldlink.cli.common import json_option, say
from fieldlink.errors import ConfigError
from fieldlink.keys import KeyPair, KeyUse, key_check, save_key_pair


@click.command()
@click.argument("use", type=click.Choice([use.value for use in KeyUse]))
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--force", is_flag=True, help="Replace existing files.")
@json_option
def keygen(use: str, path: Path, force: bool, as_json: bool) -> None:
    """Make a key pair: PATH (private, mode 0600) and PATH.pub.

    \b
    USE says what it is for, and every command checks it:
      server   identifies the server to devices (x25519)
      device   identifies a device or a simulated one (x25519)
      client   identifies a debug client; it has two: one for its link, one end to end (x25519)
      release  signs releases (ed25519)
      fleet    signs debug tokens (ed25519)

    \b
    Examples:
      fieldlink keygen release keys/release.key
      fieldlink keygen server keys/server.key --json
    """
    if path.parent != Path() and not path.parent.exists():
        try:
            path.parent.mkdir(parents=True, mode=0o700)
        except OSError as error:
            raise ConfigError(f"directory {path.parent}: cannot be made: {error.strerror}") from error
    pair = KeyPair.generate(KeyUse(use))
    private, public = save_key_pair(pair, path, force=force)
    check = key_check(pair.public)
    say(
        as_json,
        {"use": use, "private": str(private), "public": str(public), "check": check},
        f"{use} key {check}: {private}, {public}",
    )
