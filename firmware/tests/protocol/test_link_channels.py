"""Messages, credit and turns of the firmware's link, against the test server of link_peers."""

import hashlib

import pytest
from firmware.tests.protocol.link_peers import (
    APPLICATION,
    CONSUME,
    DEBUG,
    ECHO,
    INITIAL_CREDIT,
    INVALID_ARGUMENT,
    OK,
    UPGRADE,
    WOULD_BLOCK,
    Ask,
    Device,
    Outcome,
    Server,
    assert_ended,
    connect,
)

# ---- messages, turns and credit


def test_messages_of_all_sizes_both_ways_byte_by_byte(ask: Ask) -> None:
    device, server = Device(ask, mode=CONSUME), Server()
    server.open_all(connect(device, server))
    for length in (0, 1, 253, 254, 255, 1023, 1024):
        payload = hashlib.shake_128(b"%d" % length).digest(length)
        stream = server.message(DEBUG, payload)
        received, answers = [], b""
        for cut in range(0, len(stream), 97):
            outcome = device.input(stream[cut : cut + 97])
            received += outcome.received
            answers += outcome.stream
        assert received == [(DEBUG, payload)]
        server.open_all(Outcome(stream=answers))
        assert server.open_all(device.send(UPGRADE, payload)) == [(UPGRADE, payload)]
        device.input(server.control(1, UPGRADE, length))


def test_sending_spends_credit_and_credit_from_the_server_restores_it(session: tuple[Device, Server]) -> None:
    device, server = session
    assert server.open_all(device.send(APPLICATION, bytes(1000))) == [(APPLICATION, bytes(1000))]
    assert device.room()[APPLICATION] == 1024
    assert device.send(APPLICATION, bytes(1000)).status == OK
    assert device.room()[APPLICATION] == 48
    refused = device.send(APPLICATION, bytes(49))
    assert (refused.status, refused.stream) == (WOULD_BLOCK, b"")
    assert device.send(APPLICATION, bytes(48)).status == OK
    assert device.send(APPLICATION, b"").status == OK
    assert device.send(UPGRADE, bytes(1024)).status == OK  # another channel is not concerned
    device.input(server.control(1, APPLICATION, 1024))
    assert device.room()[APPLICATION] == 1024
    assert_ended(device, device.input(server.control(1, APPLICATION, 1025)))


def test_the_debug_channel_has_more_credit_away_from_the_device(session: tuple[Device, Server]) -> None:
    device, server = session
    for _ in range(8):
        assert server.open_all(device.send(DEBUG, bytes(1024))) == [(DEBUG, bytes(1024))]
    assert device.room()[DEBUG] == 0
    assert device.send(DEBUG, b"x").status == WOULD_BLOCK
    device.input(server.control(1, DEBUG, 8192))
    assert device.room()[DEBUG] == 1024
    assert_ended(device, device.input(server.control(1, DEBUG, 1)))


def test_wrong_arguments_are_refused(session: tuple[Device, Server]) -> None:
    device, _ = session
    assert device.send(0, b"x").status == INVALID_ARGUMENT
    assert device.send(4, b"x").status == INVALID_ARGUMENT
    assert device.send(UPGRADE, bytes(1025)).status == INVALID_ARGUMENT


