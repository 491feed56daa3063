"""The device's check of debug tokens, and the tokens that `fieldlink` issues."""

import hashlib

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from firmware.tests.protocol.e2e_peers import (
    AUTHENTICATION,
    BAD_SIGNATURE,
    CLIENT_PRIVATE,
    DEVICE_ID,
    FLEET,
    FLEET_PUBLIC,
    MALFORMED,
    NOW,
    OK,
    TIMEOUT,
    Ask,
    TokenFields,
    padded,
    sign,
    to_hex,
)
from firmware.tests.protocol.link_peers import public
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldlink.debug_values import Permission
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.token import issue_token

STRANGER = Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"another fleet").digest())


def _open(
    ask: Ask, token: bytes, *, device_id: bytes = DEVICE_ID, now: int = NOW, fleet: bytes = FLEET_PUBLIC
) -> list[str]:
    return ask(f"tokenopen {fleet.hex()} {padded(device_id).hex()} {now} {to_hex(token)}")


def _says(fields: TokenFields) -> list[str]:
    return [fields.client.hex(), str(fields.permissions), str(fields.expires), str(fields.serial), OK]


@pytest.mark.parametrize(
    "fields",
    [
        TokenFields(),
        TokenFields(device_id=b""),
        TokenFields(permissions=0, serial=0, expires=2**32 - 1),
        TokenFields(permissions=2**32 - 1, serial=2**32 - 1),
    ],
    ids=["for one device", "for every device", "smallest", "largest"],
)
def test_a_good_token_says_what_it_says(ask: Ask, fields: TokenFields) -> None:
    assert _open(ask, fields.signed()) == _says(fields)


def test_a_token_issued_by_fieldlink(ask: Ask) -> None:
    fleet_key = KeyPair.from_private(KeyUse.FLEET, FLEET.private_bytes_raw())
    client = public(CLIENT_PRIVATE)
    for device_id in (DEVICE_ID, b"", b"0123456789abcdef"):
        token = issue_token(
            fleet_key,
            client=client,
            device_id=device_id,
            permissions=Permission.READ | Permission.CONTROL,
            expires=NOW + 1,
            serial=77,
        )
        answer = _open(ask, token, device_id=device_id or DEVICE_ID)
        assert answer == [client.hex(), "5", str(NOW + 1), "77", OK]


def test_a_token_by_another_key_is_refused(ask: Ask) -> None:
    payload = TokenFields().payload()
    assert _open(ask, sign(payload, key=STRANGER)) == [BAD_SIGNATURE]
    assert _open(ask, sign(payload), fleet=STRANGER.public_key().public_bytes_raw()) == [BAD_SIGNATURE]


@pytest.mark.parametrize(
    ("token_for", "device_id", "good"),
    [
        (b"device-7", b"device-7", True),
        (b"device-7", b"device-8", False),
        (b"device-7", b"device-77", False),
        (b"device-77", b"device-7", False),
        (b"0123456789abcdef", b"0123456789abcdef", True),
        (b"0123456789abcdef", b"0123456789abcdeF", False),
        (b"0123456789abcde", b"0123456789abcdef", False),
        (b"0123456789abcdef", b"0123456789abcde", False),
        (b"", b"device-8", True),
        (b"\0", b"device-7", False),
    ],
)
def test_a_token_is_for_its_device(host: Ask, token_for: bytes, device_id: bytes, good: bool) -> None:
    token = TokenFields(device_id=token_for).signed()
    assert _open(host, token, device_id=device_id)[-1] == (OK if good else AUTHENTICATION)


def test_expiry_is_the_first_second_that_is_too_late(host: Ask) -> None:
    for expires, now, status in (
        (NOW, NOW - 1, OK),
        (NOW, NOW, TIMEOUT),
        (NOW, NOW + 1, TIMEOUT),
        (NOW, 2**32 - 1, TIMEOUT),
        (0, 0, TIMEOUT),
        (2**32 - 1, 2**32 - 2, OK),
    ):
        assert _open(host, TokenFields(expires=expires).signed(), now=now)[-1] == status


