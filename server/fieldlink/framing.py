"""COBS frames on a byte stream (PROTOCOL.md, section 1). Sans-IO."""

from cobs import cobs

from fieldlink.errors import LocalProtocolError

FRAME_LIMIT = 1060
"""Most bytes of a decoded frame."""

ENCODED_LIMIT = FRAME_LIMIT + FRAME_LIMIT // 254 + 1
"""Most bytes of an encoded frame without its terminating zero."""


def encode_frame(frame: bytes) -> bytes:
    """`frame` as it travels: COBS-encoded, with the terminating zero."""
    if not 0 < len(frame) <= FRAME_LIMIT:
        raise LocalProtocolError(f"frame of {len(frame)} bytes, expected 1..{FRAME_LIMIT}")
    return bytes(cobs.encode(frame)) + b"\x00"


class FrameDecoder:
    """Finds frames in a stream that arrives in pieces of any size. Holds at most one encoded frame."""

    def __init__(self) -> None:
        self._partial = bytearray()
        self._overflowed = False

    def feed(self, data: bytes) -> list[bytes | None]:
        """Frames that `data` completes, in order; None stands for one that was damaged or too long."""
        frames: list[bytes | None] = []
        *ended, rest = data.split(b"\x00")
        for piece in ended:
            self._append(piece)
            frames.extend(self._finish())
        self._append(rest)
        return frames

    def _append(self, piece: bytes) -> None:
        if self._overflowed or len(self._partial) + len(piece) > ENCODED_LIMIT:
            self._overflowed = True
            self._partial.clear()
        else:
            self._partial += piece

    def _finish(self) -> list[bytes | None]:
        encoded, overflowed = bytes(self._partial), self._overflowed
        self._partial.clear()
        self._overflowed = False
        if overflowed:
            return [None]
        if not encoded:
            return []  # two zeros in a row: a flush, not a frame
        try:
            frame = bytes(cobs.decode(encoded))
        except cobs.DecodeError:
            return [None]
        return [frame] if 0 < len(frame) <= FRAME_LIMIT else [None]
