"""`fieldlink audit`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from fieldlink.audit import AuditEvent, ChainedEntry, entry_to_dict, mac_key
from fieldlink.cli.common import database_option, json_option, say, store_option
from fieldlink.debug_messages import Permission
from fieldlink.errors import AuditError
from fieldlink.gateway import reason_text
from fieldlink.keys import KeyUse, load_private_key
from fieldlink.store import Store
from fieldlink.token import describe_permissions

_EXIT_BROKEN = 1


@click.group()
def audit() -> None:
    """Look into the log of debug sessions.

    \b
    Examples:
      fieldlink audit list --store store --device dev-1
      fieldlink audit verify --store store --key keys/server.key
    """


@audit.command(name="list")
@store_option
@database_option
@click.option("--device", "device_id", help="Only this device's entries.")
@json_option
def list_entries(store_path: Path, database_url: str | None, device_id: str | None, as_json: bool) -> None:
    """List who debugged what and when, oldest first.

    It shows what the log says; `fieldlink audit verify` tells whether it was changed.

    \b
    Examples:
      fieldlink audit list --store store --device dev-1
    """
    with Store.open(store_path, database_url=database_url) as store:
        found = [item for item in store.audit.entries() if device_id in (None, item.entry.device_id)]
    text = "\n".join(_line(item) for item in found) or "no entries"
    say(as_json, [entry_to_dict(item) for item in found], text)


@audit.command()
@store_option
@database_option
@click.option(
    "--key",
    "key_path",
    type=click.Path(path_type=Path),
    help="Server key file: checks who wrote the head too.",
)
@json_option
@click.pass_context
def verify(
    context: click.Context, store_path: Path, database_url: str | None, key_path: Path | None, as_json: bool
) -> None:
    """Check that no entry was changed, removed or put elsewhere, and that the end was not cut off.

    Exit code 0: intact; 1: broken, and the first broken entry is named; 2: cannot be checked. Without --key,
    somebody who can write the store could have made the whole log anew; with it they need that key too.

    \b
    Examples:
      fieldlink audit verify --store store
      fieldlink audit verify --store store --key keys/server.key --json
    """
    key = None if key_path is None else mac_key(load_private_key(key_path, KeyUse.SERVER).private)
    try:
        with Store.open(store_path, database_url=database_url) as store:
            head = store.audit.verify(key)
    except AuditError as error:
        if as_json:
            say(True, {"intact": False, "entry": error.entry, "reason": str(error)}, "")
        else:
            click.echo(f"fieldlink: audit log is broken: {error}", err=True)
        context.exit(_EXIT_BROKEN)
    fields = {
        "intact": True,
        "entries": head.count,
        "head": head.hash.hex(),
        "authenticated": key is not None,
    }
    say(as_json, fields, f"intact: {head.count} entries, head {head.hash.hex()[:16]}")


def _line(item: ChainedEntry) -> str:
    entry = item.entry
    try:
        when = datetime.fromtimestamp(entry.time_ms / 1000, UTC).isoformat(timespec="seconds")
    except (ValueError, OverflowError, OSError):  # somebody changed it: `verify` says so
        when = f"{entry.time_ms} ms"
    start = f"{item.sequence}  {when}  {entry.client}  {entry.device_id}  {entry.session_id.hex()[:8]}"
    if entry.event is AuditEvent.OPENED:
        return f"{start}  opened ({describe_permissions(Permission(entry.permissions))})"
    why = f"{entry.event.value} by the {entry.ended_by}: {reason_text(entry.reason or 0)}"
    if entry.event is AuditEvent.REFUSED:
        return f"{start}  {why}"
    to_device, to_client = entry.to_device, entry.to_client
    return (
        f"{start}  {why}; {to_device.frames} frames ({to_device.size} bytes) to the device, "
        f"{to_client.frames} frames ({to_client.size} bytes) to the client"
    )
