"""The firmware's COBS against the PyPI package of that name."""

from collections.abc import Callable

import pytest
from cobs import cobs
from hypothesis import given, settings
from hypothesis import strategies as st

Ask = Callable[[str], list[str]]

FRAMES = st.binary(min_size=1, max_size=1060) | st.lists(
    st.sampled_from([b"\x00", b"\x01", b"\xff", b"a" * 253, b"b" * 254, b"c" * 255]), min_size=1, max_size=4
).map(b"".join)


def _hex(data: bytes) -> str:
    return data.hex() or "-"


@pytest.mark.parametrize("length", [1, 2, 252, 253, 254, 255, 256, 507, 508, 509, 762, 1059, 1060])
@pytest.mark.parametrize("fill", [b"\x00", b"\x01", b"\xff"])
def test_encodes_in_place_at_block_boundaries(host: Ask, length: int, fill: bytes) -> None:
    for frame in (fill * length, fill * (length - 1) + b"\x00", b"\x00" + fill * (length - 1)):
        assert host(f"cobs {frame.hex()}") == [cobs.encode(frame).hex() + "00", "=0"]
        assert host(f"uncobs {length} {cobs.encode(frame).hex()}00") == [frame.hex(), "=0"]


@given(frame=FRAMES)
@settings(deadline=None, max_examples=150)
def test_encodes_like_the_other_implementation(host: Ask, frame: bytes) -> None:
    assert host(f"cobs {frame.hex()}") == [cobs.encode(frame).hex() + "00", "=0"]


def _expected(stream: bytes, capacity: int) -> list[str]:
    """What the other implementation says of each piece that a zero ends."""
    events = []
    for piece in stream.split(b"\x00")[:-1]:
        if not piece:
            continue
        try:
            frame = cobs.decode(piece)
        except cobs.DecodeError:
            events.append("!")
            continue
        if len(frame) > capacity:
            events.append("!")
        elif frame:
            events.append(frame.hex())
    return events


@given(
    pieces=st.lists(FRAMES.map(cobs.encode) | st.binary(max_size=40), max_size=5), tail=st.binary(max_size=5)
)
@settings(deadline=None, max_examples=200)
def test_decodes_any_stream_like_the_other_implementation(
    host: Ask, pieces: list[bytes], tail: bytes
) -> None:
    stream = b"\x00".join([*pieces, b""]) + tail
    if len(stream) > 4000:
        stream = stream[:4000]
    assert host(f"uncobs 1060 {_hex(stream)}") == [*_expected(stream, 1060), "=0"]


def test_a_frame_longer_than_the_buffer_is_one_error_and_the_next_frame_is_found(host: Ask) -> None:
    long, short = cobs.encode(b"x" * 600).hex(), cobs.encode(b"after\x00").hex()
    assert host(f"uncobs 599 {long}00{short}00") == ["!", b"after\x00".hex(), "=0"]
    assert host(f"uncobs 600 {long}00{short}00") == [(b"x" * 600).hex(), b"after\x00".hex(), "=0"]
    zeros = cobs.encode(bytes(9)).hex()
    assert host(f"uncobs 8 {zeros}00{short}00") == ["!", b"after\x00".hex(), "=0"]


def test_empty_frames_are_skipped(host: Ask) -> None:
    assert host("uncobs 10 00000001000001000002610000") == ["61", "=0"]
