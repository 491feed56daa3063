"""`fieldlink debug gdb`: a session, the ELF's check, GDB's port, and GDB itself if wanted."""

import asyncio
import json
import logging
import shutil
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fieldlink.atomic import read_input, write_file
from fieldlink.debug.client import ClientConfig, DebugClient, open_client
from fieldlink.debug.elf import AppElf, check_code, check_flash, check_manifest, load_elf
from fieldlink.debug.errors import DebugError, ElfMismatchError
from fieldlink.debug.monitor import SessionFacts
from fieldlink.debug.profile import Profile
from fieldlink.debug.service import GdbService
from fieldlink.debug.target import Target
from fieldlink.errors import ConfigError
from fieldlink.token import describe_permissions

_LOG = logging.getLogger("fieldlink.debug")
_GDBS: Final = ("gdb-multiarch", "arm-none-eabi-gdb")
_HOST: Final = "127.0.0.1"

Announce = Callable[[dict[str, object], str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class GdbOptions:
    """What the person asked for."""

    device: str
    profile: Profile
    force: bool = False
    start_gdb: bool = False
    port: int = 0
    ready_file: Path | None = None


async def serve_gdb(config: ClientConfig, options: GdbOptions, announce: Announce) -> None:
    """Until interrupted, or GDB (with `start_gdb`) ends. SessionEndedError when the session ends first."""
    logging.basicConfig(level="WARNING", format="fieldlink: %(message)s")
    profile = options.profile
    elf = None if profile.elf is None else load_elf(profile.elf)
    envelope = b"" if profile.manifest is None else read_input(profile.manifest, "manifest", 4096)
    gdb = _find_gdb() if options.start_gdb else None
    async with open_client(config) as client:
        target = client.target
        if target is None:
            raise await client.ended
        if elf is not None:
            await _check_elf(elf, client, target, options)
        facts = SessionFacts(device=options.device, manifest_digest=client.manifest, envelope=envelope)
        service = GdbService(target, facts, client.ended, rom=profile.rom)
        async with service.listening(options.port):
            with (
                _signals(own_gdb=gdb is not None) as stop,
                _ready_file(options.ready_file, service.port),
            ):
                _announce(announce, options, target, service.port)
                process = None if gdb is None else await _start_gdb(gdb, profile.elf, service.port)
                await _until_over(client, stop, process)


async def _check_elf(elf: AppElf, client: DebugClient, target: Target, options: GdbOptions) -> None:
    profile = options.profile
    try:
        if profile.manifest is not None:
            check_manifest(elf, profile.manifest, client.manifest)
        if profile.app_flash is not None:
            await check_flash(elf, target, profile.app_flash)
        # Always, since it is what lets reads of code be answered from the ELF.
        target.trust(await check_code(elf, target))
    except ElfMismatchError as error:
        if not options.force:
            raise
        _LOG.warning("%s", error)


def _announce(announce: Announce, options: GdbOptions, target: Target, port: int) -> None:
    elf = options.profile.elf
    state = "running" if target.running else "stopped"
    permissions = describe_permissions(target.permissions)
    announce(
        {
            "event": "listening",
            "host": _HOST,
            "port": port,
            "device": options.device,
            "state": state,
            "permissions": permissions,
        },
        f"device {options.device}: app {state}, token allows {permissions}\n"
        f"GDB port {_HOST}:{port}; attach with: "
        f"gdb-multiarch {elf or 'app.elf'} -ex 'target remote {_HOST}:{port}'",
    )


@contextmanager
def _ready_file(path: Path | None, port: int) -> Iterator[None]:
    if path is None:
        yield
        return
    write_file(path, (json.dumps({"host": _HOST, "port": port}) + "\n").encode())
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _find_gdb() -> str:
    for name in _GDBS:
        found = shutil.which(name)
        if found is not None:
            return found
    raise ConfigError(f"no GDB found: expected {' or '.join(_GDBS)} on PATH; install gdb-multiarch")


@contextmanager
def _signals(*, own_gdb: bool) -> Iterator[asyncio.Event]:
    """The event that Ctrl-C and SIGTERM set."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    handlers: dict[int, Callable[[], None]] = {
        signal.SIGTERM: stop.set,
        # With a GDB of our own Ctrl-C is for GDB, which gets it from the terminal by itself.
        signal.SIGINT: (lambda: None) if own_gdb else stop.set,
    }
    for number, handler in handlers.items():
        loop.add_signal_handler(number, handler)
    try:
        yield stop
    finally:
        for number in handlers:
            loop.remove_signal_handler(number)


async def _until_over(
    client: DebugClient, stop: asyncio.Event, gdb: "asyncio.subprocess.Process | None"
) -> None:
    ends: list[asyncio.Task[Any]] = [asyncio.create_task(stop.wait())]
    if gdb is not None:
        ends.append(asyncio.create_task(gdb.wait()))
    try:
        # A person in GDB sees there that the session has ended, and leaves it when ready.
        waiting: set[asyncio.Future[Any]] = {*ends} if gdb is not None else {*ends, client.ended}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        if client.ended.done() and not stop.is_set():
            raise client.ended.result()
    finally:
        for end in ends:
            end.cancel()
        if gdb is not None and gdb.returncode is None:
            gdb.terminate()
            await gdb.wait()


async def _start_gdb(gdb: str, elf: Path | None, port: int) -> asyncio.subprocess.Process:
    files = [] if elf is None else [str(elf)]
    try:
        return await asyncio.create_subprocess_exec(gdb, "-q", *files, "-ex", f"target remote {_HOST}:{port}")
    except OSError as error:
        raise DebugError(f"{gdb}: cannot be started: {error.strerror}") from error
