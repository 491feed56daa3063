"""Failures as findings: named, with a replay id, grouped with their likes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.flash import Phase
from brownout.power import Cut, Replay
from brownout.sweep.points import kind_name
from brownout.sweep.result import Finding, FindingGroup
from brownout.sweep.shrink import common_words, without_numbers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.power import Event
    from brownout.sweep.places import Places
    from brownout.sweep.tasks import Record
    from brownout.sweep.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a cut hit: which store of the firmware, on which part of the flash."""

    pc: int
    offset: int
    kind: str


class Finder:
    """Makes findings of failed records."""

    def __init__(self, target: str, engine: str, seed: int, trace: Trace, places: Places) -> None:
        self._replay = (target, engine, seed)
        self._trace = trace
        self._places = places

    def replay_of(self, events: Sequence[Event]) -> str:
        """The replay id of a run with these events."""
        target, engine, seed = self._replay
        return str(Replay(board=target, engine=engine, seed=seed, cuts=tuple(events)))

    def findings(self, records: Sequence[tuple[Record, int]]) -> tuple[list[Finding], list[FindingGroup]]:
        """Findings and groups of failures, given with the operation of the clean run that each hits."""
        groups: dict[tuple[str, ...], list[Finding]] = {}
        found: list[Finding] = []
        for number, (record, operation) in enumerate(records, 1):
            likes = self._likes(record, operation)
            group = hashlib.blake2b(repr(likes).encode(), digest_size=4).hexdigest()
            finding = self._finding(f"F{number}", group, record, operation)
            found.append(finding)
            groups.setdefault(likes, []).append(finding)
        return found, [self._group(likes, members) for likes, members in groups.items()]

    def _places_of(self, record: Record, operation: int) -> list[Place]:
        done = self._trace.operations[operation - 1].done if operation else None
        hit = (
            []
            if done is None
            else [Place(pc=done.pc, offset=done.operation.offset, kind=kind_name(done.operation))]
        )
        if record.at is not None:
            pc, offset, kind = record.at
            hit.append(Place(pc=pc, offset=offset, kind=kind))
        return hit

    def _likes(self, record: Record, operation: int) -> tuple[str, ...]:
        hit = self._places_of(record, operation)
        last = hit[-1] if hit else Place(pc=0, offset=0, kind="")
        return (
            record.verdict,
            *(_phase_class(event) for event in record.events),
            last.kind,
            self._places.function(last.pc),
            self._places.region(last.offset) if hit else "",
            without_numbers(record.detail),
        )

    def _finding(self, name: str, group: str, record: Record, operation: int) -> Finding:
        hit = self._places_of(record, operation)
        replay = self.replay_of(record.events)
        numbers = [operation] if operation else []
        if len(record.events) > 1 and isinstance(record.events[1], Cut):
            numbers.append(record.events[1].trigger.number)
        return Finding(
            id=name,
            group=group,
            verdict=record.verdict,
            detail=record.detail,
            replay=replay,
            shrunk=replay,
            cuts=tuple(str(event) for event in record.events),
            operations=tuple(numbers),
            where=tuple(self._where(place) for place in hit),
            trail=record.trail,
        )

    def _where(self, place: Place) -> str:
        region = self._places.region(place.offset)
        inside = f" ({region})" if region else ""
        return f"{self._places.symbol(place.pc)}: {place.kind} at {place.offset:#x}{inside}"

    def _group(self, likes: tuple[str, ...], members: Sequence[Finding]) -> FindingGroup:
        verdict, *phases, kind, function, region, _ = likes
        detail = common_words([finding.detail for finding in members])
        place = " ".join(
            filter(None, (kind, f"of {region}" if region else "", f"in {function}" if function else ""))
        )
        first = min(members, key=lambda finding: (len(finding.cuts), *(len(cut) for cut in finding.cuts)))
        title = f"{verdict}: {' and '.join(phases) or 'no cut'}{f', {place}' if place else ''}: {detail}"
        return FindingGroup(
            id=first.group,
            title=title,
            verdict=verdict,
            count=len(members),
            example=first.id,
            operations=tuple(sorted({number for finding in members for number in finding.operations[:1]})),
        )


def examples(groups: Sequence[FindingGroup], findings: Mapping[str, Finding]) -> list[Finding]:
    """The findings that are worth shrinking."""
    return [findings[group.example] for group in groups]


def _phase_class(event: Event) -> str:
    if isinstance(event, Cut):
        return "torn" if event.phase is Phase.TORN else "cut"
    return str(event).rpartition("/")[2]
