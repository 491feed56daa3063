"""One TCP connection: bytes in and out of the link, messages to the services."""

import asyncio
import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from typing import Any, ParamSpec, Protocol, TypeVar

from fieldlink import link as links
from fieldlink import messages
from fieldlink.errors import RemoteProtocolError, StoreError
from fieldlink.gateway import events
from fieldlink.gateway.config import GatewayConfig
from fieldlink.gateway.counters import DeviceTally
from fieldlink.gateway.sources import DeviceRegistry, ReleaseSource
from fieldlink.gateway.upgrade import RefusedCode, UpgradeSession, installed_manifest
from fieldlink.mux import Channel
from fieldlink.store import DeviceRecord

_READ_SIZE = 16384
_REPLIES_LIMIT = 8
_CLOSE_TIMEOUT_S = 1.0
_ABORT_REASONS = {0: "the gateway shuts down", 1: "replaced by a newer connection"}

P = ParamSpec("P")
R = TypeVar("R")


class Hub(Protocol):
    """What a connection needs of the gateway around it."""

    config: GatewayConfig
    registry: DeviceRegistry
    releases: ReleaseSource

    def emit(self, event: events.GatewayEvent) -> None:
        """Tells the observers."""
        ...

    def tally(self, device_id: str) -> DeviceTally:
        """Counters of a device."""
        ...

    def online(self, device_id: str, connection: "Connection") -> None:
        """`connection` has the newest proven session of a device."""
        ...

    def offline(self, device_id: str, connection: "Connection") -> None:
        """That session is over."""
        ...


