"""The gateway: listens, runs one task a connection, knows who is online, counts."""

import asyncio
import contextlib
import errno
import logging
import time
from collections import deque
from collections.abc import Callable

from fieldlink.errors import GatewayError, LocalProtocolError, StoreError
from fieldlink.gateway.config import GatewayConfig
from fieldlink.gateway.connection import Connection
from fieldlink.gateway.counters import DeviceCounters, DeviceTally, TelemetryLog
from fieldlink.gateway.debug import DebugBackend, DebugService
from fieldlink.gateway.events import GatewayEvent
from fieldlink.gateway.ports import Aborting
from fieldlink.gateway.sources import DeviceRegistry, ReleaseSource

_log = logging.getLogger("fieldlink.gateway")

_SHUTDOWN = 0
_REPLACED = 1
_SAVE_INTERVAL_S = 5.0

Observer = Callable[[GatewayEvent], None]


class Gateway:
    """A server for many devices.

    ::

        async with Gateway(config=config, registry=store, releases=store) as gateway:
            gateway.subscribe(print)
            print(gateway.port)

    Without `debug` there is no debug service, and debug clients get no answer.

    `counters`, `telemetry` and `online_devices` return copies and may be called from any thread; everything
    else belongs to the event loop that called `start`. Observers are called in that loop and must not block.
    """

    def __init__(
        self,
        *,
        config: GatewayConfig,
        registry: DeviceRegistry,
        releases: ReleaseSource,
        debug: DebugBackend | None = None,
    ) -> None:
        self.config = config
        self.registry = registry
        self.releases = releases
        self.debug = None if debug is None else DebugService(debug, self)
        self._observers: list[Observer] = []
        self._tallies: dict[str, DeviceTally] = {}
        self._online: dict[str, Aborting] = {}
        self._connections: set[Connection] = set()
        self._connection_count = 0
        self._server: asyncio.Server | None = None
        self._stop = asyncio.Event()
        self._main: asyncio.Task[None] | None = None

    # ---- life

    async def start(self) -> None:
        """Listens. GatewayError when the address cannot be had."""
        if self._main is not None:
            raise LocalProtocolError("the gateway was started already")
        ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._main = asyncio.create_task(self._run(ready), name="fieldlink-gateway")
        await ready

    async def close(self) -> None:
        """Says goodbye to every device, closes every socket, saves the counters. Safe to call twice."""
        self._stop.set()
        if self._main is not None:
            await self._main

    async def __aenter__(self) -> "Gateway":
        await self.start()
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.close()

    async def wait_closed(self) -> None:
        """Returns when `close` was called, or raises what ended the gateway."""
        if self._main is not None:
            await asyncio.shield(self._main)

    @property
    def port(self) -> int:
        """The port that it really listens on."""
        if self._server is None or not self._server.sockets:
            raise LocalProtocolError("the gateway does not listen")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def _run(self, ready: "asyncio.Future[None]") -> None:
        try:
            async with asyncio.TaskGroup() as group:
                try:
                    self._server = await asyncio.start_server(
                        lambda reader, writer: self._on_connection(group, reader, writer),
                        self.config.host,
                        self.config.port,
                    )
                except OSError as error:
                    ready.set_exception(_listen_error(self.config, error))
                    return
                if self.debug is not None:
                    self.debug.start()
                ready.set_result(None)
                _log.info("listening on %s:%d", self.config.host, self.port)
                await self._save_until_stopped()
                self._server.close()
                if self.debug is not None:
                    self.debug.shut_down()
                for connection in tuple(self._connections):
                    connection.abort(_SHUTDOWN)
        finally:
            if self._server is not None:
                self._server.close()
            if self.debug is not None:
                await self.debug.close()
        await self._save()
        _log.info("closed")

    async def _save_until_stopped(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_SAVE_INTERVAL_S):
                    await self._stop.wait()
            await self._save()

    def _on_connection(
        self, group: asyncio.TaskGroup, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if self._stop.is_set() or len(self._connections) >= self.config.connections_limit:
            _log.warning("connection refused: %d are open", len(self._connections))
            writer.close()
            return
        self._connection_count += 1
        connection = Connection(self._connection_count, self, reader, writer)
        self._connections.add(connection)
        task = group.create_task(connection.run(), name=f"fieldlink-connection-{self._connection_count}")
        task.add_done_callback(lambda _task: self._connections.discard(connection))

    # ---- what connections need (Hub)

    def emit(self, event: GatewayEvent) -> None:
        """Tells every observer. An observer that fails is logged and does no harm."""
        for observer in tuple(self._observers):
            try:
                observer(event)
            except Exception:
                _log.exception("observer failed")

    def tally(self, device_id: str) -> DeviceTally:
        """Running counters of a device."""
        tally = self._tallies.get(device_id)
        if tally is None:
            tally = DeviceTally(telemetry=deque(maxlen=self.config.telemetry_kept))
            self._tallies[device_id] = tally
        return tally

    def online(self, device_id: str, connection: Aborting) -> None:
        """The newest proven connection of a device wins; the one before is closed."""
        before = self._online.get(device_id)
        if before is not None and before is not connection:
            before.abort(_REPLACED)  # its DeviceOffline comes before our DeviceOnline
        self._online[device_id] = connection

    def offline(self, device_id: str, connection: Aborting) -> None:
        """Forgets a session, unless a newer one has taken its place."""
        if self._online.get(device_id) is connection:
            del self._online[device_id]

    # ---- for observers

    def subscribe(self, observer: Observer) -> Callable[[], None]:
        """Calls `observer` with every event from now on; the result ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer) if observer in self._observers else None

    def online_devices(self) -> frozenset[str]:
        """Ids of the devices that have a proven session."""
        return frozenset(tuple(self._online))

    def counters(self, device_id: str) -> DeviceCounters:
        """What travelled from and to a device since the gateway started."""
        return self.tally(device_id).snapshot()

    def telemetry(self, device_id: str) -> TelemetryLog:
        """What a device sent on the application channel since the gateway started."""
        tally = self.tally(device_id)
        return TelemetryLog(count=tally.telemetry_count, messages=tuple(tally.telemetry.copy()))

    async def _save(self) -> None:
        """Adds what was counted since the last time to the registry."""
        for device_id, tally in tuple(self._tallies.items()):
            count, stream_in, stream_out = tally.unsaved()
            if not (count or stream_in or stream_out):
                continue
            telemetry = (count, tally.telemetry[-1]) if count and tally.telemetry else None
            try:
                await asyncio.to_thread(
                    self.registry.update_device,
                    device_id,
                    last_seen=time.time(),
                    telemetry=telemetry,
                    stream_bytes=(stream_in, stream_out),
                )
            except StoreError as error:
                _log.error("%s", error)


def _listen_error(config: GatewayConfig, error: OSError) -> GatewayError:
    where = f"{config.host}:{config.port}"
    if error.errno == errno.EADDRINUSE:
        return GatewayError(
            f"cannot listen on {where}: the port is in use; choose another --port (0 takes a free one)"
        )
    if error.errno == errno.EACCES:
        return GatewayError(f"cannot listen on {where}: not permitted; choose a --port above 1023")
    return GatewayError(f"cannot listen on {where}: {error.strerror or error}; check --host and --port")
