"""A debug server that lies: it passes on something else than what the client sent."""

from __future__ import annotations

import enum
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fieldlink.debug_relay import Session

_TRANSPORT: Final = 3
"""Type byte of an E2E transport frame (server/PROTOCOL.md section 7)."""


class Lie(enum.Enum):
    """What is done to transport frames on their way to a device."""

    NONE = "none"
    REPLAY = "replay"
    """A frame is passed on twice."""
    DROP = "drop"
    """A frame is lost."""
    REORDER = "reorder"
    """A frame is passed on after the next one."""
    CHANGE = "change"
    """One bit of a frame is flipped."""
    SPLICE = "splice"
    """A frame gets the second half of the one before."""
    RECORDED = "recorded"
    """A frame of an earlier session takes the place of one."""
    CROSS = "cross"
    """A frame goes to another session."""


class LyingRelay:
    """A RelayTap of fieldlink. Honest until lie() is called; then it lies once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lie = Lie.NONE
        self._skip = 0
        self._before = b""
        self._held: bytes | None = None
        self._recorded: list[bytes] = []
        self._sessions: list[Session] = []
        self.told = 0

    def lie(self, lie: Lie, *, skip: int = 1) -> None:
        """Lie at the transport frame after `skip` more; 1 leaves a new session its `hello`."""
        with self._lock:
            self._lie, self._skip, self._held, self.told = lie, skip, None, 0

    def __call__(
        self, session: Session, to_client: bool, payload: bytes, /
    ) -> Iterable[tuple[Session, bytes]]:
        """What goes on instead of `payload`; called in the gateway's loop."""
        with self._lock:
            if session not in self._sessions:
                self._sessions.append(session)
            if to_client or payload[0] != _TRANSPORT:
                return [(session, payload)]
            passed = self._transport(session, payload)
            self._before = payload
            self._recorded.append(payload)
            return passed

    def _transport(self, session: Session, payload: bytes) -> list[tuple[Session, bytes]]:
        if self._held is not None:
            held, self._held = self._held, None
            return [(session, payload), (session, held)]
        if self._lie is Lie.NONE:
            return [(session, payload)]
        if self._skip > 0:
            self._skip -= 1
            return [(session, payload)]
        lie, self._lie = self._lie, Lie.NONE
        self.told += 1
        return self._tell(lie, session, payload)

    def _tell(self, lie: Lie, session: Session, payload: bytes) -> list[tuple[Session, bytes]]:
        half = len(payload) // 2
        match lie:
            case Lie.REPLAY:
                return [(session, payload), (session, payload)]
            case Lie.DROP:
                return []
            case Lie.REORDER:
                self._held = payload
                return []
            case Lie.CHANGE:
                return [(session, payload[:half] + bytes([payload[half] ^ 1]) + payload[half + 1 :])]
            case Lie.SPLICE:
                return [(session, payload[:half] + self._before[len(self._before) // 2 :])]
            case Lie.RECORDED:
                return [(session, self._recorded[0])]
            case Lie.CROSS:
                other = next(
                    found for found in reversed(self._sessions) if found is not session and not found.closed
                )
                return [(other, payload)]
            case Lie.NONE:
                return [(session, payload)]
