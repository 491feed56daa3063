"""The server's end of a link."""

from dataclasses import dataclass

from fieldlink import messages
from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.link.base import Link
from fieldlink.link.constants import CLIENT_PROLOGUE, PROLOGUE, RESET_DELAY_S, RESET_INTERVAL_S, FrameType
from fieldlink.link.events import Event, HandshakeFailed, HandshakeReceived, Ignored, PeerKind, SessionUp
from fieldlink.link.session import Session
from fieldlink.noise import IK, HandshakeState, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class _Undecided:
    handshake: HandshakeState
    hello: messages.DeviceHello | messages.ClientHello

    @property
    def kind(self) -> PeerKind:
        return PeerKind.DEVICE if isinstance(self.hello, messages.DeviceHello) else PeerKind.CLIENT

    @property
    def device_id(self) -> bytes:
        return self.hello.device_id if isinstance(self.hello, messages.DeviceHello) else b""


class Responder(Link):
    """Answers handshakes.

    Between a handshake and its proof a session is a *candidate*: message 1 may be a replay.

    While a candidate exists the old session's frames still count (one of them shows that the peer did
    not start over), but nothing is sent on it: a peer that did start over could not decrypt that.
    """

    def __init__(self, *, static_private: bytes) -> None:
        super().__init__()
        self._static_private = static_private
        self._undecided: _Undecided | None = None
        self._candidate: Session | None = None
        self._reset_at: float | None = None
        self._last_reset = float("-inf")

    def next_event(self, now: float) -> Event | None:
        """As in Link. LocalProtocolError while a HandshakeReceived waits for `accept` or `reject`."""
        if self._undecided is not None:
            raise LocalProtocolError("accept or reject the handshake first")
        return super().next_event(now)

    # ---- the owner's decision

    def accept(self, now: float, *, unix_time: int) -> None:
        """Answers the handshake. SessionUp follows when the peer proves itself.

        `unix_time` (seconds since 1970) is the clock of devices that have none: tokens expire by it.
        """
        undecided = self._take_undecided()
        hello = messages.encode(messages.ServerHello(time=unix_time))
        message = undecided.handshake.write_message(hello)
        sending, receiving = undecided.handshake.split()
        self._candidate = Session(
            sending=sending,
            receiving=receiving,
            peer_key=undecided.handshake.remote_static,
            device_id=undecided.device_id,
            now=now,
            kind=undecided.kind,
        )
        self._reset_at = None
        self._emit_frame(bytes([FrameType.HANDSHAKE_2]) + message)

    def reject(self) -> None:
        """Does not answer the handshake."""
        self._take_undecided()

    def _take_undecided(self) -> _Undecided:
        if self._undecided is None:
            raise LocalProtocolError("no handshake waits for a decision")
        undecided, self._undecided = self._undecided, None
        return undecided

    def close(self, reason: int) -> None:
        """Ends the session with a close message, which `data_to_send` then returns."""
        session = self._transmitting()
        if session is not None:
            session.close(reason)
            self._collect()
        self._candidate = None
        self._drop_session("closed by us")

    # ---- time

    def poll(self, now: float) -> None:
        """See Link."""
        if self._candidate is not None and now >= self._candidate.dead_at():
            self._candidate = None
            self._events.append(Ignored(reason="handshake was not followed by a valid frame (replayed?)"))
        if self._session is not None:
            try:
                self._session.poll(now)
            except RemoteProtocolError as error:
                self._violation(str(error), now)
        if self._reset_at is not None and now >= self._reset_at:
            self._reset_at = None
            self._last_reset = now
            self._emit_frame(bytes([FrameType.RESET]))

    def next_deadline(self) -> float | None:
        """See Link."""
        times = [] if self._reset_at is None else [self._reset_at]
        if self._session is not None:
            times.append(self._session.deadline())
        if self._candidate is not None:
            times.append(self._candidate.dead_at())
        return min(times, default=None)

    # ---- frames

    def _on_frame(self, frame: bytes | None, now: float) -> None:
        if frame is None:
            self._violation("damaged or oversized frame", now)
            return
        kind, body = frame[0], frame[1:]
        if kind == FrameType.HANDSHAKE_1:
            self._on_handshake(body, now)
        elif kind == FrameType.TRANSPORT:
            self._on_transport(body, now)
        elif kind == FrameType.RESET:
            self._events.append(Ignored(reason="RESET from a device"))
        else:
            self._violation(f"unexpected frame type {kind}", now)

    def _on_handshake(self, body: bytes, now: float) -> None:
        try:
            undecided = self._open_message_1(body)
        except RemoteProtocolError as error:
            self._events.append(HandshakeFailed(reason=f"handshake message 1: {error}"))
            if self._session is None and self._candidate is None:
                self._schedule_reset(now)
            return
        self._undecided = undecided
        hello = undecided.hello
        self._events.append(
            HandshakeReceived(
                peer_key=undecided.handshake.remote_static,
                device_id=undecided.device_id,
                kind=undecided.kind,
                client_name=hello.name if isinstance(hello, messages.ClientHello) else "",
            )
        )

    def _open_message_1(self, body: bytes) -> _Undecided:
        """Message 1 of a device or, when that prologue does not fit, of a client."""
        device, client = (
            HandshakeState(pattern=IK, role=Role.RESPONDER, static=self._static_private, prologue=prologue)
            for prologue in (PROLOGUE, CLIENT_PROLOGUE)
        )
        try:
            payload = device.read_message(body)
        except RemoteProtocolError as not_a_device:
            try:
                payload = client.read_message(body)
            except RemoteProtocolError:
                raise not_a_device from None
            return _Undecided(handshake=client, hello=messages.decode_client_hello(payload))
        return _Undecided(handshake=device, hello=messages.decode_device_hello(payload))

    def _on_transport(self, body: bytes, now: float) -> None:
        for session in (self._candidate, self._session):
            if session is None:
                continue
            try:
                plaintext = session.decrypt(body, now)
            except RemoteProtocolError:
                continue
            if session is self._candidate:
                self._promote(session)
            self._candidate = None  # a frame of the old session: the handshake was not the peer's
            self._deliver(session, plaintext, now)
            return
        self._violation("transport frame that no session can authenticate", now)

    def _promote(self, candidate: Session) -> None:
        self._drop_session("the peer started over")
        self._session = candidate
        up = SessionUp(peer_key=candidate.peer_key, device_id=candidate.device_id, kind=candidate.kind)
        self._events.append(up)

    def _transmitting(self) -> Session | None:
        return None if self._candidate is not None else self._session

    def _violation(self, reason: str, now: float) -> None:
        if self._session is None:
            self._events.append(Ignored(reason=reason))
        self._candidate = None
        self._drop_session(reason)
        self._schedule_reset(now)

    def _schedule_reset(self, now: float) -> None:
        if self._reset_at is None:
            self._reset_at = max(now + RESET_DELAY_S, self._last_reset + RESET_INTERVAL_S)
