"""What the kernel's debug channel keeps and sends, and when it gives up: credit, queues, time, any input."""

import cbor2
import pytest
from firmware.tests.protocol.channel_peers import (
    BUSY,
    CREDIT,
    E2E_FAILED,
    ENDED,
    EXPIRED,
    NO_SPACE,
    NOT_AUTHORISED,
    OK,
    OPEN_DEVICE,
    OPENED,
    PROOF_MS,
    RELAY,
    WOULD_BLOCK,
    Channel,
    frame_size,
    session_id_of,
)
from firmware.tests.protocol.e2e_peers import (
    KK_2,
    NOW,
    Ask,
    Binding,
    Client,
    TokenFields,
)
from hypothesis import given, settings
from hypothesis import strategies as st

# ---- credit and the queue


def test_credit_of_what_is_done_at_once_comes_back_at_once(channel: Channel) -> None:
    sizes = 0
    for frame in ([OPEN_DEVICE, 1, session_id_of(1), TokenFields().signed()], [ENDED, 1, 0]):
        assert channel.receive(*frame).credit == [frame_size(*frame)]
    client = channel.ready(1)
    before = channel.given_back
    for length in (0, 1, 300, 975):
        frame = [RELAY, 1, client.seal(bytes(length))]
        sizes += frame_size(*frame)
        assert channel.receive(*frame).credit == [frame_size(*frame)]
    assert channel.given_back == before + sizes


def test_requests_wait_in_order_while_the_agent_is_blocked(channel: Channel) -> None:
    client = channel.ready(1)
    channel.agent(request=WOULD_BLOCK)
    frames = [[RELAY, 1, client.seal(b"%d" % number * 100)] for number in range(6)]
    for frame in frames:
        outcome = channel.receive(*frame)
        assert (outcome.requests, outcome.credit, outcome.sent) == ([], [], [])
    assert channel.poll().requests == []
    channel.agent(request=WOULD_BLOCK, after=2)
    outcome = channel.poll()
    assert outcome.requests == [(0, b"0" * 100), (0, b"1" * 100)]
    assert outcome.credit == [frame_size(*frame) for frame in frames[:2]]
    channel.agent()
    outcome = channel.poll()
    assert outcome.requests == [(0, b"%d" % number * 100) for number in range(2, 6)]
    assert outcome.credit == [frame_size(*frame) for frame in frames[2:]]
    assert channel.poll().credit == []


@pytest.mark.parametrize("length", [0, 1, 24, 300, 975])
def test_the_queue_holds_all_that_the_credit_lets_in(channel: Channel, length: int) -> None:
    client = channel.ready(1)
    channel.agent(request=WOULD_BLOCK)
    credit, count = CREDIT, 0
    while True:
        frame = [RELAY, 1, client.seal(bytes([count % 256]) * length)]
        if frame_size(*frame) > credit:
            break
        credit -= frame_size(*frame)
        count += 1
        outcome = channel.receive(*frame)
        assert (outcome.status, outcome.sent, outcome.credit) == (OK, [], [])
    channel.agent()
    outcome = channel.poll()
    assert outcome.requests == [(0, bytes([number % 256]) * length) for number in range(count)]
    assert sum(outcome.credit) == CREDIT - credit


def test_a_server_that_spends_more_than_its_credit_breaks_its_own_session_only(channel: Channel) -> None:
    """The link ends such a server's session; here the queue's own limit is tested."""
    client = channel.ready(1)
    channel.agent(request=WOULD_BLOCK)
    sizes = 0
    for _ in range(3):
        frame = [RELAY, 1, client.seal(bytes(975))]
        sizes += frame_size(*frame)
        outcome = channel.receive(*frame)
    assert (outcome.sent, outcome.detached) == ([[ENDED, 1, E2E_FAILED]], [0])
    assert sum(outcome.credit) == sizes


def test_what_waits_for_a_session_that_ends_is_dropped_and_paid_back_once(channel: Channel) -> None:
    clients = {1: channel.ready(1), 2: channel.ready(2, permissions=1)}
    channel.agent(request=WOULD_BLOCK)
    paid: dict[int, list[int]] = {1: [], 2: []}
    for number in range(6):
        session = 1 + number % 2
        frame = [RELAY, session, clients[session].seal(b"%d" % number * (10 + number))]
        paid[session].append(frame_size(*frame))
        assert channel.receive(*frame).credit == []
    outcome = channel.receive(ENDED, 1, 0)
    assert outcome.detached == [0]
    assert outcome.credit == [*paid[1], frame_size(ENDED, 1, 0)]
    channel.agent()
    outcome = channel.poll()
    assert outcome.requests == [(1, b"%d" % number * (10 + number)) for number in (1, 3, 5)]
    assert outcome.credit == paid[2]


