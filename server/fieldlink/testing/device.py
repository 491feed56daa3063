"""A simulated device on a real TCP connection."""

import asyncio
from collections.abc import Callable

from fieldlink import cbor, messages
from fieldlink import link as links
from fieldlink.errors import QueueFullError
from fieldlink.mux import Channel
from fieldlink.provision import ProvisionedDevice
from fieldlink.testing.client import Installed, UpgradeClient


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
            data = link.data_to_send()
            self.raw_out += data
            writer.write(data)
            await writer.drain()
            if until(self):
                return
            try:
                async with asyncio.timeout_at(link.next_deadline()):
                    received = await reader.read(4096)
            except TimeoutError:
                continue
            if not received:
                self.downs.append("connection closed by the server")
                return
            link.receive_data(received)

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
