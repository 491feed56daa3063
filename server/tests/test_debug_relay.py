"""The table of debug sessions, without any I/O."""

from hashlib import blake2b

import pytest

from fieldlink import debug_messages as debug
from fieldlink import debug_relay
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.debug_relay import DebugTable, OpenRequest
from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.token import issue_token

FLEET = KeyPair.from_private(KeyUse.FLEET, bytes(range(32)))
E2E = KeyPair.from_private(KeyUse.CLIENT, bytes(range(40, 72)))
OTHER = KeyPair.from_private(KeyUse.CLIENT, bytes(range(80, 112)))
MANIFEST = b"m" * 32
UNIX = 1_700_000_000
EVERYTHING = Permission.READ | Permission.WRITE | Permission.CONTROL | Permission.RESET


class Table:
    """A table with its owner's duties done at once."""

    def __init__(self, *, fleet_public: bytes | None = FLEET.public) -> None:
        self.core = DebugTable(fleet_public=fleet_public)
        self.now = 0.0
        self.sent: dict[int, list[debug.DebugFrame]] = {}
        self.stuck: set[int] = set()
        self.credit: dict[int, int] = {}
        self.closed: list[tuple[str, int, str]] = []
        self.last_closed = None

    def device(self, name: str = "dev-1", manifest: bytes | None = MANIFEST) -> int:
        link = self.core.add_device(name)
        if manifest is not None:
            self.core.note_manifest(link, manifest)
        return link

    def client(self, name: str = "alice", key: KeyPair = E2E) -> int:
        return self.core.add_client(name, key.public)

    def send(self, link: int, frame: debug.DebugFrame) -> OpenRequest | None:
        payload = debug.encode(frame)
        self.credit[link] = self.credit.get(link, 0) + len(payload)
        request = self.core.receive(link, payload, self.now)
        self.settle()
        return request

    def settle(self) -> None:
        for link in self.core.take_ready():
            self.drain(link)
        for link, size in self.core.take_released():
            self.credit[link] -= size
        for closed in self.core.take_closed():
            self.last_closed = closed
            self.closed.append((closed.session.client, closed.reason, closed.ended_by))

    def drain(self, link: int) -> None:
        while link not in self.stuck and (payload := self.core.take_frame(link)) is not None:
            self.sent.setdefault(link, []).append(debug.decode_frame(payload))

    def take(self, link: int) -> list[debug.DebugFrame]:
        return self.sent.pop(link, [])

    def open(self, client: int, **changes: object) -> EndReason | None:
        """Opens as the gateway does, and says why it was refused."""
        request = self.send(client, open_frame(**changes))
        assert request is not None
        reason = self.core.judge(request, UNIX + self.now)
        if reason is None:
            session = self.core.reserve(request, self.now, UNIX + self.now)
            assert self.core.grant(session, request, self.now)
        else:
            self.core.refuse(request, reason, self.now)
        self.settle()
        return reason


def token(
    permissions: Permission = EVERYTHING,
    device_id: bytes = b"dev-1",
    expires: int = UNIX + 1000,
    key: KeyPair = E2E,
    fleet: KeyPair = FLEET,
) -> bytes:
    return issue_token(
        fleet, client=key.public, device_id=device_id, permissions=permissions, expires=expires, serial=7
    )


def open_frame(session: int = 1, device_id: bytes = b"dev-1", **token_fields: object) -> debug.Open:
    envelope = token_fields.pop("envelope", None)
    if envelope is None:
        envelope = token(**token_fields)  # type: ignore[arg-type]
    return debug.Open(session=session, device_id=device_id, session_id=b"s" * 16, token=envelope)  # type: ignore[arg-type]


@pytest.fixture
def table() -> Table:
    return Table()


def test_a_session_is_opened_on_both_links_and_relays_both_ways(table):
    device, client = table.device(), table.client()
    assert table.open(client, session=42) is None
    (asked,) = table.take(device)
    assert asked == debug.OpenDevice(session=1, session_id=b"s" * 16, token=token())
    assert table.take(client) == [debug.Opened(session=42, manifest=MANIFEST)]
    table.send(client, debug.Relay(session=42, payload=b"to device"))
    table.send(device, debug.Relay(session=1, payload=b"to client"))
    assert table.take(device) == [debug.Relay(session=1, payload=b"to device")]
    assert table.take(client) == [debug.Relay(session=42, payload=b"to client")]
    assert table.credit == {client: 0, device: 0}