def test_a_new_session_does_not_get_what_waited_for_the_old_one(channel: Channel) -> None:
    client = channel.ready(1)
    channel.agent(request=WOULD_BLOCK)
    channel.request(client, 1, b"old")
    channel.receive(ENDED, 1, 0)
    channel.agent()
    assert channel.poll().requests == []
    client = channel.connect(2)
    assert channel.request(client, 2, b"hello").requests == [(0, b"hello")]


# ---- the way out


def test_a_response_that_the_link_does_not_take_spends_no_nonce(channel: Channel) -> None:
    client = channel.ready(1)
    channel.room(40)
    for _ in range(3):
        outcome = channel.respond(0, bytes(100))
        assert (outcome.taken, outcome.sent) == (False, [])
    channel.room(2**30)
    for text in (b"first", bytes(960)):
        ((_, _, frame),) = channel.respond(0, text).sent
        assert isinstance(frame, bytes)
        assert client.open(frame) == text


def test_room_for_exactly_one_response(channel: Channel) -> None:
    client = channel.ready(2**32 - 1)  # the longest number
    channel.room(300 + 27 - 1)
    assert not channel.respond(0, bytes(300)).taken
    channel.room(300 + 27)
    ((_, _, frame),) = channel.respond(0, bytes(300)).sent
    assert isinstance(frame, bytes)
    assert client.open(frame) == bytes(300)  # the refusal spent no nonce


def test_a_response_over_the_limit_is_not_taken_and_spends_no_nonce(channel: Channel) -> None:
    client = channel.ready(1)
    for length in (961, 976, 997):
        assert not channel.respond(0, bytes(length)).taken
    ((_, _, frame),) = channel.respond(0, b"next").sent
    assert isinstance(frame, bytes)
    assert client.open(frame) == b"next"


def test_small_messages_wait_for_the_link_and_go_before_responses(channel: Channel) -> None:
    client = channel.ready(1)
    channel.room(0)
    assert channel.open(7, b"garbage").sent == []
    assert channel.open(8, b"garbage").sent == []
    channel.room(2**30)
    outcome = channel.respond(0, b"after")
    assert (outcome.taken, outcome.sent) == (False, [])
    assert channel.poll().sent == [[ENDED, 7, NOT_AUTHORISED], [ENDED, 8, NOT_AUTHORISED]]
    ((_, _, frame),) = channel.respond(0, b"after").sent
    assert isinstance(frame, bytes)
    assert client.open(frame) == b"after"


def test_a_handshake_answer_waits_for_the_link(channel: Channel) -> None:
    channel.open(1)
    client = Client(binding=Binding(session_id=session_id_of(1)))
    channel.room(0)
    assert channel.receive(RELAY, 1, client.start()).sent == []
    channel.room(2**30)
    ((kind, session, answer),) = channel.poll().sent
    assert isinstance(answer, bytes)
    assert (kind, session, answer[0]) == (RELAY, 1, KK_2)
    client.finish(answer)
    assert channel.request(client, 1, b"hello").requests == [(0, b"hello")]


def test_a_server_that_does_not_read_loses_the_link(channel: Channel) -> None:
    """It would not hear of a session's end otherwise."""
    channel.room(0)
    for number in range(4):
        assert channel.open(number, b"garbage").status == OK
    assert channel.poll().status == OK
    assert channel.open(4, b"garbage").status == NO_SPACE
    assert channel.poll().status == NO_SPACE
    channel.down()
    channel.room(2**30)
    outcome = channel.poll()
    assert (outcome.status, outcome.sent) == (OK, [])
    channel.ready(1)


def test_an_expiry_that_cannot_be_told_ends_the_link(channel: Channel) -> None:
    channel.open(1, TokenFields(expires=NOW + 5).signed())
    channel.room(0)
    for number in range(4):
        channel.open(10 + number, b"garbage")
    assert channel.poll(after=4999).status == OK
    assert channel.poll(after=1).status == NO_SPACE


