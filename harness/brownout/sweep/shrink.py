"""The smallest cuts that fail like given ones: one cut instead of two, no torn operation, few torn bits."""

from __future__ import annotations

import itertools
import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from brownout.errors import SweepError
from brownout.flash import Phase, Resolve, TornBits, TornStyle
from brownout.power import Cut, OperationTrigger
from brownout.sweep.live import run_live

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from brownout.flash import Torn
    from brownout.power import Event
    from brownout.sweep.assess import Assessment
    from brownout.sweep.runtime import Runtime

_TESTS: Final = 400
"""So many recoveries at most for one finding."""
_LONGEST: Final = 160
"""Longer texts of a cut say less than the style that drew them."""
_SAME_PLACE: Final = 4
_PARTS: Final = 2
_NUMBER: Final = re.compile(r"\b0x[0-9a-f]+\b|\b[0-9a-f]{8,}\b|[0-9]+")

Bits = list[tuple[str, int]]


def signature(assessment: Assessment) -> tuple[str, str]:
    """What makes two failures alike: the verdict, and its detail without numbers."""
    return assessment.verdict, without_numbers(assessment.detail)


def without_numbers(text: str) -> str:
    """A message with # for each number."""
    return _NUMBER.sub("#", text)


def common_words(texts: Sequence[str]) -> str:
    """Messages that differ in their numbers only, as one: "..." for a number that is not the same in all."""
    numbers = zip(*(_NUMBER.findall(text) for text in texts), strict=True)
    shown = iter(same.pop() if len(same := set(column)) == 1 else "..." for column in numbers)
    return _NUMBER.sub(lambda _: next(shown), texts[0])


def shrink(runtime: Runtime, events: tuple[Event, ...]) -> tuple[Event, ...]:
    """The smallest cuts found that fail like `events`, verified by a run; `events` when there are none."""
    if not all(isinstance(event, Cut) for event in events):
        return events
    smaller = _Shrinker(runtime, events).smallest()
    if smaller == events:
        return events
    wanted = signature(runtime.assess(events))
    return smaller if signature(run_live(runtime, smaller).assessment) == wanted else events


class _Shrinker:
    def __init__(self, runtime: Runtime, events: tuple[Event, ...]) -> None:
        self._runtime = runtime
        self._events = events
        self._wanted = signature(runtime.assess(events))
        self._left = _TESTS

    def smallest(self) -> tuple[Event, ...]:
        events = self._one_cut() or self._events
        for index in reversed(range(len(events))):
            events = self._simpler(events, index)
        return events

    def _alike(self, events: Sequence[Event]) -> bool:
        if self._left <= 0:
            return False
        self._left -= 1
        try:
            return signature(self._runtime.assess(events)) == self._wanted
        except SweepError:  # the second cut's operation is not there any more
            return False

    def _one_cut(self) -> tuple[Event, ...] | None:
        """The second cut alone, at the same operation of the clean run; or the first alone."""
        if len(self._events) < _PARTS:
            return None
        first, second = self._events
        if self._alike([first]):
            return (first,)
        if not isinstance(first, Cut) or not isinstance(second, Cut):
            return None
        operation = self._runtime.operation_of(first, second)
        same = [number for number, done in enumerate(self._runtime.clean, 1) if done.operation == operation]
        torn: tuple[Torn, ...] = (second.torn,)
        if second.phase is Phase.TORN:
            # Another operation number draws other bits: try these very bits as well.
            torn = (second.torn, self._runtime.torn_bits(first, second))
        for number in same[:_SAME_PLACE]:
            for style, resolve in itertools.product(torn, (second.resolve, Resolve.ONES, Resolve.ZEROS)):
                trigger = OperationTrigger(number=number)
                alone = Cut(trigger=trigger, phase=second.phase, torn=style, resolve=resolve)
                if self._alike([alone]):
                    return (alone,)
        return None

    def _simpler(self, events: tuple[Event, ...], index: int) -> tuple[Event, ...]:
        cut = events[index]
        if not isinstance(cut, Cut) or cut.phase is not Phase.TORN:
            return events

        def with_cut(other: Cut) -> tuple[Event, ...]:
            return (*events[:index], other, *events[index + 1 :])

        for phase in (Phase.BEFORE, Phase.AFTER):
            whole = Cut(trigger=cut.trigger, phase=phase, torn=TornStyle.RANDOM)
            if self._alike(with_cut(whole)):
                return with_cut(whole)
        before = events[:index]
        first = before[0] if before else None
        bits = (
            self._runtime.torn_bits(first, cut)
            if isinstance(first, Cut)
            else self._runtime.torn_bits(cut, None)
        )

        def fails(torn: TornBits) -> bool:
            return self._alike(with_cut(replace(cut, torn=torn)))

        if not fails(bits):
            return events
        unit = self._runtime.setup.target.board.flash.write_unit
        found = with_cut(replace(cut, torn=_fewest(bits, unit, fails)))
        return found if len(str(found[index])) <= _LONGEST else events