def test_each_device_gets_its_own_session(table):
    """Three devices, one client with three sessions: nothing crosses."""
    devices = [table.device(f"dev-{number}") for number in range(3)]
    client = table.client()
    for number in range(3):
        name = b"dev-%d" % number
        assert table.open(client, session=10 + number, device_id=name, envelope=token(device_id=name)) is None
    for number in (2, 0, 1):
        table.send(client, debug.Relay(session=10 + number, payload=b"for %d" % number))
    for number, device in enumerate(devices):
        relayed = [frame.payload for frame in table.take(device) if isinstance(frame, debug.Relay)]
        assert relayed == [b"for %d" % number]


def test_another_clients_session_number_reaches_nothing(table):
    device, alice, mallory = table.device(), table.client(), table.client("mallory", OTHER)
    table.open(alice)
    table.take(device)
    table.send(mallory, debug.Relay(session=1, payload=b"spliced"))
    table.send(mallory, debug.Ended(session=1, reason=0))
    assert table.take(device) == []
    assert len(table.core.sessions()) == 1
    assert table.credit[mallory] == 0


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device_id": b"dev-2", "envelope": token(device_id=b"")}, EndReason.OFFLINE),
        ({"device_id": b"\xff\xfe", "envelope": token(device_id=b"")}, EndReason.OFFLINE),
        ({"device_id": b"dev-2"}, EndReason.NOT_AUTHORISED),
        ({"key": OTHER}, EndReason.NOT_AUTHORISED),
        ({"fleet": KeyPair.from_private(KeyUse.FLEET, bytes(32))}, EndReason.NOT_AUTHORISED),
        ({"envelope": b"no token"}, EndReason.NOT_AUTHORISED),
        ({"expires": UNIX}, EndReason.EXPIRED),
        ({"expires": UNIX + 1}, None),
        ({"envelope": token(device_id=b"")}, None),
    ],
)
def test_who_is_refused_and_why(table, changes, reason):
    device, client = table.device(), table.client()
    assert table.open(client, **changes) == reason
    if reason is not None:
        assert table.take(device) == []
        assert table.take(client) == [debug.Ended(session=1, reason=reason)]
        assert table.core.sessions() == []
    assert table.credit[client] == 0


def test_without_the_fleet_key_the_device_is_the_judge():
    table = Table(fleet_public=None)
    table.device()
    client = table.client()
    forged = token(fleet=KeyPair.from_private(KeyUse.FLEET, bytes(32)))
    assert table.open(client, envelope=forged) is None
    assert table.open(client, session=2, key=OTHER) is EndReason.NOT_AUTHORISED


def test_a_device_that_has_not_told_what_it_runs_counts_as_offline(table):
    table.device(manifest=None)
    assert table.open(table.client()) is EndReason.OFFLINE


def test_one_session_controls_and_others_read(table):
    table.device()
    alice, bob = table.client(), table.client("bob", OTHER)
    assert table.open(alice) is None
    assert table.open(bob, key=OTHER) is EndReason.BUSY
    assert table.open(bob, key=OTHER, permissions=Permission.WRITE) is EndReason.BUSY
    assert table.open(bob, key=OTHER, permissions=Permission.READ | Permission.RESET) is EndReason.BUSY
    assert table.open(bob, key=OTHER, permissions=Permission.READ) is None
    table.send(alice, debug.Ended(session=1, reason=0))
    assert table.open(bob, session=2, key=OTHER) is None
    assert table.open(alice, session=2) is EndReason.BUSY


def test_sessions_of_one_link_are_limited(table):
    table.device()
    client = table.client()
    for number in range(debug_relay.SESSIONS_PER_LINK):
        assert table.open(client, session=number, permissions=Permission.READ) is None
    assert table.open(client, session=99, permissions=Permission.READ) is EndReason.BUSY


