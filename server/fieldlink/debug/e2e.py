"""The end-to-end channel of PROTOCOL.md section 7: Noise_KK, frames of one type byte and a body. Sans-IO."""

from enum import Enum, IntEnum
from typing import Final

from fieldlink.debug_messages import DEVICE_ID_LIMIT, MANIFEST_DIGEST_SIZE, RELAY_LIMIT, SESSION_ID_SIZE
from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.noise import KK, TAG_SIZE, CipherState, HandshakeState, Role

PROLOGUE_LABEL: Final = b"fieldlink-e2e-1"
PLAINTEXT_LIMIT: Final = RELAY_LIMIT - 1 - TAG_SIZE
"""Most bytes of one request or response."""


class FrameType(IntEnum):
    """First byte of an E2E frame."""

    KK_1 = 1
    KK_2 = 2
    TRANSPORT = 3


class _State(Enum):
    NEW = "new"
    HANDSHAKE = "handshake"
    OPEN = "open"
    FAILED = "failed"


def prologue(*, device_id: bytes, session_id: bytes, permissions: int, manifest: bytes) -> bytes:
    """What both ends must agree on before the handshake works.

    `device_id` 1 to 16 bytes, `session_id` 16, `manifest` the 32-byte digest of the installed envelope.
    """
    sizes = (len(session_id), len(manifest))
    if not 1 <= len(device_id) <= DEVICE_ID_LIMIT or sizes != (SESSION_ID_SIZE, MANIFEST_DIGEST_SIZE):
        raise LocalProtocolError("E2E prologue: a field has the wrong size")
    padded = device_id.ljust(DEVICE_ID_LIMIT, b"\0")
    return PROLOGUE_LABEL + padded + session_id + permissions.to_bytes(4, "little") + manifest


class E2eChannel:
    """One end of one channel.

    Every RemoteProtocolError is the end of it: nothing can be sent or received afterwards. The client is the
    initiator; the responder's end is here for simulated devices.
    """

    def __init__(
        self, *, role: Role, static_private: bytes, remote_public: bytes, prologue_bytes: bytes
    ) -> None:
        self._role = role
        self._handshake = HandshakeState(
            pattern=KK,
            role=role,
            static=static_private,
            remote_static=remote_public,
            prologue=prologue_bytes,
        )
        self._state = _State.NEW
        self._sending: CipherState | None = None
        self._receiving: CipherState | None = None

    @property
    def is_open(self) -> bool:
        """Whether transport messages can flow."""
        return self._state is _State.OPEN

    def start(self) -> bytes:
        """The initiator's first frame."""
        if self._state is not _State.NEW or self._role is not Role.INITIATOR:
            raise LocalProtocolError("the E2E handshake was started already, or is the peer's to start")
        self._state = _State.HANDSHAKE
        return bytes([FrameType.KK_1]) + self._handshake.write_message(b"")

    def receive(self, frame: bytes) -> tuple[bytes | None, bytes | None]:
        """Takes the peer's next frame.

        Returns (plaintext of a transport message or None, frame to send back or None).
        """
        if self._state is _State.FAILED:
            raise RemoteProtocolError("E2E channel: over after a failure")
        try:
            return self._receive(frame)
        except RemoteProtocolError as error:
            self._state = _State.FAILED
            raise RemoteProtocolError(f"E2E channel: {error}") from error

    def _receive(self, frame: bytes) -> tuple[bytes | None, bytes | None]:
        if not frame:
            raise RemoteProtocolError("empty frame")
        kind, body = frame[0], frame[1:]
        if kind == FrameType.TRANSPORT and self._state is _State.OPEN and self._receiving is not None:
            return self._receiving.decrypt(b"", body), None
        initiator = self._role is Role.INITIATOR
        wanted, state = (FrameType.KK_2, _State.HANDSHAKE) if initiator else (FrameType.KK_1, _State.NEW)
        if kind != wanted or self._state is not state:
            raise RemoteProtocolError(f"frame of type {kind} in state {self._state.value}")
        if self._handshake.read_message(body):
            raise RemoteProtocolError("handshake message with a payload")
        answer = None if initiator else bytes([FrameType.KK_2]) + self._handshake.write_message(b"")
        self._sending, self._receiving = self._handshake.split()
        self._state = _State.OPEN
        return None, answer

    def seal(self, plaintext: bytes) -> bytes:
        """A transport frame with `plaintext` (at most 975 bytes)."""
        if self._sending is None or self._state is not _State.OPEN:
            raise LocalProtocolError("the E2E channel is not open")
        if len(plaintext) > PLAINTEXT_LIMIT:
            raise LocalProtocolError(f"E2E message of {len(plaintext)} bytes, at most {PLAINTEXT_LIMIT}")
        return bytes([FrameType.TRANSPORT]) + self._sending.encrypt(b"", plaintext)
