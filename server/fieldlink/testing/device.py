"""A simulated device on a real TCP connection."""

import asyncio
from collections import deque
from collections.abc import Callable

from fieldlink import cbor, debug_messages, messages
from fieldlink import link as links
from fieldlink.errors import QueueFullError
from fieldlink.mux import Channel
from fieldlink.provision import ProvisionedDevice
from fieldlink.testing.client import Installed, UpgradeClient

DebugHandler = Callable[[debug_messages.DebugFrame], list[debug_messages.DebugFrame]]


class SimulatedDevice:
    """Connects, keeps a session, upgrades itself, sends telemetry.

    `flash` survives `run`, as flash survives a power cut.

    `run` returns when `until` is true of the device (checked after every step), and then drops the TCP
    connection without a word, as a power cut does.
    """

    def __init__(
        self,
        provisioned: ProvisionedDevice,
        *,
        server_public: bytes,
        release_public: bytes,
        flash: Installed | None = None,
    ) -> None:
        self.provisioned = provisioned
        self.flash = flash or Installed()
        self.telemetry_sent = 0
        self.data_messages = 0
        self.sessions = 0
        self.refused: list[messages.Refused] = []
        self.fetches: list[messages.Fetch] = []
        self.downs: list[str] = []
        self.raw_out = bytearray()
        self.debug: DebugHandler = lambda _frame: []
        """Answers frames of the debug channel."""
        self.debug_received: list[debug_messages.DebugFrame] = []
        self.consume_debug = True
        """Switched off, the debug channel's credit is not given back: a device that is stuck."""
        self.debug_out: deque[debug_messages.DebugFrame] = deque()
        """Frames for the debug channel; `wake` sends them."""
        self.telemetry_due = 0
        """Telemetry messages that `wake` sends."""
        self._wake = asyncio.Event()
        self._read: asyncio.Task[bytes] | None = None
        self._server_public = server_public
        self._release_public = release_public
        self._upgrade = self._new_upgrade()

    @property
    def upgrade(self) -> UpgradeClient:
        """The upgrade of the current session."""
        return self._upgrade

    def _new_upgrade(self) -> UpgradeClient:
        return UpgradeClient(
            device_id=self.provisioned.record.device_id.encode("ascii"),
            board=self.provisioned.record.board,
            wrap_private=self.provisioned.keys.wrap.private,
            release_public=self._release_public,
            flash=self.flash,
        )

    async def run(
        self,
        host: str,
        port: int,
        *,
        until: Callable[["SimulatedDevice"], bool] = lambda device: device.upgrade.finished,
        telemetry_each_message: bool = True,
        timeout_s: float = 20.0,
    ) -> None:
        """One life of the device. TimeoutError when `until` does not come true in time."""
        self._upgrade = self._new_upgrade()
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                await self._live(reader, writer, until, telemetry_each_message)
            finally:
                if self._read is not None:
                    self._read.cancel()
                    self._read = None
                writer.transport.abort()

    async def _live(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        until: Callable[["SimulatedDevice"], bool],
        telemetry: bool,
    ) -> None:
        now = asyncio.get_running_loop().time
        link = links.Initiator(
            static_private=self.provisioned.keys.link.private,
            remote_public=self._server_public,
            device_id=self.provisioned.record.device_id.encode("ascii"),
            now=now(),
        )
        while True:
            link.poll(now())
            while (event := link.next_event(now())) is not None:
                self._on_event(link, event, telemetry)
            while self.telemetry_due and link.is_up:
                self.telemetry_due -= 1
                self.send_telemetry(link)
            while self.debug_out and link.is_up and link.has_room(Channel.DEBUG):
                link.send(Channel.DEBUG, debug_messages.encode(self.debug_out.popleft()))
            data = link.data_to_send()
            self.raw_out += data
            writer.write(data)
            await writer.drain()
            if until(self):
                return
            received = await self._receive(reader, link.next_deadline())
            if received == b"":
                self.downs.append("connection closed by the server")
                return
            link.receive_data(received or b"")

    def wake(self) -> None:
        """Makes `run` look at `until` and `debug_out` now."""
        self._wake.set()

    async def _receive(self, reader: asyncio.StreamReader, deadline: float | None) -> bytes | None:
        """Bytes, b"" at the end of the stream, None when the deadline or `wake` came first."""
        read = asyncio.ensure_future(reader.read(4096)) if self._read is None else self._read
        self._read = read
        woken = asyncio.ensure_future(self._wake.wait())
        loop = asyncio.get_running_loop()
        timeout = None if deadline is None else max(0.0, deadline - loop.time())
        try:
            await asyncio.wait({read, woken}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            woken.cancel()
            await asyncio.wait({woken})  # or it would still be there when the device is gone
        self._wake.clear()
        if not read.done():
            return None
        self._read = None
        return read.result()

    def _on_event(self, link: links.Initiator, event: links.Event, telemetry: bool) -> None:
        match event:
            case links.SessionUp():
                self.sessions += 1
                self._upgrade = self._new_upgrade()
                self._send(link, self._upgrade.check())
                if telemetry:
                    self.send_telemetry(link)
            case links.SessionDown(reason=reason):
                self.downs.append(reason)
            case links.Message(channel=Channel.UPGRADE, payload=payload):
                response = messages.decode_upgrade_response(payload)
                if isinstance(response, messages.Data):
                    self.data_messages += 1
                if isinstance(response, messages.Refused):
                    self.refused.append(response)
                for request in self._upgrade.handle(response):
                    self._send(link, request)
                link.consume(Channel.UPGRADE, len(payload))
                if telemetry:
                    self.send_telemetry(link)
            case links.Message(channel=Channel.DEBUG, payload=payload):
                frame = debug_messages.decode_frame(payload)
                self.debug_received.append(frame)
                self.debug_out.extend(self.debug(frame))
                if self.consume_debug:
                    link.consume(Channel.DEBUG, len(payload))
            case _:
                pass

    def _send(self, link: links.Initiator, request: messages.UpgradeRequest) -> None:
        if isinstance(request, messages.Fetch):
            self.fetches.append(request)
        link.send(Channel.UPGRADE, messages.encode(request))

    def send_telemetry(self, link: links.Initiator) -> None:
        """One message like the reference application's; dropped when the channel must wait."""
        payload = cbor.dumps([1, self.telemetry_sent, 10 * self.telemetry_sent, 42])
        try:
            link.send(Channel.APPLICATION, payload)
        except QueueFullError:
            return
        self.telemetry_sent += 1
