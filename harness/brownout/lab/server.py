"""The upgrade server of a lab: a fieldlink gateway with its own event loop in a thread."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from brownout.errors import DeadlineError, StateError
from fieldlink.gateway import Gateway, GatewayConfig, GatewayEvent

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from fieldlink.gateway import DebugBackend, DeviceCounters, DeviceRegistry, ReleaseSource, TelemetryLog
    from fieldlink.keys import KeyPair

_TIMEOUT_S: Final = 20.0
_Event = TypeVar("_Event", bound=GatewayEvent)
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedEvent:
    """What a gateway told, and when: `time_s` is time.monotonic()."""

    time_s: float
    event: GatewayEvent


class LabServer:
    """Start it, stop it and start it again: the port stays the same, as devices know it."""

    def __init__(
        self,
        *,
        server_key: KeyPair,
        registry: DeviceRegistry,
        releases: ReleaseSource,
        debug: DebugBackend | None = None,
    ) -> None:
        self._key = server_key
        self._registry = registry
        self._releases = releases
        self._debug = debug
        self._port = 0
        self._gateway: Gateway | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._events: list[TimedEvent] = []

    @property
    def address(self) -> tuple[str, int]:
        """Host and port that it listens on, or did."""
        if self._port == 0:
            raise StateError("lab server: it has no address before its first start")
        return ("127.0.0.1", self._port)

    def start(self) -> None:
        """Listen. Raises StateError when it runs, fieldlink's GatewayError when the port cannot be had."""
        if self._thread is not None:
            raise StateError("lab server: it runs already")
        self._loop = loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=loop.run_forever, name="brownout-lab-server", daemon=True)
        self._thread.start()
        try:
            self._call(self._open())
        except BaseException:
            self._end_loop()
            raise

    def stop(self) -> None:
        """Close all connections and stop listening; later calls do nothing."""
        if self._thread is None:
            return
        try:
            if self._gateway is not None:
                self._call(self._gateway.close())
        finally:
            self._gateway = None
            self._end_loop()

    # -- what happened -------------------------------------------------------------------------------------

    def mark(self) -> int:
        """A place in the list of events, for events() and wait_for()."""
        with self._changed:
            return len(self._events)

    def events(
        self, kind: type[_Event], device_id: str | None, *, since: int = 0, until: int | None = None
    ) -> list[_Event]:
        """Events of a kind about a device (None: any) between two marks, oldest first."""
        return [event for _, event in self.timed_events(kind, device_id, since=since, until=until)]

    def timed_events(
        self, kind: type[_Event], device_id: str | None, *, since: int = 0, until: int | None = None
    ) -> list[tuple[float, _Event]]:
        """events() with the time of each, in seconds of time.monotonic()."""
        with self._changed:
            recent = self._events[since:until]
        return [
            (timed.time_s, timed.event)
            for timed in recent
            if isinstance(timed.event, kind) and device_id in (None, getattr(timed.event, "device_id", None))
        ]

    def everything(self) -> tuple[TimedEvent, ...]:
        """All events since the lab was made, oldest first."""
        with self._changed:
            return tuple(self._events)

    def wait_for(
        self,
        kind: type[_Event],
        device_id: str | None,
        *,
        timeout: float,
        since: int = 0,
        where: Callable[[_Event], bool] = lambda _event: True,
        count: int = 1,
    ) -> _Event:
        """Wait for the `count`-th event of a kind about a device since mark(). Raises DeadlineError."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                found = [event for event in self.events(kind, device_id, since=since) if where(event)]
                if len(found) >= count:
                    return found[count - 1]
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    recent = ", ".join(type(timed.event).__name__ for timed in self._events[since:][-5:])
                    raise DeadlineError(
                        f"server: no {kind.__name__} (number {count}) of {device_id or 'any device'} "
                        f"within {timeout:g} s; "
                        f"last events: {recent or 'none'}"
                    )

    def counters(self, device_id: str) -> DeviceCounters:
        """What travelled since the server was started."""
        return self._running().counters(device_id)

    def telemetry(self, device_id: str) -> TelemetryLog:
        """What the device sent on its application channel since the server was started."""
        return self._running().telemetry(device_id)

    # -- inside --------------------------------------------------------------------------------------------

    def _running(self) -> Gateway:
        if self._gateway is None:
            raise StateError("lab server: it does not run; start() it")
        return self._gateway

    async def _open(self) -> None:
        config = GatewayConfig(server_key=self._key, port=self._port)
        gateway = Gateway(config=config, registry=self._registry, releases=self._releases, debug=self._debug)
        gateway.subscribe(self._note)
        await gateway.start()
        self._gateway = gateway
        self._port = gateway.port

    def _note(self, event: GatewayEvent) -> None:
        with self._changed:
            self._events.append(TimedEvent(time_s=time.monotonic(), event=event))
            self._changed.notify_all()

    def _call(self, work: Coroutine[object, object, _Result]) -> _Result:
        if self._loop is None:
            raise StateError("lab server: it does not run")
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_TIMEOUT_S)

    def _end_loop(self) -> None:
        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
        if loop is None or thread is None:
            return
        loop.call_soon_threadsafe(loop.stop)
        thread.join(_TIMEOUT_S)
        loop.close()
