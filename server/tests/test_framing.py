import pytest
from cobs import cobs
from hypothesis import given
from hypothesis import strategies as st

from fieldlink.errors import LocalProtocolError
from fieldlink.framing import ENCODED_LIMIT, FRAME_LIMIT, FrameDecoder, encode_frame

frames = st.lists(st.binary(min_size=1, max_size=FRAME_LIMIT), max_size=6)


@given(frames, st.data())
def test_frames_survive_any_cut_of_the_stream(sent, data):
    stream = b"".join(encode_frame(frame) + b"\x00" * data.draw(st.integers(0, 2)) for frame in sent)
    decoder, received = FrameDecoder(), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        received += decoder.feed(stream[:size])
        stream = stream[size:]
    assert received == sent


@given(st.binary(max_size=4000), st.binary(min_size=1, max_size=100))
def test_garbage_never_hides_a_frame_behind_a_zero(garbage, frame):
    received = FrameDecoder().feed(garbage + b"\x00" + encode_frame(frame))
    assert received[-1] == frame
    assert all(item is None or 0 < len(item) <= FRAME_LIMIT for item in received)


def test_an_endless_frame_uses_bounded_memory_and_is_reported_once():
    decoder = FrameDecoder()
    for _ in range(1000):
        assert decoder.feed(b"\x05" * 1000) == []
        assert len(decoder._partial) <= ENCODED_LIMIT
    assert decoder.feed(b"\x00") == [None]
    assert decoder.feed(encode_frame(b"next")) == [b"next"]


def test_largest_frame_passes_and_one_more_byte_does_not():
    largest = bytes(range(1, 256)) * 5
    assert FrameDecoder().feed(encode_frame(largest[:FRAME_LIMIT])) == [largest[:FRAME_LIMIT]]
    assert FrameDecoder().feed(cobs.encode(b"\x00" * (FRAME_LIMIT + 1)) + b"\x00") == [None]
    for bad in (b"", b"x" * (FRAME_LIMIT + 1)):
        with pytest.raises(LocalProtocolError):
            encode_frame(bad)
