"""The reference device with nothing staged, at a real upgrade server that offers the new set.

The kernel downloads it, sets the flag and resets; boot installs it. A boot is over when the device has told
the server, in a session of this power-on, that it runs the newest set, and the application has said hello.
"""

from __future__ import annotations

import contextlib
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from reference_device import (
    BOARD,
    DEVICE_ID,
    DEVICE_KEYS,
    RELEASE_KEY,
    SERVER_KEY,
    SETS,
    TRUSTED,
    board,
    content_key,
    counter_never_falls,
    envelope,
    images,
    installed,
    layout,
    manifest_matches_and_flag_is_clear,
    manifests,
    module,
    placed,
    set_is_old_or_new,
)

from brownout.engines.base import PowerEvent, PowerEventKind
from brownout.flash import LogRecord, Phase, RecordKind, Region, Status
from brownout.lab import LabServer
from brownout.reference import FlagState, Progress, read_flag, read_progress
from brownout.reference.record_log import RECORD_SIZE
from brownout.reference.sets import digest_of
from fieldlink.gateway import CheckReceived, DeviceOnline, ModuleRequested
from fieldlink.manifest import installed_manifest_region
from fieldlink.provision import provision_device
from fieldlink.publish import publish_release
from fieldlink.store import Store

if TYPE_CHECKING:
    from types import TracebackType

    from brownout.board import Board
    from brownout.device import Device
    from brownout.target import HookContext, Placed, Target

__all__ = [
    "UpgradeServer",
    "counter_never_falls",
    "device_with_nothing_staged",
    "download_resumes",
    "download_state",
    "manifest_matches_and_flag_is_clear",
    "manifests",
    "set_is_old_or_new",
]

CHECK_INTERVAL_MS: Final = 1000
CHUNK: Final = 4096
_APP_LINE: Final = re.compile(r"^app \d+\.\d+\.\d+", re.MULTILINE)


def device_with_nothing_staged(_board: Board) -> list[Placed]:
    """What lies in flash: the factory's set."""
    return placed(installed(CHECK_INTERVAL_MS))


# -- states ------------------------------------------------------------------------------------------------


def download_state(flash: bytes) -> str:
    """How far the upgrade is."""
    contents = {name: flash[region.offset : region.end] for name, region in board().flash.regions.items()}
    new = installed_manifest_region(envelope("new"))
    if contents["manifest"].startswith(new):
        return "installed"
    flag, progress = read_flag(contents["flag"]), read_progress(contents["progress"])
    if flag.state is not FlagState.CLEAR:
        return flag.state.name.lower()
    if not progress.active:
        return "manifest staged" if contents["staged_manifest"].startswith(new) else "idle"
    for name, place in board().modules.items():
        if progress.chunks[place.id] * CHUNK < len(module("new", name)):
            return f"downloading {name}"
    return "downloaded"


# -- what the board is connected to ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """A request for a module: in which power session, and the first chunk that was asked for."""

    session: int
    module_id: int
    first_chunk: int


