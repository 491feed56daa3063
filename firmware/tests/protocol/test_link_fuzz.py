"""Whatever arrives, the firmware's link, under sanitizers, does not crash or deliver what was not sent."""

from firmware.tests.protocol.link_peers import CONSUME, ECHO, FAIL, KEEP, Ask, Device, Server, connect, encode
from hypothesis import given, settings
from hypothesis import strategies as st

FRAME = st.binary(min_size=1, max_size=200).map(encode)
TYPED = st.builds(
    lambda kind, body: encode(bytes([kind]) + body), st.integers(0, 5), st.binary(max_size=1100)
)
STREAM = st.lists(st.binary(max_size=300) | FRAME | TYPED | st.just(b"\x00"), max_size=8).map(b"".join)
PIECES = st.integers(1, 500)


def _feed(device: Device, stream: bytes, piece: int) -> list[tuple[int, bytes]]:
    received = []
    for start in range(0, len(stream), piece):
        received += device.input(stream[start : start + piece]).received
    return received


@given(stream=STREAM, piece=PIECES, wait=st.integers(0, 20000))
@settings(deadline=None, max_examples=150)
def test_any_bytes_in_any_phase(host: Ask, stream: bytes, piece: int, wait: int) -> None:
    device, server = Device(host), Server()
    assert _feed(device, stream, piece) == []
    device.poll()
    assert _feed(device, stream, piece) == []
    device.poll(after=wait)
    device = Device(host, mode=CONSUME)
    connect(device, server)
    assert _feed(device, stream, piece) == []
    device.poll(after=wait)
    while device.poll_at_deadline().stream == b"" or device.is_up:
        pass  # whatever happened, it comes to a new handshake


@given(
    messages=st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=1100)), max_size=12),
    piece=PIECES,
    mode=st.sampled_from([KEEP, CONSUME, ECHO, FAIL]),
)
@settings(deadline=None, max_examples=150)
def test_any_authenticated_messages(
    host: Ask, messages: list[tuple[int, bytes]], piece: int, mode: int
) -> None:
    """A server gone mad: what is delivered is a prefix of what it sent on real channels."""
    device, server = Device(host, mode=mode), Server()
    connect(device, server)
    stream = b"".join(
        server.message(channel, payload) for channel, payload in messages if len(payload) <= 1040
    )
    received = _feed(device, stream, piece)
    sent = [(channel, payload) for channel, payload in messages if 1 <= channel <= 3 and len(payload) <= 1024]
    assert received == sent[: len(received)]


@given(data=st.data())
@settings(deadline=None, max_examples=100)
def test_any_order_of_calls(host: Ask, data: st.DataObject) -> None:
    """Users of the link call it whenever they like; its own server understands whatever comes out."""
    device, server = Device(host, mode=CONSUME), Server()
    for _ in range(data.draw(st.integers(1, 25))):
        call = data.draw(st.sampled_from(["send", "poll", "consume", "fail", "block", "message", "wait"]))
        channel = data.draw(st.integers(0, 4))
        size = data.draw(st.integers(0, 1100))
        match call:
            case "send":
                outcome = device.send(channel, bytes(size))
            case "poll":
                outcome = device.poll_at_deadline()
            case "wait":
                outcome = device.poll(after=size * 10)
            case "fail" if size % 4 == 0:
                outcome = device.fail()
            case "message" if device.is_up and server.noise is not None and 1 <= channel <= 3 and size <= 500:
                outcome = device.input(server.message(channel, bytes(size)))
            case "block":
                device.set_mode(CONSUME, blocked=size % 2 == 0)
                continue
            case _:
                device.consume(channel, size)
                continue
        for frame in outcome.frames():
            if frame[0] == 1:
                answer = device.input(server.respond(frame))
                server.open_all(answer)
            else:
                server.open(frame)
