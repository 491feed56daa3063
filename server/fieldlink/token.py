"""Tokens: the fleet key's word that a client may debug a device until some time (PROTOCOL.md, section 7).

A token is a COSE_Sign1 by the fleet key over `token-map` of server/cddl/debug.cddl. It is no secret: who
holds it can do nothing without the client's E2E private key.
"""

import secrets
from dataclasses import dataclass
from typing import Final

from fieldlink import cbor, cose
from fieldlink.debug_values import DEVICE_ID_LIMIT, TOKEN_LIMIT, Permission
from fieldlink.errors import ConfigError, ManifestError, RemoteProtocolError, TokenError
from fieldlink.fields import U32_MAX, as_bytes, as_constant, as_u32
from fieldlink.keys import KEY_SIZE, KeyPair, KeyUse

TOKEN_VERSION: Final = 1
PAYLOAD_LIMIT: Final = 300
ALL_PERMISSIONS: Final = Permission.READ | Permission.WRITE | Permission.CONTROL | Permission.RESET


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """What a token says.

    `client`: X25519 E2E public key (32 bytes). `device_id`: up to 16 bytes, empty for every device of the
    fleet. `expires`: seconds since 1970, the first second in which the token is no longer good. `serial`
    tells tokens apart in logs.
    """

    client: bytes
    device_id: bytes
    permissions: Permission
    expires: int
    serial: int

    def allows_device(self, device_id: bytes) -> bool:
        """Whether it is for this device."""
        return self.device_id in (b"", device_id)

    def is_expired(self, now: float) -> bool:
        """Whether it is no longer good at `now` (seconds since 1970)."""
        return now >= self.expires


def issue_token(
    fleet_key: KeyPair,
    *,
    client: bytes,
    device_id: bytes,
    permissions: Permission,
    expires: int,
    serial: int | None = None,
) -> bytes:
    """The envelope of a new token; a serial is drawn when none is given.

    ConfigError when a field is out of its bounds or `fleet_key` is another kind of key.
    """
    if fleet_key.use is not KeyUse.FLEET:
        raise ConfigError(f"a {fleet_key.use.value} key cannot sign tokens; use a fleet key")
    if not permissions or int(permissions) & ~int(ALL_PERMISSIONS):
        raise ConfigError(
            f"permissions {int(permissions)}: expected a sum of 1 read, 2 write, 4 control, 8 reset"
        )
    payload = cbor.dumps(
        {
            1: TOKEN_VERSION,
            2: client,
            3: device_id,
            4: int(permissions),
            5: expires,
            6: secrets.randbelow(U32_MAX) + 1 if serial is None else serial,
        }
    )
    try:
        _decode(payload)  # the same checks as for what others made
    except RemoteProtocolError as error:
        raise ConfigError(str(error)) from error
    return cose.sign(payload, fleet_key.private)


def read_unverified_token(envelope: bytes) -> Token:
    """What the token says, whoever signed it. TokenError when it is malformed."""
    return _read(_parse(envelope))


def open_token(envelope: bytes, fleet_public: bytes) -> Token:
    """What a token says that `fleet_public` (32 bytes) signed.

    TokenError when it did not, or the token is malformed. Expiry is the caller's to check: it has a clock.
    """
    sign1 = _parse(envelope)
    try:
        sign1.verify(fleet_public)
    except ManifestError as error:
        raise TokenError("token: the signature was not made with the fleet key") from error
    return _read(sign1)


def _parse(envelope: bytes) -> cose.Sign1:
    if not 1 <= len(envelope) <= TOKEN_LIMIT:
        raise TokenError(f"token: {len(envelope)} bytes, expected 1..{TOKEN_LIMIT}")
    try:
        sign1 = cose.parse(envelope)
    except ManifestError as error:
        raise TokenError(f"token: {error}") from error
    return sign1


def _read(sign1: cose.Sign1) -> Token:
    try:
        return _decode(sign1.payload)
    except RemoteProtocolError as error:
        raise TokenError(str(error)) from error


def _decode(payload: bytes) -> Token:
    if len(payload) > PAYLOAD_LIMIT:
        raise RemoteProtocolError(f"token: payload of {len(payload)} bytes, at most {PAYLOAD_LIMIT}")
    fields = cbor.loads(payload)
    if not isinstance(fields, dict) or set(fields) != set(range(1, 7)):
        raise RemoteProtocolError("token: expected a map with keys 1..6")
    if cbor.dumps(fields) != payload:
        raise RemoteProtocolError("token: expected deterministic CBOR")
    as_constant(fields[1], "token version", TOKEN_VERSION)
    return Token(
        client=as_bytes(fields[2], "token client key", KEY_SIZE, KEY_SIZE),
        device_id=as_bytes(fields[3], "token device id", 0, DEVICE_ID_LIMIT),
        permissions=Permission(as_u32(fields[4], "token permissions")),
        expires=as_u32(fields[5], "token expiry"),
        serial=as_u32(fields[6], "token serial"),
    )


def describe_permissions(permissions: Permission) -> str:
    """Such as `read,control`; unknown bits as a number."""
    names = [flag.name.lower() for flag in Permission if flag in permissions and flag.name]
    rest = int(permissions) & ~int(ALL_PERMISSIONS)
    return ",".join([*names, hex(rest)] if rest else names) or "none"


def parse_permissions(text: str) -> Permission:
    """The reverse, for names. ConfigError for a name that is unknown or nothing at all."""
    known = {flag.name.lower(): flag for flag in Permission if flag.name}
    permissions = Permission(0)
    for name in (part.strip() for part in text.split(",")):
        if name not in known:
            raise ConfigError(f"permission {name!r}: expected some of {', '.join(known)}, joined by commas")
        permissions |= known[name]
    return permissions
