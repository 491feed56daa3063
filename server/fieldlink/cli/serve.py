"""`fieldlink serve`."""

import asyncio
import json
import logging
import signal
from pathlib import Path

import click

from fieldlink.atomic import write_file
from fieldlink.cli.common import database_option, json_option, say, store_option
from fieldlink.gateway import DebugBackend, Gateway, GatewayConfig, GatewayEvent, event_to_dict
from fieldlink.keys import KeyUse, load_private_key, load_public_key
from fieldlink.store import Store


@click.command()
@store_option
@database_option
@click.option("--key", "key_path", required=True, type=click.Path(path_type=Path), help="Server key file.")
@click.option(
    "--fleet-key",
    "fleet_key_path",
    type=click.Path(path_type=Path),
    help="Fleet public key file: debug tokens are verified here too, not by devices only.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=7400, show_default=True, help="TCP port; 0 takes a free one.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help='Written once listening: {"host": ..., "port": ...}.',
)
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
@json_option
def serve(
    store_path: Path,
    database_url: str | None,
    key_path: Path,
    fleet_key_path: Path | None,
    host: str,
    port: int,
    ready_file: Path | None,
    log_level: str,
    as_json: bool,
) -> None:
    """Serve devices and debug clients until interrupted.

    The store is checked first. With --json every event is a line on standard output; the first is
    {"event": "listening", "host": ..., "port": ...}. The log goes to standard error.

    \b
    Examples:
      fieldlink serve --store store --key keys/server.key
      fieldlink serve --store store --key keys/server.key --port 0 --json
    """
    key = load_private_key(key_path, KeyUse.SERVER)
    fleet_public = None if fleet_key_path is None else load_public_key(fleet_key_path, KeyUse.FLEET)
    config = GatewayConfig(server_key=key, host=host, port=port)
    logging.basicConfig(
        level=log_level.upper(), format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    with Store.open(store_path, database_url=database_url) as store:
        store.verify()
        asyncio.run(_serve(config, store, fleet_public, ready_file, as_json))


async def _serve(
    config: GatewayConfig, store: Store, fleet_public: bytes | None, ready_file: Path | None, as_json: bool
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    try:
        debug = DebugBackend(clients=store.clients, audit=store.audit, fleet_public=fleet_public)
        async with Gateway(config=config, registry=store, releases=store, debug=debug) as gateway:
            if as_json:
                gateway.subscribe(_print_event)
            where = {"host": config.host, "port": gateway.port}
            if ready_file is not None:
                write_file(ready_file, (json.dumps(where) + "\n").encode())
            say(as_json, {"event": "listening", **where}, f"listening on {config.host}:{gateway.port}")
            await stop.wait()
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
        if ready_file is not None:
            ready_file.unlink(missing_ok=True)


def _print_event(event: GatewayEvent) -> None:
    click.echo(json.dumps(event_to_dict(event)))