class UpgradeServer:
    """fieldlink's gateway with both releases in its store; the device's modem is connected to it."""

    def __init__(self, _target: Target) -> None:
        self._stack = contextlib.ExitStack()
        self._server: LabServer | None = None
        self._device: Device | None = None
        self._sessions: list[int] = []
        """Marks in the server's events, at each power-on of the run."""

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="brownout-download-")))
            store = undo.enter_context(Store.open(folder, create=True))
            provision_device(
                store,
                device_id=DEVICE_ID,
                board=BOARD,
                trusted=TRUSTED,
                keys=DEVICE_KEYS,
                check_interval_ms=CHECK_INTERVAL_MS,
            )
            for which, (sequence, _) in SETS.items():
                publish_release(
                    store,
                    board=BOARD,
                    sequence=sequence,
                    release_key=RELEASE_KEY,
                    layout=layout(),
                    images=images(which),
                    content_key=content_key(which),
                )
            server = LabServer(server_key=SERVER_KEY, registry=store, releases=store)
            server.start()
            undo.callback(server.stop)
            self._server = server
            self._stack = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def connect(self, device: Device) -> None:
        """Attach the modem, and follow the power."""
        self._device = device
        device.attach_uplink(self._running.address)
        device.engine.add_listener(self)

    def power_changed(self, event: PowerEvent) -> None:
        """Note where a power session starts among the server's events; session 1 starts a run."""
        if event.kind is PowerEventKind.ON:
            if event.session == 1:
                self._sessions.clear()
            self._sessions.append(self._running.mark())

    def arrived(self) -> bool:
        """Whether the device, online since this power-on, runs the newest set and its application."""
        since = self._sessions[-1]
        if self._device is None or not self._running.events(DeviceOnline, DEVICE_ID, since=since):
            return False
        checks = self._running.events(CheckReceived, DEVICE_ID, since=since)
        newest = bool(checks) and checks[-1].installed_sequence == checks[-1].current_sequence
        return newest and _APP_LINE.search(self._device.console.text(session_only=True)) is not None

    def fetched(self) -> list[Fetched]:
        """What was asked for in this run."""
        found = []
        ends = [*self._sessions[1:], None]
        for number, (start, end) in enumerate(zip(self._sessions, ends, strict=True), 1):
            for event in self._running.events(ModuleRequested, DEVICE_ID, since=start, until=end):
                found.append(
                    Fetched(session=number, module_id=event.module_id, first_chunk=event.first_chunk)
                )
        return found

    @property
    def _running(self) -> LabServer:
        if self._server is None:
            raise RuntimeError("the upgrade server was not started")
        return self._server


# -- the download resumes (S2.7) ---------------------------------------------------------------------------


def download_resumes(context: HookContext) -> str | None:
    """After a cut, no chunk travels again that a completed progress record had counted.

    Two witnesses: the server's record of what it was asked for, and the flash operations on staging. One
    record that was cut may count or not (firmware/SPEC.md section 8.4), so the last completed one is what the
    device must know.
    """
    cut = next((record for record in context.log if record.cut is not None), None)
    if cut is None:
        return None
    session = cut.session
    kept = _kept(context.log.operations(session))
    return _fetched_again(context.surroundings, session, kept) or _written_again(context, session, kept)


def _kept(records: tuple[LogRecord, ...]) -> Progress:
    """What the last progress record says whose program completed."""
    region = board().flash.regions["progress"]
    area = Region(offset=region.offset, size=region.size)
    for record in reversed(records):
        done = record.status is Status.OK or record.cut is Phase.AFTER
        if record.kind is RecordKind.PROGRAM and record.touches(area) and done and record.data is not None:
            progress = read_progress(record.data.ljust(RECORD_SIZE, b"\xff"))
            if progress.manifest_digest == digest_of(envelope("new")):
                return progress
            break
    return Progress(manifest_digest=bytes(32), chunks=(0, 0, 0, 0))


def _fetched_again(server: object, session: int, kept: Progress) -> str | None:
    if not isinstance(server, UpgradeServer):
        raise TypeError(f"surroundings: {server!r}: expected the upgrade server")
    for item in server.fetched():
        have = kept.chunks[item.module_id]
        if item.session > session and item.first_chunk < have:
            return (
                f"module {item.module_id} was fetched again from chunk {item.first_chunk} in boot "
                f"{item.session}, although {have} chunks were complete"
            )
    return None


def _written_again(context: HookContext, session: int, kept: Progress) -> str | None:
    regions = board().flash.regions
    for name, place in board().modules.items():
        staged, have = regions[place.staged_region], kept.chunks[place.id] * CHUNK
        again = [
            record
            for record in context.log.operations()
            if record.session > session and staged.offset <= record.offset < staged.offset + have
        ]
        if again:
            return (
                f"staged {name}: {again[0].kind.value} at {again[0].offset:#x} in boot {again[0].session}, "
                f"although {kept.chunks[place.id]} chunks were complete"
            )
    return None
