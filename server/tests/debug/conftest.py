"""A server and a device in one: speaks the client's link, and runs the simulated agent behind it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from fieldlink import debug_messages as messages
from fieldlink import link as links
from fieldlink.debug import ClientConfig
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.mux import Channel
from fieldlink.testing.debug_agent import DeviceEnd, ToyMachine
from fieldlink.token import ALL_PERMISSIONS, Token, issue_token, open_token

HOST = "127.0.0.1"
MANIFEST = bytes(range(32))


@dataclass
class Bench:
    """Keys of everybody, the machine, and a server that behaves or (on demand) does not."""

    permissions: Permission = ALL_PERMISSIONS
    server: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyUse.SERVER))
    client: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyUse.CLIENT))
    e2e: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyUse.CLIENT))
    device: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyUse.DEVICE))
    fleet: KeyPair = field(default_factory=lambda: KeyPair.generate(KeyUse.FLEET))
    machine: ToyMachine = field(default_factory=ToyMachine)
    refuse_with: EndReason | None = None
    tamper: Callable[[int, messages.DebugFrame], list[messages.DebugFrame]] | None = None
    """Of the frames to the device: number and frame to the frames that are passed on instead."""
    port: int = 0
    end: DeviceEnd | None = None
    ends: list[DeviceEnd] = field(default_factory=list)
    end_reasons: list[int] = field(default_factory=list)
    connections: list[asyncio.Task[None]] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def token(self, *, expires_in: int = 3600) -> bytes:
        return issue_token(
            self.fleet,
            client=self.e2e.public,
            device_id=b"dev-1",
            permissions=self.permissions,
            expires=int(time.time()) + expires_in,
        )

    def config(self, **changes: object) -> ClientConfig:
        fields: dict[str, object] = {
            "host": HOST,
            "port": self.port,
            "server_public": self.server.public,
            "client_private": self.client.private,
            "client_name": "test",
            "e2e_private": self.e2e.private,
            "device_id": b"dev-1",
            "device_public": self.device.public,
            "token": self.token(),
            "permissions": self.permissions,
        }
        return ClientConfig(**(fields | changes))  # type: ignore[arg-type]

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Bench"]:
        server = await asyncio.start_server(self._serve, HOST, 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            await self.cut()

    async def cut(self) -> None:
        """The server dies: its connections go without a word."""
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)
        self.connections.clear()

    async def until(self, condition: Callable[[], bool], timeout_s: float = 10.0) -> None:
        async with asyncio.timeout(timeout_s):
            while not condition():
                self.changed.clear()
                await self.changed.wait()

    # ---- the server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self.connections.append(task)
        link = links.Responder(static_private=self.server.private)
        now = asyncio.get_running_loop().time
        read = asyncio.ensure_future(reader.read(4096))
        try:
            while True:
                link.poll(now())
                while (event := link.next_event(now())) is not None:
                    self._on_event(link, event, now())
                if self.end is not None:
                    self.end.agent.run_some()
                    self._send(link, self.end.outgoing())
                    self.changed.set()
                writer.write(link.data_to_send())
                await writer.drain()
                busy = self.end is not None and self.end.agent.running and not self.end.over
                await asyncio.wait({read}, timeout=0.0005 if busy else 0.1)
                if read.done():
                    data = read.result()
                    if not data:
                        return
                    link.receive_data(data)
                    read = asyncio.ensure_future(reader.read(4096))
        except (OSError, asyncio.CancelledError):
            pass
        finally:
            if self.end is not None and not self.end.over:
                self.end.fail(EndReason.LINK_LOST)
            self.end = None
            self.changed.set()
            read.cancel()
            with contextlib.suppress(OSError):
                writer.transport.abort()

    def _on_event(self, link: links.Responder, event: links.Event, now: float) -> None:
        match event:
            case links.HandshakeReceived(peer_key=key):
                if key == self.client.public:
                    link.accept(now, unix_time=int(time.time()))
                else:
                    link.reject()
            case links.Message(channel=Channel.DEBUG, payload=payload):
                self._count = getattr(self, "_count", -1) + 1
                frame = messages.decode_frame(payload)
                frames = [frame] if self.tamper is None else self.tamper(self._count, frame)
                for each in frames:
                    self._send(link, self._on_frame(each))
                link.consume(Channel.DEBUG, len(payload))
            case _:
                pass

    def _on_frame(self, frame: messages.DebugFrame) -> list[messages.DebugFrame]:
        if isinstance(frame, messages.Open):
            reason = self._refusal(frame)
            if reason is not None:
                return [messages.Ended(session=frame.session, reason=reason)]
            token = open_token(frame.token, self.fleet.public)
            self.end = DeviceEnd(
                session=frame.session,
                session_id=frame.session_id,
                device_id=frame.device_id,
                permissions=token.permissions,
                manifest=MANIFEST,
                debug_private=self.device.private,
                client_public=token.client,
                machine=self.machine,
            )
            self.ends.append(self.end)
            return [messages.Opened(session=frame.session, manifest=MANIFEST)]
        assert isinstance(frame, messages.Relay | messages.Ended)
        if isinstance(frame, messages.Ended):
            self.end_reasons.append(frame.reason)
        return [] if self.end is None else self.end.receive(frame)

    def _refusal(self, frame: messages.Open) -> EndReason | None:
        token: Token = open_token(frame.token, self.fleet.public)
        if self.refuse_with is not None:
            return self.refuse_with
        if frame.device_id != b"dev-1":
            return EndReason.NO_SUCH_DEVICE
        return EndReason.EXPIRED if token.is_expired(time.time()) else None

    def _send(self, link: links.Responder, frames: list[messages.DebugFrame]) -> None:
        for frame in frames:
            if isinstance(frame, messages.Ended):
                self.end_reasons.append(frame.reason)
            link.send(Channel.DEBUG, messages.encode(frame))


@pytest.fixture
def bench() -> Bench:
    return Bench()