@pytest.mark.parametrize("side", ["client", "device"])
def test_either_side_can_end_a_session(table, side):
    links = {"device": table.device(), "client": table.client()}
    table.open(links["client"])
    table.sent.clear()
    table.send(links[side], debug.Ended(session=1, reason=6))
    other = links["device" if side == "client" else "client"]
    assert table.take(other) == [debug.Ended(session=1, reason=6)]
    assert table.take(links[side]) == []
    assert table.closed == [("alice", 6, side)]
    # What was under way is ignored, and its credit comes back.
    table.send(links[side], debug.Relay(session=1, payload=b"late"))
    table.send(other, debug.Relay(session=1, payload=b"late"))
    assert table.sent == {}
    assert set(table.credit.values()) == {0}


@pytest.mark.parametrize("side", ["client", "device"])
def test_the_loss_of_a_link_is_told_to_the_other_side(table, side):
    links = {"device": table.device(), "client": table.client()}
    table.open(links["client"])
    table.sent.clear()
    table.core.remove(links[side], table.now)
    table.settle()
    other = links["device" if side == "client" else "client"]
    assert table.sent == {other: [debug.Ended(session=1, reason=EndReason.LINK_LOST)]}
    assert table.closed == [("alice", EndReason.LINK_LOST, side)]
    if side == "device":
        assert table.open(links["client"], session=2) is EndReason.OFFLINE
        again = table.device()
        assert table.open(links["client"], session=3) is None
        assert isinstance(table.take(again)[0], debug.OpenDevice)


def test_a_device_that_came_back_first_keeps_its_place(table):
    """The old link is taken away after the new one is there."""
    old = table.device()
    new = table.device()
    table.core.remove(old, 0.0)
    assert table.open(table.client()) is None
    assert len(table.take(new)) == 1


def test_an_expired_token_ends_its_session(table):
    device, client = table.device(), table.client()
    table.open(client, expires=UNIX + 60)
    table.sent.clear()
    for table.now in (59.9, 60.0):
        table.core.poll(table.now)
        table.settle()
        if table.now < 60:
            assert table.sent == {}
    ended = [debug.Ended(session=1, reason=EndReason.EXPIRED)]
    assert table.sent == {client: ended, device: ended}
    assert table.closed == [("alice", EndReason.EXPIRED, "server")]


def test_shutting_down_tells_both_sides(table):
    device, client = table.device(), table.client()
    table.open(client)
    table.sent.clear()
    table.core.shut_down(0.0)
    table.settle()
    ended = [debug.Ended(session=1, reason=EndReason.SHUTTING_DOWN)]
    assert table.sent == {client: ended, device: ended}


def test_a_slow_receiver_holds_the_senders_credit(table):
    device, client = table.device(), table.client()
    table.open(client)
    table.take(device)
    table.stuck.add(device)
    for number in range(4):
        table.send(client, debug.Relay(session=1, payload=bytes([number]) * 500))
    assert table.credit[client] > 4 * 500
    table.stuck.clear()
    table.drain(device)
    table.settle()
    assert table.credit[client] == 0
    assert [frame.payload[0] for frame in table.take(device)] == [0, 1, 2, 3]


def test_a_receiver_that_takes_nothing_loses_its_session_and_blocks_no_other(table):
    """A reader that is stuck must not hold the device's credit, on which another session lives."""
    device, alice, bob = table.device(), table.client(), table.client("bob", OTHER)
    table.open(alice)
    table.open(bob, key=OTHER, permissions=Permission.READ)
    table.sent.clear()
    table.stuck.add(bob)
    table.send(device, debug.Relay(session=2, payload=b"x" * 900))
    assert table.credit[device] > 900
    table.now = debug_relay.STALL_LIMIT_S - 0.1
    table.core.poll(table.now)
    table.settle()
    assert table.closed == []
    table.now = debug_relay.STALL_LIMIT_S
    table.core.poll(table.now)
    table.settle()
    assert table.closed == [("bob", EndReason.LINK_LOST, "server")]
    assert table.take(device) == [debug.Ended(session=2, reason=EndReason.LINK_LOST)]
    assert table.credit[device] == 0
    table.send(device, debug.Relay(session=1, payload=b"alice's"))
    assert table.take(alice) == [debug.Relay(session=1, payload=b"alice's")]
    table.stuck.clear()
    table.drain(bob)
    assert table.take(bob) == [debug.Ended(session=1, reason=EndReason.LINK_LOST)]


