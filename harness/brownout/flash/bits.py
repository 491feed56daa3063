"""Masks over many bytes at once: the flash model works on whole ranges, never byte by byte in Python."""

from __future__ import annotations

_ANY = bytes(1) + b"\xff" * 255
_SATURATING_INCREMENT = bytes([*range(1, 256), 255])
_AT_LEAST_ONE = bytes([1, *range(1, 256)])


def to_int(data: bytes | bytearray | memoryview) -> int:
    """Read bytes as one integer, first byte lowest."""
    return int.from_bytes(data, "little")


def to_bytes(bits: int, size: int) -> bytes:
    """Write an integer as `size` bytes, first byte lowest."""
    return bits.to_bytes(size, "little")


def ones(size: int) -> int:
    """Return the integer with all bits of `size` bytes set."""
    return (1 << (8 * size)) - 1


def any_bit(mask: bytes, word: int) -> bytes:
    """Return one byte a word of `word` bytes: 0xFF where any bit of the word is set in `mask`, else 0."""
    total = 0
    for lane in range(word):
        total |= to_int(mask[lane::word])
    return to_bytes(total, len(mask) // word).translate(_ANY)


def expand(flags: bytes, word: int) -> int:
    """Turn one byte a word (0 or 0xFF) into an integer with all bits of the flagged words set."""
    wide = bytearray(len(flags) * word)
    for lane in range(word):
        wide[lane::word] = flags
    return to_int(wide)


def select(flags: bytes, yes: bytes, no: bytes) -> bytes:
    """Take bytes of `yes` where `flags` is 0xFF and bytes of `no` where it is 0."""
    mask = to_int(flags)
    return to_bytes((to_int(yes) & mask) | (to_int(no) & ~mask), len(flags))


def both(left: bytes, right: bytes) -> bytes:
    """Return the bits that are set on both sides."""
    return to_bytes(to_int(left) & to_int(right), len(left))


def either(left: bytes, right: bytes) -> bytes:
    """Return the bits that are set on at least one side."""
    return to_bytes(to_int(left) | to_int(right), len(left))


def increment(counts: bytes, flags: bytes) -> bytes:
    """Add 1, up to 255, to the counts whose flag is 0xFF."""
    return select(flags, counts.translate(_SATURATING_INCREMENT), counts)


def at_least_one(counts: bytes) -> bytes:
    """Return the counts with 1 for 0."""
    return counts.translate(_AT_LEAST_ONE)


def nth_bit(mask: int, number: int) -> int:
    """Return bit `number` (from 0, lowest first) of the set bits of `mask`, as a mask of one bit.

    The caller has checked that so many bits are set.
    """
    low, high = 0, mask.bit_length()
    while high - low > 1:
        middle = (low + high) // 2
        if (mask & ((1 << middle) - 1)).bit_count() > number:
            high = middle
        else:
            low = middle
    return 1 << low


def differing_span(left: bytes, right: bytes) -> tuple[int, int]:
    """Return (first differing byte, number of bytes up to the last one) of two unequal ranges of one size."""
    difference = to_int(left) ^ to_int(right)
    first = ((difference & -difference).bit_length() - 1) // 8
    return first, (difference.bit_length() - 1) // 8 + 1 - first
