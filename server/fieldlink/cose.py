"""COSE_Sign1 with EdDSA (RFC 9052, RFC 9053): the envelope of a manifest."""

from dataclasses import dataclass
from typing import Final

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fieldlink import cbor
from fieldlink.errors import ManifestError, RemoteProtocolError
from fieldlink.fields import as_array, as_bytes

TAG_SIGN1: Final = 18
PAYLOAD_LIMIT: Final = 1900
SIGNATURE_SIZE: Final = 64
PROTECTED_EDDSA: Final = cbor.dumps({1: -8})
"""The encoded protected header: algorithm EdDSA."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sign1:
    """The parts of an envelope; nothing is verified yet."""

    protected: bytes
    payload: bytes
    signature: bytes

    def encode(self) -> bytes:
        """Tagged, deterministic CBOR."""
        return cbor.dumps(cbor2.CBORTag(TAG_SIGN1, [self.protected, {}, self.payload, self.signature]))

    def verify(self, public_key: bytes) -> None:
        """ManifestError unless `public_key` (32 bytes, Ed25519) signed this."""
        try:
            key = Ed25519PublicKey.from_public_bytes(public_key)
            key.verify(self.signature, signature_input(self.protected, self.payload))
        except (InvalidSignature, ValueError) as error:
            raise ManifestError("envelope: the signature was not made with the release key") from error


def signature_input(protected: bytes, payload: bytes) -> bytes:
    """Encoded Sig_structure with empty external data (RFC 9052, section 4.4)."""
    return cbor.dumps(["Signature1", protected, b"", payload])


def sign(payload: bytes, private_key: bytes) -> bytes:
    """Envelope of `payload`, signed with a 32-byte Ed25519 private key."""
    if not 0 < len(payload) <= PAYLOAD_LIMIT:
        raise ManifestError(f"envelope: payload of {len(payload)} bytes, expected 1..{PAYLOAD_LIMIT}")
    signature = Ed25519PrivateKey.from_private_bytes(private_key).sign(
        signature_input(PROTECTED_EDDSA, payload)
    )
    return Sign1(protected=PROTECTED_EDDSA, payload=payload, signature=signature).encode()


def parse(envelope: bytes) -> Sign1:
    """Parts of `envelope`. ManifestError when it is not the one form that this project uses."""
    try:
        item = cbor.loads(envelope, tags=frozenset({TAG_SIGN1}))
        content = item.value if isinstance(item, cbor2.CBORTag) else None
        protected, unprotected, payload, signature = as_array(content, "COSE_Sign1 with its tag", 4)
        sign1 = Sign1(
            protected=as_bytes(protected, "protected header", 1, 32),
            payload=as_bytes(payload, "payload", 1, PAYLOAD_LIMIT),
            signature=as_bytes(signature, "signature", SIGNATURE_SIZE, SIGNATURE_SIZE),
        )
    except RemoteProtocolError as error:
        raise ManifestError(f"envelope: {error}") from error
    if unprotected != {} or sign1.protected != PROTECTED_EDDSA or sign1.encode() != envelope:
        raise ManifestError(
            "envelope: expected deterministic CBOR, algorithm EdDSA, empty unprotected header"
        )
    return sign1
