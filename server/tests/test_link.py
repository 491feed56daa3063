"""Both ends of a link, joined in memory, over good and bad wires."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldlink import link as links
from fieldlink import messages
from fieldlink.errors import LocalProtocolError, QueueFullError
from fieldlink.framing import FrameDecoder, encode_frame
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.link.constants import FrameType
from fieldlink.mux import Channel
from fieldlink.testing import ConnectionPair

SERVER = KeyPair.from_private(KeyUse.SERVER, bytes(range(32)))
DEVICE = KeyPair.from_private(KeyUse.DEVICE, bytes(range(50, 82)))


def new_pair() -> ConnectionPair:
    return ConnectionPair(server=SERVER, device=DEVICE)


@pytest.fixture
def pair() -> ConnectionPair:
    joined = new_pair()
    joined.connect()
    return joined


def downs(events: list[links.Event]) -> list[str]:
    return [event.reason for event in events if isinstance(event, links.SessionDown)]


def ups(events: list[links.Event]) -> int:
    return sum(isinstance(event, links.SessionUp) for event in events)


def frame_types(stream: bytes) -> list[int]:
    return [frame[0] for frame in FrameDecoder().feed(stream) if frame]


def test_both_ends_come_up_and_know_each_other(pair):
    assert [type(event) for event in pair.server_events] == [links.HandshakeReceived, links.SessionUp]
    up = pair.server_events[1]
    assert (up.peer_key, up.device_id) == (DEVICE.public, b"device")
    assert ups(pair.device_events) == 1


def test_messages_arrive_in_order_on_their_channels(pair):
    for number in range(5):
        pair.device.send(Channel.APPLICATION, b"telemetry %d" % number)
        pair.device.send(Channel.UPGRADE, b"upgrade %d" % number)
        pair.server.send(Channel.DEBUG, b"debug %d" % number)
    pair.pump()
    for channel, name in ((Channel.APPLICATION, b"telemetry"), (Channel.UPGRADE, b"upgrade")):
        received = [event.payload for event in pair.messages("server") if event.channel is channel]
        assert received == [b"%s %d" % (name, number) for number in range(5)]
    assert [event.payload for event in pair.messages("device")] == [b"debug %d" % n for n in range(5)]


def test_a_stream_longer_than_its_credit_flows_while_it_is_consumed(pair):
    sent = 0
    while sent < 100:
        try:
            pair.server.send(Channel.UPGRADE, bytes(1000))
            sent += 1
        except QueueFullError:
            pair.pump()
    pair.pump()
    assert len(pair.messages("device")) == 100


def test_a_receiver_that_does_not_consume_stops_its_channel_only(pair):
    pair.consume = False
    for _ in range(8):
        pair.server.send(Channel.UPGRADE, bytes(1000))
    pair.server.send(Channel.APPLICATION, b"still here")
    pair.pump()
    got = pair.messages("device")
    assert [len(event.payload) for event in got if event.channel is Channel.UPGRADE] == [1000] * 4
    assert got.count(links.Message(channel=Channel.APPLICATION, payload=b"still here")) == 1
    pair.consume = True
    for event in got:
        pair.device.consume(event.channel, len(event.payload))
    pair.pump()
    assert len(pair.messages("device")) == 9


def test_an_idle_link_stays_up_by_pings(pair):
    pair.advance(60)
    assert downs(pair.server_events) == downs(pair.device_events) == []


@pytest.mark.parametrize("direction", ["uplink", "downlink"])
def test_a_cut_wire_ends_the_session_and_a_mended_one_brings_it_back(pair, direction):
    setattr(pair, direction, lambda _data: b"")
    pair.advance(6.5)
    assert any("nothing received" in reason for reason in downs(pair.server_events + pair.device_events))
    setattr(pair, direction, lambda data: data)
    pair.advance(15)
    assert pair.device.is_up
    assert pair.server.is_up


def test_no_answer_doubles_the_back_off_up_to_its_limit():
    pair = new_pair()
    starts = []

    def wire(data: bytes) -> bytes:
        if data:
            starts.append(pair.now)
        return b""

    pair.uplink = wire
    pair.pump()
    pair.advance(40)
    gaps = [round(later - earlier, 3) for earlier, later in itertools.pairwise(starts)]
    assert gaps[:7] == [1.1, 1.2, 1.4, 1.8, 2.6, 4.2, 6.0]
    assert set(gaps[6:]) == {6.0}


def test_an_unknown_key_gets_no_answer():
    pair = new_pair()
    pair.accept = lambda _event: False
    sent = bytearray()
    pair.downlink = lambda data: sent.extend(data) or data  # type: ignore[func-returns-value]
    pair.pump()
    pair.advance(3)
    assert not sent
    assert not pair.device.is_up


def test_a_device_that_trusts_another_server_is_not_heard():
    pair = ConnectionPair(server=SERVER, device=DEVICE)
    pair.server = links.Responder(static_private=KeyPair.generate(KeyUse.SERVER).private)
    pair.pump()
    pair.advance(5)
    assert not any(isinstance(event, links.HandshakeReceived) for event in pair.server_events)
    assert any(isinstance(event, links.HandshakeFailed) for event in pair.server_events)


def test_every_damaged_byte_is_noticed_and_survived():
    """Each byte of a frame in turn is damaged: the session ends, nothing false arrives, a new one comes."""
    probe = new_pair()
    probe.connect()
    probe.device.send(Channel.APPLICATION, b"telemetry")
    length = len(probe.device.data_to_send())
    for index in range(length):
        pair = new_pair()
        pair.connect()

        def damage(data: bytes, index: int = index, pair: ConnectionPair = pair) -> bytes:
            pair.uplink = lambda later: later
            return data[:index] + bytes([data[index] ^ 0x55]) + data[index + 1 :]

        pair.uplink = damage
        pair.device.send(Channel.APPLICATION, b"telemetry")
        pair.pump()
        assert pair.messages("server") == []
        pair.advance(15)
        assert ups(pair.server_events) == 2, f"byte {index}"
        pair.device.send(Channel.APPLICATION, b"again")
        pair.pump()
        assert [event.payload for event in pair.messages("server")] == [b"again"]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.001, 0.01]))
def test_what_arrives_over_a_bad_wire_is_a_true_prefix_of_each_session(seed, rate):
    """Bytes are lost, changed and doubled at random.

    Whatever is delivered was sent, in order, without a gap.
    """
    chance = random.Random(seed)

    def wire(data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            fate = chance.random()
            if fate > 3 * rate:
                out.append(byte)
            elif fate > 2 * rate:
                out.append(chance.randrange(256))
            elif fate > rate:
                out += bytes([byte, byte])
        return bytes(out)

    pair = new_pair()
    pair.uplink = pair.downlink = wire
    number = 0
    expected: list[int] = []
    for _ in range(60):
        pair.advance(0.2)
        for event in pair.server_events:
            if isinstance(event, links.SessionUp):
                expected = []
            elif isinstance(event, links.Message):
                value = int(event.payload)
                assert not expected or value == expected[-1] + 1
                expected.append(value)
        pair.server_events.clear()
        if pair.device.is_up and pair.device.has_room(Channel.APPLICATION):
            pair.device.send(Channel.APPLICATION, b"%d" % number)
            number += 1
    pair.uplink = pair.downlink = lambda data: data
    pair.advance(20)
    assert pair.device.is_up
    assert pair.server.is_up


def restart_device(pair: ConnectionPair) -> None:
    pair.device = links.Initiator(
        static_private=DEVICE.private,
        remote_public=SERVER.public,
        device_id=b"device",
        now=pair.now,
        jitter=lambda: 0.0,
    )


def test_a_device_that_was_reset_starts_over_at_once(pair):
    before = pair.now
    restart_device(pair)
    pair.pump()
    assert pair.now == before
    assert downs(pair.server_events) == ["the peer started over"]
    assert ups(pair.server_events) == 2
    pair.device.send(Channel.APPLICATION, b"new life")
    pair.pump()
    assert pair.messages("server")[-1].payload == b"new life"


def test_a_device_that_died_in_the_middle_of_a_frame_starts_over_without_a_reset(pair):
    pair.device.send(Channel.APPLICATION, bytes(500))
    pair.server.receive_data(pair.device.data_to_send()[:200])
    restart_device(pair)
    sent = bytearray()
    pair.downlink = lambda data: sent.extend(data) or data  # type: ignore[func-returns-value]
    pair.pump()
    assert pair.device.is_up
    pair.advance(1)
    assert pair.device.is_up
    assert FrameType.RESET not in frame_types(bytes(sent))
    assert ups(pair.device_events) == 2


def test_what_is_under_way_to_a_device_that_was_reset_does_no_harm(pair):
    for _ in range(4):
        pair.server.send(Channel.UPGRADE, bytes(900))
    late = pair.server.data_to_send()
    restart_device(pair)
    pair.device.poll(pair.now)
    pair.device.receive_data(late)
    pair.pump()
    assert pair.device.is_up
    assert downs(pair.device_events) == []


def test_nothing_of_the_old_session_follows_the_answer_to_a_handshake(pair):
    restart_device(pair)
    pair.device.poll(pair.now)
    pair.server.receive_data(pair.device.data_to_send())
    pair._server_events()
    pair.server.send(Channel.UPGRADE, b"for the old session")
    answer = pair.server.data_to_send()
    assert frame_types(answer) == [FrameType.HANDSHAKE_2]
    pair.device.receive_data(answer)
    pair.pump()
    assert pair.device.is_up
    assert downs(pair.device_events) == []
    assert pair.messages("device") == []


def test_a_replayed_handshake_does_not_disturb_a_live_session():
    """On the same stream: the candidate never proves itself, the old session goes on."""
    pair = new_pair()
    recorded = bytearray()
    pair.uplink = lambda data: recorded.extend(data) or data  # type: ignore[func-returns-value]
    pair.connect()
    handshake = encode_frame(FrameDecoder().feed(bytes(recorded))[0] or b"")
    pair.server.receive_data(handshake)
    pair._server_events()
    assert isinstance(pair.server_events[-1], links.HandshakeReceived)
    pair.server.data_to_send()  # the answer goes to whoever replayed it
    pair.device.send(Channel.APPLICATION, b"still me")
    pair.pump()
    assert pair.messages("server")[-1].payload == b"still me"
    pair.server.send(Channel.APPLICATION, b"and still me")
    pair.pump()
    assert pair.messages("device")[-1].payload == b"and still me"
    assert ups(pair.server_events) == 1


def test_a_replayed_handshake_never_makes_a_session():
    pair = new_pair()
    recorded = bytearray()
    pair.uplink = lambda data: recorded.extend(data) or data  # type: ignore[func-returns-value]
    pair.connect()
    replay = new_pair()
    replay.server.receive_data(bytes(recorded))  # the whole of it: handshake, ping, pong
    replay._server_events()
    assert ups(replay.server_events) == 0


def test_transport_without_a_session_gets_one_reset():
    pair = new_pair()
    pair.connect()
    pair.server = links.Responder(static_private=SERVER.private)  # the server was restarted
    for _ in range(5):
        pair.device.send(Channel.APPLICATION, b"x")
    sent = bytearray()
    pair.downlink = lambda data: sent.extend(data) or data  # type: ignore[func-returns-value]
    pair.pump()
    pair.advance(0.06)
    assert frame_types(bytes(sent)) == [FrameType.RESET]
    assert downs(pair.device_events) == ["RESET by the server"]
    pair.advance(1)
    assert pair.device.is_up
    assert pair.server.is_up


def test_a_malformed_message_ends_the_session(pair):
    pair.device._up().mux.queue(Channel.CONTROL, b"\xff")
    pair.pump()
    assert len(downs(pair.server_events)) == 1
    pair.advance(1)
    assert ups(pair.server_events) == 2


def test_overspent_credit_ends_the_session(pair):
    pair.consume = False
    cheat = pair.device._up()
    cheat.mux._send_credit[Channel.APPLICATION] = 10_000
    for _ in range(3):
        pair.device.send(Channel.APPLICATION, bytes(1024))
    pair.pump()
    assert downs(pair.server_events) == ["peer spent more credit than it has on channel 1"]


def test_close_ends_both_ends(pair):
    pair.server.close(0)
    pair.pump()
    assert downs(pair.device_events) == ["closed by the peer, reason 0"]
    assert not pair.server.is_up


def test_a_flood_of_pings_is_answered_without_growing(pair):
    cheat = pair.device._up()
    for _ in range(500):
        cheat.mux._queues[Channel.CONTROL].append(messages.encode(messages.Ping(nonce=1)))
    pair.pump()
    assert pair.device.is_up
    assert pair.server.is_up


def test_wrong_use_is_our_own_fault():
    pair = new_pair()
    with pytest.raises(LocalProtocolError, match="no session"):
        pair.device.send(Channel.UPGRADE, b"")
    with pytest.raises(LocalProtocolError, match="decision"):
        pair.server.accept(0.0, unix_time=0)
    pair.device.poll(0.0)
    pair.server.receive_data(pair.device.data_to_send())
    pair.server.next_event(0.0)
    with pytest.raises(LocalProtocolError, match="accept or reject"):
        pair.server.next_event(0.0)
    pair.server.reject()
    pair.connect()
    with pytest.raises(LocalProtocolError, match="channel 0"):
        pair.device.send(Channel.CONTROL, b"")


def test_a_client_and_a_device_are_told_apart_by_their_prologue(pair):
    assert pair.server_events[0].kind is links.PeerKind.DEVICE
    client = links.Initiator(
        static_private=DEVICE.private, remote_public=SERVER.public, client_name="alice", now=0.0
    )
    server = links.Responder(static_private=SERVER.private)
    client.poll(0.0)
    server.receive_data(client.data_to_send())
    received = server.next_event(0.0)
    assert received == links.HandshakeReceived(
        peer_key=DEVICE.public, device_id=b"", kind=links.PeerKind.CLIENT, client_name="alice"
    )
    server.accept(0.0, unix_time=1234)
    client.receive_data(server.data_to_send())
    up = client.next_event(0.0)
    assert isinstance(up, links.SessionUp)
    assert (up.kind, up.server_time) == (links.PeerKind.CLIENT, 1234)
    server.receive_data(client.data_to_send())
    served = server.next_event(0.0)
    assert isinstance(served, links.SessionUp)
    assert served.kind is links.PeerKind.CLIENT


def test_an_initiator_is_one_of_both():
    for names in ({}, {"device_id": b"d", "client_name": "c"}):
        with pytest.raises(LocalProtocolError, match="either"):
            links.Initiator(static_private=DEVICE.private, remote_public=SERVER.public, now=0.0, **names)


def test_the_server_tells_its_time(pair):
    (up,) = (event for event in pair.device_events if isinstance(event, links.SessionUp))
    assert up.server_time == pair.unix_time


@pytest.mark.parametrize("hello", [messages.ClientHello(name="x"), messages.DeviceHello(device_id=b"x")])
def test_a_hello_of_the_other_kind_is_refused(hello):
    """The prologue says one thing, the hello another."""
    from fieldlink.noise import IK, HandshakeState, Role

    is_client = isinstance(hello, messages.ClientHello)
    handshake = HandshakeState(
        pattern=IK,
        role=Role.INITIATOR,
        static=DEVICE.private,
        remote_static=SERVER.public,
        prologue=links.PROLOGUE if is_client else links.CLIENT_PROLOGUE,
    )
    frame = bytes([FrameType.HANDSHAKE_1]) + handshake.write_message(messages.encode(hello))
    server = links.Responder(static_private=SERVER.private)
    server.receive_data(encode_frame(frame))
    assert isinstance(server.next_event(0.0), links.HandshakeFailed)
