"""Depth 2: which recoveries are cut where, and what came of it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from brownout.power import Cut
from brownout.sweep.assess import FAILURES
from brownout.sweep.graphs import chunks, sampled
from brownout.sweep.points import cuts_per_operation, sample
from brownout.sweep.result import DepthSummary
from brownout.sweep.tasks import PairsTask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.power import Event
    from brownout.sweep.graphs import RunGraph
    from brownout.sweep.plan import SweepPlan
    from brownout.sweep.tasks import Record, Reply


class Pairs:
    """Cuts of the recoveries that end well. A piece of a run that several share is cut once."""

    def __init__(
        self,
        plan: SweepPlan,
        seed: int,
        graph: RunGraph,
        records: Sequence[Record],
        first_of: Mapping[bytes, int],
        chunk: int,
    ) -> None:
        """`records` of depth 1, the first point of each state, and so many operations to a task."""
        well = [
            (record.number, event, record.key)
            for record in records
            if record.verdict not in FAILURES and isinstance(event := record.events[0], Cut)
        ]
        each = cuts_per_operation(plan)
        requested = each * sum(graph.operations(key) for _, _, key in well)
        shares = graph.shares([item for item in well if first_of[item[2]] == item[0]])
        count = sum(len(operations) for _, _, operations in shares)
        if plan.pairs is not None and plan.pairs < count:
            shares = sampled(shares, sample(count, plan.pairs, seed, "pairs"))
            count = plan.pairs
            requested = each * count
        self.cuts: Final = each * count
        """So many are made; the requested ones that share a piece with another are not."""
        self.tasks: Final = [
            PairsTask(number=number, recoveries=group, plan=plan)
            for number, group in enumerate(chunks(shares, chunk))
        ]
        self._requested = requested
        self._known = set(first_of)
        self._replies: dict[int, list[Reply]] = {}

    def take(self, reply: Reply) -> None:
        """Add what came of a task, or of a part of it."""
        if reply.number is not None:
            self._replies.setdefault(reply.number, []).append(reply)

    def stop_after(self, wanted: int) -> bool:
        """Whether the first tasks, as far as they are done without a gap, have so many findings.

        What was found beyond the last of these is dropped then: which worker was first does not show.
        """
        seen: set[bytes] = set()
        kept: dict[int, list[Reply]] = {}
        for number in range(len(self.tasks)):
            replies: list[Reply] = []
            kept[number] = replies
            for reply in self._replies.get(number, []):
                for index, record in enumerate(reply.records, 1):
                    seen |= {record.key} - self._known
                    if len(seen) >= wanted:
                        replies.append(replace(reply, records=reply.records[:index]))
                        self._replies = kept
                        return True
                replies.append(reply)
            if not replies or replies[-1].rest is not None:
                return False
        return False

    def failures(self) -> list[Record]:
        """The failures in the order of their points, and of each flash the first only: chunks do not show."""
        firsts: dict[bytes, Record] = {}
        for record in sorted(self._records(), key=_rank):
            if record.key not in self._known:
                firsts.setdefault(record.key, record)
        return list(firsts.values())

    def summary(self) -> DepthSummary:
        """The numbers."""
        replies = [reply for found in self._replies.values() for reply in found]
        failures = self._records()
        keys = {key for reply in replies for key in reply.well} | {record.key for record in failures}
        return DepthSummary(
            depth=2,
            requested=self._requested,
            fired=self._requested - max(0, self.cuts - sum(reply.done for reply in replies)),
            distinct=len(keys - self._known),
            failed=len(failures),
        )

    def _records(self) -> list[Record]:
        return [record for found in self._replies.values() for reply in found for record in reply.records]


def _rank(record: Record) -> tuple[int, int, str]:
    """In the order in which one process would have found them."""
    second = record.events[1]
    number = second.trigger.number if isinstance(second, Cut) else 0
    return record.number, number, _phase_rank(second)


def _phase_rank(event: Event) -> str:
    if not isinstance(event, Cut):
        return str(event)
    return f"{('before', 'torn', 'after').index(event.phase.value)}{event}"
