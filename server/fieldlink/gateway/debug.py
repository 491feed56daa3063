"""The debug service: the table of sessions, joined to connections, clock, store and audit log."""

import asyncio
import contextlib
import logging
import time
from dataclasses import dataclass, replace

from fieldlink import audit, debug_relay
from fieldlink.audit import AuditEntry, AuditEvent
from fieldlink.debug_messages import EndReason
from fieldlink.debug_relay import Closed, DebugTable, OpenRequest, RelayTap
from fieldlink.errors import StoreError, TokenError
from fieldlink.gateway import events
from fieldlink.gateway.audit_writer import AuditWriter
from fieldlink.gateway.ports import Hub, Port
from fieldlink.gateway.sources import AuditSink, ClientRegistry
from fieldlink.gateway.threads import in_thread
from fieldlink.mux import Channel
from fieldlink.store import ClientRecord

_POLL_INTERVAL_S = 0.25

_log = logging.getLogger("fieldlink.gateway.debug")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugBackend:
    """What debug sessions need of the store. With `fleet_public` (32 bytes) tokens are verified here too."""

    clients: ClientRegistry
    audit: AuditSink
    fleet_public: bytes | None = None
    tap: RelayTap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attached:
    port: Port
    client: ClientRecord | None


class DebugService:
    """Debug sessions of one gateway. Everything belongs to the gateway's event loop."""

    def __init__(self, backend: DebugBackend, hub: Hub) -> None:
        self.clients = backend.clients
        self._hub = hub
        self._table = DebugTable(fleet_public=backend.fleet_public, tap=backend.tap)
        self._attached: dict[int, _Attached] = {}
        self._writer = AuditWriter(
            backend.audit,
            mac_key=audit.mac_key(hub.config.server_key.private),
            timeout_s=hub.config.store_timeout_s,
        )
        self._timer: asyncio.TimerHandle | None = None

    # ---- life

    def start(self) -> None:
        """Begins; needs the running event loop."""
        self._writer.start()
        self._tick()

    def shut_down(self) -> None:
        """Tells both sides of every session that the server goes."""
        self._table.shut_down(self._now())
        self._settle()

    async def close(self) -> None:
        """After the last connection: returns when the audit log is complete."""
        if self._timer is not None:
            self._timer.cancel()
        await self._writer.close()

    def _tick(self) -> None:
        self._table.poll(self._now())
        self._settle()
        self._timer = asyncio.get_running_loop().call_later(_POLL_INTERVAL_S, self._tick)

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    # ---- links

    def attach_device(self, device_id: str, port: Port) -> int:
        """A device is online; the result stands for its link until `detach`."""
        link = self._table.add_device(device_id)
        self._attached[link] = _Attached(port=port, client=None)
        return link

    def attach_client(self, client: ClientRecord, port: Port) -> int:
        """A client is online; the result stands for its link until `detach`."""
        link = self._table.add_client(client.name, client.e2e_public)
        self._attached[link] = _Attached(port=port, client=client)
        return link

    def detach(self, link: int) -> None:
        """The link is lost. Its sessions end, and the other sides hear of it at once."""
        del self._attached[link]
        self._table.remove(link, self._now())
        self._settle()

    def note_manifest(self, link: int, digest: bytes) -> None:
        """What a device told in `check`: BLAKE2b-256 of its installed envelope."""
        self._table.note_manifest(link, digest)

    async def receive(self, link: int, payload: bytes) -> None:
        """One message of channel 3. RemoteProtocolError when it must end the link."""
        request = self._table.receive(link, payload, self._now())
        self._settle()
        if request is not None:
            await self._open(request)
            self._settle()

    # ---- opening

    async def _open(self, request: OpenRequest) -> None:
        reason = self._table.judge(request, time.time())
        if reason is None or reason is EndReason.OFFLINE:
            reason = await self._known(request) or self._table.judge(request, time.time())
        if reason is not None:
            await self._refuse(request, reason)
            return
        session = self._table.reserve(request, self._now(), time.time())
        if not await self._writer.put(_entry(AuditEvent.OPENED, session)):
            self._table.cancel(session, request, EndReason.UNAVAILABLE, self._now())
            return
        if self._table.grant(session, request, self._now()):
            _log.info(
                "client %s debugs %s (%s)", session.client, session.device_id, _short(session.session_id)
            )
            self._hub.emit(
                events.DebugSessionOpened(
                    client=session.client,
                    device_id=session.device_id,
                    session_id=session.session_id,
                    permissions=int(session.token.permissions),
                )
            )

    async def _known(self, request: OpenRequest) -> EndReason | None:
        """What the store has against the request: the client was removed, the device does not exist."""
        client = self._client(request)
        timeout_s = self._hub.config.store_timeout_s
        device_id = request.frame.device_id.decode("ascii", "replace")
        try:
            if await in_thread(timeout_s, self.clients.by_key, client.link_public) != client:
                return EndReason.NOT_AUTHORISED
            device = await in_thread(timeout_s, self._hub.registry.device_by_id, device_id)
        except StoreError as error:
            _log.error("%s", error)
            return EndReason.UNAVAILABLE
        return EndReason.NO_SUCH_DEVICE if device is None else None

    def _client(self, request: OpenRequest) -> ClientRecord:
        client = self._attached[request.link].client
        if client is None:
            raise RuntimeError("a device cannot open a debug session")
        return client

    async def _refuse(self, request: OpenRequest, reason: EndReason) -> None:
        frame = request.frame
        client = self._client(request)
        device_id = frame.device_id.decode("ascii", "backslashreplace")[:16]
        permissions = serial = 0
        with contextlib.suppress(TokenError):
            token = self._table.read_token(request)
            permissions, serial = int(token.permissions), token.serial
        _log.warning("client %s, device %s refused: %s", client.name, device_id, reason_text(reason))
        self._hub.emit(
            events.DebugSessionRefused(
                client=client.name, device_id=device_id, session_id=frame.session_id, reason=int(reason)
            )
        )
        await self._writer.put(
            AuditEntry(
                time_ms=int(time.time() * 1000),
                event=AuditEvent.REFUSED,
                client=client.name,
                device_id=device_id,
                session_id=frame.session_id,
                permissions=permissions,
                token_serial=serial,
                reason=int(reason),
                ended_by="server",
            )
        )
        self._table.refuse(request, reason, self._now())

    # ---- what the table has to say

    def push(self, link: int) -> None:
        """Hands a link what waits for it, as far as it has room, and settles what that sets free."""
        self._hand_over(link)
        self._settle()

    def _hand_over(self, link: int) -> None:
        attached = self._attached.get(link)
        if attached is None:
            return
        port, sent = attached.port, False
        while port.has_room(Channel.DEBUG) and (payload := self._table.take_frame(link)) is not None:
            port.send(Channel.DEBUG, payload)
            sent = True
        if sent:
            port.flush()

    def _settle(self) -> None:
        for link in self._table.take_ready():
            self._hand_over(link)
        for link, size in self._table.take_released():
            attached = self._attached.get(link)
            if attached is not None:
                attached.port.consume(Channel.DEBUG, size)
                attached.port.flush()
        for closed in self._table.take_closed():
            self._on_closed(closed)

    def _on_closed(self, closed: Closed) -> None:
        session = closed.session
        to_device, to_client = session.to_device.total(), session.to_client.total()
        who = f"client {session.client}, device {session.device_id} ({_short(session.session_id)})"
        _log.info("%s: ended by the %s: %s", who, closed.ended_by, reason_text(closed.reason))
        self._writer.put(
            replace(
                _entry(AuditEvent.ENDED, session),
                reason=closed.reason,
                ended_by=closed.ended_by,
                to_device=to_device,
                to_client=to_client,
            )
        )
        if session.granted:
            self._hub.emit(
                events.DebugSessionEnded(
                    client=session.client,
                    device_id=session.device_id,
                    session_id=session.session_id,
                    reason=closed.reason,
                    ended_by=closed.ended_by,
                    frames_to_device=to_device.frames,
                    bytes_to_device=to_device.size,
                    frames_to_client=to_client.frames,
                    bytes_to_client=to_client.size,
                )
            )

    def sessions(self) -> list[debug_relay.Session]:
        """Sessions that are open or about to be."""
        return self._table.sessions()


def reason_text(reason: int) -> str:
    """An EndReason for people."""
    try:
        return EndReason(reason).name.lower().replace("_", " ")
    except ValueError:
        return f"reason {reason}"


def _entry(event: AuditEvent, session: debug_relay.Session) -> AuditEntry:
    """What every entry about a session says, now."""
    return AuditEntry(
        time_ms=int(time.time() * 1000),
        event=event,
        client=session.client,
        device_id=session.device_id,
        session_id=session.session_id,
        permissions=int(session.token.permissions),
        token_serial=session.token.serial,
    )


def _short(session_id: bytes) -> str:
    return session_id.hex()[:8]
