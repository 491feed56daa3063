"""The asyncio edge: one TCP connection to the server that carries one debug session."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from fieldlink import debug_messages as messages
from fieldlink import link as links
from fieldlink.debug.errors import DebugError, SessionEndedError
from fieldlink.debug.session import DebugSession, Ready, Replied, SessionConfig, SessionEnded
from fieldlink.debug.target import Target
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.mux import Channel

CONNECT_TIMEOUT_S: Final = 5.0
OPEN_TIMEOUT_S: Final = 10.0
"""From the connection to the agent's hello."""
REQUEST_TIMEOUT_S: Final = 10.0
"""Longer than the link's own limit for silence: what hits it is a device that does not answer requests."""
_CLOSE_TIMEOUT_S: Final = 1.0
_READ_SIZE: Final = 16384
_SESSION_NUMBER: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientConfig:
    """Where the server is, and all keys (32 bytes each)."""

    host: str
    port: int
    server_public: bytes
    client_private: bytes = field(repr=False)
    client_name: str
    e2e_private: bytes = field(repr=False)
    device_id: bytes
    device_public: bytes
    token: bytes
    permissions: Permission


class DebugClient:
    """Use `open_client`. Implements `target.Requester`."""

    def __init__(
        self, config: ClientConfig, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        self._config = config
        self._reader = reader
        self._writer = writer
        self._link = links.Initiator(
            static_private=config.client_private,
            remote_public=config.server_public,
            client_name=config.client_name,
            now=loop.time(),
        )
        self._session = DebugSession(
            SessionConfig(
                number=_SESSION_NUMBER,
                device_id=config.device_id,
                session_id=os.urandom(messages.SESSION_ID_SIZE),
                token=config.token,
                permissions=int(config.permissions),
                e2e_private=config.e2e_private,
                device_public=config.device_public,
            )
        )
        self._waiting: dict[int, tuple[asyncio.Future[messages.Reply], float]] = {}
        self._wake = asyncio.Event()
        self._is_sending = False
        self._opened = asyncio.Event()  # or refused
        self.target: Target | None = None
        self.manifest = b""
        """Digest of the installed manifest envelope."""
        self.ended: asyncio.Future[SessionEndedError] = loop.create_future()
        """Set when the session is over, by whomever."""

    @staticmethod
    def _now() -> float:
        return asyncio.get_running_loop().time()

    async def ready(self) -> Target:
        """The app. SessionEndedError when the session was refused, DebugError when nobody answers."""
        try:
            async with asyncio.timeout(OPEN_TIMEOUT_S):
                await self._opened.wait()
        except TimeoutError as error:
            raise DebugError(self._not_open()) from error
        if self.target is None:
            raise self.ended.result()
        return self.target

    def _not_open(self) -> str:
        where = f"server {self._config.host}:{self._config.port}"
        if not self._link.is_up:
            return (
                f"{where}: no answer to the handshake within {OPEN_TIMEOUT_S:g} s; is --server-key its "
                "key, and is this client's --key registered there?"
            )
        return f"{where}: no session within {OPEN_TIMEOUT_S:g} s ({self._session.waiting_for})"

    def submit(self, request: messages.DebugRequest) -> "asyncio.Future[messages.Reply]":
        """Queues a request; see `target.Requester`."""
        future: asyncio.Future[messages.Reply] = asyncio.get_running_loop().create_future()
        if self.ended.done():
            future.set_exception(self.ended.result())
            return future
        self._waiting[self._session.request(request)] = (future, self._now() + REQUEST_TIMEOUT_S)
        if not self._is_sending:
            # Waking the loop's task would take another turn. What is asked together goes together.
            self._is_sending = True
            asyncio.get_running_loop().call_soon(self._send_requests)
        return future

    def _send_requests(self) -> None:
        self._is_sending = False
        if not self.ended.done() and not self._writer.is_closing():
            self._pump()
            self._writer.write(self._link.data_to_send())

    async def detach(self) -> None:
        """Tells device and server that this is over, as far as they still listen."""
        with contextlib.suppress(DebugError, TimeoutError):
            if self.target is not None and not self.ended.done():
                async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                    await self.submit(messages.Detach())
        self._session.close()
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await asyncio.shield(self.ended)

    # ---- the loop

    async def run(self) -> None:
        """Serves the connection until the session is over."""
        read = asyncio.ensure_future(self._reader.read(_READ_SIZE))
        wake = asyncio.ensure_future(self._wake.wait())
        try:
            while not self.ended.done():
                await self._turn()
                if self.ended.done():
                    break
                await asyncio.wait({read, wake}, timeout=self._timeout(), return_when=asyncio.FIRST_COMPLETED)
                if wake.done():
                    self._wake.clear()
                    wake = asyncio.ensure_future(self._wake.wait())
                if read.done():
                    data = read.result()
                    if not data:
                        raise ConnectionResetError("connection closed by the server")
                    self._link.receive_data(data)
                    read = asyncio.ensure_future(self._reader.read(_READ_SIZE))
        except OSError as error:
            self._session.fail(EndReason.LINK_LOST, str(error))
            self._session_events()
        finally:
            wake.cancel()
            read.cancel()
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await read
            if not self.ended.done():
                self._session.fail(EndReason.CLOSED)
                self._session_events()

    def _timeout(self) -> float:
        deadlines = [deadline for _, deadline in self._waiting.values()]
        link = self._link.next_deadline()
        if link is not None:
            deadlines.append(link)
        return max(0.0, min(deadlines, default=self._now() + 1.0) - self._now())

    async def _turn(self) -> None:
        now = self._now()
        self._link.poll(now)
        while (event := self._link.next_event(now)) is not None:
            match event:
                case links.SessionUp():
                    self._session.start()
                case links.SessionDown(reason=reason):
                    self._session.fail(EndReason.LINK_LOST, reason)
                case links.Message(channel=Channel.DEBUG, payload=payload):
                    self._session.receive(payload)
                    self._link.consume(Channel.DEBUG, len(payload))
                case _:
                    pass
        if any(now >= deadline for _, deadline in self._waiting.values()):
            self._session.fail(EndReason.LINK_LOST, f"no reply from the device for {REQUEST_TIMEOUT_S:g} s")
        self._pump()
        self._writer.write(self._link.data_to_send())
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            await self._writer.drain()
        self._session_events()

    def _pump(self) -> None:
        while self._link.has_room(Channel.DEBUG):
            frame = self._session.next_frame()
            if frame is None:
                return
            self._link.send(Channel.DEBUG, frame)

    def _session_events(self) -> None:
        while (event := self._session.next_event()) is not None:
            match event:
                case Ready(agent=agent, manifest=manifest):
                    self.manifest = manifest
                    self.target = Target(self, agent=agent, permissions=self._config.permissions)
                    self._opened.set()
                case Replied(ticket=ticket, reply=reply):
                    future, _ = self._waiting.pop(ticket)
                    if not future.done():
                        future.set_result(reply)
                case SessionEnded(error=error):
                    self._end(error)
                case _:
                    if self.target is not None:
                        self.target.on_event(event)

    def _end(self, error: SessionEndedError) -> None:
        if not self.ended.done():
            self.ended.set_result(error)
            self._opened.set()
        waiting, self._waiting = self._waiting, {}
        for future, _ in waiting.values():
            if not future.done():
                future.set_exception(error)


@asynccontextmanager
async def open_client(config: ClientConfig) -> AsyncIterator[DebugClient]:
    """A client with a session that is ready; detached at the end.

    DebugError for everything that can go wrong on the way.
    """
    where = f"server {config.host}:{config.port}"
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(config.host, config.port)
    except (OSError, TimeoutError) as error:
        reason = "no answer" if isinstance(error, TimeoutError) else error.strerror or str(error)
        raise DebugError(
            f"{where}: cannot be reached: {reason}; is `fieldlink serve` running there?"
        ) from error
    connection = writer.get_extra_info("socket")
    if connection is not None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    client = DebugClient(config, reader, writer)
    loop = asyncio.ensure_future(client.run())
    try:
        await client.ready()
        yield client
    finally:
        await client.detach()
        loop.cancel()
        with contextlib.suppress(asyncio.CancelledError, OSError, TimeoutError):
            await loop
        with contextlib.suppress(OSError, TimeoutError):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                writer.close()
                await writer.wait_closed()
