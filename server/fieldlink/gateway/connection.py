"""One TCP connection: bytes in and out of the link, messages to the service of the peer on it."""

import asyncio
import contextlib
import logging
import time

from fieldlink import link as links
from fieldlink.errors import RemoteProtocolError, StoreError
from fieldlink.gateway import events
from fieldlink.gateway.client import ClientService
from fieldlink.gateway.device import DeviceService
from fieldlink.gateway.ports import ConnectionLogger, Hub, PeerService
from fieldlink.gateway.threads import in_thread
from fieldlink.mux import Channel
from fieldlink.store import ClientRecord, DeviceRecord

_READ_SIZE = 16384
_CLOSE_TIMEOUT_S = 1.0
_ABORT_REASONS = {0: "the gateway shuts down", 1: "replaced by a newer connection"}


class Connection:
    """Serves one TCP connection until it ends; sessions of devices and clients on it may come and go."""

    def __init__(
        self, number: int, hub: Hub, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        self._hub = hub
        self._reader = reader
        self._writer = writer
        self._link = links.Responder(static_private=hub.config.server_key.private)
        self._peer = _peer_name(writer)
        self._log_fields: dict[str, object] = {"connection": number, "peer": self._peer}
        self.log = ConnectionLogger(logging.getLogger("fieldlink.gateway.connection"), self._log_fields)
        self._task: asyncio.Task[None] | None = None
        self._close_reason = 0
        self._accepted: DeviceRecord | ClientRecord | None = None  # answered last; SessionUp may follow
        self._service: PeerService | None = None
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

    # ---- Port, for services

    def has_room(self, channel: Channel) -> bool:
        """See Port."""
        return self._link.has_room(channel)

    def send(self, channel: Channel, payload: bytes) -> None:
        """See Port."""
        self._link.send(channel, payload)
        if not self._link.has_room(channel):
            self.flush()  # encrypts what credit allows and so empties the queue

    def flush(self) -> None:
        """See Port."""
        data = self._link.data_to_send()
        if data and not self._writer.is_closing():
            self._writer.write(data)
            if self._service is not None:
                self._service.count_stream(0, len(data))

    def consume(self, channel: Channel, size: int) -> None:
        """See Port."""
        self._link.consume(channel, size)

    def fail(self, reason: str) -> None:
        """See Port."""
        self._link.fail(reason, self._now())

    # ---- the loop

    async def run(self) -> None:
        """Serves until the peer closes, fails, or `abort`."""
        self._task = asyncio.current_task()
        self.log.info("connected")
        reason = "connection closed by the peer"
        try:
            while (data := await self._receive()) is not None:
                self._link.receive_data(data)
                await self._handle_events()
                self._link.poll(self._now())
                await self._handle_events()
                if self._service is not None:
                    self._service.pump()
                await self._drain()
        except (OSError, TimeoutError) as error:
            reason = f"connection lost: {error or 'the peer takes no bytes'}"
        except asyncio.CancelledError:
            reason = _ABORT_REASONS[self._close_reason]
            raise
        except Exception:
            # A bug must cost one connection, not the gateway with all its devices.
            reason = "internal error"
            self.log.exception("internal error, connection dropped")
        finally:
            await self._end(reason)

    async def _receive(self) -> bytes | None:
        """Bytes of the stream, b"" when a deadline came first, None at its end."""
        now = self._now()
        deadline = self._link.next_deadline()
        if self._service is None:
            idle_end = self._idle_since + self._hub.config.idle_timeout_s
            if now >= idle_end:
                self.log.info("no session for %g s, closing", self._hub.config.idle_timeout_s)
                return None
            deadline = idle_end if deadline is None else min(deadline, idle_end)
        try:
            async with asyncio.timeout_at(deadline):
                data = await self._reader.read(_READ_SIZE)
        except TimeoutError:
            return b""
        if self._service is not None:
            self._service.count_stream(len(data), 0)
        return data or None

    async def _drain(self) -> None:
        self.flush()
        async with asyncio.timeout(self._hub.config.write_timeout_s):
            await self._writer.drain()

    async def _end(self, reason: str) -> None:
        self._link.close(self._close_reason)
        with contextlib.suppress(OSError):
            self.flush()
        self._session_down(reason)
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                self._writer.close()
                await self._writer.wait_closed()
        self.log.info("ended: %s", reason)

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
                    self._rejected(reason)
                case links.Ignored(reason=reason):
                    self.log.info("ignored: %s", reason)

    async def _on_handshake(self, event: links.HandshakeReceived) -> None:
        found: DeviceRecord | ClientRecord | str
        try:
            if event.kind is links.PeerKind.CLIENT:
                found = await self._find_client(event)
            else:
                found = await self._find_device(event)
        except StoreError as error:
            found = str(error)
        if isinstance(found, str):
            self._rejected(found)
            self._link.reject()
            return
        self._accepted = found
        self._link.accept(self._now(), unix_time=int(time.time()))
        self.flush()

    def _rejected(self, reason: str) -> None:
        self.log.warning("handshake not answered: %s", reason)
        self._hub.emit(events.HandshakeRejected(peer=self._peer, reason=reason))

    async def _find_device(self, event: links.HandshakeReceived) -> DeviceRecord | str:
        """The device, or why there is no answer."""
        timeout_s = self._hub.config.store_timeout_s
        device = await in_thread(timeout_s, self._hub.registry.device_by_key, event.peer_key)
        if device is None:
            return f"unknown key {event.peer_key.hex()[:16]}"
        if device.device_id.encode("ascii") != event.device_id:
            return f"key of {device.device_id} with another device id {event.device_id!r}"
        return device

    async def _find_client(self, event: links.HandshakeReceived) -> ClientRecord | str:
        """The client, or why there is no answer."""
        if self._hub.debug is None:
            return "a debug client, but this server has no debug service"
        timeout_s = self._hub.config.store_timeout_s
        client = await in_thread(timeout_s, self._hub.debug.clients.by_key, event.peer_key)
        if client is None:
            return f"unknown client key {event.peer_key.hex()[:16]} (calls itself {event.client_name!r:.40})"
        return client

    def _on_session_up(self) -> None:
        accepted = self._accepted
        self._log_fields["peer"] = getattr(accepted, "device_id", None) or getattr(accepted, "name", None)
        self.log.info("session up")
        if isinstance(accepted, DeviceRecord):
            self._service = DeviceService(
                hub=self._hub, port=self, connection=self, device=accepted, peer=self._peer
            )
        elif isinstance(accepted, ClientRecord) and self._hub.debug is not None:
            self._service = ClientService(
                hub=self._hub, port=self, debug=self._hub.debug, client=accepted, peer=self._peer
            )
        else:
            raise RuntimeError("session without an accepted peer")

    def _session_down(self, reason: str) -> None:
        service, self._service = self._service, None
        self._idle_since = self._now()
        if service is not None:
            self.log.info("session down: %s", reason)
            service.down(reason)

    async def _on_message(self, channel: Channel, payload: bytes) -> None:
        if self._service is None:
            return
        try:
            await self._service.on_message(channel, payload)
        except RemoteProtocolError as error:
            self.fail(str(error))


def _peer_name(writer: asyncio.StreamWriter) -> str:
    name = writer.get_extra_info("peername")
    return f"{name[0]}:{name[1]}" if isinstance(name, tuple) and len(name) >= 2 else str(name)
