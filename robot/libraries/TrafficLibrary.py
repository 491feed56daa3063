"""Keywords about the link: what travelled on it, what stands in a capture of it, and how it is disturbed."""

from __future__ import annotations

import itertools
import threading
import time
from typing import TYPE_CHECKING

from robot.api import logger
from robot.api.deco import keyword, library

from brownout.errors import DeadlineError, StateError, ViolationError
from brownout.lab import decode_telemetry
from brownout.uplink import Direction
from fieldlink.gateway import DeviceOffline, ModuleRequested, ModuleServed, TelemetryReceived
from fieldlink.mux import Channel
from lab_keywords import HOLDER, find_module

if TYPE_CHECKING:
    from fieldlink.store import ReleaseRecord

DEVICE = "dev-1"
TIMEOUT_S = 40.0
_POLL_S = 0.01
_SNIPPET = 64
"""Bytes of a module that are looked for: enough that they are nowhere by chance."""


@library(scope="SUITE", auto_keywords=False)
class TrafficLibrary:
    """Works on the lab that UpgradeLibrary started."""

    # -- modules -------------------------------------------------------------------------------------------

    @keyword
    def only_these_modules_should_have_travelled(self, *modules: str, device: str = DEVICE) -> None:
        """Encrypted bytes of exactly these modules went over the link, each once and as a whole."""
        sent = dict(HOLDER.lab.server.counters(device).module_bytes)
        expected = {
            record.module_id: len(HOLDER.lab.store.read_blob(record.blob))
            for record in _newest_release().modules
            if record.name in modules
        }
        if sent != expected:
            raise ViolationError(f"module bytes on the link by module id: expected {expected}, found {sent}")

    @keyword
    def module_bytes_sent(self, module: str, device: str = DEVICE) -> int:
        """Encrypted bytes of a module that the server handed to the link, in all sessions."""
        return HOLDER.lab.server.counters(device).module_bytes.get(_module_id(module), 0)

    @keyword
    def encrypted_size(self, module: str) -> int:
        """Size of a module's encrypted blob in the newest release."""
        return len(HOLDER.lab.store.read_blob(find_module(_newest_release(), module).blob))

    @keyword
    def download_should_have_resumed(self, module: str, from_chunk: int, device: str = DEVICE) -> None:
        """The module was fetched more than once, the last time from this chunk or a later one."""
        events = HOLDER.lab.server.events(ModuleRequested, device, since=HOLDER.mark)
        chunks = [event.first_chunk for event in events if event.module_id == _module_id(module)]
        logger.info(f"fetches of {module} from chunks {chunks}")
        if len(chunks) < 2 or chunks[-1] < from_chunk:
            raise ViolationError(
                f"fetches of {module}: expected the last from chunk {from_chunk}, found {chunks}"
            )

    @keyword
    def wait_for_chunks_in_flash(self, module: str, chunks: int, device: str = DEVICE) -> None:
        """Waits until the device has recorded so many chunks of a module as complete."""
        unit, pause = HOLDER.unit(device), threading.Event()
        deadline = time.monotonic() + TIMEOUT_S
        while unit.state().progress.chunks[_module_id(module)] < chunks:
            if time.monotonic() > deadline:
                raise DeadlineError(f"{module}: {chunks} chunks were not recorded within {TIMEOUT_S:g} s")
            pause.wait(_POLL_S)

    @keyword
    def link_should_have_carried_less_than_module(self, module: str, device: str = DEVICE) -> None:
        """Counted by the modem: all bytes towards the device are fewer than this module has."""
        carried, size = HOLDER.unit(device).modem.counters.down, self.encrypted_size(module)
        logger.info(f"{carried} bytes towards the device; {module} alone has {size}")
        if carried >= size:
            raise ViolationError(f"bytes towards the device: expected fewer than {size}, found {carried}")

    # -- channels ------------------------------------------------------------------------------------------

    @keyword
    def sessions_of_device(self, device: str = DEVICE) -> int:
        """Secure sessions of the device since the server started."""
        return HOLDER.lab.server.counters(device).sessions

    @keyword
    def channel_bytes_received(self, channel: Channel, device: str = DEVICE) -> int:
        """Payload bytes that the server received on a virtual channel."""
        return HOLDER.lab.server.counters(device).channel_bytes_in.get(channel, 0)

    @keyword
    def channel_bytes_sent(self, channel: Channel, device: str = DEVICE) -> int:
        """Payload bytes that the server sent on a virtual channel."""
        return HOLDER.lab.server.counters(device).channel_bytes_out.get(channel, 0)

    @keyword
    def telemetry_during_download(self, device: str = DEVICE) -> dict[str, float]:
        """What the application sent between the first request for a module and the last piece of one.

        Returns ``count``, ``lost`` (missing counter values) and ``gap`` (longest silence).
        """
        server = HOLDER.lab.server
        requests = server.timed_events(ModuleRequested, device, since=HOLDER.mark)
        served = server.timed_events(ModuleServed, device, since=HOLDER.mark)
        if not requests or not served:
            raise StateError("no download has happened since the release was published")
        start, end = requests[0][0], served[-1][0]
        heard = [
            (moment, decode_telemetry(event.payload).counter)
            for moment, event in server.timed_events(TelemetryReceived, device, since=HOLDER.mark)
            if start <= moment <= end
        ]
        times = [start, *(moment for moment, _ in heard), end]
        counters = [counter for _, counter in heard]
        lost = counters[-1] - counters[0] + 1 - len(counters) if counters else 0
        gap = max(later - earlier for earlier, later in itertools.pairwise(times))
        logger.info(f"{len(heard)} messages in {end - start:.2f} s, longest silence {gap:.2f} s")
        return {"count": len(heard), "lost": lost, "gap": gap}

    @keyword
    def calibrated_value_should_follow(self, version: str, device: str = DEVICE) -> None:
        """The next measurement is what the table of this assets version makes of its raw value."""
        server, since = HOLDER.lab.server, HOLDER.lab.server.mark()
        event = server.wait_for(TelemetryReceived, device, timeout=TIMEOUT_S, since=since)
        measurement = decode_telemetry(event.payload)
        expected = _calibrate(HOLDER.lab.builds.version(version).image("assets"), measurement.counter)
        if measurement.value != expected:
            raise ViolationError(
                f"measurement {measurement.counter}: expected {expected} with assets {version}, "
                f"found {measurement.value}"
            )

    # -- what can be read ----------------------------------------------------------------------------------

    @keyword
    def link_capture_should_not_contain_module(
        self, sequence: int, module: str, device: str = DEVICE
    ) -> None:
        """No piece of the module stands readable in what the modem carried."""
        carried = b"".join(
            item.data for item in HOLDER.unit(device).modem.captured if item.direction is Direction.DOWN
        )
        if len(carried) < len(HOLDER.lab.image(sequence, module)):
            raise StateError(f"the capture holds {len(carried)} bytes: the module never travelled")
        _should_not_contain(carried, sequence, module, "link capture")

    @keyword
    def stored_blob_should_not_contain_module(self, sequence: int, module: str) -> None:
        """No piece of the module stands readable in the server's store."""
        blob = HOLDER.lab.store.read_blob(find_module(_newest_release(), module).blob)
        _should_not_contain(blob, sequence, module, "stored blob")

    @keyword
    def flash_should_contain_module(self, sequence: int, module: str, device: str = DEVICE) -> None:
        """The same search finds the module in the device's flash: it can tell."""
        image = HOLDER.unit(device).device.flash.image()
        if not any(piece in image for piece in _pieces(sequence, module)):
            raise ViolationError(f"flash: expected {module} of release {sequence}, found no piece of it")

    # -- disturbing it -------------------------------------------------------------------------------------

    @keyword
    def disconnect_link(self, device: str = DEVICE) -> None:
        """Pulls the cable between device and server."""
        HOLDER.unit(device).link.connected = False

    @keyword
    def connect_link(self, device: str = DEVICE) -> None:
        """Plugs it in again."""
        HOLDER.unit(device).link.connected = True

    @keyword
    def device_should_go_offline(self, device: str = DEVICE) -> str:
        """Waits until the server has given the session up; returns why."""
        server = HOLDER.lab.server
        return server.wait_for(DeviceOffline, device, timeout=TIMEOUT_S, since=HOLDER.mark).reason

    @keyword
    def damage_one_byte_on_the_link(self, after_bytes: int, device: str = DEVICE) -> None:
        """Flips one bit of the byte that comes after so many more bytes from the server."""
        HOLDER.unit(device).modem.add_tap(_DamageOneByte(after_bytes))


