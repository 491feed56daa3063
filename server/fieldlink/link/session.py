"""One session: transport ciphers, multiplexer, control messages and liveness."""

from fieldlink import messages
from fieldlink.errors import RemoteProtocolError
from fieldlink.link.constants import DEAD_AFTER_S, PING_AFTER_S, FrameType
from fieldlink.link.events import Message, PeerKind
from fieldlink.mux import PAYLOAD_LIMIT, Channel, Mux
from fieldlink.noise import TAG_SIZE, CipherState

_IDLE_CONTROL_QUEUE = 16
_BODY_LIMIT = 1 + PAYLOAD_LIMIT + TAG_SIZE


class Session:
    """What lives from one handshake to the first failure. Every RemoteProtocolError ends it."""

    def __init__(
        self,
        *,
        sending: CipherState,
        receiving: CipherState,
        peer_key: bytes,
        device_id: bytes,
        now: float,
        kind: PeerKind = PeerKind.DEVICE,
        is_initiator: bool = False,
    ) -> None:
        self.peer_key = peer_key
        self.device_id = device_id
        self.kind = kind
        self.mux = Mux(sends_up=is_initiator == (kind is PeerKind.DEVICE))
        self.proven = False
        """Whether a valid TRANSPORT frame has arrived."""
        self._sending = sending
        self._receiving = receiving
        self._last_received = now
        self._next_ping = now + PING_AFTER_S
        self._ping_count = 0

    def decrypt(self, body: bytes, now: float) -> bytes:
        """Plaintext of a TRANSPORT frame's body; proves that the peer is there now."""
        if len(body) > _BODY_LIMIT:
            raise RemoteProtocolError(f"transport message of {len(body)} bytes, at most {_BODY_LIMIT}")
        plaintext = self._receiving.decrypt(b"", body)
        self.proven = True
        self._last_received = now
        self._next_ping = now + PING_AFTER_S
        return plaintext

    def handle(self, plaintext: bytes) -> Message | None:
        """Deals with a decrypted message; returns it when it is for a channel's user."""
        if not plaintext:
            raise RemoteProtocolError("transport message without a channel number")
        payload = plaintext[1:]
        channel = self.mux.received(plaintext[0], len(payload))
        if channel is not Channel.CONTROL:
            return Message(channel=channel, payload=payload)
        match messages.decode_control(payload):
            case messages.Credit(channel=number, amount=count):
                self.mux.credit_received(number, count)
            case messages.Ping(nonce=nonce):
                self._control_if_idle(messages.Pong(nonce=nonce))
            case messages.Close(reason=reason):
                raise RemoteProtocolError(f"closed by the peer, reason {reason}")
            case messages.Pong():
                pass
        return None

    def _control(self, message: messages.Control) -> None:
        self.mux.queue(Channel.CONTROL, messages.encode(message))

    def _control_if_idle(self, message: messages.Control) -> None:
        # A long queue means that nothing is being sent now: pings and pongs are dropped, so that
        # credit has its room.
        if self.mux.waiting(Channel.CONTROL) < _IDLE_CONTROL_QUEUE:
            self._control(message)

    def ping(self) -> None:
        """Queues a ping."""
        self._ping_count += 1
        self._control_if_idle(messages.Ping(nonce=self._ping_count))

    def close(self, reason: int) -> None:
        """Queues a close message."""
        self._control(messages.Close(reason=reason))

    def consume(self, channel: Channel, size: int) -> None:
        """Received bytes were dealt with; queues credit when it is due."""
        grant = self.mux.consume(channel, size)
        if grant:
            self._control(messages.Credit(channel=channel, amount=grant))

    def poll(self, now: float) -> None:
        """Liveness. RemoteProtocolError when the peer has been silent for too long."""
        if now >= self._last_received + DEAD_AFTER_S:
            raise RemoteProtocolError(f"nothing received for {DEAD_AFTER_S:g} s")
        if now >= self._next_ping:
            self._next_ping = now + PING_AFTER_S
            self.ping()

    def deadline(self) -> float:
        """When `poll` has something to do."""
        return min(self._next_ping, self._last_received + DEAD_AFTER_S)

    def dead_at(self) -> float:
        """When silence ends the session."""
        return self._last_received + DEAD_AFTER_S

    def outgoing(self) -> list[bytes]:
        """Frames to send now, each with its type byte."""
        frames = []
        while (message := self.mux.next_message()) is not None:
            channel, payload = message
            body = self._sending.encrypt(b"", bytes([channel]) + payload)
            frames.append(bytes([FrameType.TRANSPORT]) + body)
        return frames