def test_a_damaged_token_is_refused_wherever_the_damage_is(host: Ask) -> None:
    token = TokenFields().signed()
    for position in range(len(token)):
        damaged = bytearray(token)
        damaged[position] ^= 1
        assert _open(host, bytes(damaged)) in ([MALFORMED], [BAD_SIGNATURE]), position
        assert _open(host, token[:position]) == [MALFORMED], position
    assert _open(host, token + b"\0") == [MALFORMED]


def _envelope(
    *, tag: int = 18, header: object = None, payload: object = None, signature: object = bytes(64)
) -> bytes:
    item = [cbor2.dumps({1: -8}), header or {}, TokenFields().payload() if payload is None else payload]
    return cbor2.dumps(cbor2.CBORTag(tag, [*item, signature]))


NOT_ENVELOPES = {
    "no tag": cbor2.dumps([b"\xa1\x01\x27", {}, b"x", bytes(64)]),
    "another tag": _envelope(tag=17),
    "an unprotected header": _envelope(header={4: b"key"}),
    "a short signature": _envelope(signature=bytes(63)),
    "a long signature": _envelope(signature=bytes(65)),
    "no payload": _envelope(payload=b""),
    "a detached payload": _envelope(payload=cbor2.undefined),
    "a payload over the limit": _envelope(payload=bytes(301)),
    "another algorithm": sign(TokenFields().payload(), protected=cbor2.dumps({1: -7})),
    "an empty protected header": sign(TokenFields().payload(), protected=b""),
    "a longer protected header": sign(TokenFields().payload(), protected=cbor2.dumps({1: -8, 4: b"k"})),
}


@pytest.mark.parametrize("name", NOT_ENVELOPES)
def test_other_envelopes_are_refused(host: Ask, name: str) -> None:
    assert _open(host, NOT_ENVELOPES[name]) == [MALFORMED]


GOOD = {1: 1, 2: public(CLIENT_PRIVATE), 3: DEVICE_ID, 4: 7, 5: NOW + 9, 6: 1}

SIGNED_NONSENSE = {
    "another version": {**GOOD, 1: 2},
    "a short key": {**GOOD, 2: bytes(31)},
    "a long key": {**GOOD, 2: bytes(33)},
    "a long device id": {**GOOD, 3: bytes(17)},
    "a text for device": {**GOOD, 3: "device-7"},
    "permissions over 32 bits": {**GOOD, 4: 2**32},
    "negative permissions": {**GOOD, 4: -1},
    "no expiry": {key: value for key, value in GOOD.items() if key != 5},
    "expiry over 32 bits": {**GOOD, 5: 2**32},
    "a fractional expiry": {**GOOD, 5: 1.5},
    "an extra field": {**GOOD, 7: 0},
    "an array": list(GOOD.values()),
}


@pytest.mark.parametrize("name", SIGNED_NONSENSE)
def test_signed_nonsense_is_refused(host: Ask, name: str) -> None:
    assert _open(host, sign(cbor2.dumps(GOOD)))[-1] == OK
    assert _open(host, sign(cbor2.dumps(SIGNED_NONSENSE[name]))) == [MALFORMED]


def test_bytes_behind_the_signed_map_are_refused(host: Ask) -> None:
    assert _open(host, sign(TokenFields().payload() + b"\0")) == [MALFORMED]


@given(garbage=st.binary(max_size=400))
@settings(deadline=None, max_examples=200)
def test_garbage_is_refused(host: Ask, garbage: bytes) -> None:
    assert _open(host, garbage) == [MALFORMED]


@given(payload=st.binary(min_size=1, max_size=300))
@settings(deadline=None, max_examples=100)
def test_signed_garbage_is_refused(host: Ask, payload: bytes) -> None:
    assert _open(host, sign(payload)) == [MALFORMED]


@given(
    position=st.integers(0, 1000), insert=st.binary(max_size=8), cut=st.integers(0, 8), device=st.booleans()
)
@settings(deadline=None, max_examples=150)
def test_a_changed_token_is_refused(host: Ask, position: int, insert: bytes, cut: int, device: bool) -> None:
    token = TokenFields(device_id=DEVICE_ID if device else b"").signed()
    position %= len(token)
    changed = token[:position] + insert + token[position + cut :]
    statuses = [OK] if changed == token else [MALFORMED, BAD_SIGNATURE]
    assert _open(host, changed)[-1] in statuses
