"""Both sides of the CDDL: what we encode validates, what is not in it is refused."""

import contextlib
from pathlib import Path

import cbor2
import pycddl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldlink import cbor, messages
from fieldlink.errors import LocalProtocolError, RemoteProtocolError

WIRE = (Path(__file__).parents[1] / "cddl" / "wire.cddl").read_text()


def rule(name: str) -> pycddl.Schema:
    return pycddl.Schema(f"start-rule = {name}\n{WIRE}")


# One schema for each alternative: the validator takes [[0], 0] for a choice of two arrays that has
# no such member.
RULES = {
    "device-hello": [rule("device-hello")],
    "client-hello": [rule("client-hello")],
    "server-hello": [rule("server-hello")],
    "control": [rule(name) for name in ("credit", "ping", "pong", "close")],
    "upgrade-request": [rule(name) for name in ("check", "fetch", "report")],
    "upgrade-response": [rule(name) for name in ("current", "data", "refused")],
}
WHOLE = {name: rule(name) for name in RULES}


def validates(kind: str, encoded: bytes) -> bool:
    for schema in RULES[kind]:
        try:
            schema.validate_cbor(encoded)
        except pycddl.ValidationError:
            continue
        return True
    return False


u32 = st.integers(0, 2**32 - 1)
blob = lambda low, high: st.binary(min_size=low, max_size=high)  # noqa: E731

KINDS = {
    "device-hello": (st.builds(messages.DeviceHello, device_id=blob(1, 16)), messages.decode_device_hello),
    "client-hello": (
        st.builds(messages.ClientHello, name=st.text(min_size=1, max_size=8)),
        messages.decode_client_hello,
    ),
    "server-hello": (st.builds(messages.ServerHello, time=u32), messages.decode_server_hello),
    "control": (
        st.one_of(
            st.builds(messages.Credit, channel=u32, amount=u32),
            st.builds(messages.Ping, nonce=u32),
            st.builds(messages.Pong, nonce=u32),
            st.builds(messages.Close, reason=u32),
        ),
        messages.decode_control,
    ),
    "upgrade-request": (
        st.one_of(
            st.builds(messages.Check, boot_version=u32, installed_envelope=blob(0, 960)),
            st.builds(messages.Fetch, sequence=u32, module_id=u32, first_chunk=u32),
            st.builds(messages.Report, sequence=u32, code=u32),
        ),
        messages.decode_upgrade_request,
    ),
    "upgrade-response": (
        st.one_of(
            st.builds(messages.Current, envelope=blob(1, 900), wrapped_key=blob(80, 80)),
            st.builds(messages.Data, module_id=u32, chunk=u32, offset=u32, data=blob(1, 960)),
            st.builds(messages.Refused, module_id=u32, code=u32),
        ),
        messages.decode_upgrade_response,
    ),
}

values = st.recursive(
    st.one_of(
        st.integers(-5, 2**33),
        st.binary(max_size=20),
        st.text(max_size=5),
        st.none(),
        st.booleans(),
        st.floats(allow_nan=False),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=5), st.dictionaries(st.integers(0, 5), inner, max_size=3)
    ),
    max_leaves=8,
)
near_misses = st.one_of(
    values, st.lists(st.one_of(st.integers(0, 8), u32, st.binary(max_size=90)), min_size=1, max_size=6)
)


@settings(max_examples=150)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_valid_messages_pass_the_cddl_and_come_back(kind, data):
    strategy, decode = KINDS[kind]
    message = data.draw(strategy)
    encoded = messages.encode(message)
    WHOLE[kind].validate_cbor(encoded)
    assert validates(kind, encoded)
    assert len(encoded) <= 1024
    assert decode(encoded) == message


