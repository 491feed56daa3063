"""Checked access to decoded CBOR.

Every getter takes a name for its error message, and raises RemoteProtocolError.
"""

from fieldlink.errors import RemoteProtocolError

U32_MAX = 2**32 - 1


def as_array(value: object, name: str, length: int) -> list[object]:
    """An array of exactly `length` items."""
    if not isinstance(value, list) or len(value) != length:
        raise RemoteProtocolError(f"{name}: expected an array of {length}")
    return value


def as_u32(value: object, name: str) -> int:
    """An unsigned integer that fits in 32 bits."""
    if type(value) is not int or not 0 <= value <= U32_MAX:
        raise RemoteProtocolError(f"{name}: expected an unsigned 32-bit integer")
    return value


def as_constant(value: object, name: str, expected: int) -> None:
    """Exactly this integer."""
    if type(value) is not int or value != expected:
        raise RemoteProtocolError(f"{name}: expected {expected}, got {value!r:.20}")


def as_bytes(value: object, name: str, low: int, high: int) -> bytes:
    """A byte string of `low` to `high` bytes."""
    if not isinstance(value, bytes) or not low <= len(value) <= high:
        raise RemoteProtocolError(f"{name}: expected {low}..{high} bytes")
    return value


def as_text(value: object, name: str, low: int, high: int) -> str:
    """A text string of `low` to `high` bytes in UTF-8."""
    if not isinstance(value, str) or not low <= len(value.encode()) <= high:
        raise RemoteProtocolError(f"{name}: expected text of {low}..{high} bytes")
    return value


def as_u32s(*values: int) -> list[object]:
    """Fields of a message to encode, each checked; enumerations are welcome. RemoteProtocolError."""
    return [as_u32(int(value), "field") for value in values]
