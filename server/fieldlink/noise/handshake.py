"""HandshakeState (Noise specification, section 5.3)."""

from enum import Enum

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.noise.cipher import TAG_SIZE, CipherState
from fieldlink.noise.patterns import HandshakePattern, Token, protocol_name
from fieldlink.noise.symmetric import DH_SIZE, SymmetricState, exchange, private_key

MESSAGE_LIMIT = 65535


class Role(Enum):
    """Who sends the first message."""

    INITIATOR = "initiator"
    RESPONDER = "responder"


class HandshakeState:
    """One handshake, from prologue to transport ciphers.

    `ephemeral` (32 private bytes) is for test vectors only; without it a fresh key pair is made. A
    message that does not authenticate raises RemoteProtocolError and ends this handshake: make a new
    state for another try.
    """

    def __init__(
        self,
        *,
        pattern: HandshakePattern,
        role: Role,
        static: bytes,
        remote_static: bytes | None = None,
        prologue: bytes = b"",
        ephemeral: bytes | None = None,
    ) -> None:
        self._pattern = pattern
        self._role = role
        self._static = private_key(static)
        self._remote_static = remote_static
        self._ephemeral = None if ephemeral is None else private_key(ephemeral)
        self._remote_ephemeral: bytes | None = None
        self._next_message = 0
        self._failed = False
        self._symmetric = SymmetricState(protocol_name(pattern))
        self._symmetric.mix_hash(prologue)
        self._mix_known_statics()

    def _mix_known_statics(self) -> None:
        initiator = self._role is Role.INITIATOR
        own = self._static.public_key().public_bytes_raw()
        remote_known = (
            self._pattern.responder_static_known if initiator else self._pattern.initiator_static_known
        )
        if remote_known != (self._remote_static is not None):
            need = "needs" if remote_known else "does not take"
            raise LocalProtocolError(f"{self._pattern.name} {self._role.value} {need} the peer's static key")
        if self._pattern.initiator_static_known:
            self._symmetric.mix_hash(own if initiator else self._required(self._remote_static))
        if self._pattern.responder_static_known:
            self._symmetric.mix_hash(self._required(self._remote_static) if initiator else own)

    @staticmethod
    def _required(key: bytes | None) -> bytes:
        if key is None or len(key) != DH_SIZE:
            raise LocalProtocolError(f"a peer's public key must have {DH_SIZE} bytes")
        return key

    @property
    def remote_static(self) -> bytes:
        """The peer's static public key, once known.

        It is proved only after a message that used it decrypted.
        """
        return self._required(self._remote_static)

    @property
    def handshake_hash(self) -> bytes:
        """Transcript hash, 64 bytes."""
        return self._symmetric.handshake_hash

    @property
    def complete(self) -> bool:
        """Whether all messages went through."""
        return self._next_message == len(self._pattern.messages)

    @property
    def _our_turn(self) -> bool:
        return (self._next_message % 2 == 0) == (self._role is Role.INITIATOR)

    def _begin(self, *, writing: bool) -> tuple[Token, ...]:
        if self._failed or self.complete or self._our_turn != writing:
            state = "failed" if self._failed else "complete" if self.complete else "at the peer's turn"
            verb = "write" if writing else "read"
            raise LocalProtocolError(f"cannot {verb} handshake message {self._next_message + 1}: {state}")
        return self._pattern.messages[self._next_message]

    def write_message(self, payload: bytes) -> bytes:
        """The next handshake message with `payload` in it."""
        tokens = self._begin(writing=True)
        message = b""
        for token in tokens:
            if token is Token.E:
                if self._ephemeral is None:
                    self._ephemeral = X25519PrivateKey.generate()
                public = self._ephemeral.public_key().public_bytes_raw()
                self._symmetric.mix_hash(public)
                message += public
            elif token is Token.S:
                message += self._symmetric.encrypt_and_hash(self._static.public_key().public_bytes_raw())
            else:
                self._symmetric.mix_key(self._dh(token))
        message += self._symmetric.encrypt_and_hash(payload)
        if len(message) > MESSAGE_LIMIT:
            raise LocalProtocolError(f"handshake message of {len(message)} bytes, at most {MESSAGE_LIMIT}")
        self._next_message += 1
        return message

    def read_message(self, message: bytes) -> bytes:
        """Payload of the peer's next handshake message."""
        tokens = self._begin(writing=False)
        self._failed = True  # until the whole message has proved good
        rest = message
        for token in tokens:
            if token is Token.E:
                self._remote_ephemeral, rest = self._take(rest, DH_SIZE)
                self._symmetric.mix_hash(self._remote_ephemeral)
            elif token is Token.S:
                sealed, rest = self._take(rest, DH_SIZE + (TAG_SIZE if self._symmetric.has_key else 0))
                self._remote_static = self._symmetric.decrypt_and_hash(sealed)
            else:
                self._symmetric.mix_key(self._dh(token))
        payload = self._symmetric.decrypt_and_hash(rest)
        self._failed = False
        self._next_message += 1
        return payload

    @staticmethod
    def _take(data: bytes, size: int) -> tuple[bytes, bytes]:
        if len(data) < size:
            raise RemoteProtocolError(f"handshake message is {size - len(data)} bytes short")
        return data[:size], data[size:]

    def _dh(self, token: Token) -> bytes:
        initiator = self._role is Role.INITIATOR
        # The token's letters name the initiator's key, then the responder's.
        ours, theirs = (token.value[0], token.value[1]) if initiator else (token.value[1], token.value[0])
        own = self._ephemeral if ours == "e" else self._static
        remote = self._remote_ephemeral if theirs == "e" else self._remote_static
        if own is None:
            raise LocalProtocolError(f"pattern {self._pattern.name} uses an ephemeral key before it was sent")
        return exchange(own, self._required(remote))

    def split(self) -> tuple[CipherState, CipherState]:
        """Transport ciphers (sending, receiving) of this side. Only once complete."""
        if not self.complete:
            raise LocalProtocolError("the handshake is not complete")
        first, second = self._symmetric.split()
        return (first, second) if self._role is Role.INITIATOR else (second, first)
