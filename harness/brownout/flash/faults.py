"""What an interrupted program or erase leaves behind. Pure functions on bytes; see docs/fault-model.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from brownout.flash.bits import (
    any_bit,
    at_least_one,
    both,
    either,
    expand,
    increment,
    nth_bit,
    ones,
    select,
    to_bytes,
    to_int,
)
from brownout.flash.faults_styles import Torn, TornBits, TornDraw, TornStyle


@dataclass(frozen=True, slots=True, kw_only=True)
class Cells:
    """Some cells of the array.

    Args:
        value: what they read.
        unstable: same size; bits set are half-way and drawn anew at each power-on.
        programs: one byte a word: programs of it since its last erase, at most 255.
    """

    value: bytes
    unstable: bytes
    programs: bytes


class Draw(Protocol):
    """Where random bytes come from: the same use and size give the same bytes."""

    def __call__(self, use: str, size: int) -> bytes:
        """Return `size` bytes for a named use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plan:
    """Which part of an operation is done.

    `done` and `half` are masks of changing bits; `partly` and `touched` are flags, a byte a word (0xFF or
    0): words that are left in between, and all words that the operation reached. `spoilt` bits end as 0
    after an erase, though they are none that it would change.
    """

    done: int
    half: int
    partly: bytes
    touched: bytes
    spoilt: int = 0


def tear_program(cells: Cells, data: bytes, *, words: bytes, unit: int, style: Torn, draw: Draw) -> Cells:
    """Return the cells after a part of a program.

    Every bit ends between what it read and what the whole program would have made of it; bits that it would
    not change stay as they are.

    Args:
        cells: what was there.
        data: what was to be programmed, same size.
        words: the words that the program counts for, a byte a word (0xFF or 0).
        unit: bytes a word.
        style: which part.
        draw: source of random bytes.
    """
    size = len(data)
    draw = _drawing(style, draw)
    old, unstable = to_int(cells.value), to_int(cells.unstable)
    changing = ~to_int(data) & (old | unstable) & ones(size)
    plan = _plan(changing, size=size, unit=unit, style=style, draw=draw)
    partly = changing & expand(plan.partly, unit)
    half = (plan.half & changing) | (partly & _sparse(draw, size) if partly else 0)
    done = plan.done | (partly & ~half & to_int(draw("done", size)) if partly else 0)
    # A half-way bit reads 1 or 0 from now on; one that reads 0 already does not go back before power-on.
    value = old & ~done & ~(half & to_int(draw("half-way", size)))
    return Cells(
        value=to_bytes(value, size),
        unstable=to_bytes((unstable & ~done) | half, size),
        programs=increment(cells.programs, both(plan.touched, words)),
    )


def tear_erase(cells: Cells, *, unit: int, style: Torn, draw: Draw) -> Cells:
    """Return the cells of a sector after a part of an erase.

    Each word is old, erased, or left in between: all its bits random, or erased except for some unstable
    bits (a word that looks blank and is not). An erase reaches bits that were 1 as well, because flash
    programs them first.

    Args:
        cells: what was there, a whole sector.
        unit: bytes a word.
        style: which part.
        draw: source of random bytes.
    """
    size = len(cells.value)
    draw = _drawing(style, draw)
    old, unstable = to_int(cells.value), to_int(cells.unstable)
    changing = ((~old) | unstable) & ones(size)
    plan = _plan(changing, size=size, unit=unit, style=style, draw=draw)
    value = (old & ~plan.spoilt) | plan.done
    value = (value & ~plan.half) | (plan.half & (old | to_int(draw("half-way", size))))
    unstable = (unstable & ~plan.done & ~plan.spoilt) | plan.half
    if any(plan.partly):
        partly = expand(plan.partly, unit)
        looks_blank = partly & expand(draw("looks blank", len(plan.partly)).translate(_COIN), unit)
        half = partly & _sparse(draw, size)
        value = (value & ~partly) | (partly & to_int(draw("value", size))) | (looks_blank & ~half)
        unstable |= half
    left = any_bit(to_bytes((changing & ~plan.done) | plan.spoilt | plan.half, size), unit)
    left = to_bytes(to_int(left) | to_int(plan.partly), len(left))
    reached = select(left, at_least_one(cells.programs), bytes(len(left)))
    return Cells(
        value=to_bytes(value, size),
        unstable=to_bytes(unstable, size),
        programs=select(plan.touched, reached, cells.programs),
    )


