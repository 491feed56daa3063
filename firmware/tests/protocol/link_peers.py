"""The two ends that the link tests join: the firmware's link behind its command line, and a small server.

The server is written from server/PROTOCOL.md on `noiseprotocol`, `cobs` and `cbor2`. Time is an argument:
nothing here waits.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field

import cbor2
from cobs import cobs
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from noise.connection import Keypair, NoiseConnection

Ask = Callable[[str], list[str]]

OK, INVALID_ARGUMENT, WRONG_STATE, WOULD_BLOCK = 0, 1, 14, 15
APPLICATION, UPGRADE, DEBUG = 1, 2, 3
INITIAL_CREDIT = {APPLICATION: 2048, UPGRADE: 4096, DEBUG: 2048}
HANDSHAKE_1, HANDSHAKE_2, TRANSPORT, RESET = 1, 2, 3, 4
KEEP, CONSUME, ECHO, FAIL = range(4)

SERVER_TIME = 1_800_000_000
"""What the server tells unless a test says otherwise, Unix seconds."""

DEVICE_PRIVATE = hashlib.sha256(b"device").digest()
SERVER_PRIVATE = hashlib.sha256(b"server").digest()


def public(private: bytes) -> bytes:
    return X25519PrivateKey.from_private_bytes(private).public_key().public_bytes_raw()


def encode(frame: bytes) -> bytes:
    return bytes(cobs.encode(frame)) + b"\x00"


@dataclass(slots=True)
class Outcome:
    """What one call into the link did."""

    status: int = OK
    stream: bytes = b""
    received: list[tuple[int, bytes]] = field(default_factory=list)
    sessions: list[str] = field(default_factory=list)
    dropped: int = 0

    def frames(self) -> list[bytes]:
        """Decoded frames of `stream`."""
        return [bytes(cobs.decode(piece)) for piece in self.stream.split(b"\x00") if piece]


class Device:
    """The firmware's link, behind its command line."""

    def __init__(
        self, ask: Ask, *, now: int = 1000, seed: int = 1, device_id: bytes = b"device-7", mode: int = KEEP
    ) -> None:
        self._ask = ask
        self.now = now
        keys = f"{DEVICE_PRIVATE.hex()} {public(SERVER_PRIVATE).hex()}"
        ask(f"linkinit {keys} {device_id.ljust(16, bytes(1)).hex()} {bytes([seed] * 32).hex()} {now}")
        self.set_mode(mode)

    def set_mode(self, mode: int = KEEP, *, blocked: bool = False) -> None:
        """What the receive callback does, and whether transmit() refuses."""
        self._ask(f"linkmode {mode} {int(blocked)}")

    def _do(self, line: str) -> Outcome:
        outcome = Outcome()
        words = iter(self._ask(line))
        for word in words:
            if word == "tx":
                outcome.stream += bytes.fromhex(next(words))
            elif word == "rx":
                channel = int(next(words))
                outcome.received.append((channel, bytes.fromhex(next(words).strip("-"))))
            elif word in ("up", "down"):
                outcome.sessions.append(word)
            elif word == "dropped":
                outcome.dropped += 1
            else:
                outcome.status = int(word.removeprefix("="))
        return outcome

    def input(self, data: bytes) -> Outcome:
        return self._do(f"linkinput {self.now} {data.hex() or '-'}")

    def poll(self, *, after: int = 0) -> Outcome:
        self.now = (self.now + after) % 2**32
        return self._do(f"linkpoll {self.now}")

    def poll_at_deadline(self) -> Outcome:
        return self.poll(after=self.wait())

    def send(self, channel: int, payload: bytes) -> Outcome:
        return self._do(f"linksend {self.now} {channel} {payload.hex() or '-'}")

    def consume(self, channel: int, length: int) -> None:
        self._do(f"linkconsume {channel} {length}")

    def fail(self) -> Outcome:
        return self._do(f"linkfail {self.now}")

    def _state(self) -> list[int]:
        return [int(word) for word in self._ask("linkstate")[:-1]]

    @property
    def is_up(self) -> bool:
        return self._state()[0] == 1

    def wait(self) -> int:
        """Milliseconds until the link wants to be polled."""
        wait = (self._state()[1] - self.now) % 2**32
        return wait if wait < 2**31 else 0

    def room(self) -> list[int]:
        """For channels 0..3."""
        return self._state()[2:6]

    def server_time(self) -> int:
        """What the device takes for the time, Unix seconds."""
        return int(self._ask("linktime")[0])

    def has_output(self) -> bool:
        return self._state()[6] == 1


class Server:
    """The other end, without any policy: one session, messages in and out."""

    def __init__(self, *, private: bytes = SERVER_PRIVATE) -> None:
        self._private = private
        self.hello: object = None
        self.answer = cbor2.dumps([1, SERVER_TIME])
        self.noise: NoiseConnection | None = None

    def respond(self, frame: bytes) -> bytes:
        """HANDSHAKE_2 for a HANDSHAKE_1."""
        assert frame[0] == HANDSHAKE_1
        noise = NoiseConnection.from_name(b"Noise_IK_25519_ChaChaPoly_BLAKE2b")
        noise.set_as_responder()
        noise.set_prologue(b"fieldlink-p2p-1")
        noise.set_keypair_from_private_bytes(Keypair.STATIC, self._private)
        noise.start_handshake()
        self.hello = cbor2.loads(bytes(noise.read_message(frame[1:])))
        self.noise = noise
        return encode(bytes([HANDSHAKE_2]) + bytes(noise.write_message(self.answer)))

    def open(self, frame: bytes) -> tuple[int, bytes]:
        """Channel and payload of a TRANSPORT frame."""
        assert frame[0] == TRANSPORT
        assert self.noise is not None
        plain = bytes(self.noise.decrypt(frame[1:]))
        return plain[0], plain[1:]

    def open_all(self, outcome: Outcome) -> list[tuple[int, object]]:
        """All messages of an outcome; control messages decoded."""
        messages: list[tuple[int, object]] = []
        for frame in outcome.frames():
            channel, payload = self.open(frame)
            messages.append((channel, cbor2.loads(payload) if channel == 0 else payload))
        return messages

    def message(self, channel: int, payload: bytes) -> bytes:
        """The stream of one message."""
        assert self.noise is not None
        return encode(bytes([TRANSPORT]) + bytes(self.noise.encrypt(bytes([channel]) + payload)))

    def control(self, *item: int) -> bytes:
        return self.message(0, cbor2.dumps(list(item)))


def connect(device: Device, server: Server) -> Outcome:
    (hello,) = device.poll_at_deadline().frames()
    outcome = device.input(server.respond(hello))
    assert outcome.sessions == ["up"]
    assert device.is_up
    return outcome


def assert_ended(device: Device, outcome: Outcome, *, wait: tuple[int, int] = (100, 125)) -> None:
    assert outcome.sessions == ["down"]
    assert not device.is_up
    assert wait[0] <= device.wait() <= wait[1]
