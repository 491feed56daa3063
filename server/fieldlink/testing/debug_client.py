"""A debug client that speaks the outer protocol only (PROTOCOL.md, section 6): frames in, frames out."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Self

from fieldlink import debug_messages as debug
from fieldlink import link as links
from fieldlink.keys import KeyPair
from fieldlink.mux import Channel

_TIMEOUT_S = 10.0


class FrameClient:
    """Keeps a client link up on a real TCP connection.

    ::

        async with FrameClient(host, port, key=key, server_public=server) as client:
            client.send(debug.Open(...))
            opened = await client.wait_for(lambda frame: isinstance(frame, debug.Opened))
    """

    def __init__(
        self, host: str, port: int, *, key: KeyPair, server_public: bytes, name: str = "test"
    ) -> None:
        self._where = (host, port)
        self._key = key
        self._server_public = server_public
        self._name = name
        self.received: list[debug.DebugFrame] = []
        self.downs: list[str] = []
        self.consume = True
        """Switched off, credit is not given back: a client that is stuck."""
        self.is_up = False
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._link: links.Initiator | None = None
        self._queue: list[bytes] = []
        self._task: asyncio.Task[None] | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def __aenter__(self) -> Self:
        await self.start()
        await self._until(lambda: self.is_up)
        return self

    async def __aexit__(self, *_exception: object) -> None:
        await self.drop()

    async def start(self) -> None:
        """Connects; the handshake runs in the background."""
        reader, self._writer = await asyncio.open_connection(*self._where)
        self._link = links.Initiator(
            static_private=self._key.private,
            remote_public=self._server_public,
            client_name=self._name,
            now=asyncio.get_running_loop().time(),
        )
        self._task = asyncio.create_task(self._run(self._link, reader, self._writer))

    async def drop(self) -> None:
        """Drops the connection without a word."""
        if self._task is not None and self._writer is not None:
            self._writer.transport.abort()
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    def send(self, *frames: debug.DebugFrame) -> None:
        """Queues frames."""
        self.send_raw(*(debug.encode(frame) for frame in frames))

    def send_raw(self, *payloads: bytes) -> None:
        """Queues messages of the debug channel."""
        self._queue.extend(payloads)
        self._wake.set()

    async def wait_for(self, wanted: Callable[[debug.DebugFrame], bool]) -> debug.DebugFrame:
        """The first received frame that is wanted. TimeoutError when none comes."""
        await self._until(lambda: any(wanted(frame) for frame in self.received))
        return next(frame for frame in self.received if wanted(frame))

    async def wait_down(self) -> str:
        """Reason of the first loss of the link."""
        await self._until(lambda: bool(self.downs))
        return self.downs[0]

    async def _until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(_TIMEOUT_S):
            while not condition():
                self._changed.clear()
                await self._changed.wait()

    async def _run(
        self, link: links.Initiator, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        loop = asyncio.get_running_loop()
        read = asyncio.ensure_future(reader.read(4096))
        try:
            while True:
                link.poll(loop.time())
                self._handle_events(link, loop.time())
                while self._queue and link.is_up and link.has_room(Channel.DEBUG):
                    link.send(Channel.DEBUG, self._queue.pop(0))
                    writer.write(link.data_to_send())
                writer.write(link.data_to_send())
                self._changed.set()
                deadline = link.next_deadline()
                timeout = None if deadline is None else max(0.0, deadline - loop.time())
                wake = asyncio.ensure_future(self._wake.wait())
                await asyncio.wait({read, wake}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
                wake.cancel()
                await asyncio.wait({wake})  # or it would still be there when the client is gone
                self._wake.clear()
                if read.done():
                    data = read.result()
                    if not data:
                        self.downs.append("connection closed by the server")
                        return
                    link.receive_data(data)
                    read = asyncio.ensure_future(reader.read(4096))
        except OSError as error:
            self.downs.append(str(error))
        finally:
            read.cancel()
            self._changed.set()

    def _handle_events(self, link: links.Initiator, now: float) -> None:
        while (event := link.next_event(now)) is not None:
            match event:
                case links.SessionUp():
                    self.is_up = True
                case links.SessionDown(reason=reason):
                    self.downs.append(reason)
                case links.Message(channel=Channel.DEBUG, payload=payload):
                    self.received.append(debug.decode_frame(payload))
                    if self.consume:
                        link.consume(Channel.DEBUG, len(payload))
                case _:
                    pass
