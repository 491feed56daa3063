"""When what happened to a device: power, flash operations, console, link; the timeline of its evidence."""

from __future__ import annotations

import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.engines.base import PowerEventKind
from brownout.evidence import Lane, TimelineEvent, TimelineKind, flash_text
from brownout.flash import RecordKind
from brownout.uplink import Direction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from brownout.console import Console
    from brownout.engines.base import PowerEvent
    from brownout.engines.controller import FlashController
    from brownout.flash import LogRecord, Region
    from brownout.uplink import Captured, Modem

_BURST_S: Final = 0.05
"""Pieces of the link's bytes that follow each other sooner are one event."""
_OPERATIONS: Final = {
    RecordKind.PROGRAM: "program",
    RecordKind.ERASE: "erase",
    RecordKind.BAD_COMMAND: "bad command",
}
_POWER: Final[Mapping[PowerEventKind, TimelineKind]] = {
    PowerEventKind.ON: TimelineKind.POWER_ON,
    PowerEventKind.RESET: TimelineKind.RESET,
    PowerEventKind.CUT: TimelineKind.POWER_CUT,
    PowerEventKind.DIED: TimelineKind.POWER_CUT,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherEvent:
    """What somebody else knows, such as the server: `moment_s` is time.monotonic()."""

    moment_s: float
    kind: TimelineKind
    source: Lane
    target: Lane
    text: str


class PowerDiary:
    """Notes every change of power of an engine that it listens to. Times count from when it was made."""

    def __init__(self) -> None:
        self.started_s: Final = time.monotonic()
        self._events: list[TimelineEvent] = []

    def power_changed(self, event: PowerEvent) -> None:
        """Note it."""
        self._events.append(
            TimelineEvent(
                time_s=time.monotonic() - self.started_s,
                kind=_POWER[event.kind],
                source=Lane.DEVICE,
                target=Lane.DEVICE,
                text=f"{event.kind.value}, session {event.session}",
            )
        )

    def forget(self) -> None:
        """Forget what was: another life of the device begins."""
        self._events.clear()

    def timeline(
        self,
        *,
        console: Console,
        flash: FlashController,
        modem: Modem | None,
        others: Iterable[OtherEvent],
        since_s: float,
    ) -> Sequence[TimelineEvent]:
        """All that is known, from `since_s` (of time.monotonic()) on.

        What the link carried is left out when `others` say what it meant.
        """
        known = [
            TimelineEvent(
                time_s=event.moment_s - self.started_s,
                kind=event.kind,
                source=event.source,
                target=event.target,
                text=event.text,
            )
            for event in others
        ]
        captured = () if known or modem is None else modem.captured
        shift = 0.0 if modem is None else modem.started_s - self.started_s
        start = since_s - self.started_s
        everything = itertools.chain(
            self._events,
            known,
            _console_notes(console, console.started_s - self.started_s),
            _flash_events(flash, self.started_s),
            _bursts(captured, shift),
        )
        return sorted(
            (event for event in everything if event.time_s >= start), key=lambda event: event.time_s
        )


def _console_notes(console: Console, shift: float) -> Iterator[TimelineEvent]:
    for line in console.lines():
        if not line.mark and line.text.strip():
            yield TimelineEvent(
                time_s=line.time_s + shift,
                kind=TimelineKind.NOTE,
                source=Lane.DEVICE,
                target=Lane.DEVICE,
                text=line.text.strip(),
            )


def _bursts(captured: Iterable[Captured], shift: float) -> Iterator[TimelineEvent]:
    """Bytes of one direction that come close together are one event."""
    first: Captured | None = None
    last_s, count = 0.0, 0
    for item in captured:
        if first is not None and (item.direction is not first.direction or item.time_s - last_s > _BURST_S):
            yield _burst(first, count, shift)
            first, count = None, 0
        first = first or item
        last_s, count = item.time_s, count + len(item.data)
    if first is not None:
        yield _burst(first, count, shift)


def _burst(first: Captured, count: int, shift: float) -> TimelineEvent:
    up = first.direction is Direction.UP
    return TimelineEvent(
        time_s=first.time_s + shift,
        kind=TimelineKind.MESSAGE,
        source=Lane.DEVICE if up else Lane.SERVER,
        target=Lane.SERVER if up else Lane.DEVICE,
        text=f"{count} bytes",
    )


def _flash_events(flash: FlashController, start: float) -> Iterator[TimelineEvent]:
    """Operations of the log; those of one kind and region in a row are one event, a cut one stands alone."""
    moments, regions = flash.moments, flash.regions
    records = [
        record for record in flash.model.log if record.kind in _OPERATIONS and record.sequence in moments
    ]

    def alike(record: LogRecord) -> tuple[object, ...]:
        alone = record.sequence if record.cut is not None or record.fault is not None else 0
        return (record.session, record.kind, _region(record, regions), alone)

    for _, group in itertools.groupby(records, alike):
        run = list(group)
        yield TimelineEvent(
            time_s=moments[run[0].sequence] - start,
            kind=TimelineKind.FLASH,
            source=Lane.DEVICE,
            target=Lane.FLASH,
            text=_words(run, _region(run[0], regions)),
        )


def _words(run: Sequence[LogRecord], region: str) -> str:
    first = run[0]
    kind = _OPERATIONS[first.kind]
    text = flash_text(kind, region, first.ordinal, len(run), offset=first.offset, length=first.length)
    cut = "" if first.cut is None else f", power lost ({first.cut.value})"
    fault = "" if first.fault is None else f", {first.fault.value}"
    return f"{text}{cut}{fault}"


def _region(record: LogRecord, regions: Mapping[str, Region]) -> str:
    return next((name for name, region in regions.items() if region.offset <= record.offset < region.end), "")


__all__ = ["OtherEvent", "PowerDiary"]
