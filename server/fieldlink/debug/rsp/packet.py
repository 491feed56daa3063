"""Packets on GDB's byte stream: `$data#checksum`, acks, and the interrupt byte. Sans-IO."""

from dataclasses import dataclass
from enum import Enum
from typing import Final

PACKET_LIMIT: Final = 0x4000
"""Most bytes between `$` and `#`; told to GDB as PacketSize."""

_START, _END, _ESCAPE, _ESCAPE_BIT = ord("$"), ord("#"), ord("}"), 0x20
_MUST_ESCAPE: Final = frozenset(b"$#}*")


class Token(Enum):
    """Single bytes outside packets that mean something."""

    ACK = "+"
    NACK = "-"
    INTERRUPT = "Ctrl-C"


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """A packet whose checksum held; `data` is unescaped."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """Something that began like a packet: wrong checksum, too long, or broken off by another."""

    reason: str


Item = Token | Packet | Damaged


def checksum(data: bytes | bytearray) -> int:
    """Sum of the escaped bytes, modulo 256."""
    return sum(data) & 0xFF


def encode_packet(data: bytes) -> bytes:
    """`data` as a packet, escaped, with its checksum."""
    escaped = bytearray()
    for byte in data:
        if byte in _MUST_ESCAPE:
            escaped += bytes([_ESCAPE, byte ^ _ESCAPE_BIT])
        else:
            escaped.append(byte)
    return b"$" + bytes(escaped) + b"#%02x" % checksum(escaped)


def _unescape(data: bytes) -> bytes | None:
    """None when the last byte is an escape without its partner."""
    if _ESCAPE not in data:
        return data
    out = bytearray()
    source = iter(data)
    for byte in source:
        if byte == _ESCAPE:
            follower = next(source, None)
            if follower is None:
                return None
            out.append(follower ^ _ESCAPE_BIT)
        else:
            out.append(byte)
    return bytes(out)


class _State(Enum):
    IDLE = "between packets"
    DATA = "in a packet"
    CHECKSUM = "in a checksum"


class PacketDecoder:
    """Finds packets in a stream cut anywhere. Holds at most one packet; bytes between packets are ignored."""

    def __init__(self) -> None:
        self._state = _State.IDLE
        self._data = bytearray()
        self._digits = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> list[Item]:
        """What `data` completes, in order."""
        items: list[Item] = []
        for byte in data:
            item = self._byte(byte)
            if item is not None:
                items.append(item)
        return items

    def _byte(self, byte: int) -> Item | None:
        if self._state is _State.IDLE:
            return self._idle(byte)
        if byte == _START:  # never inside a packet unescaped: the one before was broken off
            self._begin()
            return Damaged(reason="a packet was broken off")
        if self._state is _State.CHECKSUM:
            self._digits.append(byte)
            return self._finish() if len(self._digits) == 2 else None
        if byte == _END:
            self._state = _State.CHECKSUM
        elif len(self._data) >= 2 * PACKET_LIMIT:  # all bytes may be escaped
            self._too_long = True
            self._data.clear()
        elif not self._too_long:
            self._data.append(byte)
        return None

    def _idle(self, byte: int) -> Item | None:
        match byte:
            case 0x24:
                self._begin()
            case 0x2B:
                return Token.ACK
            case 0x2D:
                return Token.NACK
            case 0x03:
                return Token.INTERRUPT
            case _:
                pass
        return None

    def _begin(self) -> None:
        self._state = _State.DATA
        self._data.clear()
        self._digits.clear()
        self._too_long = False

    def _finish(self) -> Item:
        self._state = _State.IDLE
        raw, digits = bytes(self._data), bytes(self._digits)
        self._data.clear()
        if self._too_long:
            return Damaged(reason=f"a packet of more than {PACKET_LIMIT} bytes")
        try:
            # int() would also take signs, spaces and underscores.
            expected = bytes.fromhex(digits.decode("ascii"))
        except ValueError:
            return Damaged(reason="a checksum that is not two hex digits")
        if expected != bytes([checksum(raw)]):
            return Damaged(reason="a wrong checksum")
        unescaped = _unescape(raw)
        if unescaped is None or len(unescaped) > PACKET_LIMIT:
            return Damaged(reason="an escape without its byte, or a packet that is too long")
        return Packet(data=unescaped)
