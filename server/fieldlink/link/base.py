"""What both ends of a link share: framing, the event queue, and the established session's channels."""

from abc import ABC, abstractmethod
from collections import deque

from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.framing import FrameDecoder, encode_frame
from fieldlink.link.events import Event, SessionDown
from fieldlink.link.session import Session
from fieldlink.mux import Channel


class Link(ABC):
    """Base of `Initiator` and `Responder`."""

    def __init__(self) -> None:
        self._decoder = FrameDecoder()
        self._frames: deque[bytes | None] = deque()
        self._events: deque[Event] = deque()
        self._out = bytearray()
        self._session: Session | None = None

    # ---- bytes and time

    def receive_data(self, data: bytes) -> None:
        """Takes bytes of the stream, cut anywhere."""
        self._frames.extend(self._decoder.feed(data))

    def next_event(self, now: float) -> Event | None:
        """The next event of what was received and polled; None when all of it is dealt with."""
        while not self._events and self._frames:
            frame = self._frames.popleft()
            self._on_frame(frame, now)
            self._collect()
        return self._events.popleft() if self._events else None

    def data_to_send(self) -> bytes:
        """Bytes for the stream; they are handed out once."""
        self._collect()
        data = bytes(self._out)
        self._out.clear()
        return data

    @abstractmethod
    def poll(self, now: float) -> None:
        """Timers. Call when `next_deadline` has passed; then take events and bytes."""

    @abstractmethod
    def next_deadline(self) -> float | None:
        """When `poll` has something to do; None: only after more input."""

    # ---- channels of the established session

    @property
    def is_up(self) -> bool:
        """Whether a proven session exists."""
        return self._session is not None

    def _up(self) -> Session:
        if self._session is None:
            raise LocalProtocolError("the link has no session")
        return self._session

    def send(self, channel: Channel, payload: bytes) -> None:
        """Queues one message.

        LocalProtocolError without a session, QueueFullError when the channel must wait.
        """
        if channel is Channel.CONTROL:
            raise LocalProtocolError("channel 0 belongs to the link itself")
        self._up().mux.queue(channel, payload)

    def has_room(self, channel: Channel) -> bool:
        """Whether `send` would take a message for `channel` now."""
        return self._session is not None and self._session.mux.has_room(channel)

    def consume(self, channel: Channel, size: int) -> None:
        """`size` bytes received on `channel` were dealt with: the peer may send as many again.

        Without a session this does nothing: the message outlived the session that it came through.
        """
        if self._session is not None:
            self._session.consume(channel, size)

    def fail(self, reason: str, now: float) -> None:
        """Ends the session after an error that a channel's user found in the peer's messages."""
        if self._session is not None:
            self._violation(reason, now)

    # ---- for subclasses

    @abstractmethod
    def _on_frame(self, frame: bytes | None, now: float) -> None: ...

    @abstractmethod
    def _violation(self, reason: str, now: float) -> None: ...

    def _emit_frame(self, frame: bytes) -> None:
        self._out += encode_frame(frame)

    def _collect(self) -> None:
        """Encrypts what the session may send now; in this order, since each frame has its nonce."""
        session = self._transmitting()
        if session is not None:
            for frame in session.outgoing():
                self._emit_frame(frame)

    def _transmitting(self) -> Session | None:
        return self._session

    def _deliver(self, session: Session, plaintext: bytes, now: float) -> None:
        try:
            message = session.handle(plaintext)
        except RemoteProtocolError as error:
            self._violation(str(error), now)
            return
        if message is not None:
            self._events.append(message)

    def _drop_session(self, reason: str) -> None:
        if self._session is not None:
            self._session = None
            self._events.append(SessionDown(reason=reason))
