"""Frame types and times of the link."""

from enum import IntEnum
from typing import Final

PROLOGUE: Final = b"fieldlink-p2p-1"
"""Of a device's handshake."""

CLIENT_PROLOGUE: Final = b"fieldlink-client-1"
"""Of a debug client's handshake: a key of one kind opens no session of the other."""

PING_AFTER_S: Final = 2.0
"""Silence after which a ping is sent."""

DEAD_AFTER_S: Final = 6.0
"""Silence after which the session is over."""

HANDSHAKE_TIMEOUT_S: Final = 1.0
"""How long a device waits for HANDSHAKE_2."""

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_LIMIT_S: Final = 5.0
BACKOFF_JITTER: Final = 0.25

RESET_DELAY_S: Final = 0.05
"""A device that starts over by itself needs no RESET: one waits this long for its HANDSHAKE_1."""

RESET_INTERVAL_S: Final = 0.5
"""Least time between two RESETs."""


class FrameType(IntEnum):
    """First byte of a decoded frame."""

    HANDSHAKE_1 = 1
    HANDSHAKE_2 = 2
    TRANSPORT = 3
    RESET = 4
