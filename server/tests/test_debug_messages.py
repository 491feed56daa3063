"""Debug messages and tokens, against the CDDL: what we encode validates, the rest is refused."""

import contextlib
from pathlib import Path

import cbor2
import pycddl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldlink import cose, token
from fieldlink import debug_messages as debug
from fieldlink.debug_messages import Permission
from fieldlink.errors import ConfigError, LocalProtocolError, RemoteProtocolError, TokenError
from fieldlink.keys import KeyPair, KeyUse

DEBUG = (Path(__file__).parents[1] / "cddl" / "debug.cddl").read_text()
FLEET = KeyPair.from_private(KeyUse.FLEET, bytes(range(32)))
CLIENT = KeyPair.from_private(KeyUse.CLIENT, bytes(range(40, 72)))


def rule(name: str) -> pycddl.Schema:
    return pycddl.Schema(f"start-rule = {name}\n{DEBUG}")


# One schema for each alternative, as in test_messages.
ALTERNATIVES = {
    "debug-frame": ("open", "open-device", "opened", "relay", "ended"),
    "debug-request": (
        "hello",
        "halt",
        "resume",
        "step",
        "read-registers",
        "write-registers",
        "read-memory",
        "write-memory",
        "insert",
        "remove",
        "reset",
        "status",
        "detach",
    ),
    "debug-response": ("reply", "stop", "output", "notice"),
}
RULES = {kind: {name: rule(name) for name in names} for kind, names in ALTERNATIVES.items()}
WHOLE = {name: rule(name) for name in RULES}

u32 = st.integers(0, 2**32 - 1)
blob = lambda low, high: st.binary(min_size=low, max_size=high)  # noqa: E731
point = {"kind": u32, "address": u32, "length": u32}

FRAMES = {
    "open": st.builds(
        debug.Open, session=u32, device_id=blob(1, 16), session_id=blob(16, 16), token=blob(1, 400)
    ),
    "open-device": st.builds(debug.OpenDevice, session=u32, session_id=blob(16, 16), token=blob(1, 400)),
    "opened": st.builds(debug.Opened, session=u32, manifest=blob(32, 32)),
    "relay": st.builds(debug.Relay, session=u32, payload=blob(1, 992)),
    "ended": st.builds(debug.Ended, session=u32, reason=u32),
}
REQUESTS = {
    "hello": st.builds(debug.Hello),
    "halt": st.builds(debug.Halt),
    "resume": st.builds(debug.Resume),
    "step": st.builds(debug.Step),
    "read-registers": st.builds(debug.ReadRegisters),
    "write-registers": st.builds(debug.WriteRegisters, registers=blob(68, 68)),
    "read-memory": st.builds(debug.ReadMemory, address=u32, length=u32),
    "write-memory": st.builds(debug.WriteMemory, address=u32, data=blob(0, 900)),
    "insert": st.builds(debug.Insert, **point),
    "remove": st.builds(debug.Remove, **point),
    "reset": st.builds(debug.Reset, target=u32),
    "status": st.builds(debug.Status),
    "detach": st.builds(debug.Detach),
}
RESPONSES = {
    "reply": st.builds(debug.Reply, status=u32, data=blob(0, 900)),
    "stop": st.builds(
        debug.Stop,
        reason=u32,
        address=u32,
        registers=blob(68, 68),
        stack_address=u32,
        stack=blob(0, 256),
        code_address=u32,
        code=blob(0, 64),
    ),
    "output": st.builds(debug.Output, data=blob(1, 512)),
    "notice": st.builds(debug.Notice, code=u32),
}
KINDS = {
    "debug-frame": (FRAMES, debug.decode_frame),
    "debug-request": (REQUESTS, debug.decode_request),
    "debug-response": (RESPONSES, debug.decode_response),
}
EVERY_MESSAGE = [(kind, name) for kind, (builders, _) in KINDS.items() for name in builders]


