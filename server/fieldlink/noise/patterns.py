"""Handshake patterns as tables (Noise specification, section 7)."""

from dataclasses import dataclass
from enum import Enum


class Token(Enum):
    """What one step of a handshake message does."""

    E = "e"
    S = "s"
    EE = "ee"
    ES = "es"
    SE = "se"
    SS = "ss"


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakePattern:
    """A named pattern: which static keys are known beforehand, and the tokens of each message in turn."""

    name: str
    initiator_static_known: bool
    responder_static_known: bool
    messages: tuple[tuple[Token, ...], ...]


IK = HandshakePattern(
    name="IK",
    initiator_static_known=False,
    responder_static_known=True,
    messages=(
        (Token.E, Token.ES, Token.S, Token.SS),
        (Token.E, Token.EE, Token.SE),
    ),
)

KK = HandshakePattern(
    name="KK",
    initiator_static_known=True,
    responder_static_known=True,
    messages=(
        (Token.E, Token.ES, Token.SS),
        (Token.E, Token.EE, Token.SE),
    ),
)


def protocol_name(pattern: HandshakePattern) -> bytes:
    """Full Noise name of `pattern` with this package's primitives, as it goes into the transcript."""
    return f"Noise_{pattern.name}_25519_ChaChaPoly_BLAKE2b".encode("ascii")