@pytest.mark.parametrize("channel", INITIAL_CREDIT)
def test_the_server_may_not_overrun_its_credit(session: tuple[Device, Server], channel: int) -> None:
    device, server = session
    for _ in range(INITIAL_CREDIT[channel] // 1024):
        assert device.input(server.message(channel, bytes(1024))).sessions == []
    assert device.input(server.message(channel, b"")).sessions == []
    outcome = device.input(server.message(channel, b"x"))
    assert outcome.received == []
    assert_ended(device, outcome)


@pytest.mark.parametrize("channel", INITIAL_CREDIT)
def test_consumed_bytes_come_back_as_credit_at_half(session: tuple[Device, Server], channel: int) -> None:
    device, server = session
    half = INITIAL_CREDIT[channel] // 2
    for _ in range(half // 512):
        device.input(server.message(channel, bytes(512)))
    device.consume(channel, half - 1)
    assert device.poll().stream == b""
    assert device.wait() > 0
    device.consume(channel, 1)
    assert device.wait() == 0
    assert server.open_all(device.poll()) == [(0, [1, channel, half])]
    for _ in range(INITIAL_CREDIT[channel] // 512):  # all of it is there again
        assert device.input(server.message(channel, bytes(512))).sessions == []
    assert device.input(server.message(channel, b"x")).sessions == ["down"]


def test_consuming_more_than_was_received_gives_nothing_away(session: tuple[Device, Server]) -> None:
    device, server = session
    device.input(server.message(APPLICATION, bytes(1024)))
    device.consume(APPLICATION, 5000)
    assert server.open_all(device.poll()) == [(0, [1, APPLICATION, 1024])]
    device.consume(APPLICATION, 5000)
    device.consume(0, 5000)
    device.consume(9, 5000)
    assert device.poll().stream == b""


def test_credit_goes_on_for_ever(session: tuple[Device, Server]) -> None:
    """A long stream with a server that counts: it never runs dry and is never given too much."""
    device, server = session
    device.set_mode(CONSUME)
    credit = INITIAL_CREDIT[UPGRADE]
    for number in range(200):
        size = (number * 37) % 1000 + 1
        assert size <= credit
        credit -= size
        outcome = device.input(server.message(UPGRADE, bytes(size)))
        for channel, item in server.open_all(outcome):
            assert isinstance(item, list)
            assert (channel, item[:2]) == (0, [1, UPGRADE])
            credit += item[2]
            assert credit <= INITIAL_CREDIT[UPGRADE]


def test_answers_can_be_sent_from_inside_the_receive_callback(session: tuple[Device, Server]) -> None:
    device, server = session
    device.set_mode(ECHO)
    stream = b"".join(server.message(APPLICATION, b"%d" % number) for number in range(5))
    outcome = device.input(stream)
    assert server.open_all(outcome) == [(APPLICATION, b"%d" % number) for number in range(5)]


def test_channels_take_turns_control_first(session: tuple[Device, Server]) -> None:
    device, server = session
    device.set_mode(CONSUME, blocked=True)
    assert device.send(DEBUG, b"out first: it was encrypted when the line blocked").status == OK
    for channel in (APPLICATION, UPGRADE, DEBUG):
        assert device.send(channel, b"%d" % channel).status == OK
        assert device.send(channel, b"no room").status == WOULD_BLOCK
        assert device.room()[channel] == 0
    device.input(server.control(2, 77) + server.message(APPLICATION, bytes(1024)))
    assert 0 < device.wait() <= 5
    device.set_mode(CONSUME)
    messages = server.open_all(device.poll())
    assert messages[1:3] == [(0, [3, 77]), (0, [1, APPLICATION, 1024])]
    assert [channel for channel, _ in messages] == [DEBUG, 0, 0, APPLICATION, UPGRADE, DEBUG]


def test_turns_go_on_where_they_stopped(session: tuple[Device, Server]) -> None:
    """A channel that always has something cannot keep another one waiting."""
    device, server = session
    order = []
    for _ in range(3):
        device.set_mode(blocked=True)
        device.send(APPLICATION, b"a")
        device.send(APPLICATION, b"a")
        device.send(UPGRADE, b"u")
        device.set_mode()
        order += [channel for channel, _ in server.open_all(device.poll())]
    assert order == [APPLICATION, UPGRADE, APPLICATION] * 3


def test_a_blocked_line_loses_nothing_and_a_new_session_starts_clean(session: tuple[Device, Server]) -> None:
    device, server = session
    device.set_mode(blocked=True)
    device.send(APPLICATION, b"old")
    device.send(APPLICATION, b"older")
    device.send(UPGRADE, b"oldest")
    assert_ended(device, device.fail())
    device.set_mode()
    outcome = connect(device, server)
    ((channel, ping),) = server.open_all(outcome)
    assert isinstance(ping, list)
    assert (channel, ping[0]) == (0, 2)
    assert device.room() == [0, 1024, 1024, 1024]


def test_output_is_known_to_wait_until_all_of_it_has_left(session: tuple[Device, Server]) -> None:
    device, server = session
    assert not device.has_output()
    device.set_mode(blocked=True)
    device.send(UPGRADE, b"under way")
    assert device.has_output()
    device.send(UPGRADE, b"in its slot")
    device.set_mode()
    assert device.has_output()
    assert [payload for _, payload in server.open_all(device.poll())] == [b"under way", b"in its slot"]
    assert not device.has_output()
    device.input(server.message(UPGRADE, bytes(1024)) + server.message(UPGRADE, bytes(1024)))
    assert not device.has_output()
    device.consume(UPGRADE, 2048)
    assert device.has_output()


def test_a_blocked_handshake_is_offered_again(host: Ask, server: Server) -> None:
    device = Device(host)
    device.set_mode(blocked=True)
    assert device.poll().stream == b""
    assert 0 < device.wait() <= 5
    device.set_mode()
    (hello,) = device.poll(after=5).frames()
    assert device.input(server.respond(hello)).sessions == ["up"]


def test_ram_budget(ask: Ask) -> None:
    assert int(ask("linksize")[0]) <= 8192
