"""What a link tells its owner."""

from dataclasses import dataclass
from enum import Enum

from fieldlink.mux import Channel


class PeerKind(Enum):
    """Who initiates a link."""

    DEVICE = "device"
    CLIENT = "client"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeReceived:
    """Responder only: message 1 is genuine for `peer_key` (32 bytes). Answer with `accept()` or `reject()`.

    It may be a replay; only SessionUp says that the peer is there now. `kind` is proved by the handshake's
    prologue; `device_id` is empty for a client, `client_name` (what it calls itself) for a device.
    """

    peer_key: bytes
    device_id: bytes
    kind: PeerKind = PeerKind.DEVICE
    client_name: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionUp:
    """The peer has proved itself and messages can flow.

    `server_time` (seconds since 1970, initiator only) is what server-hello told.
    """

    peer_key: bytes
    device_id: bytes
    kind: PeerKind = PeerKind.DEVICE
    server_time: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message on channel 1 to 3.

    Its owner calls `consume(channel, len(payload))` once it has dealt with it.
    """

    channel: Channel
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionDown:
    """The session is over; `reason` is for the log."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeFailed:
    """Message 1 of a handshake that does not open: made for another server, or damaged."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Ignored:
    """Something from outside any session was dropped; for the log."""

    reason: str


Event = HandshakeReceived | HandshakeFailed | SessionUp | Message | SessionDown | Ignored
