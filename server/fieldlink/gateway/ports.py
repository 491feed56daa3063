"""What connections, services and the gateway need of each other."""

import logging
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any, Protocol

from fieldlink.gateway.config import GatewayConfig
from fieldlink.gateway.counters import DeviceTally
from fieldlink.gateway.events import GatewayEvent
from fieldlink.gateway.sources import DeviceRegistry, ReleaseSource
from fieldlink.mux import Channel

if TYPE_CHECKING:
    from fieldlink.gateway.debug import DebugService


class ConnectionLogger(logging.LoggerAdapter[logging.Logger]):
    """Puts connection number and peer in front. An adapter: named loggers would never be freed."""

    def process(self, msg: str, kwargs: MutableMapping[str, Any]) -> tuple[str, MutableMapping[str, Any]]:
        """See LoggerAdapter."""
        extra = self.extra or {}
        return f"[{extra['connection']} {extra['peer']}] {msg}", kwargs


class Port(Protocol):
    """A connection, as the service of the peer on it sees it."""

    log: ConnectionLogger

    def has_room(self, channel: Channel) -> bool:
        """Whether `send` would take a message now."""
        ...

    def send(self, channel: Channel, payload: bytes) -> None:
        """Hands the link one message; when that fills its queue, the wire as much as credit allows."""
        ...

    def flush(self) -> None:
        """Hands the wire as much as credit allows, without waiting for it."""
        ...

    def consume(self, channel: Channel, size: int) -> None:
        """Received bytes were dealt with."""
        ...

    def fail(self, reason: str) -> None:
        """The peer broke the protocol: ends its session."""
        ...


class Aborting(Protocol):
    """A connection, as the gateway sees it."""

    def abort(self, reason: int) -> None:
        """Ends it; `reason` goes into the close message."""
        ...


class Hub(Protocol):
    """The gateway, as connections and services see it."""

    config: GatewayConfig
    registry: DeviceRegistry
    releases: ReleaseSource
    debug: "DebugService | None"

    def emit(self, event: GatewayEvent) -> None:
        """Tells the observers."""
        ...

    def tally(self, device_id: str) -> DeviceTally:
        """Counters of a device."""
        ...

    def online(self, device_id: str, connection: Aborting) -> None:
        """`connection` has the newest proven session of a device."""
        ...

    def offline(self, device_id: str, connection: Aborting) -> None:
        """That session is over."""
        ...


class PeerService(Protocol):
    """Serves one proven session of a device or a client."""

    name: str

    async def on_message(self, channel: Channel, payload: bytes) -> None:
        """One message; its credit is given back with `Port.consume`."""
        ...

    def pump(self) -> None:
        """Hands the link as much as it has room for."""
        ...

    def count_stream(self, received: int, sent: int) -> None:
        """TCP bytes that travelled."""
        ...

    def down(self, reason: str) -> None:
        """The session is over."""
        ...
