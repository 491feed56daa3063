"""Cores without a network: E2E channel, session, cache, ELF, profile."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldlink import debug_messages as messages
from fieldlink.debug import DebugSession, SessionConfig
from fieldlink.debug.cache import Extent, ExtentMap, StopCache, pieces
from fieldlink.debug.e2e import PLAINTEXT_LIMIT, E2eChannel, prologue
from fieldlink.debug.profile import Profile, load_profile, parse_server
from fieldlink.debug.session import WINDOW, Ready, Replied, SessionEnded
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.errors import ConfigError, LocalProtocolError, RemoteProtocolError
from fieldlink.noise import Role, public_key
from fieldlink.testing.debug_agent import COUNTER, DeviceEnd, ToyMachine

CLIENT, DEVICE = bytes(range(32)), bytes(range(50, 82))
SESSION_ID, MANIFEST = bytes(range(16)), bytes(range(32))
PROLOGUE = {"device_id": b"dev-1", "session_id": SESSION_ID, "permissions": 15, "manifest": MANIFEST}


def channel(role: Role, **changes: object) -> E2eChannel:
    client = role is Role.INITIATOR
    return E2eChannel(
        role=role,
        static_private=CLIENT if client else DEVICE,
        remote_public=public_key(DEVICE if client else CLIENT),
        prologue_bytes=prologue(**(PROLOGUE | changes)),  # type: ignore[arg-type]
    )


def open_pair() -> tuple[E2eChannel, E2eChannel]:
    client, device = channel(Role.INITIATOR), channel(Role.RESPONDER)
    _, answer = device.receive(client.start())
    assert answer is not None
    assert client.receive(answer) == (None, None)
    return client, device


# ---- E2E


def test_messages_flow_both_ways():
    client, device = open_pair()
    assert device.receive(client.seal(b"request")) == (b"request", None)
    assert client.receive(device.seal(b"reply")) == (b"reply", None)
    assert len(client.seal(bytes(PLAINTEXT_LIMIT))) == messages.RELAY_LIMIT
    with pytest.raises(LocalProtocolError, match="at most 975"):
        client.seal(bytes(PLAINTEXT_LIMIT + 1))


def test_the_prologue_is_as_the_protocol_says():
    assert prologue(**PROLOGUE) == (  # type: ignore[arg-type]
        b"fieldlink-e2e-1" + b"dev-1" + bytes(11) + SESSION_ID + b"\x0f\0\0\0" + MANIFEST
    )


@pytest.mark.parametrize(
    "change",
    [{"device_id": b"dev-2"}, {"session_id": bytes(16)}, {"permissions": 1}, {"manifest": bytes(32)}],
)
def test_every_part_of_the_prologue_is_bound(change):
    with pytest.raises(RemoteProtocolError, match="authentication failed"):
        channel(Role.RESPONDER, **change).receive(channel(Role.INITIATOR).start())


@pytest.mark.parametrize("attack", ["replay", "reorder", "drop", "change", "reflect", "type", "empty"])
def test_a_failure_is_the_end_of_the_channel(attack):
    client, device = open_pair()
    first, second = client.seal(b"one"), client.seal(b"two")
    if attack == "replay":
        device.receive(first)
    bad = {
        "replay": first,
        "reorder": second,
        "drop": second,
        "change": first[:-1] + bytes([first[-1] ^ 1]),
        "reflect": device.seal(b"mine"),
        "type": b"\x01" + first[1:],
        "empty": b"",
    }[attack]
    with pytest.raises(RemoteProtocolError):
        device.receive(bad)
    with pytest.raises(RemoteProtocolError, match="over after a failure"):
        device.receive(first)
    with pytest.raises(LocalProtocolError):
        device.seal(b"reply")


# ---- session


def session() -> DebugSession:
    return DebugSession(
        SessionConfig(
            number=7,
            device_id=b"dev-1",
            session_id=SESSION_ID,
            token=b"token",
            permissions=15,
            e2e_private=CLIENT,
            device_public=public_key(DEVICE),
        )
    )


def device_end() -> DeviceEnd:
    return DeviceEnd(
        session=7,
        session_id=SESSION_ID,
        device_id=b"dev-1",
        permissions=Permission(15),
        manifest=MANIFEST,
        debug_private=DEVICE,
        client_public=public_key(CLIENT),
        machine=ToyMachine(),
    )


def exchange(client: DebugSession, device: DeviceEnd) -> None:
    """Carries frames until nobody has any."""
    while (payload := client.next_frame()) is not None:
        frame = messages.decode_frame(payload)
        if isinstance(frame, messages.Open):
            client.receive(messages.encode(messages.Opened(session=7, manifest=MANIFEST)))
            continue
        assert isinstance(frame, messages.Relay | messages.Ended)
        for answer in device.receive(frame):
            client.receive(messages.encode(answer))


def events(client: DebugSession) -> list[object]:
    found = []
    while (event := client.next_event()) is not None:
        found.append(event)
    return found


def ready() -> tuple[DebugSession, DeviceEnd]:
    client, device = session(), device_end()
    client.start()
    exchange(client, device)
    (event,) = events(client)
    assert isinstance(event, Ready)
    assert event.manifest == MANIFEST
    return client, device


def test_replies_come_with_the_tickets_of_their_requests():
    client, device = ready()
    tickets = [client.request(messages.ReadMemory(address=COUNTER, length=n)) for n in (1, 2, 3)]
    exchange(client, device)
    found = events(client)
    assert [(event.ticket, len(event.reply.data)) for event in found if isinstance(event, Replied)] == list(
        zip(tickets, (1, 2, 3), strict=True)
    )


def test_the_window_bounds_what_is_under_way():
    client, device = ready()
    for _ in range(WINDOW + 3):
        client.request(messages.Status())
    frames = []
    while (payload := client.next_frame()) is not None:
        frames.append(payload)
    assert len(frames) == WINDOW
    for payload in frames:
        for answer in device.receive(messages.decode_frame(payload)):  # type: ignore[arg-type]
            client.receive(messages.encode(answer))
    assert client.next_frame() is not None


def test_no_request_before_the_device_said_hello():
    client = session()
    with pytest.raises(LocalProtocolError, match="not started"):
        client.request(messages.Halt())
    client.start()
    with pytest.raises(LocalProtocolError, match="waiting for the server"):
        client.request(messages.Halt())


def test_another_sessions_frames_are_ignored():
    client, _ = ready()
    client.receive(messages.encode(messages.Ended(session=6, reason=0)))
    assert events(client) == []
    assert not client.is_over


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"\xff", EndReason.PROTOCOL_ERROR),
        (messages.encode(messages.Opened(session=7, manifest=MANIFEST)), EndReason.PROTOCOL_ERROR),
        (messages.encode(messages.Relay(session=7, payload=b"\x03" + bytes(20))), EndReason.E2E_FAILED),
        (messages.encode(messages.Ended(session=7, reason=9)), EndReason.DEVICE_RESETTING),
        (messages.encode(messages.Ended(session=7, reason=99)), 99),
    ],
)
def test_what_ends_a_session(payload, reason):
    client, _ = ready()
    client.receive(payload)
    (event,) = events(client)
    assert isinstance(event, SessionEnded)
    assert event.error.reason == reason
    assert client.is_over


@given(payload=st.binary(max_size=100))
def test_a_server_cannot_make_a_session_raise(payload):
    client, _ = ready()
    client.receive(payload)
    client.receive(messages.encode(messages.Relay(session=7, payload=payload or b"\0")))
    assert client.is_over


# ---- cache


@given(
    operations=st.lists(
        st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 20)), min_size=1, max_size=30
    ),
    query=st.tuples(st.integers(0, 60), st.integers(1, 20)),
)
def test_an_extent_map_knows_what_a_byte_by_byte_model_knows(operations, query):
    extents, model = ExtentMap(), {}
    for number, (store, address, length) in enumerate(operations):
        if store:
            extents.store(address, bytes([number]) * length)
            model.update(dict.fromkeys(range(address, address + length), number))
        else:
            extents.drop(address, length)
            for at in range(address, address + length):
                model.pop(at, None)
    address, length = query
    known = [model.get(at) for at in range(address, address + length)]
    assert extents.read(address, length) == (None if None in known else bytes(known))


def test_constant_bytes_survive_a_resume_until_they_are_written():
    cache = StopCache([Extent(address=100, data=b"constant")])
    cache.store(200, b"volatile")
    cache.forget()
    assert cache.read(100, 8) == b"constant"
    assert cache.read(200, 8) is None
    cache.written(104, 1)
    assert cache.read(100, 4) == b"cons"
    assert cache.read(100, 8) is None


def test_pieces_cover_the_range():
    assert list(pieces(10, 2000)) == [(10, 900), (910, 900), (1810, 200)]
    assert list(pieces(10, 0)) == []


# ---- profile


def test_a_profile_and_what_overrides_it(tmp_path):
    path = tmp_path / "debug.toml"
    path.write_text(
        'server = "a:1"\nkey = "client.key"\nrom = ["0x21050000:0x10000"]\napp_flash = 0x21040000\n'
    )
    profile = load_profile(path)
    assert profile.key == tmp_path / "client.key"
    assert profile.rom[0].base == 0x21050000
    assert profile.override(Profile(server="b:2")).server == "b:2"
    assert profile.override(Profile(server="b:2")).app_flash == 0x21040000


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('sever = "a:1"', "unknown key 'sever'; did you mean 'server'"),
        ("server = 1", "server: expected a text"),
        ("app_flash = -1", "app_flash: expected an address"),
        ('rom = ["x"]', "expected BASE:SIZE"),
        ("server = ", "not valid TOML"),
    ],
)
def test_what_is_wrong_with_a_profile(tmp_path, text, message):
    path = tmp_path / "debug.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_profile(path)


@pytest.mark.parametrize("text", ["host", "host:", ":1", "host:0", "host:99999", "host:1x"])
def test_what_is_no_server(text):
    with pytest.raises(ConfigError, match="expected HOST:PORT"):
        parse_server(text)


def test_an_ipv6_server():
    assert parse_server("[::1]:7400") == ("::1", 7400)


def test_digest_is_the_manifests(tmp_path):
    from fieldlink.debug.elf import AppElf

    elf = AppElf(path=Path("app.elf"), image=b"image", read_only=(), symbols={})
    assert elf.digest == hashlib.blake2b(b"image", digest_size=32).digest()