class _Logger(logging.LoggerAdapter[logging.Logger]):
    """Puts connection number and device in front. An adapter: named loggers would never be freed."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        extra = self.extra or {}
        return f"[{extra['connection']} {extra['device']}] {msg}", kwargs


class Connection:
    """Serves one TCP connection until it ends; devices on it may come and go."""

    def __init__(
        self, number: int, hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._hub = hub
        self._reader = reader
        self._writer = writer
        self._link = links.Responder(static_private=hub.config.server_key.private)
        self._peer = _peer_name(writer)
        self._log_fields: dict[str, object] = {"connection": number, "device": self._peer}
        self._log = _Logger(logging.getLogger("fieldlink.gateway.connection"), self._log_fields)
        self._task: asyncio.Task[None] | None = None
        self._close_reason = 0
        self._accepted: DeviceRecord | None = None  # answered last; online once SessionUp says so
        self._device: DeviceRecord | None = None
        self._upgrade: UpgradeSession | None = None
        self._replies: deque[bytes] = deque()
        self._idle_since = self._now()

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    def abort(self, reason: int) -> None:
        """Ends the connection; `reason` goes into the close message.

        The session is over when this returns.
        """
        self._close_reason = reason
        self._session_down(_ABORT_REASONS[reason])
        if self._task is not None:
            self._task.cancel()

    # ---- the loop

    async def run(self) -> None:
        """Serves until the peer closes, fails, or `abort`."""
        self._task = asyncio.current_task()
        self._log.info("connected")
        reason = "connection closed by the peer"
        try:
            while (data := await self._receive()) is not None:
                self._link.receive_data(data)
                await self._handle_events()
                self._link.poll(self._now())
                await self._handle_events()
                self._pump()
                await self._flush()
        except (OSError, TimeoutError) as error:
            reason = f"connection lost: {error or 'the peer takes no bytes'}"
        except asyncio.CancelledError:
            reason = _ABORT_REASONS[self._close_reason]
            raise
        except Exception:
            # A bug must cost one connection, not the gateway with all its devices.
            reason = "internal error"
            self._log.exception("internal error, connection dropped")
        finally:
            await self._end(reason)

    async def _receive(self) -> bytes | None:
        """Bytes of the stream, b"" when a deadline came first, None at its end."""
        now = self._now()
        deadline = self._link.next_deadline()
        if self._device is None:
            idle_end = self._idle_since + self._hub.config.idle_timeout_s
            if now >= idle_end:
                self._log.info("no session for %g s, closing", self._hub.config.idle_timeout_s)
                return None
            deadline = idle_end if deadline is None else min(deadline, idle_end)
        try:
            async with asyncio.timeout_at(deadline):
                data = await self._reader.read(_READ_SIZE)
        except TimeoutError:
            return b""
        if self._device is not None:
            self._hub.tally(self._device.device_id).stream_in += len(data)
        return data or None

    async def _flush(self) -> None:
        self._write()
        async with asyncio.timeout(self._hub.config.write_timeout_s):
            await self._writer.drain()

    def _write(self) -> None:
        data = self._link.data_to_send()
        if data:
            self._writer.write(data)
            if self._device is not None:
                self._hub.tally(self._device.device_id).stream_out += len(data)

    async def _end(self, reason: str) -> None:
        self._link.close(self._close_reason)
        with contextlib.suppress(OSError):
            self._write()
        self._session_down(reason)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                self._writer.close()
                await self._writer.wait_closed()
        self._log.info("ended: %s", reason)

    # ---- events of the link

    async def _handle_events(self) -> None:
        while (event := self._link.next_event(self._now())) is not None:
            match event:
                case links.HandshakeReceived():
                    await self._on_handshake(event)
                case links.SessionUp():
                    self._on_session_up()
                case links.Message(channel=channel, payload=payload):
                    await self._on_message(channel, payload)
                case links.SessionDown(reason=reason):
                    self._session_down(reason)
                case links.HandshakeFailed(reason=reason):
                    self._log.warning("handshake not answered: %s", reason)
                    self._hub.emit(events.HandshakeRejected(peer=self._peer, reason=reason))
                case links.Ignored(reason=reason):
                    self._log.info("ignored: %s", reason)

    async def _on_handshake(self, event: links.HandshakeReceived) -> None:
        try:
            device = await self._in_thread(self._hub.registry.device_by_key, event.peer_key)
        except StoreError as error:
            device, reason = None, str(error)
        else:
            reason = f"unknown key {event.peer_key.hex()[:16]}"
        if device is not None and device.device_id.encode("ascii") != event.device_id:
            reason = f"key of {device.device_id} with another device id {event.device_id!r}"
            device = None
        if device is None:
            self._log.warning("handshake not answered: %s", reason)
            self._hub.emit(events.HandshakeRejected(peer=self._peer, reason=reason))
            self._link.reject()
            return
        self._accepted = device
        self._link.accept(self._now())
        self._write()

    def _on_session_up(self) -> None:
        device = self._accepted
        if device is None:
            raise RuntimeError("session without an accepted device")
        self._device = device
        self._upgrade = UpgradeSession(device)
        self._replies.clear()
        self._log_fields["device"] = device.device_id
        self._log.info("session up")
        self._hub.tally(device.device_id).sessions += 1
        self._hub.online(device.device_id, self)
        self._hub.emit(events.DeviceOnline(device_id=device.device_id, peer=self._peer))

    def _session_down(self, reason: str) -> None:
        device, self._device = self._device, None
        self._upgrade = None
        self._replies.clear()
        self._idle_since = self._now()
        if device is not None:
            self._log.info("session down: %s", reason)
            self._hub.offline(device.device_id, self)
            self._hub.emit(events.DeviceOffline(device_id=device.device_id, reason=reason))

    async def _on_message(self, channel: Channel, payload: bytes) -> None:
        if self._device is None:
            return
        self._hub.tally(self._device.device_id).received(channel, len(payload))
        # Given back before the answer is made: the answer may wait for the device, the credit must not.
        self._link.consume(channel, len(payload))
        if channel is Channel.APPLICATION:
            self._on_telemetry(self._device, payload)
        elif channel is Channel.UPGRADE and self._upgrade is not None:
            await self._on_upgrade(self._device, self._upgrade, payload)
        else:
            self._log.info("message on %s, which nobody serves", channel.name.lower())

    def _on_telemetry(self, device: DeviceRecord, payload: bytes) -> None:
        tally = self._hub.tally(device.device_id)
        tally.telemetry.append(payload)
        tally.telemetry_count += 1
        self._hub.emit(events.TelemetryReceived(device_id=device.device_id, payload=payload))

    # ---- upgrade service

    async def _on_upgrade(self, device: DeviceRecord, session: UpgradeSession, payload: bytes) -> None:
        try:
            request = messages.decode_upgrade_request(payload)
        except RemoteProtocolError as error:
            self._link.fail(str(error), self._now())
            return
        match request:
            case messages.Check():
                await self._on_check(device, session, request)
            case messages.Fetch():
                await self._on_fetch(device, session, request)
            case messages.Report(sequence=sequence, code=code):
                self._log.info("report: sequence %d, code %d", sequence, code)
                await self._note(device, report=(sequence, code))
                self._hub.emit(
                    events.ReportReceived(device_id=device.device_id, sequence=sequence, code=code)
                )

    async def _on_check(self, device: DeviceRecord, session: UpgradeSession, check: messages.Check) -> None:
        try:
            newest = await self._in_thread(self._hub.releases.newest_release, device.board)
        except StoreError as error:
            self._fault(device, 0, error)
            return
        installed = installed_manifest(check)
        answer = session.check(installed, newest)
        event = events.CheckReceived(
            device_id=device.device_id,
            boot_version=check.boot_version,
            installed_sequence=None if installed is None else installed.sequence,
            current_sequence=None if newest is None else newest.sequence,
            wanted=session.wanted,
        )
        self._log.info(
            "check: has %s, current %s, lacks modules %s",
            event.installed_sequence,
            event.current_sequence,
            list(event.wanted),
        )
        await self._note(device, boot_version=check.boot_version, installed_sequence=event.installed_sequence)
        self._reply(answer)
        self._hub.emit(event)

    async def _on_fetch(self, device: DeviceRecord, session: UpgradeSession, fetch: messages.Fetch) -> None:
        module = session.fetch(fetch)
        if isinstance(module, messages.Refused):
            self._refuse(device, module)
            return
        try:
            blob = await self._in_thread(self._hub.releases.read_blob, module.blob)
            session.start(module, blob, fetch.first_chunk)
        except StoreError as error:
            self._fault(device, fetch.module_id, error)
            return
        self._log.info("fetch: module %d from chunk %d", fetch.module_id, fetch.first_chunk)
        self._hub.emit(
            events.ModuleRequested(
                device_id=device.device_id,
                sequence=fetch.sequence,
                module_id=fetch.module_id,
                first_chunk=fetch.first_chunk,
            )
        )

    def _fault(self, device: DeviceRecord, module_id: int, error: StoreError) -> None:
        self._log.error("%s", error)
        self._hub.emit(events.StoreFault(device_id=device.device_id, reason=str(error)))
        self._refuse(device, messages.Refused(module_id=module_id, code=RefusedCode.UNAVAILABLE))

    def _refuse(self, device: DeviceRecord, refused: messages.Refused) -> None:
        self._log.warning("refused: module %d, code %d", refused.module_id, refused.code)
        self._reply(refused)
        self._hub.emit(
            events.FetchRefused(device_id=device.device_id, module_id=refused.module_id, code=refused.code)
        )

    def _reply(self, message: messages.UpgradeResponse) -> None:
        if len(self._replies) >= _REPLIES_LIMIT:
            self._link.fail("asks faster than it takes answers", self._now())
            return
        self._replies.append(messages.encode(message))

    def _pump(self) -> None:
        """Hands the link as much as its queue takes: answers first, then the running stream."""
        session, device = self._upgrade, self._device
        if session is None or device is None:
            return
        tally = self._hub.tally(device.device_id)
        while self._link.has_room(Channel.UPGRADE):
            if self._replies:
                payload = self._replies.popleft()
            elif (data := session.next_data()) is not None:
                payload = messages.encode(data)
                tally.module_bytes[data.module_id] += len(data.data)
                if not session.streaming and session.release is not None:
                    self._served(device, session.release.sequence, data.module_id)
            else:
                return
            self._link.send(Channel.UPGRADE, payload)
            tally.sent(Channel.UPGRADE, len(payload))
            if not self._link.has_room(Channel.UPGRADE):
                self._write()  # encrypts what credit allows and so empties the queue

    def _served(self, device: DeviceRecord, sequence: int, module_id: int) -> None:
        self._log.info("module %d served", module_id)
        self._hub.emit(
            events.ModuleServed(device_id=device.device_id, sequence=sequence, module_id=module_id)
        )

    # ---- the store, in a thread

    async def _in_thread(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            async with asyncio.timeout(self._hub.config.store_timeout_s):
                return await asyncio.to_thread(function, *args, **kwargs)
        except TimeoutError as error:
            raise StoreError(f"store: no answer in {self._hub.config.store_timeout_s:g} s") from error

    async def _note(
        self,
        device: DeviceRecord,
        *,
        boot_version: int | None = None,
        installed_sequence: int | None = None,
        report: tuple[int, int] | None = None,
    ) -> None:
        try:
            await self._in_thread(
                self._hub.registry.update_device,
                device.device_id,
                last_seen=time.time(),
                boot_version=boot_version,
                installed_sequence=installed_sequence,
                report=report,
            )
        except StoreError as error:  # what devices need does not depend on our notes
            self._log.error("%s", error)


def _peer_name(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) >= 2 else str(name)