def validates(kind: str, encoded: bytes) -> bool:
    for schema in RULES[kind].values():
        try:
            schema.validate_cbor(encoded)
        except pycddl.ValidationError:
            continue
        return True
    return False


@settings(max_examples=40)
@pytest.mark.parametrize(("kind", "name"), EVERY_MESSAGE)
@given(data=st.data())
def test_valid_debug_messages_pass_the_cddl_and_come_back(kind, name, data):
    builders, decode = KINDS[kind]
    message = data.draw(builders[name])
    encoded = debug.encode(message)
    RULES[kind][name].validate_cbor(encoded)
    WHOLE[kind].validate_cbor(encoded)
    assert len(encoded) <= 1024
    assert decode(encoded) == message


near_misses = st.lists(
    st.one_of(st.integers(-2, 14), u32, st.binary(max_size=90), st.text(max_size=3), st.none()),
    max_size=9,
)


@settings(max_examples=400)
@pytest.mark.parametrize("kind", KINDS)
@given(value=near_misses)
def test_nothing_is_decoded_that_the_debug_cddl_refuses(kind, value):
    encoded = cbor2.dumps(value)
    try:
        KINDS[kind][1](encoded)
    except RemoteProtocolError:
        return
    assert validates(kind, encoded)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("debug-frame", [1, 0, b"", b"i" * 16, b"t"]),
        ("debug-frame", [1, 0, b"d" * 17, b"i" * 16, b"t"]),
        ("debug-frame", [1, 0, b"d", b"i" * 15, b"t"]),
        ("debug-frame", [1, 0, b"d", b"i" * 16, b"t" * 401]),
        ("debug-frame", [2, 0, b""]),
        ("debug-frame", [2, 0, b"x" * 993]),
        ("debug-frame", [2, 2**32, b"x"]),
        ("debug-frame", [3, 0]),
        ("debug-frame", [4, 0, b"i" * 16, b""]),
        ("debug-frame", [5, 0, b"m" * 31]),
        ("debug-frame", [6, 0]),
        ("debug-request", [0, 0]),
        ("debug-request", [True]),
        ("debug-request", [5, b"r" * 67]),
        ("debug-request", [6, 0]),
        ("debug-request", [7, 0, b"x" * 901]),
        ("debug-request", [8, 0, 0]),
        ("debug-request", [10, -1]),
        ("debug-request", [13]),
        ("debug-response", [1, 0, b"x" * 901]),
        ("debug-response", [2, 0, 0, b"r" * 68, 0, b"s" * 257, 0, b""]),
        ("debug-response", [2, 0, 0, b"r" * 68, 0, b"", 0, b"c" * 65]),
        ("debug-response", [3, b""]),
        ("debug-response", [3, "text"]),
        ("debug-response", [0]),
        ("debug-response", []),
    ],
)
def test_debug_near_misses_are_refused(kind, value):
    with pytest.raises(RemoteProtocolError):
        KINDS[kind][1](cbor2.dumps(value))


@settings(max_examples=300)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_damaged_debug_messages_raise_nothing_but_our_error(kind, data):
    builders, decode = KINDS[kind]
    encoded = bytearray(debug.encode(data.draw(st.one_of(*builders.values()))))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    for damaged in (bytes(encoded), bytes(encoded[:cut]), bytes(encoded) + b"\x00"):
        with contextlib.suppress(RemoteProtocolError):
            decode(damaged)


def test_out_of_bounds_debug_fields_are_our_own_fault():
    for bad in (
        debug.Relay(session=0, payload=b"x" * 993),
        debug.Ended(session=-1, reason=0),
        debug.WriteRegisters(registers=b"short"),
        debug.Output(data=b""),
    ):
        with pytest.raises(LocalProtocolError, match=type(bad).__name__):
            debug.encode(bad)


# ---- tokens


def issue(**changes: object) -> bytes:
    fields: dict[str, object] = {
        "client": CLIENT.public,
        "device_id": b"dev-1",
        "permissions": Permission.READ | Permission.CONTROL,
        "expires": 2_000_000_000,
    }
    return token.issue_token(FLEET, **(fields | changes))  # type: ignore[arg-type]