# ---- the link and time


def test_the_end_of_the_link_detaches_everybody(channel: Channel) -> None:
    clients = [channel.ready(1), channel.ready(2, permissions=1)]
    channel.agent(request=WOULD_BLOCK)
    channel.request(clients[0], 1, b"waits")
    channel.room(0)
    channel.open(3, b"garbage")
    assert channel.down().detached == [0, 1]
    channel.room(2**30)
    channel.agent()
    outcome = channel.poll()  # nothing of the old link comes out on the new one
    assert (outcome.requests, outcome.sent, outcome.credit) == ([], [], [])
    assert channel.request(clients[0], 1, b"old").requests == []
    channel.ready(1)


def test_an_open_session_ends_with_its_token(channel: Channel) -> None:
    channel.open(1, TokenFields(expires=NOW + 30).signed())
    client = Client(binding=Binding(session_id=session_id_of(1)))
    ((_, _, answer),) = channel.receive(RELAY, 1, client.start()).sent
    assert isinstance(answer, bytes)
    client.finish(answer)
    channel.request(client, 1, b"hello")
    assert channel.poll(after=29_999).sent == []
    outcome = channel.poll(after=1)
    assert (outcome.sent, outcome.detached) == ([[ENDED, 1, EXPIRED]], [0])
    assert channel.request(client, 1, b"late").requests == []
    assert channel.poll(after=60_000).sent == []


def test_a_token_for_longer_than_the_clock_can_measure(channel: Channel) -> None:
    channel.open(1, TokenFields(expires=2**32 - 1).signed())
    client = Client(binding=Binding(session_id=session_id_of(1)))
    ((_, _, answer),) = channel.receive(RELAY, 1, client.start()).sent
    assert isinstance(answer, bytes)
    client.finish(answer)
    channel.request(client, 1, b"hello")
    for _ in range(23):
        assert channel.poll(after=86_400_000).sent == []
    assert channel.request(client, 1, b"still here").requests == [(0, b"still here")]


@pytest.mark.parametrize("shake_hands", [False, True])
def test_a_session_whose_client_does_not_prove_itself_ends(channel: Channel, shake_hands: bool) -> None:
    """Tokens are no secret: whoever has seen some could hold every session otherwise."""
    for session in (1, 2):
        if shake_hands:
            channel.connect(session)
        else:
            channel.open(session)
    assert channel.poll(after=PROOF_MS - 1).sent == []
    assert channel.open(3).sent == [[ENDED, 3, BUSY]]
    outcome = channel.poll(after=1)
    assert (outcome.sent, outcome.detached) == ([[ENDED, 1, E2E_FAILED], [ENDED, 2, E2E_FAILED]], [])
    channel.ready(3)
    assert channel.poll(after=PROOF_MS).sent == []


# ---- anything


MESSAGES = st.one_of(
    st.binary(max_size=60),
    st.builds(
        lambda kind, session, body: cbor2.dumps([kind, session, body]),
        st.sampled_from([RELAY, ENDED, OPENED]),
        st.integers(0, 3),
        st.binary(max_size=80) | st.integers(0, 9),
    ),
    st.builds(
        lambda session, good: cbor2.dumps(
            [OPEN_DEVICE, session, session_id_of(session), TokenFields().signed() if good else b"bad"]
        ),
        st.integers(0, 3),
        st.booleans(),
    ),
)


@given(messages=st.lists(MESSAGES, max_size=12), room=st.sampled_from([0, 30, 2**30]), ready=st.booleans())
@settings(deadline=None, max_examples=150)
def test_any_messages(ask_channel: Ask, messages: list[bytes], room: int, ready: bool) -> None:
    """Whatever the server sends: nobody attaches, nothing is executed, and credit comes back exactly once."""
    channel = Channel(ask_channel)
    if ready:
        channel.ready(1)
    channel.room(room)
    for message in messages:
        outcome = channel.receive_bytes(message)
        assert (outcome.attached, outcome.requests) == ([], [])
        assert sum(outcome.credit) == (len(message) if outcome.status in (OK, NO_SPACE) else 0)
    channel.down()
    channel.room(2**30)
    assert channel.poll(after=PROOF_MS).sent == []
    channel.ready(1)
