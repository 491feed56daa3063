"""CBOR for messages from strangers: deterministic out, a small strict subset in.

`cbor2` would follow tags (regular expressions, big numbers, dates) and lengths of any size. What arrives
is therefore walked first: only unsigned integers, byte and text strings, arrays, maps and expected tags
pass, with bounded depth and with every length inside the input.
"""

import io

import cbor2

from fieldlink.errors import RemoteProtocolError

DEPTH_LIMIT = 6

_ADDITIONAL_INDEFINITE = 31
_BREAK = 0xFF


def dumps(value: object) -> bytes:
    """Deterministic encoding (RFC 8949, section 4.2): definite lengths, shortest forms, sorted keys."""
    return cbor2.dumps(value, canonical=True)


def loads(data: bytes, *, tags: frozenset[int] = frozenset()) -> object:
    """The one item in `data`.

    RemoteProtocolError for anything outside the subset, or bytes after the item.
    """
    walker = _Walker(data, tags)
    end = walker.item(0, 0)
    if end != len(data):
        raise RemoteProtocolError(f"{len(data) - end} bytes after the end of the CBOR item")
    try:
        value: object = cbor2.CBORDecoder(io.BytesIO(data)).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError) as error:  # e.g. text that is not UTF-8
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise RemoteProtocolError(f"malformed CBOR: {reason}") from error
    return value


class _Walker:
    """Checks well-formedness and the subset; every method returns the offset past what it checked."""

    def __init__(self, data: bytes, tags: frozenset[int]) -> None:
        self._data = data
        self._tags = tags

    def _byte(self, offset: int) -> int:
        if offset >= len(self._data):
            raise RemoteProtocolError("CBOR item is cut short")
        return self._data[offset]

    def _argument(self, offset: int) -> tuple[int | None, int]:
        """Argument of the head at `offset` (None: indefinite length) and the offset past the head."""
        additional = self._byte(offset) & 0x1F
        if additional < 24:
            return additional, offset + 1
        if additional == _ADDITIONAL_INDEFINITE:
            return None, offset + 1
        if additional > 27:
            raise RemoteProtocolError("reserved CBOR head")
        end = offset + 1 + (1 << (additional - 24))
        self._byte(end - 1)
        return int.from_bytes(self._data[offset + 1 : end], "big"), end

    def item(self, offset: int, depth: int) -> int:
        if depth > DEPTH_LIMIT:
            raise RemoteProtocolError(f"CBOR nested deeper than {DEPTH_LIMIT}")
        major = self._byte(offset) >> 5
        argument, body = self._argument(offset)
        if major in (0, 2, 3, 6) and argument is None:
            raise RemoteProtocolError("indefinite length where the protocol has none")
        if major == 0:
            return body
        if major in (2, 3):
            end = body + (argument or 0)
            if end > len(self._data):
                raise RemoteProtocolError("CBOR string is longer than the message")
            return end
        if major in (4, 5):
            return self._members(argument, body, depth, per_member=major - 3)
        if major == 6 and argument in self._tags:
            return self.item(body, depth + 1)
        raise RemoteProtocolError(f"CBOR type {self._data[offset]:#04x} is not used in this protocol")

    def _members(self, count: int | None, offset: int, depth: int, *, per_member: int) -> int:
        if count is None:
            while self._byte(offset) != _BREAK:
                for _ in range(per_member):
                    offset = self.item(offset, depth + 1)
            return offset + 1
        if count * per_member > len(self._data) - offset:
            raise RemoteProtocolError("CBOR array or map is longer than the message")
        for _ in range(count * per_member):
            offset = self.item(offset, depth + 1)
        return offset
