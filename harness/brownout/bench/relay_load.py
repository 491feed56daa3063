"""The load of the relay figures: a debug client that keeps frames under way to devices that echo."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from brownout.errors import DeadlineError, StateError
from fieldlink import debug_messages as frames
from fieldlink import link as links
from fieldlink.mux import Channel
from fieldlink.testing import SimulatedDevice

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from fieldlink.keys import KeyPair
    from fieldlink.provision import ProvisionedDevice

PAYLOAD_SIZE: Final = 64
"""Bytes of a frame; a sealed step or a small read is about that. To the gateway it is opaque anyway."""
_TIMEOUT_S: Final = 60.0
_BATCH: Final = 40
_READ_SIZE: Final = 16384
_POLL_S: Final = 0.02
_Condition = Callable[[], bool]


def echo(frame: frames.DebugFrame) -> list[frames.DebugFrame]:
    """What the simulated devices do with frames of a debug session."""
    return [frame] if isinstance(frame, frames.Relay) else []


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRun:
    """Round trips client, gateway, device, gateway, client. Seconds."""

    duration_s: float
    latencies_s: tuple[float, ...]


class DeviceCrowd:
    """Simulated devices that stay connected. Use it as an async context manager."""

    def __init__(self, address: tuple[str, int], *, server_public: bytes, release_public: bytes) -> None:
        self._address = address
        self._server_public = server_public
        self._release_public = release_public
        self._tasks: list[asyncio.Task[None]] = []
        self._devices: list[SimulatedDevice] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_exception: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def join(self, provisioned: Sequence[ProvisionedDevice]) -> None:
        """Connect more devices; returns when each has its answer to the upgrade check. DeadlineError."""
        for start in range(0, len(provisioned), _BATCH):
            batch = [self._start(each) for each in provisioned[start : start + _BATCH]]

            def settled(batch: list[SimulatedDevice] = batch) -> bool:
                return all(one.upgrade.finished for one in batch)

            await _until(settled, "devices connect")
        self.check()

    def _start(self, provisioned: ProvisionedDevice) -> SimulatedDevice:
        device = SimulatedDevice(
            provisioned, server_public=self._server_public, release_public=self._release_public
        )
        device.debug = echo
        run = device.run(
            *self._address, until=lambda _it: False, telemetry_each_message=False, timeout_s=600.0
        )
        self._tasks.append(asyncio.create_task(run))
        self._devices.append(device)
        return device

    def check(self) -> None:
        """All are still there. Raises StateError."""
        gone = sum(task.done() for task in self._tasks) + sum(bool(one.downs) for one in self._devices)
        if gone:
            raise StateError(f"relay: {gone} of {len(self._devices)} simulated devices lost their link")


class LoadClient:
    """A debug client with a session to each of some devices. Use it as an async context manager."""

    def __init__(
        self, address: tuple[str, int], *, key: KeyPair, server_public: bytes, tokens: Mapping[str, bytes]
    ) -> None:
        """`tokens`: one for each device id; a client link carries 8 sessions at most."""
        self._address = address
        self._key = key
        self._server_public = server_public
        self._tokens = dict(tokens)
        self._opened: set[int] = set()
        self._sent: dict[int, deque[float]] = {number: deque() for number in range(1, len(tokens) + 1)}
        self._left = 0
        self._latencies: list[float] = []
        self._outbox: deque[bytes] = deque()
        self._payload = os.urandom(PAYLOAD_SIZE)
        self._failure = ""
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()

    async def __aenter__(self) -> Self:
        self._reader, self._writer = await asyncio.open_connection(*self._address)
        self._link = links.Initiator(
            static_private=self._key.private,
            remote_public=self._server_public,
            client_name="bench",
            now=asyncio.get_running_loop().time(),
        )
        self._task = asyncio.create_task(self._serve())
        await self._wait(lambda: len(self._opened) == len(self._sent), "debug sessions open")
        return self

    async def __aexit__(self, *_exception: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        self._writer.transport.abort()

    async def run(self, count: int, *, window: int) -> LoadRun:
        """`count` round trips, `window` of them under way at a time, over all sessions in turn."""
        self._latencies = []
        self._left = count
        numbers = itertools.cycle(self._sent)
        started = time.perf_counter()
        for _ in range(min(window, count)):
            self._send(next(numbers))
        self._wake.set()
        await self._wait(lambda: len(self._latencies) == count, f"{count} round trips")
        return LoadRun(duration_s=time.perf_counter() - started, latencies_s=tuple(self._latencies))

    def _send(self, number: int) -> None:
        self._left -= 1
        self._sent[number].append(time.perf_counter())
        self._outbox.append(frames.encode(frames.Relay(session=number, payload=self._payload)))

    async def _wait(self, condition: _Condition, what: str) -> None:
        await _until(condition, what, self._changed, lambda: self._failure)

    async def _serve(self) -> None:
        loop, link = asyncio.get_running_loop(), self._link
        read = asyncio.ensure_future(self._reader.read(_READ_SIZE))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            while not self._failure:
                link.poll(loop.time())
                while (event := link.next_event(loop.time())) is not None:
                    self._on_event(event)
                while self._outbox and link.is_up and link.has_room(Channel.DEBUG):
                    link.send(Channel.DEBUG, self._outbox.popleft())
                self._writer.write(link.data_to_send())
                self._changed.set()
                deadline = link.next_deadline()
                timeout = None if deadline is None else max(0.0, deadline - loop.time())
                await asyncio.wait({read, wake}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                if wake.done():
                    self._wake.clear()
                    wake = asyncio.ensure_future(self._wake.wait())
                if read.done():
                    data = read.result()
                    if not data:
                        self._failure = "the gateway closed the connection"
                    link.receive_data(data)
                    read = asyncio.ensure_future(self._reader.read(_READ_SIZE))
        except OSError as error:
            self._failure = str(error)
        finally:
            read.cancel()
            wake.cancel()
            self._changed.set()

    def _on_event(self, event: links.Event) -> None:
        match event:
            case links.SessionUp():
                for number, (device, token) in enumerate(self._tokens.items(), 1):
                    opening = frames.Open(
                        session=number, device_id=device.encode(), session_id=os.urandom(16), token=token
                    )
                    self._outbox.append(frames.encode(opening))
            case links.SessionDown(reason=reason):
                self._failure = reason
            case links.Message(channel=Channel.DEBUG, payload=payload):
                self._on_frame(frames.decode_frame(payload))
                self._link.consume(Channel.DEBUG, len(payload))
            case _:
                pass

    def _on_frame(self, frame: frames.DebugFrame) -> None:
        match frame:
            case frames.Opened(session=number):
                self._opened.add(number)
            case frames.Relay(session=number, payload=payload):
                if payload != self._payload:
                    self._failure = "an echo differs from what was sent"
                self._latencies.append(time.perf_counter() - self._sent[number].popleft())
                if self._left > 0:
                    self._send(number)
            case frames.Ended(reason=reason):
                self._failure = f"a debug session ended for reason {reason}"
            case _:
                pass


async def _until(
    condition: _Condition,
    what: str,
    changed: asyncio.Event | None = None,
    failure: Callable[[], str] = lambda: "",
) -> None:
    """Wait, on `changed` or by looking now and then. Raises DeadlineError, StateError with the failure."""
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            while not condition():
                if failure():
                    raise StateError(f"relay: {what}: {failure()}")
                if changed is None:
                    await asyncio.sleep(_POLL_S)
                else:
                    changed.clear()
                    await changed.wait()
    except TimeoutError as error:
        raise DeadlineError(f"relay: {what}: not within {_TIMEOUT_S:g} s") from error
