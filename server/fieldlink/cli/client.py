"""`fieldlink client`."""

import re
from pathlib import Path

import click

from fieldlink.cli.common import database_option, json_option, say, store_option
from fieldlink.errors import ConfigError
from fieldlink.keys import KeyUse, key_check, load_public_key
from fieldlink.store import ClientRecord, Store

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,31}", re.ASCII)


@click.group()
def client() -> None:
    """Register debug clients.

    A client has two key pairs, both made with `fieldlink keygen client`: its link key identifies it to this
    server, its E2E key to devices (tokens name it). The server gets the public files only.

    \b
    Examples:
      fieldlink client add alice --store store --key alice.key.pub --e2e-key alice-e2e.key.pub
      fieldlink client list --store store
      fieldlink client remove alice --store store
    """


@client.command()
@click.argument("name")
@store_option
@database_option
@click.option(
    "--key", "link_path", required=True, type=click.Path(path_type=Path), help="Public link key file."
)
@click.option(
    "--e2e-key", "e2e_path", required=True, type=click.Path(path_type=Path), help="Public E2E key file."
)
@json_option
def add(
    name: str, store_path: Path, database_url: str | None, link_path: Path, e2e_path: Path, as_json: bool
) -> None:
    """Register a client under NAME.

    \b
    Examples:
      fieldlink client add alice --store store --key alice.key.pub --e2e-key alice-e2e.key.pub
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"client name {name!r}: expected 1..32 letters, digits, dots, dashes or underscores, "
            "starting with a letter or digit"
        )
    record = ClientRecord(
        name=name,
        link_public=load_public_key(link_path, KeyUse.CLIENT),
        e2e_public=load_public_key(e2e_path, KeyUse.CLIENT),
    )
    if record.link_public == record.e2e_public:
        raise ConfigError("--key and --e2e-key are the same key; make two with `fieldlink keygen client`")
    with Store.open(store_path, create=True, database_url=database_url) as store:
        store.clients.add(record)
    say(as_json, _fields(record), f"client {name} registered (link key {key_check(record.link_public)})")


@client.command(name="list")
@store_option
@database_option
@json_option
def list_clients(store_path: Path, database_url: str | None, as_json: bool) -> None:
    """List clients.

    \b
    Examples:
      fieldlink client list --store store
    """
    with Store.open(store_path, database_url=database_url) as store:
        found = store.clients.list()
    lines = [
        f"{item.name}  link key {key_check(item.link_public)}  E2E key {key_check(item.e2e_public)}"
        for item in found
    ]
    say(as_json, [_fields(item) for item in found], "\n".join(lines) or "no clients")


@client.command()
@click.argument("name")
@store_option
@database_option
@json_option
def remove(name: str, store_path: Path, database_url: str | None, as_json: bool) -> None:
    """Forget the client NAME: it opens no further debug session.

    Sessions that are open go on until their token expires, or the server restarts.

    \b
    Examples:
      fieldlink client remove alice --store store
    """
    with Store.open(store_path, database_url=database_url) as store:
        store.clients.remove(name)
    say(as_json, {"name": name}, f"client {name} removed")


def _fields(record: ClientRecord) -> dict[str, object]:
    return {
        "name": record.name,
        "link_public": record.link_public.hex(),
        "e2e_public": record.e2e_public.hex(),
    }
