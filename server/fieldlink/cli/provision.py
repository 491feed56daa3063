"""`fieldlink provision`."""

from pathlib import Path

import click

from fieldlink.cli.common import database_option, json_option, say, store_option
from fieldlink.errors import ConfigError
from fieldlink.keys import KeyUse, load_public_key
from fieldlink.provision import TrustedKeys, provision_device
from fieldlink.store import Store


@click.command()
@click.argument("device_id")
@store_option
@database_option
@click.option("--board", required=True, help="Board that the device is.")
@click.option(
    "--keys",
    "key_directory",
    type=click.Path(path_type=Path),
    help="Directory with server.key.pub, release.key.pub and fleet.key.pub.",
)
@click.option("--server-key", type=click.Path(path_type=Path), help="Server's public key file.")
@click.option("--release-key", type=click.Path(path_type=Path), help="Release public key file.")
@click.option("--fleet-key", type=click.Path(path_type=Path), help="Fleet public key file.")
@click.option(
    "--out", type=click.Path(path_type=Path), required=True, help="Identity blob to write (mode 0600)."
)
@click.option(
    "--check-interval-ms",
    type=click.IntRange(min=1),
    help="Time between manifest checks; default one minute.",
)
@click.option("--replace", is_flag=True, help="Give a registered device new keys.")
@json_option
def provision(
    device_id: str,
    store_path: Path,
    database_url: str | None,
    board: str,
    key_directory: Path | None,
    server_key: Path | None,
    release_key: Path | None,
    fleet_key: Path | None,
    out: Path,
    check_interval_ms: int | None,
    replace: bool,
    as_json: bool,
) -> None:
    """Make keys for a new device, register it, and write its identity blob.

    The blob is programmed at the start of the device's `identity` flash region. It holds the device's
    private keys, which are kept nowhere else.

    \b
    Examples:
      fieldlink provision dev-1 --store store --board mps2-an385 --keys keys --out dev-1.identity
    """
    trusted = TrustedKeys(
        server=_public(server_key, key_directory, KeyUse.SERVER),
        release=_public(release_key, key_directory, KeyUse.RELEASE),
        fleet=_public(fleet_key, key_directory, KeyUse.FLEET),
    )
    with Store.open(store_path, create=True, database_url=database_url) as store:
        device = provision_device(
            store,
            device_id=device_id,
            board=board,
            trusted=trusted,
            identity_path=out,
            check_interval_ms=check_interval_ms,
            replace=replace,
        )
    fields = {
        "device_id": device_id,
        "board": board,
        "identity": str(out),
        "link_public": device.record.link_public.hex(),
        "wrap_public": device.record.wrap_public.hex(),
        "debug_public": device.record.debug_public.hex(),
    }
    say(as_json, fields, f"device {device_id} ({board}) registered, identity in {out}")


def _public(path: Path | None, directory: Path | None, use: KeyUse) -> bytes:
    if path is None:
        if directory is None:
            raise ConfigError(f"no {use.value} key: give --keys DIR or --{use.value}-key FILE")
        path = directory / f"{use.value}.key.pub"
    return load_public_key(path, use)