@given(
    device_id=blob(0, 16),
    permissions=st.integers(1, 15).map(Permission),
    expires=u32,
    serial=u32,
)
def test_tokens_pass_the_cddl_and_come_back(device_id, permissions, expires, serial):
    envelope = issue(device_id=device_id, permissions=permissions, expires=expires, serial=serial)
    rule("token-envelope").validate_cbor(envelope)
    rule("token-map").validate_cbor(cose.parse(envelope).payload)
    opened = token.open_token(envelope, FLEET.public)
    assert opened == token.Token(
        client=CLIENT.public, device_id=device_id, permissions=permissions, expires=expires, serial=serial
    )
    assert len(envelope) <= debug.TOKEN_LIMIT


def test_a_token_of_another_key_is_refused():
    with pytest.raises(TokenError, match="fleet key"):
        token.open_token(issue(), KeyPair.generate(KeyUse.FLEET).public)
    assert token.read_unverified_token(issue()).device_id == b"dev-1"


def test_every_damaged_byte_of_a_token_is_noticed():
    envelope = issue()
    for at in range(len(envelope)):
        damaged = envelope[:at] + bytes([envelope[at] ^ 1]) + envelope[at + 1 :]
        with pytest.raises(TokenError) as caught:
            token.open_token(damaged, FLEET.public)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {1: 2, 2: b"c" * 32, 3: b"", 4: 1, 5: 0, 6: 0},
        {1: 1, 2: b"c" * 31, 3: b"", 4: 1, 5: 0, 6: 0},
        {1: 1, 2: b"c" * 32, 3: b"d" * 17, 4: 1, 5: 0, 6: 0},
        {1: 1, 2: b"c" * 32, 3: b"", 4: 2**32, 5: 0, 6: 0},
        {1: 1, 2: b"c" * 32, 3: b"", 4: 1, 5: 0, 6: 0, 7: 0},
        [1],
    ],
)
def test_a_signed_payload_that_is_no_token_is_refused(payload):
    envelope = cose.sign(cbor2.dumps(payload), FLEET.private)
    with pytest.raises(TokenError):
        token.open_token(envelope, FLEET.public)


@pytest.mark.parametrize("data", [b"", b"x", b"x" * 401, bytes(300)])
def test_what_is_no_envelope_is_no_token(data):
    with pytest.raises(TokenError):
        token.read_unverified_token(data)


@pytest.mark.parametrize(
    "changes",
    [
        {"client": b"short"},
        {"device_id": b"x" * 17},
        {"permissions": Permission(0)},
        {"permissions": Permission(16)},
        {"expires": 2**32},
        {"expires": -1},
    ],
)
def test_a_token_that_could_not_be_used_is_not_issued(changes):
    with pytest.raises(ConfigError):
        issue(**changes)


def test_only_a_fleet_key_signs_tokens():
    with pytest.raises(ConfigError, match="release key cannot sign"):
        token.issue_token(
            KeyPair.generate(KeyUse.RELEASE),
            client=CLIENT.public,
            device_id=b"",
            permissions=Permission.READ,
            expires=1,
        )


def test_a_token_knows_its_devices_and_its_end():
    one = token.open_token(issue(expires=100), FLEET.public)
    every = token.open_token(issue(device_id=b""), FLEET.public)
    assert one.allows_device(b"dev-1")
    assert not one.allows_device(b"dev-2")
    assert every.allows_device(b"dev-2")
    assert not one.is_expired(99.9)
    assert one.is_expired(100)


def test_permissions_are_names_to_people():
    both = token.parse_permissions("read, write")
    assert both == Permission.READ | Permission.WRITE
    assert token.describe_permissions(both) == "read,write"
    assert token.describe_permissions(Permission(17)) == "read,0x10"
    with pytest.raises(ConfigError, match="'wirte'"):
        token.parse_permissions("read,wirte")