def _fewest(bits: TornBits, unit: int, fails: Callable[[TornBits], bool]) -> TornBits:
    """Few bits that were done, or few that were not: whichever is less."""
    for simpler in (replace(bits, spoilt=0), replace(bits, half=0), replace(bits, spoilt=0, half=0)):
        if simpler != bits and fails(simpler):
            bits = simpler

    def some(chosen: Bits) -> TornBits:
        return TornBits(
            done=_union(chosen, "done"), half=_union(chosen, "half"), spoilt=_union(chosen, "spoilt")
        )

    def all_but(chosen: Bits) -> TornBits:
        return TornBits(every=True, left=_union(chosen, "left"), half=_union(chosen, "half"))

    missing = replace(bits, every=True, done=0)
    found: list[TornBits] = []
    if not bits.spoilt and fails(missing):
        found.append(all_but(_minimal(_words(missing, unit), lambda chosen: fails(all_but(chosen)))))
    if not found or _count(found[0]) > 1:
        found.append(some(_minimal(_words(replace(bits, left=0), unit), lambda chosen: fails(some(chosen)))))
    return min(found, key=_count)


def _count(bits: TornBits) -> int:
    return sum(mask.bit_count() for mask in (bits.done, bits.left, bits.half, bits.spoilt))


def _words(bits: TornBits, unit: int) -> Bits:
    """The bits by kind and word."""
    return [
        (name, part)
        for name in ("done", "left", "half", "spoilt")
        for part in _split(getattr(bits, name), 8 * unit)
    ]


def _split(mask: int, width: int) -> Iterator[int]:
    """The parts of a mask that lie in the same `width` bits, lowest first; single bits for width 1."""
    while mask:
        lowest = (mask & -mask).bit_length() - 1
        window = ((1 << width) - 1) << (lowest - lowest % width)
        yield mask & window
        mask &= ~window


def _union(chosen: Bits, name: str) -> int:
    total = 0
    for kind, part in chosen:
        if kind == name:
            total |= part
    return total


def _minimal(words: Bits, fails: Callable[[Bits], bool]) -> Bits:
    """Words, then bits of them, of which none can be left out (delta debugging)."""
    few = _ddmin(words, fails)
    bits = [(name, bit) for name, part in few for bit in _split(part, 1)]
    return _ddmin(bits, fails)


def _ddmin(items: Bits, fails: Callable[[Bits], bool]) -> Bits:
    if fails([]):
        return []
    parts = _PARTS
    while len(items) > 1:
        size = -(-len(items) // parts)
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        for number, chunk in enumerate(chunks):
            rest = [item for other, part in enumerate(chunks) if other != number for item in part]
            if parts > _PARTS and fails(rest):
                items, parts = rest, max(parts - 1, _PARTS)
                break
            if fails(chunk):
                items, parts = chunk, _PARTS
                break
        else:
            if parts >= len(items):
                break
            parts = min(len(items), parts * 2)
    return items
