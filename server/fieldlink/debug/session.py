"""One debug session from the client's end (PROTOCOL.md, sections 6 to 8). Sans-IO.

The owner hands payloads of channel 3 to `receive`, takes events with `next_event` until None, and then
frames with `next_frame` as far as the link has room. Requests are numbered; their replies come as `Replied`
events with the same number, in order.
"""

import struct
from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Final

from fieldlink import debug_messages as messages
from fieldlink.debug.e2e import E2eChannel, prologue
from fieldlink.debug.errors import SessionEndedError
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.noise import Role

WINDOW: Final = 6
"""Requests that may be unanswered: the device holds one at a time, the rest wait on the link."""

_HELLO_FORMAT: Final = struct.Struct("<BBBB4I")


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentInfo:
    """The device's answer to `hello`. Addresses and sizes in bytes."""

    version: int
    stopped: bool
    hardware_breakpoints: bool
    """FPB; otherwise BKPT patches."""
    hardware_watchpoints: bool
    """DWT; otherwise MPU regions."""
    code_base: int
    code_size: int
    data_base: int
    data_size: int

    @staticmethod
    def decode(data: bytes) -> "AgentInfo":
        """RemoteProtocolError when it is not a hello reply."""
        if len(data) != _HELLO_FORMAT.size:
            raise RemoteProtocolError(f"hello reply of {len(data)} bytes, expected {_HELLO_FORMAT.size}")
        version, state, breakpoints, watchpoints, *where = _HELLO_FORMAT.unpack(data)
        return AgentInfo(
            version=version,
            stopped=state == 1,
            hardware_breakpoints=breakpoints == 1,
            hardware_watchpoints=watchpoints == 1,
            code_base=where[0],
            code_size=where[1],
            data_base=where[2],
            data_size=where[3],
        )

    def encode(self) -> bytes:
        """The reply's bytes, as a device makes them."""
        return _HELLO_FORMAT.pack(
            self.version,
            self.stopped,
            self.hardware_breakpoints,
            self.hardware_watchpoints,
            self.code_base,
            self.code_size,
            self.data_base,
            self.data_size,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionConfig:
    """Who debugs what. `number` is this session's on the client's link."""

    number: int
    device_id: bytes
    session_id: bytes
    token: bytes
    permissions: int
    e2e_private: bytes
    device_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """The device has answered `hello`: requests may flow. `manifest`: digest of the installed envelope."""

    agent: AgentInfo
    manifest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Replied:
    """The answer to request `ticket`."""

    ticket: int
    reply: messages.Reply


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEnded:
    """Over; nothing follows."""

    error: SessionEndedError


SessionEvent = Ready | Replied | messages.Stop | messages.Output | messages.Notice | SessionEnded


class _State(Enum):
    NEW = "not started"
    OPENING = "waiting for the server"
    HANDSHAKE = "waiting for the device"
    HELLO = "waiting for the agent"
    READY = "ready"
    ENDED = "ended"


class DebugSession:
    """See the module."""

    def __init__(self, config: SessionConfig) -> None:
        self._config = config
        self._state = _State.NEW
        self._channel: E2eChannel | None = None
        self._manifest = b""
        self._events: deque[SessionEvent] = deque()
        self._frames: deque[messages.DebugFrame] = deque()
        self._requests: deque[tuple[int, messages.DebugRequest]] = deque()
        self._unanswered: deque[int] = deque()
        self._tickets = 0

    @property
    def is_over(self) -> bool:
        """Whether SessionEnded was (or will be) told."""
        return self._state is _State.ENDED

    @property
    def waiting_for(self) -> str:
        """What the session waits for, in words."""
        return self._state.value

    # ---- the owner's wishes

    def start(self) -> None:
        """Asks the server for the session."""
        if self._state is not _State.NEW:
            raise LocalProtocolError("the debug session was started already")
        self._state = _State.OPENING
        config = self._config
        self._frames.append(
            messages.Open(
                session=config.number,
                device_id=config.device_id,
                session_id=config.session_id,
                token=config.token,
            )
        )

    def request(self, request: messages.DebugRequest) -> int:
        """Queues a request and returns its ticket. LocalProtocolError unless the session is ready."""
        if self._state is not _State.READY:
            raise LocalProtocolError(f"no request now: the debug session is {self._state.value}")
        messages.encode(request)  # the caller's mistake must not surface later
        return self._queue(request)

    def _queue(self, request: messages.DebugRequest) -> int:
        self._tickets += 1
        self._requests.append((self._tickets, request))
        return self._tickets

    def close(self) -> None:
        """Ends the session from this side."""
        self.fail(EndReason.CLOSED)

    def fail(self, reason: int, detail: str = "") -> None:
        """Ends the session for `reason`; the server is told."""
        if self._state is not _State.ENDED:
            if self._state is not _State.NEW:
                self._frames.append(messages.Ended(session=self._config.number, reason=reason))
            self._end(reason, detail)

    def _end(self, reason: int, detail: str = "") -> None:
        self._state = _State.ENDED
        self._requests.clear()
        only_reads = self._config.permissions == Permission.READ
        self._events.append(SessionEnded(error=SessionEndedError(reason, detail, only_reads=only_reads)))

    # ---- payloads of channel 3

    def next_frame(self) -> bytes | None:
        """The next payload for channel 3; call only when the link takes it: sealing uses up a counter."""
        if self._frames:
            return messages.encode(self._frames.popleft())
        channel = self._channel
        if self._requests and len(self._unanswered) < WINDOW and channel is not None and channel.is_open:
            ticket, request = self._requests.popleft()
            self._unanswered.append(ticket)
            sealed = channel.seal(messages.encode(request))
            return messages.encode(messages.Relay(session=self._config.number, payload=sealed))
        return None

    def receive(self, payload: bytes) -> None:
        """Takes a message of channel 3; what is malformed or out of place ends the session."""
        try:
            frame = messages.decode_frame(payload)
        except RemoteProtocolError as error:
            self.fail(EndReason.PROTOCOL_ERROR, str(error))
            return
        if frame.session != self._config.number or self._state is _State.ENDED:
            return  # of an earlier session, under way when it ended
        match frame:
            case messages.Opened() if self._state is _State.OPENING:
                self._on_opened(frame)
            case messages.Relay():
                self._on_relay(frame.payload)
            case messages.Ended(reason=reason):
                self._end(reason)
            case _:
                self.fail(EndReason.PROTOCOL_ERROR, f"unexpected {type(frame).__name__.lower()}")

    def _on_opened(self, frame: messages.Opened) -> None:
        config = self._config
        self._manifest = frame.manifest
        self._channel = E2eChannel(
            role=Role.INITIATOR,
            static_private=config.e2e_private,
            remote_public=config.device_public,
            prologue_bytes=prologue(
                device_id=config.device_id,
                session_id=config.session_id,
                permissions=config.permissions,
                manifest=frame.manifest,
            ),
        )
        self._state = _State.HANDSHAKE
        self._frames.append(messages.Relay(session=config.number, payload=self._channel.start()))

    def _on_relay(self, sealed: bytes) -> None:
        if self._channel is None:
            self.fail(EndReason.PROTOCOL_ERROR, "relay before opened")
            return
        try:
            plaintext, _ = self._channel.receive(sealed)
        except RemoteProtocolError as error:
            self.fail(EndReason.E2E_FAILED, str(error))
            return
        if plaintext is None:
            self._state = _State.HELLO
            self._queue(messages.Hello())
            return
        try:
            self._on_response(messages.decode_response(plaintext))
        except RemoteProtocolError as error:
            self.fail(EndReason.PROTOCOL_ERROR, str(error))

    def _on_response(self, response: messages.DebugResponse) -> None:
        if not isinstance(response, messages.Reply):
            self._events.append(response)
            return
        if not self._unanswered:
            raise RemoteProtocolError("a reply without a request")
        ticket = self._unanswered.popleft()
        if self._state is _State.READY:
            self._events.append(Replied(ticket=ticket, reply=response))
            return
        if response.status != messages.ReplyStatus.DONE:
            raise RemoteProtocolError(f"hello was answered with status {response.status}")
        self._state = _State.READY
        self._events.append(Ready(agent=AgentInfo.decode(response.data), manifest=self._manifest))

    def next_event(self) -> SessionEvent | None:
        """The next event, or None."""
        return self._events.popleft() if self._events else None
