"""The Noise Protocol Framework (revision 34) with 25519, ChaChaPoly and BLAKE2b."""

from fieldlink.noise.cipher import TAG_SIZE, CipherState
from fieldlink.noise.handshake import HandshakeState, Role
from fieldlink.noise.patterns import IK, KK, HandshakePattern, protocol_name
from fieldlink.noise.symmetric import SymmetricState, public_key

__all__ = [
    "IK",
    "KK",
    "TAG_SIZE",
    "CipherState",
    "HandshakePattern",
    "HandshakeState",
    "Role",
    "SymmetricState",
    "protocol_name",
    "public_key",
]
