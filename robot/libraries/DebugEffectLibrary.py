"""Keywords for what a debug session does to the device, seen from the server and in the emulator's memory."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from typing import TYPE_CHECKING

from robot.api import logger
from robot.api.deco import keyword, library

from brownout.elf import load_elf
from brownout.errors import DeadlineError, ViolationError
from brownout.lab import decode_telemetry
from DebugLibrary import CLIENT, DEVICE, KITS, TIMEOUT_S
from fieldlink.debug import open_client
from fieldlink.debug.profile import client_config, load_profile
from fieldlink.gateway import DebugSessionEnded, DebugSessionOpened, TelemetryReceived
from lab_keywords import HOLDER

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 0.02
_TWO_PERIODS_S = 0.5
"""Time for at least two of the app's measurements, on a busy machine."""


@library(scope="SUITE", auto_keywords=False)
class DebugEffectLibrary:
    """Works on the lab and the clients of UpgradeLibrary and DebugLibrary."""

    @keyword
    def telemetry_should_keep_arriving_while_memory_is_read(
        self, limit: float, seconds: float, client: str = CLIENT, device: str = DEVICE
    ) -> float:
        """Reads all of the app's memory in one session, again and again, for ``seconds``.

        Returns the longest silence of the application channel in the session, in seconds. Its start and its
        end count: a channel that waits for the session to end was silent all the time. Seconds are the
        device's: an emulator's time may go slower than the host's.
        """
        server = HOLDER.lab.server
        since = server.mark()
        clock = HOLDER.unit(device).device.engine.clock
        rate, speed = asyncio.run(_read_all_the_time(client, seconds, clock))
        server.wait_for(DebugSessionEnded, device, timeout=TIMEOUT_S, since=since)
        start, _ = server.timed_events(DebugSessionOpened, device, since=since)[0]
        end, _ = server.timed_events(DebugSessionEnded, device, since=since)[0]
        arrived = [moment for moment, _ in server.timed_events(TelemetryReceived, device, since=since)]
        moments = [start, *(moment for moment in arrived if start < moment < end), end]
        gap = speed * max(later - earlier for earlier, later in itertools.pairwise(moments))
        logger.info(
            f"{rate / 1000:.1f} kB/s for {end - start:.2f} s, {len(moments) - 2} measurements, "
            f"longest gap {gap:.2f} s of the device, whose time went {speed:.2f} x as fast as the host's"
        )
        if gap >= limit:
            raise ViolationError(
                f"application channel: longest silence {gap:.2f} s, expected below {limit:g} s"
            )
        return gap

    @keyword
    def app_should_run(self, device: str = DEVICE) -> None:
        """Two more measurements arrive."""
        server = HOLDER.lab.server
        since = server.mark()
        server.wait_for(TelemetryReceived, device, timeout=TIMEOUT_S, since=since, count=2)

    @keyword
    def telemetry_counter_should_exceed(self, counter: int, device: str = DEVICE) -> None:
        """The next measurement has a higher counter."""
        server = HOLDER.lab.server
        event = server.wait_for(TelemetryReceived, device, timeout=TIMEOUT_S, since=server.mark())
        found = decode_telemetry(event.payload).counter
        if found <= counter:
            raise ViolationError(f"measurement: expected a counter above {counter}, found {found}")

    @keyword
    def app_code_should_be_unpatched(self, device: str = DEVICE, version: str = "1.0.0") -> None:
        """The app's code in RAM is byte for byte what was built."""
        memory = HOLDER.lab.board.memory["app_code"]
        image = HOLDER.lab.builds.version(version).image("app")
        found = HOLDER.unit(device).device.read_memory(memory.base, len(image))
        wrong = [at for at, (one, other) in enumerate(zip(found, image, strict=True)) if one != other]
        if wrong:
            raise ViolationError(
                f"app code: {len(wrong)} bytes differ from the build, first at {wrong[0]:#x}"
            )

    @keyword
    def app_should_run_on_unpatched_without_a_link(
        self, device: str = DEVICE, timeout: float = TIMEOUT_S
    ) -> float:
        """Within ``timeout`` the code in RAM is as built and the counter moves; returns the seconds it took.

        Looks into the emulator's memory: there is no link that the device could tell it on.
        """
        elf = load_elf(HOLDER.lab.builds.version("1.0.0").elf("app"))
        started, pause = time.monotonic(), threading.Event()
        while True:
            try:
                self.app_code_should_be_unpatched(device)
                _counter_should_move(device, elf.symbol("measurement"))
            except ViolationError as error:
                if time.monotonic() - started > timeout:
                    raise ViolationError(f"{error}, for {timeout:g} s") from error
                pause.wait(_POLL_S)
            else:
                return round(time.monotonic() - started, 2)

    @keyword
    def app_should_stand_still(self, device: str = DEVICE, seconds: float = 0.5) -> None:
        """No measurement arrives for a while."""
        server = HOLDER.lab.server
        since = server.mark()
        with contextlib.suppress(DeadlineError):
            event = server.wait_for(TelemetryReceived, device, timeout=seconds, since=since, count=2)
            raise ViolationError(f"the app sent measurement {decode_telemetry(event.payload).counter}")

    @keyword
    def debug_session_should_end(self, device: str = DEVICE, timeout: float = TIMEOUT_S) -> int:
        """Waits until the server has closed a debug session of the device; returns the reason's number."""
        event = HOLDER.lab.server.wait_for(DebugSessionEnded, device, timeout=timeout, since=HOLDER.mark)
        return event.reason

    @keyword
    def mark_events(self) -> None:
        """Events before this moment do not count for keywords that wait for one."""
        HOLDER.mark = HOLDER.lab.server.mark()


async def _read_all_the_time(name: str, seconds: float, clock: Callable[[], float]) -> tuple[float, float]:
    """Bytes a second (of the host) that the client read, and seconds of the device for one of the host."""
    kit = KITS[name]
    async with open_client(client_config(load_profile(kit.profile), kit.device_id)) as client:
        target = await client.ready()
        start, device_start, count = time.monotonic(), clock(), 0
        while (passed := clock() - device_start) < seconds:
            count += len(await target.fetch_memory(target.agent.data_base, target.agent.data_size))
        elapsed = time.monotonic() - start
        return count / elapsed, passed / elapsed


def _counter_should_move(device: str, address: int) -> None:
    read = HOLDER.unit(device).device.read_memory
    before, end, pause = read(address, 4), time.monotonic() + _TWO_PERIODS_S, threading.Event()
    while read(address, 4) == before:
        if time.monotonic() > end:
            raise ViolationError(f"app: the counter stands still at {int.from_bytes(before, 'little')}")
        pause.wait(_POLL_S)
