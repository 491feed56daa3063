"""Credit and turns, as properties."""

from collections import deque

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldlink.errors import LocalProtocolError, QueueFullError, RemoteProtocolError
from fieldlink.mux import CREDIT_DOWN, CREDIT_UP, PAYLOAD_LIMIT, QUEUE_LIMIT, Channel, Mux

limited = st.sampled_from(list(CREDIT_UP))
actions = st.lists(
    st.one_of(
        st.tuples(st.just("queue"), limited, st.integers(0, PAYLOAD_LIMIT)),
        st.tuples(st.just("send"), st.just(Channel.CONTROL), st.integers(1, 5)),
        st.tuples(st.just("consume"), limited, st.integers(0, 4096)),
    ),
    max_size=120,
)


def test_a_device_holds_less_than_what_it_may_send():
    assert CREDIT_DOWN[Channel.DEBUG] == 2048  # as large as the kernel's queue of requests
    for channel in CREDIT_DOWN:
        device, server = Mux(sends_up=True), Mux(sends_up=False)
        assert (device.send_credit(channel), server.send_credit(channel)) == (
            CREDIT_UP[channel],
            CREDIT_DOWN[channel],
        )


@settings(max_examples=200)
@given(actions, st.booleans())
def test_credit_is_never_exceeded_and_no_byte_of_it_is_lost(steps, up):
    sender, receiver = Mux(sends_up=up), Mux(sends_up=not up)
    credit = CREDIT_UP if up else CREDIT_DOWN
    outstanding = dict.fromkeys(credit, 0)  # what an independent observer counts
    unconsumed = dict.fromkeys(credit, 0)
    order = {channel: deque() for channel in credit}
    for action, channel, amount in steps:
        if action == "queue":
            if sender.has_room(channel):
                sender.queue(channel, bytes(amount))
                order[channel].append(amount)
            else:
                with pytest.raises(QueueFullError):
                    sender.queue(channel, bytes(amount))
        elif action == "send":
            for _ in range(amount):
                if (message := sender.next_message()) is None:
                    break
                sent, payload = message
                assert len(payload) == order[sent].popleft()
                outstanding[sent] += len(payload)
                unconsumed[sent] += len(payload)
                assert outstanding[sent] <= credit[sent]
                assert receiver.received(sent, len(payload)) is sent
        else:
            amount = min(amount, unconsumed[channel])
            unconsumed[channel] -= amount
            grant = receiver.consume(channel, amount)
            if grant:
                outstanding[channel] -= grant
                assert grant >= credit[channel] // 2
                sender.credit_received(channel, grant)
        for each in credit:
            assert sender.send_credit(each) == credit[each] - outstanding[each]
            # Consumed bytes that are not given back stay under half: a largest message always fits again.
            assert outstanding[each] - unconsumed[each] < credit[each] // 2


@given(st.dictionaries(limited, st.integers(1, PAYLOAD_LIMIT), min_size=1), st.integers(5, 60))
def test_no_stream_starves(sizes, rounds):
    """Every channel that always has something to send gets its turn, whatever the others do."""
    sender, receiver = Mux(), Mux(sends_up=True)
    sent = dict.fromkeys(sizes, 0)
    for _ in range(rounds * len(sizes)):
        for channel, size in sizes.items():
            while sender.has_room(channel):
                sender.queue(channel, bytes(size))
        message = sender.next_message()
        assert message is not None
        channel, payload = message
        sent[channel] += 1
        receiver.received(channel, len(payload))
        if grant := receiver.consume(channel, len(payload)):
            sender.credit_received(channel, grant)
    assert max(sent.values()) - min(sent.values()) <= 1


def test_a_channel_without_credit_does_not_hold_up_the_others():
    mux = Mux()
    for _ in range(QUEUE_LIMIT):
        mux.queue(Channel.UPGRADE, bytes(1024))
    mux.queue(Channel.APPLICATION, b"telemetry")
    sent = []
    while message := mux.next_message():
        sent.append(message[0])
    assert sent.count(Channel.UPGRADE) == 4
    assert Channel.APPLICATION in sent[:2]


def test_control_goes_first():
    mux = Mux()
    mux.queue(Channel.APPLICATION, b"a")
    mux.queue(Channel.CONTROL, b"c")
    assert mux.next_message() == (Channel.CONTROL, b"c")


def test_the_peers_breaches_are_told_apart_from_ours():
    mux = Mux()
    for _ in range(2):
        mux.received(1, 1024)
    with pytest.raises(RemoteProtocolError, match="more credit than it has"):
        mux.received(1, 1)
    with pytest.raises(RemoteProtocolError, match="unknown"):
        mux.received(4, 0)
    with pytest.raises(RemoteProtocolError, match="at most"):
        mux.received(2, PAYLOAD_LIMIT + 1)
    with pytest.raises(RemoteProtocolError, match="more credit than was spent"):
        mux.credit_received(1, 1)
    with pytest.raises(RemoteProtocolError, match="has no credit"):
        mux.credit_received(0, 1)
    with pytest.raises(LocalProtocolError):
        mux.queue(Channel.APPLICATION, bytes(PAYLOAD_LIMIT + 1))
    with pytest.raises(LocalProtocolError, match="more than were received"):
        mux.consume(Channel.UPGRADE, 1)