class _DamageOneByte:
    """A tap that flips one bit of one byte on its way down."""

    def __init__(self, after: int) -> None:
        self._left = after

    def __call__(self, direction: Direction, data: bytes, /) -> bytes:
        if direction is not Direction.DOWN or self._left < 0:
            return data
        at, self._left = self._left, self._left - len(data)
        if at >= len(data):
            return data
        self._left = -1
        return data[:at] + bytes([data[at] ^ 0x04]) + data[at + 1 :]


def _newest_release() -> ReleaseRecord:
    lab = HOLDER.lab
    release = lab.desk.newest_release(lab.board.name)
    if release is None:
        raise StateError("no release is published")
    return release


def _module_id(module: str) -> int:
    return HOLDER.lab.board.modules[module].id


def _pieces(sequence: int, module: str) -> list[bytes]:
    image = HOLDER.lab.image(sequence, module)
    pieces = [image[at : at + _SNIPPET] for at in range(0, len(image) - _SNIPPET, 1024)]
    return [piece for piece in pieces if len(set(piece)) > 8]


def _should_not_contain(data: bytes, sequence: int, module: str, where: str) -> None:
    pieces = _pieces(sequence, module)
    if not pieces:
        raise StateError(f"{module} of release {sequence}: no piece of it is distinctive enough to look for")
    if any(piece in data for piece in pieces):
        raise ViolationError(f"{where}: expected no plaintext of {module}, found some")


def _calibrate(assets: bytes, counter: int) -> int:
    """What firmware/app/main.c computes: a triangle wave through the table of words."""
    count, table = (int.from_bytes(assets[at : at + 4], "little") for at in (12, 16))
    phase = counter % 512
    raw = phase if phase < 256 else 511 - phase
    at = table + 4 * (raw % count)
    return int.from_bytes(assets[at : at + 4], "little")
