"""Numbers as a person reads them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_SHOWN_RANGES = 6


def ranges_text(numbers: Iterable[int], *, shown: int = _SHOWN_RANGES) -> str:
    """Numbers as ranges: 3-7, 12, 40-41; after `shown` ranges, how many numbers are left."""
    ordered = sorted(set(numbers))
    ranges: list[tuple[int, int]] = []
    for number in ordered:
        if ranges and ranges[-1][1] + 1 == number:
            ranges[-1] = (ranges[-1][0], number)
        else:
            ranges.append((number, number))
    text = ", ".join(str(low) if low == high else f"{low}-{high}" for low, high in ranges[:shown])
    left = sum(high - low + 1 for low, high in ranges[shown:])
    return f"{text} and {left} more" if left else text


def bytes_text(size: int) -> str:
    """A size: 4 KiB, 300 B."""
    if size and size % (1024 * 1024) == 0:
        return f"{size // (1024 * 1024)} MiB"
    return f"{size // 1024} KiB" if size and size % 1024 == 0 else f"{size} B"


def duration_text(seconds: float) -> str:
    """A duration: 0.4 s, 12 s, 3 min 20 s, 1 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
