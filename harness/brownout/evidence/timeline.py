"""Who did what to whom and when: client, server, device, flash. One JSON object a line."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import EvidenceError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Lane(enum.StrEnum):
    """Somebody in the picture."""

    CLIENT = "client"
    SERVER = "server"
    DEVICE = "device"
    FLASH = "flash"


class TimelineKind(enum.StrEnum):
    """What sort of event it is."""

    MESSAGE = "message"
    """Something that travelled from `source` to `target`."""
    NOTE = "note"
    """Something that `source` said or did by itself: a line of the console."""
    FLASH = "flash"
    """A flash operation, or several alike in a row."""
    POWER_ON = "power-on"
    RESET = "reset"
    POWER_CUT = "power-cut"
    """The power went: everything that the device did ends here."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineEvent:
    """An event; `time_s` counts from the device's start (host's clock). A note's target is its source."""

    time_s: float
    kind: TimelineKind
    source: Lane
    target: Lane
    text: str


def flash_text(kind: str, region: str, first: int, count: int, *, offset: int, length: int) -> str:
    """What a flash event says: one operation, or `count` alike in a row of which `first` is the number.

    `offset` and `length` are the first one's; a `region` of "" is named by its offset.
    """
    what = f"{kind} {region or f'{offset:#x}'}"
    if count > 1:
        return f"{what}: operations {first} to {first + count - 1}"
    return f"{what}: operation {first}, {length} bytes at {offset:#x}"


def dump_timeline(events: Iterable[TimelineEvent]) -> str:
    """As JSON lines, in the order of time."""
    ordered = sorted(events, key=lambda event: event.time_s)
    return "".join(
        json.dumps(
            {
                "time_s": round(event.time_s, 6),
                "kind": event.kind,
                "source": event.source,
                "target": event.target,
                "text": event.text,
            }
        )
        + "\n"
        for event in ordered
    )


def parse_timeline(text: str, where: str = "timeline") -> Sequence[TimelineEvent]:
    """What dump_timeline() wrote. Raises EvidenceError with the number of a line that is none."""
    events = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
            events.append(
                TimelineEvent(
                    time_s=float(value["time_s"]),
                    kind=TimelineKind(value["kind"]),
                    source=Lane(value["source"]),
                    target=Lane(value["target"]),
                    text=str(value["text"]),
                )
            )
        except (ValueError, KeyError, TypeError) as error:
            raise EvidenceError(f"{where}, line {number}: expected an event, found {line[:60]!r}") from error
    return events
