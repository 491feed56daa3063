"""The kernel's debug channel behind the command line of firmware/tests/debug_channel."""

import hashlib
from dataclasses import dataclass, field

import cbor2
from firmware.tests.protocol.e2e_peers import (
    DEVICE_ID,
    DEVICE_PRIVATE,
    FLEET_PUBLIC,
    MANIFEST,
    NOW,
    Ask,
    Binding,
    Client,
    TokenFields,
    from_hex,
    padded,
    to_hex,
)

OK, NO_SPACE, MALFORMED, PROTOCOL, WRONG_STATE, WOULD_BLOCK = 0, 3, 6, 13, 14, 15
OPEN, RELAY, ENDED, OPEN_DEVICE, OPENED = range(1, 6)
BUSY, NOT_AUTHORISED, EXPIRED, E2E_FAILED = 3, 4, 5, 6
CREDIT = 2048
PROOF_MS = 10_000

Frame = list[object]


def session_id_of(session: int) -> bytes:
    return hashlib.sha256(b"session %d" % session).digest()[:16]


@dataclass(slots=True)
class Outcome:
    """What one call made the channel do."""

    status: int = OK
    sent: list[Frame] = field(default_factory=list)
    credit: list[int] = field(default_factory=list)
    attached: list[tuple[int, int]] = field(default_factory=list)
    detached: list[int] = field(default_factory=list)
    requests: list[tuple[int, bytes]] = field(default_factory=list)
    polls: int = 0
    taken: bool = False


class Channel:
    """The channel behind its command line, and its clock in ms."""

    def __init__(self, ask: Ask, *, time: int = NOW) -> None:
        self._ask = ask
        self.now = 2**32 - 5000  # the clock wraps in most tests
        self.given_back = 0
        keys = f"{padded(DEVICE_ID).hex()} {DEVICE_PRIVATE.hex()} {FLEET_PUBLIC.hex()} {MANIFEST.hex()}"
        ask(f"init {keys} {bytes(32).hex()} {time}")

    def _do(self, line: str) -> Outcome:
        outcome = Outcome()
        words = iter(self._ask(line))
        for word in words:
            match word:
                case "tx":
                    outcome.sent.append(cbor2.loads(bytes.fromhex(next(words))))
                case "credit":
                    outcome.credit.append(int(next(words)))
                case "attach":
                    outcome.attached.append((int(next(words)), int(next(words))))
                case "detach":
                    outcome.detached.append(int(next(words)))
                case "request":
                    outcome.requests.append((int(next(words)), from_hex(next(words))))
                case "poll":
                    outcome.polls += 1
                case "taken":
                    outcome.taken = next(words) == "1"
                case _:
                    assert word.startswith("="), word
                    outcome.status = int(word[1:])
        self.given_back += sum(outcome.credit)
        return outcome

    def room(self, size: int) -> None:
        self._do(f"room {size}")

    def agent(self, *, attach: int = OK, request: int = OK, after: int = 0) -> None:
        """What the agent answers; `after` so many requests that are done."""
        self._do(f"agent {attach} {request} {after}")

    def receive_bytes(self, message: bytes) -> Outcome:
        return self._do(f"receive {self.now} {to_hex(message)}")

    def receive(self, *frame: object) -> Outcome:
        return self.receive_bytes(cbor2.dumps(list(frame)))

    def poll(self, *, after: int = 0) -> Outcome:
        self.now = (self.now + after) % 2**32
        return self._do(f"channelpoll {self.now}")

    def down(self) -> Outcome:
        return self._do("down")

    def respond(self, index: int, response: bytes) -> Outcome:
        return self._do(f"respond {index} {to_hex(response)}")

    # ---- sessions

    def open(self, session: int, token: bytes | None = None) -> Outcome:
        token = TokenFields().signed() if token is None else token
        return self.receive(OPEN_DEVICE, session, session_id_of(session), token)

    def connect(self, session: int, *, permissions: int = 7) -> Client:
        """A session after its handshake; nothing is proved yet."""
        outcome = self.open(session, TokenFields(permissions=permissions).signed())
        assert (outcome.status, outcome.sent, outcome.attached) == (OK, [], [])
        client = Client(binding=Binding(session_id=session_id_of(session), permissions=permissions))
        outcome = self.receive(RELAY, session, client.start())
        ((kind, number, answer),) = outcome.sent
        assert (kind, number) == (RELAY, session)
        assert isinstance(answer, bytes)
        client.finish(answer)
        assert (outcome.attached, outcome.requests) == ([], [])
        return client

    def ready(self, session: int, *, permissions: int = 7) -> Client:
        """A session whose client has proved itself."""
        client = self.connect(session, permissions=permissions)
        outcome = self.request(client, session, b"hello")
        assert [asked for _, asked in outcome.requests] == [b"hello"]
        return client

    def request(self, client: Client, session: int, plain: bytes) -> Outcome:
        return self.receive(RELAY, session, client.seal(plain))


def frame_size(*frame: object) -> int:
    return len(cbor2.dumps(list(frame)))