def _plan(changing: int, *, size: int, unit: int, style: Torn, draw: Draw) -> _Plan:
    if isinstance(style, TornBits):
        return _exactly(changing, style, size=size, unit=unit)
    if isinstance(style, TornDraw):
        style = style.style
    count = size // unit
    none, every = bytes(count), b"\xff" * count
    done, half, touched = changing, 0, every
    match style:
        case TornStyle.RANDOM | TornStyle.FORWARD | TornStyle.BACKWARD:
            words, partly = _words_in_order(count, style, draw)
            done = changing & expand(words, unit)
            return _Plan(done=done, half=0, partly=partly, touched=either(words, partly))
        case TornStyle.ONLY_FIRST_WORD | TornStyle.ONLY_LAST_WORD:
            flags = any_bit(to_bytes(changing, size), unit)
            first = style is TornStyle.ONLY_FIRST_WORD
            number = flags.find(b"\xff") if first else flags.rfind(b"\xff")
            touched = none if number < 0 else none[:number] + b"\xff" + none[number + 1 :]
            done = changing & expand(touched, unit)
        case TornStyle.ONE_BIT:
            done = _one_bit(changing, draw)
            touched = any_bit(to_bytes(done, size), unit)
        case TornStyle.ALL_BUT_ONE_BIT:
            done = changing & ~_one_bit(changing, draw)
        case TornStyle.ONE_UNSTABLE_BIT:
            half = _one_bit(changing, draw)
            done = changing & ~half
        case TornStyle.ALL_UNSTABLE:
            done, half = 0, changing
    return _Plan(done=done, half=half, partly=none, touched=touched)


def _exactly(changing: int, bits: TornBits, *, size: int, unit: int) -> _Plan:
    done = bits.chosen(changing)
    half, spoilt = bits.half & ones(size), bits.spoilt & ones(size)
    reached = b"\xff" * (size // unit) if bits.every else any_bit(to_bytes(done | half | spoilt, size), unit)
    return _Plan(done=done, half=half, partly=bytes(size // unit), touched=reached, spoilt=spoilt)


def _drawing(style: Torn, draw: Draw) -> Draw:
    """The draw that a style uses: other draws of the same style differ."""
    if not isinstance(style, TornDraw):
        return draw
    number = style.number

    def another(use: str, size: int) -> bytes:
        return draw(f"{use}#{number}", size)

    return another


def bits_of(before: Cells, after: Cells, changing: int) -> TornBits:
    """Say bit by bit what an operation left: torn like this it leaves the same, but for what is drawn anew.

    Args:
        before: the cells before the operation.
        after: the same cells after it.
        changing: the bits that the whole operation would change.
    """
    half_before, half = to_int(before.unstable), to_int(after.unstable)
    old, new = to_int(before.value), to_int(after.value)
    done = changing & ~half & ((old ^ new) | half_before)
    return TornBits(
        done=done,
        left=changing & ~done & ~half,
        half=half & ~half_before,
        spoilt=old & ~new & ~half & ~changing,
    )


def changing_bits(cells: Cells, data: bytes | None) -> int:
    """The bits that a program of `data`, or an erase (None), would change."""
    old, unstable = to_int(cells.value), to_int(cells.unstable)
    wanted = ~old if data is None else ~to_int(data) & old
    touched = unstable if data is None else unstable & ~to_int(data)
    return (wanted | touched) & ones(len(cells.value))


def _words_in_order(count: int, style: TornStyle, draw: Draw) -> tuple[bytes, bytes]:
    """Return the flags of the words that are done and of those that are left in between."""
    order = style if style is not TornStyle.RANDOM else _ORDERS[draw("order", 1)[0] % len(_ORDERS)]
    if order is TornStyle.RANDOM:
        drawn = draw("words", count)
        return drawn.translate(_DONE_THIRD), drawn.translate(_PARTLY_THIRD)
    stopped = int.from_bytes(draw("stopped", 8), "little") % count
    done = b"\xff" * stopped + bytes(count - stopped)
    partly = bytes(stopped) + b"\xff" + bytes(count - stopped - 1)
    return (done, partly) if order is TornStyle.FORWARD else (done[::-1], partly[::-1])


def _one_bit(changing: int, draw: Draw) -> int:
    count = changing.bit_count()
    return nth_bit(changing, int.from_bytes(draw("bit", 8), "little") % count) if count else 0


def _sparse(draw: Draw, size: int) -> int:
    """Return a random mask of `size` bytes with few bits, many bits or none."""
    halvings = _HALVINGS[draw("density", 1)[0] % len(_HALVINGS)]
    if halvings == 0:
        return 0
    mask = ones(size)
    drawn = draw("sparse", halvings * size)
    for start in range(0, len(drawn), size):
        mask &= to_int(drawn[start : start + size])
    return mask


# Share of the bits that is unstable in words left in between: none, 1/2, 1/8, ... 1/512. So few, because a
# whole record that looks blank or complete in spite of an unstable bit is what firmware gets wrong.
_HALVINGS = (0, 1, 3, 5, 7, 9)
_ORDERS = (TornStyle.FORWARD, TornStyle.BACKWARD, TornStyle.RANDOM)
_DONE_THIRD = bytes(0xFF if value < 85 else 0 for value in range(256))
_PARTLY_THIRD = bytes(0xFF if value >= 171 else 0 for value in range(256))
_COIN = bytes(0xFF if value < 128 else 0 for value in range(256))