@settings(max_examples=300)
@pytest.mark.parametrize("kind", KINDS)
@given(value=near_misses)
def test_nothing_is_decoded_that_the_cddl_refuses(kind, value):
    """One way only: the validator is lenient (it takes an integer for `bstr .size (1..16)`)."""
    encoded = cbor2.dumps(value)
    try:
        KINDS[kind][1](encoded)
    except RemoteProtocolError:
        return
    assert validates(kind, encoded)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("device-hello", [1, 1]),
        ("device-hello", [2, b"dev"]),
        ("device-hello", [1, b""]),
        ("device-hello", [1, b"x" * 17]),
        ("device-hello", [1, b"dev", 0]),
        ("client-hello", [1, b"name"]),
        ("client-hello", [1, ""]),
        ("client-hello", [1, "x" * 33]),
        ("client-hello", [2, "name"]),
        ("server-hello", [1]),
        ("server-hello", [0, 0]),
        ("server-hello", [1, 2**32]),
        ("control", [2, True]),
        ("control", [2, 2**32]),
        ("control", [2, -1]),
        ("control", [2, [0]]),
        ("control", [5, 0]),
        ("control", []),
        ("control", {2: 0}),
        ("upgrade-request", [1, 0, b"x" * 961]),
        ("upgrade-request", [1, 0, "text"]),
        ("upgrade-request", [2, b"x", b"y" * 80]),
        ("upgrade-response", [2, b"", b"y" * 80]),
        ("upgrade-response", [2, b"x" * 901, b"y" * 80]),
        ("upgrade-response", [2, b"x", b"y" * 79]),
        ("upgrade-response", [4, 1, 0, 0, b""]),
        ("upgrade-response", [4, 1, 0, 0, b"x" * 961]),
    ],
)
def test_near_misses_are_refused(kind, value):
    with pytest.raises(RemoteProtocolError):
        KINDS[kind][1](cbor2.dumps(value))


@settings(max_examples=500)
@pytest.mark.parametrize("kind", KINDS)
@given(data=st.data())
def test_damaged_messages_raise_nothing_but_our_error(kind, data):
    encoded = bytearray(messages.encode(data.draw(KINDS[kind][0])))
    for _ in range(data.draw(st.integers(1, 4))):
        encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(encoded)))
    for damaged in (bytes(encoded), bytes(encoded[:cut]), bytes(encoded) + b"\x00"):
        with contextlib.suppress(RemoteProtocolError):
            KINDS[kind][1](damaged)


@given(st.binary(max_size=100))
def test_any_bytes_raise_nothing_but_our_error(data):
    for _, decode in KINDS.values():
        with contextlib.suppress(RemoteProtocolError):
            decode(data)


@pytest.mark.parametrize(
    "encoded",
    [
        pytest.param("9bffffffffffffffff", id="array of 2^64"),
        pytest.param("5bffffffffffffffff", id="bytes of 2^64"),
        pytest.param("81" * 500 + "00", id="deep"),
        pytest.param("c24101", id="big number"),
        pytest.param("d823622828", id="regular expression"),
        pytest.param("82025f4101ff", id="pieces of bytes"),
        pytest.param("f97e00", id="float"),
        pytest.param("8202f5", id="boolean"),
        pytest.param("8202", id="cut short"),
        pytest.param("82020000", id="trailing byte"),
        pytest.param("9f0200", id="no break"),
        pytest.param("", id="nothing"),
    ],
)
def test_hostile_cbor_is_refused(encoded):
    with pytest.raises(RemoteProtocolError):
        messages.decode_control(bytes.fromhex(encoded))


def test_arrays_of_indefinite_length_are_understood():
    """A C encoder without its canonical option writes them."""
    assert messages.decode_control(bytes.fromhex("9f0207ff")) == messages.Ping(nonce=7)


def test_out_of_bounds_fields_are_our_own_fault():
    for bad in (
        messages.Ping(nonce=2**32),
        messages.Data(module_id=1, chunk=0, offset=0, data=b""),
        messages.DeviceHello(device_id=b"x" * 17),
        messages.Current(envelope=b"x", wrapped_key=b"short"),
    ):
        with pytest.raises(LocalProtocolError):
            messages.encode(bad)


def test_encoding_is_deterministic():
    assert cbor.dumps({2: 1, 1: 2}) == bytes.fromhex("a201020201")
