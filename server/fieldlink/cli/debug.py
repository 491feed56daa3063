"""`fieldlink debug`."""

import asyncio
import functools
import json
import struct
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import click

from fieldlink.cli.common import FieldlinkGroup, json_option, say
from fieldlink.debug import DebugClient, DebugError, Target, open_client
from fieldlink.debug.elf import AppElf, load_elf
from fieldlink.debug.launch import GdbOptions, serve_gdb
from fieldlink.debug.profile import Profile, client_config, load_profile, parse_number, parse_region
from fieldlink.debug.rsp import REGISTER_NAMES
from fieldlink.debug.stops import describe_stop, reason_name
from fieldlink.debug_messages import Output, Permission, Stop
from fieldlink.errors import ConfigError

_PATH = click.Path(path_type=Path)


class _DefaultGroup(FieldlinkGroup):
    """`fieldlink debug DEVICE` is `fieldlink debug gdb DEVICE`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in ("-h", "--help"):
            args = ["gdb", *args]
        return super().parse_args(ctx, args)


def _connection(command: Callable[..., Any]) -> Callable[..., Any]:
    """DEVICE and the options of every session; the command gets `device` and `profile`."""
    options = [
        click.argument("device"),
        click.option("--profile", "profile_path", type=_PATH, help="TOML file with these options."),
        click.option("--server", help="HOST:PORT of the server."),
        click.option("--server-key", type=_PATH, help="Server's public key file."),
        click.option("--key", type=_PATH, help="This client's key file, which the server knows."),
        click.option("--e2e-key", type=_PATH, help="This client's end-to-end key file, named in the token."),
        click.option("--token", type=_PATH, help="Token file, signed by the fleet key."),
        click.option("--device-key", help="Device's public debug key: hex digits or a file."),
        click.option("--elf", type=_PATH, help="The app.elf that the device runs."),
    ]

    @functools.wraps(command)
    def with_profile(profile_path: Path | None, **values: Any) -> object:
        given = {name: values.pop(name) for name in _PROFILE_OPTIONS}
        base = Profile() if profile_path is None else load_profile(profile_path)
        return command(profile=base.override(Profile(**given)), **values)

    decorated: Callable[..., Any] = with_profile
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


_PROFILE_OPTIONS = ("server", "server_key", "key", "e2e_key", "token", "device_key", "elf")


@click.group(cls=_DefaultGroup)
def debug() -> None:
    """Debug the app on a device, end to end encrypted.

    \b
    `fieldlink debug DEVICE` opens a port for GDB (the same as `fieldlink debug gdb DEVICE`); the other
    commands do one thing without GDB. When a command ends, breakpoints are gone and the app runs.

    \b
    Examples:
      fieldlink debug dev-1 --profile debug.toml --elf app.elf
      fieldlink debug dev-1 --profile debug.toml --elf app.elf --gdb
      fieldlink debug regs dev-1 --profile debug.toml --json
      fieldlink debug read dev-1 --profile debug.toml --elf app.elf measurement
    """


@debug.command()
@_connection
@click.option("--manifest", type=_PATH, help="The installed release's envelope, to check the ELF's digest.")
@click.option("--app-flash", help="Address of the app's image in flash, to check the ELF's digest.")
@click.option("--rom", multiple=True, help="BASE:SIZE of flash that GDB may read. Repeatable.")
@click.option("--force", is_flag=True, help="Debug although the ELF is not what the device runs.")
@click.option("--gdb", "start_gdb", is_flag=True, help="Start GDB, attached.")
@click.option("--port", default=0, type=click.IntRange(0, 65535), help="Port for GDB; 0 takes a free one.")
@click.option("--ready-file", type=_PATH, help='Written once listening: {"host": ..., "port": ...}.')
@json_option
def gdb(
    device: str,
    profile: Profile,
    manifest: Path | None,
    app_flash: str | None,
    rom: tuple[str, ...],
    force: bool,
    start_gdb: bool,
    port: int,
    ready_file: Path | None,
    as_json: bool,
) -> None:
    """Open a port on loopback for GDB, until interrupted.

    The ELF is compared with what the device runs, and refused when it differs (--force overrides).
    GDB connects with `target remote 127.0.0.1:PORT`; it may leave and come back.

    \b
    Examples:
      fieldlink debug gdb dev-1 --profile debug.toml --gdb
      fieldlink debug gdb dev-1 --profile debug.toml --port 3333
    """
    profile = profile.override(
        Profile(
            manifest=manifest,
            app_flash=None if app_flash is None else parse_number(app_flash),
            rom=tuple(parse_region(text) for text in rom),
        )
    )
    options = GdbOptions(
        device=device, profile=profile, force=force, start_gdb=start_gdb, port=port, ready_file=ready_file
    )

    def announce(value: dict[str, object], text: str) -> None:
        say(as_json, value, text)

    asyncio.run(serve_gdb(client_config(profile, device), options, announce))


def _run(profile: Profile, device: str, action: Callable[[DebugClient, Target], Awaitable[None]]) -> None:
    """One session for one action. A session that ends under it is the error."""
    config = client_config(profile, device)

    async def session() -> None:
        async with open_client(config) as client:
            if client.target is not None:
                await action(client, client.target)

    try:
        asyncio.run(session())
    except KeyboardInterrupt:
        click.echo("interrupted; the app runs on", err=True)


@debug.command()
@_connection
@json_option
def regs(device: str, profile: Profile, as_json: bool) -> None:
    """Stop the app, show its registers, let it run on.

    With a token that does not permit to stop it, shows the registers of the running app.

    \b
    Examples:
      fieldlink debug regs dev-1 --profile debug.toml
      fieldlink debug regs dev-1 --profile debug.toml --json
    """

    async def action(_client: DebugClient, target: Target) -> None:
        if target.allows(Permission.CONTROL):
            await target.halt()
        values = struct.unpack("<17I", await target.registers())
        named = dict(zip(REGISTER_NAMES, values, strict=True))
        say(as_json, named, "\n".join(f"{name:5}{value:#010x}" for name, value in named.items()))

    _run(profile, device, action)


@debug.command()
@_connection
@click.argument("where")
@click.argument("length", required=False)
@json_option
def read(device: str, profile: Profile, where: str, length: str | None, as_json: bool) -> None:
    """Read memory at WHERE: an address, or a symbol of --elf. The app need not stop.

    LENGTH is in bytes; without it the symbol's size, or 4.

    \b
    Examples:
      fieldlink debug read dev-1 measurement --profile debug.toml
      fieldlink debug read dev-1 0x20032000 64 --profile debug.toml --json
    """
    address, size = _locate(where, profile)
    size = size if length is None else parse_number(length)

    async def action(_client: DebugClient, target: Target) -> None:
        data = await target.fetch_memory(address, size)
        lines = [f"{address + at:08x}  {data[at : at + 16].hex(' ', 4)}" for at in range(0, len(data), 16)]
        say(as_json, {"address": address, "hex": data.hex()}, "\n".join(lines))

    _run(profile, device, action)


@debug.command()
@_connection
@click.argument("where")
@click.argument("data")
@json_option
def write(device: str, profile: Profile, where: str, data: str, as_json: bool) -> None:
    """Write DATA (hex digits) to memory at WHERE: an address, or a symbol of --elf.

    \b
    Examples:
      fieldlink debug write dev-1 0x20032000 2a000000 --profile debug.toml
    """
    address, _ = _locate(where, profile)
    try:
        content = bytes.fromhex(data)
    except ValueError as error:
        raise ConfigError(f"data {data!r:.40}: expected hex digits, such as 2a000000") from error

    async def action(_client: DebugClient, target: Target) -> None:
        await target.write_memory(address, content)
        fields = {"address": address, "length": len(content)}
        say(as_json, fields, f"{len(content)} bytes written at {address:#010x}")

    _run(profile, device, action)


@debug.command()
@_connection
@click.option("--hold", is_flag=True, help="Keep the app stopped until interrupted.")
@json_option
def halt(device: str, profile: Profile, hold: bool, as_json: bool) -> None:
    """Stop the app and show where; it runs on when this command ends.

    \b
    Examples:
      fieldlink debug halt dev-1 --profile debug.toml
      fieldlink debug halt dev-1 --profile debug.toml --hold
    """

    async def action(client: DebugClient, target: Target) -> None:
        _say_stop(as_json, await target.halt())
        if hold:
            raise await client.ended

    _run(profile, device, action)


@debug.command(name="continue")
@_connection
@click.option("--break", "breaks", multiple=True, help="Address or symbol of a breakpoint. Repeatable.")
@click.option("--watch", "watches", multiple=True, help="Address or symbol of a watchpoint. Repeatable.")
@click.option("--timeout", "timeout_s", default=10.0, show_default=True, help="Seconds to wait for a stop.")
@json_option
def continue_(
    device: str,
    profile: Profile,
    breaks: tuple[str, ...],
    watches: tuple[str, ...],
    timeout_s: float,
    as_json: bool,
) -> None:
    """Let the app run until it stops: at a breakpoint, a watchpoint or a fault. Shows where.

    A watchpoint stops before the access.

    \b
    Examples:
      fieldlink debug continue dev-1 --profile debug.toml --break app_entry --timeout 5
      fieldlink debug continue dev-1 --profile debug.toml --watch measurement
    """
    points = [(0, _locate(text, profile)[0], 2) for text in breaks]
    points += [(2, *_locate(text, profile)) for text in watches]

    async def action(_client: DebugClient, target: Target) -> None:
        await target.halt()
        for point in points:
            await target.insert(point)
        stop = asyncio.ensure_future(target.next_stop(timeout_s))
        await asyncio.sleep(0)
        await target.resume()
        _say_stop(as_json, await stop)

    _run(profile, device, action)


@debug.command()
@_connection
@click.option("--seconds", type=float, help="End after this time; default: when interrupted.")
@json_option
def log(device: str, profile: Profile, seconds: float | None, as_json: bool) -> None:
    """Show the app's console output as it comes.

    \b
    Examples:
      fieldlink debug log dev-1 --profile debug.toml
      fieldlink debug log dev-1 --profile debug.toml --seconds 10 --json
    """

    def show(event: object) -> None:
        if isinstance(event, Output):
            text = event.data.decode(errors="replace")
            click.echo(json.dumps({"output": text}) if as_json else text, nl=as_json)

    async def action(client: DebugClient, target: Target) -> None:
        target.subscribe(show)
        done, _ = await asyncio.wait([client.ended], timeout=seconds)
        if done:
            raise client.ended.result()

    _run(profile, device, action)


def _say_stop(as_json: bool, stop: Stop) -> None:
    registers = dict(zip(REGISTER_NAMES, struct.unpack("<17I", stop.registers), strict=True))
    value = {"reason": reason_name(stop), "address": stop.address, "registers": registers}
    where = f"stopped: {reason_name(stop)}, pc {registers['pc']:#010x}, lr {registers['lr']:#010x}"
    detail = describe_stop(stop)
    say(as_json, value, f"{where} ({detail})" if detail else where)


def _locate(text: str, profile: Profile) -> tuple[int, int]:
    """Address and size of a number or a symbol."""
    if text[:1].isdigit():
        return parse_number(text), 4
    if profile.elf is None:
        raise ConfigError(f"symbol {text!r}: give --elf FILE, or an address such as 0x20030000")
    elf: AppElf = load_elf(profile.elf)
    if text not in elf.symbols:
        raise DebugError(f"symbol {text!r} is not in {profile.elf}")
    address, size = elf.symbols[text]
    return address, size or 4
