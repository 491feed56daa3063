"""What the gateway does for a debug client on a proven session: its end of debug sessions."""

from fieldlink.gateway import events
from fieldlink.gateway.debug import DebugService
from fieldlink.gateway.ports import Hub, Port
from fieldlink.mux import Channel
from fieldlink.store import ClientRecord


class ClientService:
    """One session of one client. A client may have several connections at a time."""

    def __init__(self, *, hub: Hub, port: Port, debug: DebugService, client: ClientRecord, peer: str) -> None:
        self.name = client.name
        self._hub = hub
        self._port = port
        self._debug = debug
        self._link = debug.attach_client(client, port)
        hub.emit(events.ClientOnline(client=client.name, peer=peer))

    async def on_message(self, channel: Channel, payload: bytes) -> None:
        """See PeerService."""
        if channel is Channel.DEBUG:
            await self._debug.receive(self._link, payload)
            return
        self._port.consume(channel, len(payload))
        self._port.log.info("message on %s, which a client has no use for", channel.name.lower())

    def pump(self) -> None:
        """See PeerService."""
        self._debug.push(self._link)

    def count_stream(self, received: int, sent: int) -> None:
        """See PeerService: clients have no counters."""

    def down(self, reason: str) -> None:
        """See PeerService."""
        self._debug.detach(self._link)
        self._hub.emit(events.ClientOffline(client=self.name, reason=reason))
