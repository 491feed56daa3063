"""The P2P link of PROTOCOL.md sections 1 to 3, both ends.

Sans-IO: bytes and the time go in, events and bytes come out.

An owner calls `receive_data`, takes events with `next_event` until None, calls `poll` when
`next_deadline` has passed, and after each of these writes `data_to_send` to the stream. Times are
seconds of any monotonic clock.
"""

from fieldlink.link.constants import CLIENT_PROLOGUE, PROLOGUE, FrameType
from fieldlink.link.events import (
    Event,
    HandshakeFailed,
    HandshakeReceived,
    Ignored,
    Message,
    PeerKind,
    SessionDown,
    SessionUp,
)
from fieldlink.link.initiator import Initiator
from fieldlink.link.responder import Responder

__all__ = [
    "CLIENT_PROLOGUE",
    "PROLOGUE",
    "Event",
    "FrameType",
    "HandshakeFailed",
    "HandshakeReceived",
    "Ignored",
    "Initiator",
    "Message",
    "PeerKind",
    "Responder",
    "SessionDown",
    "SessionUp",
]