def test_a_stuck_device_takes_no_endless_sessions(table):
    table.stuck.add(table.device())
    client = table.client()
    reasons = []
    for number in range(200):
        reasons.append(table.open(client, session=number))
        if reasons[-1] is not None:
            break
        table.send(client, debug.Ended(session=number, reason=0))
    assert reasons[-1] is EndReason.BUSY
    assert len(reasons) <= debug_relay.OUTBOX_LIMIT


def test_credit_of_a_link_that_is_gone_is_forgotten(table):
    device, client = table.device(), table.client()
    table.open(client)
    table.stuck.add(device)
    table.send(client, debug.Relay(session=1, payload=b"x"))
    table.core.remove(client, 0.0)
    table.core.remove(device, 0.0)
    table.settle()
    assert table.core.sessions() == []
    assert table.core.take_frame(device) is None


def test_what_was_relayed_is_counted_and_hashed(table):
    device, client = table.device(), table.client()
    table.open(client)
    for payload in (b"one", b"three"):
        table.send(client, debug.Relay(session=1, payload=payload))
    table.send(device, debug.Relay(session=1, payload=b"answer"))
    table.send(device, debug.Ended(session=1, reason=0))
    session = table.last_closed.session
    to_device, to_client = session.to_device.total(), session.to_client.total()
    assert (to_device.frames, to_device.size, to_client.frames, to_client.size) == (2, 8, 1, 6)
    expected = blake2b(b"\3\0\0\0one\5\0\0\0three", digest_size=32).digest()
    assert to_device.digest == expected
    assert to_client.digest == blake2b(b"\6\0\0\0answer", digest_size=32).digest()


def test_nothing_is_relayed_before_the_session_is_granted(table):
    device, client = table.device(), table.client()
    request = table.send(client, open_frame())
    session = table.core.reserve(request, 0.0, UNIX)
    table.send(client, debug.Relay(session=1, payload=b"early"))
    assert table.take(device) == []
    assert table.open(table.client("bob", OTHER), key=OTHER) is EndReason.BUSY  # reserved is taken
    table.core.cancel(session, request, EndReason.UNAVAILABLE, 0.0)
    table.settle()
    assert table.take(client) == [debug.Ended(session=1, reason=EndReason.UNAVAILABLE)]
    assert table.take(device) == []
    assert not table.core.grant(session, request, 0.0)


def test_a_device_lost_before_the_grant_ends_the_session_once(table):
    device, client = table.device(), table.client()
    request = table.send(client, open_frame())
    session = table.core.reserve(request, 0.0, UNIX)
    table.core.remove(device, 0.0)
    assert not table.core.grant(session, request, 0.0)
    table.settle()
    assert table.take(client) == [debug.Ended(session=1, reason=EndReason.LINK_LOST)]
    assert table.credit[client] == 0


@pytest.mark.parametrize(
    ("side", "frame"),
    [
        ("client", debug.OpenDevice(session=1, session_id=b"s" * 16, token=b"t")),
        ("client", debug.Opened(session=1, manifest=MANIFEST)),
        ("device", open_frame()),
        ("device", debug.OpenDevice(session=1, session_id=b"s" * 16, token=b"t")),
        ("device", debug.Opened(session=1, manifest=MANIFEST)),
        ("client", open_frame()),
    ],
)
def test_frames_of_the_other_side_end_the_link(table, side, frame):
    """The last one: a session number that is in use."""
    links = {"device": table.device(), "client": table.client()}
    table.open(links["client"])
    with pytest.raises(RemoteProtocolError):
        table.send(links[side], frame)
    with pytest.raises(RemoteProtocolError):
        table.core.receive(links[side], b"\xff", 0.0)


def test_reserving_without_judging_is_our_own_fault(table):
    client = table.client()
    request = table.send(client, open_frame())
    with pytest.raises(LocalProtocolError):
        table.core.reserve(request, 0.0, UNIX)
