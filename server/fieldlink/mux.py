"""Virtual channels inside the P2P channel: credit and turns (PROTOCOL.md, section 3). Sans-IO.

The multiplexer knows nothing of encryption or CBOR. Its owner asks it for the next message to send,
tells it what arrived and what was consumed, and carries the credit messages.
"""

from collections import deque
from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from fieldlink.errors import LocalProtocolError, QueueFullError, RemoteProtocolError

PAYLOAD_LIMIT: Final = 1024
"""Most payload bytes of one message."""

QUEUE_LIMIT: Final = 8
"""Messages that wait on a channel before its producer is told to wait."""

CONTROL_QUEUE_LIMIT: Final = 64


class Channel(IntEnum):
    """Numbers of the virtual channels."""

    CONTROL = 0
    APPLICATION = 1
    UPGRADE = 2
    DEBUG = 3


CREDIT_DOWN: Final[Mapping[Channel, int]] = MappingProxyType(
    {Channel.APPLICATION: 2048, Channel.UPGRADE: 4096, Channel.DEBUG: 2048}
)
"""Payload bytes that may be outstanding towards a device, which has to hold them in its RAM."""

CREDIT_UP: Final[Mapping[Channel, int]] = MappingProxyType({**CREDIT_DOWN, Channel.DEBUG: 8192})
"""The same away from a device, to the server and from there to a debug client."""


class Mux:
    """Both directions of all channels of one session.

    `sends_up`: this end sends what goes away from a device, so it is the device's end, or the server's end of
    a client's link.
    """

    def __init__(self, queue_limit: int = QUEUE_LIMIT, *, sends_up: bool = False) -> None:
        self._queue_limit = queue_limit
        self._queues: dict[Channel, deque[bytes]] = {channel: deque() for channel in Channel}
        self._send_limit = CREDIT_UP if sends_up else CREDIT_DOWN
        self._receive_limit = CREDIT_DOWN if sends_up else CREDIT_UP
        self._send_credit = dict(self._send_limit)
        self._receive_credit = dict(self._receive_limit)
        self._consumed = dict.fromkeys(self._receive_limit, 0)  # consumed, not yet given back
        self._unconsumed = dict.fromkeys(self._receive_limit, 0)
        self._turns = deque(self._send_limit)

    # ---- sending

    def queue(self, channel: Channel, payload: bytes) -> None:
        """Queues one message. QueueFullError when its channel has no room."""
        if len(payload) > PAYLOAD_LIMIT:
            raise LocalProtocolError(f"message of {len(payload)} bytes, at most {PAYLOAD_LIMIT}")
        if not self.has_room(channel):
            raise QueueFullError(f"queue of channel {channel.name.lower()} is full")
        self._queues[channel].append(payload)

    def has_room(self, channel: Channel) -> bool:
        """Whether `queue` would take a message for `channel` now."""
        limit = CONTROL_QUEUE_LIMIT if channel is Channel.CONTROL else self._queue_limit
        return len(self._queues[channel]) < limit

    def waiting(self, channel: Channel) -> int:
        """Messages queued on `channel`."""
        return len(self._queues[channel])

    def send_credit(self, channel: Channel) -> int:
        """Payload bytes that the peer still accepts on `channel`."""
        return self._send_credit[channel]

    def next_message(self) -> tuple[Channel, bytes] | None:
        """What to send now: control first, then the channels in turn; None when nothing may be sent."""
        control = self._queues[Channel.CONTROL]
        if control:
            return Channel.CONTROL, control.popleft()
        for _ in range(len(self._turns)):
            channel = self._turns[0]
            self._turns.rotate(-1)
            waiting = self._queues[channel]
            if waiting and len(waiting[0]) <= self._send_credit[channel]:
                self._send_credit[channel] -= len(waiting[0])
                return channel, waiting.popleft()
        return None

    def credit_received(self, channel_number: int, count: int) -> None:
        """The peer gave credit back. RemoteProtocolError when that is more than was outstanding."""
        channel = _limited_channel(channel_number)
        if self._send_credit[channel] + count > self._send_limit[channel]:
            raise RemoteProtocolError(
                f"peer gave {count} bytes more credit than was spent on channel {channel}"
            )
        self._send_credit[channel] += count

    # ---- receiving

    def received(self, channel_number: int, size: int) -> Channel:
        """A message of `size` payload bytes arrived.

        RemoteProtocolError for a credit overrun or unknown channel.
        """
        if size > PAYLOAD_LIMIT:
            raise RemoteProtocolError(f"message of {size} bytes, at most {PAYLOAD_LIMIT}")
        if channel_number == Channel.CONTROL:
            return Channel.CONTROL
        channel = _limited_channel(channel_number)
        if size > self._receive_credit[channel]:
            raise RemoteProtocolError(f"peer spent more credit than it has on channel {channel}")
        self._receive_credit[channel] -= size
        self._unconsumed[channel] += size
        return channel

    def consume(self, channel: Channel, size: int) -> int:
        """`size` received bytes were dealt with. Returns credit to give back to the peer now (0: not yet)."""
        if channel is Channel.CONTROL:
            return 0
        if size > self._unconsumed[channel]:
            raise LocalProtocolError(f"consumed {size} bytes of channel {channel}, more than were received")
        self._unconsumed[channel] -= size
        self._consumed[channel] += size
        if self._consumed[channel] < self._receive_limit[channel] // 2:
            return 0
        grant = self._consumed[channel]
        self._consumed[channel] = 0
        self._receive_credit[channel] += grant
        return grant


def _limited_channel(number: int) -> Channel:
    try:
        channel = Channel(number)
    except ValueError:
        channel = Channel.CONTROL
    if channel is Channel.CONTROL:
        raise RemoteProtocolError(f"channel {number} is unknown or has no credit")
    return channel
