"""`fieldlink token`."""

import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click

from fieldlink.atomic import PUBLIC_MODE, read_input, write_file
from fieldlink.cli.common import json_option, say
from fieldlink.debug_messages import DEVICE_ID_LIMIT, TOKEN_LIMIT
from fieldlink.errors import ConfigError
from fieldlink.fields import U32_MAX
from fieldlink.keys import KeyUse, key_check, load_private_key, load_public_key
from fieldlink.token import (
    Token,
    describe_permissions,
    issue_token,
    open_token,
    parse_permissions,
    read_unverified_token,
)

_DURATION = re.compile(r"([0-9]{1,9})([smhd])", re.ASCII)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@click.group()
def token() -> None:
    """Issue and show debug tokens.

    \b
    Examples:
      fieldlink token issue --client alice-e2e.key.pub --device dev-1 --permissions read \\
          --expires-in 8h --key keys/fleet.key --out alice.token
      fieldlink token show alice.token --fleet-key keys/fleet.key.pub
    """


@token.command()
@click.option(
    "--client",
    "client_path",
    required=True,
    type=click.Path(path_type=Path),
    help="Client's public E2E key file.",
)
@click.option("--device", "device_id", help="Device that may be debugged.")
@click.option("--any-device", is_flag=True, help="Every device of the fleet instead.")
@click.option(
    "--permissions", required=True, metavar="LIST", help="Some of read,write,control,reset, joined by commas."
)
@click.option("--expires-in", metavar="TIME", help="Such as 90s, 30m, 8h or 7d from now.")
@click.option("--expires", metavar="TIME", help="Such as 2026-01-31T18:00:00Z, or seconds since 1970.")
@click.option("--key", "key_path", required=True, type=click.Path(path_type=Path), help="Fleet key file.")
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Token file to write.")
@json_option
def issue(
    client_path: Path,
    device_id: str | None,
    any_device: bool,
    permissions: str,
    expires_in: str | None,
    expires: str | None,
    key_path: Path,
    out: Path,
    as_json: bool,
) -> None:
    """Sign a token: the client may debug the device until it expires.

    A token is no secret: it is of use only with the client's private E2E key.

    \b
    Examples:
      fieldlink token issue --client alice-e2e.key.pub --device dev-1 --permissions read,write,control \\
          --expires-in 8h --key keys/fleet.key --out alice.token
      fieldlink token issue --client alice-e2e.key.pub --any-device --permissions read \\
          --expires 2026-01-31T18:00:00Z --key keys/fleet.key --out alice-read.token
    """
    if any_device == (device_id is not None):
        raise ConfigError("give either --device ID or --any-device")
    envelope = issue_token(
        load_private_key(key_path, KeyUse.FLEET),
        client=load_public_key(client_path, KeyUse.CLIENT),
        device_id=_device_id(device_id),
        permissions=parse_permissions(permissions),
        expires=_expiry(expires_in, expires),
    )
    try:
        write_file(out, envelope, mode=PUBLIC_MODE)
    except OSError as error:
        raise ConfigError(f"{out}: cannot be written: {error.strerror}") from error
    issued = read_unverified_token(envelope)
    say(as_json, {"output": str(out), **_fields(issued)}, f"token in {out}: {_line(issued)}")


@token.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--fleet-key", "fleet_path", type=click.Path(path_type=Path), help="Fleet public key file.")
@json_option
def show(path: Path, fleet_path: Path | None, as_json: bool) -> None:
    """Show what the token in PATH says; with --fleet-key check who signed it.

    \b
    Examples:
      fieldlink token show alice.token --fleet-key keys/fleet.key.pub
    """
    envelope = read_input(path, "token file", TOKEN_LIMIT)
    if fleet_path is None:
        found = read_unverified_token(envelope)
    else:
        found = open_token(envelope, load_public_key(fleet_path, KeyUse.FLEET))
    checked = "signature not checked" if fleet_path is None else "signature good"
    expired = found.is_expired(time.time())
    fields = {**_fields(found), "expired": expired, "verified": fleet_path is not None}
    say(as_json, fields, f"{_line(found)}{' (EXPIRED)' if expired else ''}; {checked}")


def _device_id(text: str | None) -> bytes:
    if text is None:
        return b""
    if not text.isascii() or not 1 <= len(text) <= DEVICE_ID_LIMIT:
        raise ConfigError(f"--device {text!r}: expected 1..{DEVICE_ID_LIMIT} ASCII characters")
    return text.encode("ascii")


def _expiry(duration: str | None, moment: str | None) -> int:
    if (duration is None) == (moment is None):
        raise ConfigError("give either --expires-in or --expires")
    now = int(time.time())
    expires = _after(duration, now) if duration is not None else _moment(moment or "")
    if not now < expires <= U32_MAX:
        raise ConfigError(
            f"the token would expire at {expires}: expected a time after now ({now}), before 2106"
        )
    return expires


def _after(text: str, now: int) -> int:
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigError(f"--expires-in {text!r}: expected a number with s, m, h or d, such as 8h")
    return now + int(match[1]) * _UNITS[match[2]]


def _moment(text: str) -> int:
    if text.isascii() and text.isdigit() and len(text) <= 10:
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise ConfigError(f"--expires {text!r}: expected a time such as 2026-01-31T18:00:00Z") from error
    if moment.tzinfo is None:
        raise ConfigError(f"--expires {text!r}: lacks its time zone; append Z for UTC")
    return int(moment.timestamp())


def _when(seconds: int) -> str:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def _line(found: Token) -> str:
    device = found.device_id.decode("ascii", "backslashreplace") or "any device"
    may = describe_permissions(found.permissions)
    until = _when(found.expires)
    return f"client {key_check(found.client)}, {device}, may {may}, expires {until}, serial {found.serial}"


def _fields(found: Token) -> dict[str, object]:
    return {
        "client": found.client.hex(),
        "device_id": found.device_id.decode("ascii", "backslashreplace") or None,
        "permissions": describe_permissions(found.permissions).split(","),
        "expires": found.expires,
        "serial": found.serial,
    }
