"""The sequence picture of a device: who said what to whom, folded so that the power cut is in sight."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.evidence import Lane, TimelineKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.evidence import TimelineEvent

_BEFORE_CUT: Final = 14
_AFTER_CUT: Final = 10
"""Rows around a power cut that are shown at once."""
_SMALL: Final = 36
"""A picture of so many rows is shown whole."""
_MOST_ROWS: Final = 600
"""Rows of a picture; what is farthest from the cuts is left out."""
_LONGEST_CYCLE: Final = 6
_LEAST_REPEATS: Final = 3
_ALONE: Final = frozenset({TimelineKind.POWER_CUT, TimelineKind.POWER_ON, TimelineKind.RESET})


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A line of the picture: an event, or one of a cycle of events that was repeated.

    `times` is how often the cycle was there, `first` and `last` tell whether the row starts or ends it;
    `until_s` and `last_text` belong to the row's last event.
    """

    kind: TimelineKind
    source: Lane
    target: Lane
    text: str
    time_s: float
    times: int = 1
    first: bool = True
    last: bool = True
    until_s: float = 0.0
    last_text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """Rows that are drawn together, folded unless `shown`; `powered`: whether the device is, at its start."""

    rows: tuple[Row, ...]
    shown: bool
    powered: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SequencePicture:
    """The whole picture: `events` were folded into the rows of `blocks`; `left_out` rows are not in it.

    `lanes`: who did something, and always the device and its flash.
    """

    blocks: tuple[Block, ...]
    lanes: frozenset[Lane]
    events: int
    cuts: int
    left_out: int = 0


def picture(events: Sequence[TimelineEvent]) -> SequencePicture | None:
    """The picture of a timeline, None for an empty one."""
    if not events:
        return None
    rows = fold(events)
    cuts = [index for index, row in enumerate(rows) if row.kind is TimelineKind.POWER_CUT]
    centres = cuts or [len(rows) - 1]
    shown = [
        len(rows) <= _SMALL or any(-_BEFORE_CUT <= index - at <= _AFTER_CUT for at in centres)
        for index in range(len(rows))
    ]
    keep = _kept(len(rows), centres)
    blocks = tuple(_blocks(rows, shown, keep))
    lanes = {lane for event in events for lane in (event.source, event.target)}
    return SequencePicture(
        blocks=blocks,
        lanes=frozenset(lanes | {Lane.DEVICE, Lane.FLASH}),
        events=len(events),
        cuts=len(cuts),
        left_out=len(rows) - len(keep),
    )


def _kept(count: int, centres: Sequence[int]) -> set[int]:
    nearest = sorted(range(count), key=lambda index: (min(abs(index - at) for at in centres), index))
    return set(nearest[:_MOST_ROWS])


def _blocks(rows: Sequence[Row], shown: Sequence[bool], keep: set[int]) -> Iterator[Block]:
    run: list[Row] = []
    powered = at_start = False
    for index, row in enumerate(rows):
        changed = index > 0 and (shown[index] != shown[index - 1] or (index in keep) != (index - 1 in keep))
        if changed and run:
            yield Block(rows=tuple(run), shown=shown[index - 1], powered=at_start)
        if changed or index == 0:
            run, at_start = [], powered
        if index in keep:
            run.append(row)
        powered = _powered(row, powered)
    if run:
        yield Block(rows=tuple(run), shown=shown[-1], powered=at_start)


def _powered(row: Row, before: bool) -> bool:
    if row.kind is TimelineKind.POWER_ON:
        return True
    return before and row.kind is not TimelineKind.POWER_CUT


def fold(events: Sequence[TimelineEvent]) -> list[Row]:
    """Rows of events; a cycle of up to 6 alike events that comes 3 times or more in a row is drawn once."""
    keys = [_key(event) for event in events]
    rows: list[Row] = []
    at = 0
    while at < len(events):
        length, times = _cycle(keys, at)
        for step in range(length):
            event, final = events[at + step], events[at + (times - 1) * length + step]
            rows.append(
                Row(
                    kind=event.kind,
                    source=event.source,
                    target=event.target,
                    text=event.text,
                    time_s=event.time_s,
                    times=times,
                    first=step == 0,
                    last=step == length - 1,
                    until_s=final.time_s,
                    last_text=final.text if final.text != event.text else "",
                )
            )
        at += length * times
    return rows


def _key(event: TimelineEvent) -> tuple[object, ...]:
    """Events are alike when only numbers of their texts differ."""
    text = re.sub(r"0x[0-9a-fA-F]+|\d+", "#", event.text)
    return (event.kind, event.source, event.target, text)


def _cycle(keys: Sequence[tuple[object, ...]], at: int) -> tuple[int, int]:
    """The cycle that starts at an event: its length and how often it comes; (1, 1) for none."""
    best = (1, 1)
    for length in range(1, _LONGEST_CYCLE + 1):
        cycle = keys[at : at + length]
        if len(cycle) < length or any(key[0] in _ALONE for key in cycle):
            break
        times = 1
        while keys[at + times * length : at + (times + 1) * length] == cycle:
            times += 1
        if times >= _LEAST_REPEATS and times * length > best[0] * best[1]:
            best = (length, times)
    return best
