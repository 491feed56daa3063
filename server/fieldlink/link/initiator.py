"""The initiator's end of a link: debug clients, simulated devices, tests."""

import random
from collections.abc import Callable

from fieldlink import messages
from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.link.base import Link
from fieldlink.link.constants import (
    BACKOFF_FIRST_S,
    BACKOFF_JITTER,
    BACKOFF_LIMIT_S,
    CLIENT_PROLOGUE,
    HANDSHAKE_TIMEOUT_S,
    PROLOGUE,
    FrameType,
)
from fieldlink.link.events import PeerKind, SessionUp
from fieldlink.link.session import Session
from fieldlink.noise import IK, HandshakeState, Role


class Initiator(Link):
    """Keeps a session up: handshakes, and handshakes again after a back-off whenever something fails.

    The first handshake is sent by the first `poll`. `jitter` returns numbers in [0, 1). With `device_id` it
    is a device, with `client_name` (1 to 32 bytes in UTF-8) a debug client; exactly one of them is given.
    """

    def __init__(
        self,
        *,
        static_private: bytes,
        remote_public: bytes,
        device_id: bytes | None = None,
        client_name: str | None = None,
        now: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        super().__init__()
        self._static_private = static_private
        self._remote_public = remote_public
        if (device_id is None) == (client_name is None):
            raise LocalProtocolError("an initiator has either a device id or a client name")
        self._kind = PeerKind.CLIENT if device_id is None else PeerKind.DEVICE
        self._device_id = device_id or b""
        self._client_name = client_name or ""
        self._jitter = jitter
        self._handshake: HandshakeState | None = None
        self._backoff = BACKOFF_FIRST_S
        self._act_at: float | None = now  # start a handshake then, or give up the one that runs

    # ---- time

    def poll(self, now: float) -> None:
        """See Link."""
        if self._session is not None:
            try:
                self._session.poll(now)
            except RemoteProtocolError as error:
                self._violation(str(error), now)
        elif self._act_at is not None and now >= self._act_at:
            if self._handshake is None:
                self._start(now)
            else:
                self._violation("no answer to the handshake", now)

    def next_deadline(self) -> float | None:
        """See Link."""
        return self._act_at if self._session is None else self._session.deadline()

    def _start(self, now: float) -> None:
        self._handshake = HandshakeState(
            pattern=IK,
            role=Role.INITIATOR,
            static=self._static_private,
            remote_static=self._remote_public,
            prologue=CLIENT_PROLOGUE if self._kind is PeerKind.CLIENT else PROLOGUE,
        )
        hello = messages.encode(self._hello())
        self._out += b"\x00"  # ends whatever a previous life left unfinished on the wire
        self._emit_frame(bytes([FrameType.HANDSHAKE_1]) + self._handshake.write_message(hello))
        self._act_at = now + HANDSHAKE_TIMEOUT_S

    def _hello(self) -> messages.Hello:
        if self._kind is PeerKind.CLIENT:
            return messages.ClientHello(name=self._client_name)
        return messages.DeviceHello(device_id=self._device_id)

    # ---- frames

    def _on_frame(self, frame: bytes | None, now: float) -> None:
        if self._session is not None:
            self._on_frame_up(self._session, frame, now)
        elif self._handshake is not None and frame is not None:
            if frame[0] == FrameType.HANDSHAKE_2:
                self._on_answer(self._handshake, frame[1:], now)
            elif frame[0] == FrameType.RESET:
                self._violation("RESET by the server", now)
            # Transport frames here belong to the session before: they were under way when this
            # handshake began.

    def _on_frame_up(self, session: Session, frame: bytes | None, now: float) -> None:
        if frame is None:
            self._violation("damaged or oversized frame", now)
        elif frame[0] == FrameType.TRANSPORT:
            try:
                plaintext = session.decrypt(frame[1:], now)
            except RemoteProtocolError as error:
                self._violation(str(error), now)
                return
            self._backoff = BACKOFF_FIRST_S
            self._deliver(session, plaintext, now)
        elif frame[0] == FrameType.RESET:
            self._violation("RESET by the server", now)
        elif frame[0] != FrameType.HANDSHAKE_2:  # a late second answer is harmless
            self._violation(f"unexpected frame type {frame[0]}", now)

    def _on_answer(self, handshake: HandshakeState, body: bytes, now: float) -> None:
        try:
            hello = messages.decode_server_hello(handshake.read_message(body))
        except RemoteProtocolError as error:
            self._violation(f"handshake message 2: {error}", now)
            return
        sending, receiving = handshake.split()
        self._session = Session(
            sending=sending,
            receiving=receiving,
            peer_key=self._remote_public,
            device_id=self._device_id,
            now=now,
            kind=self._kind,
            is_initiator=True,
        )
        self._handshake = None
        self._act_at = None
        self._session.ping()  # proves to the server that message 1 was not a replay
        self._events.append(
            SessionUp(
                peer_key=self._remote_public,
                device_id=self._device_id,
                kind=self._kind,
                server_time=hello.time,
            )
        )

    def _violation(self, reason: str, now: float) -> None:
        self._handshake = None
        self._drop_session(reason)
        self._act_at = now + self._backoff * (1 + BACKOFF_JITTER * self._jitter())
        self._backoff = min(2 * self._backoff, BACKOFF_LIMIT_S)
