"""Which cuts and faults a plan asks for, in the order in which they count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import SweepError
from brownout.flash import BadCommand, FlashFault, Phase, Resolve, seeded_bytes, torn_text
from brownout.power import Cut, FlashFaultAt, OperationTrigger, ResetAt
from brownout.sweep.plan import FAULTS, PHASES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.flash import Operation
    from brownout.power import Event
    from brownout.sweep.plan import SweepPlan
    from brownout.sweep.trace import Trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A cut or a fault of the clean run. `operation` is the one it hits, or the next one after a reset."""

    operation: int
    phase: str
    variant: str
    event: Event


def check_plan(plan: SweepPlan) -> None:
    """Raises SweepError for a plan that cannot be."""
    for name, values, known in (("phases", plan.phases, PHASES), ("faults", plan.faults, FAULTS)):
        for value in values:
            if value not in known:
                raise SweepError(f"{name}: '{value}' is not known; expected some of {', '.join(known)}")
    if plan.depth not in (1, 2):
        raise SweepError(f"depth: {plan.depth}: expected 1 or 2")
    for name, number in (("points", plan.points), ("pairs", plan.pairs)):
        if number is not None and number < 1:
            raise SweepError(f"{name}: {number}: expected at least 1, or all")
    if plan.max_findings is not None and plan.max_findings < 1:
        raise SweepError(f"max findings: {plan.max_findings}: expected at least 1")
    if not plan.phases and not plan.faults:
        raise SweepError("phases and faults: both empty: there is nothing to sweep")
    if Phase.TORN.value in plan.phases and not plan.torn:
        raise SweepError("torn: no way to tear an operation is given: expected at least one")


def cuts_of(number: int, plan: SweepPlan) -> Iterator[tuple[str, str, Cut]]:
    """The cuts of operation `number` of a boot: (phase, variant, cut)."""
    trigger = OperationTrigger(number=number)
    for phase in (Phase.BEFORE, Phase.TORN, Phase.AFTER):
        if phase.value not in plan.phases:
            continue
        if phase is not Phase.TORN:
            yield phase.value, "", Cut(trigger=trigger, phase=phase)
            continue
        for way in plan.torn:
            resolve = "" if way.resolve is Resolve.RANDOM else f"/{way.resolve.value}"
            cut = Cut(trigger=trigger, phase=phase, torn=way.torn, resolve=way.resolve)
            yield phase.value, torn_text(way.torn) + resolve, cut


def cuts_per_operation(plan: SweepPlan) -> int:
    """How many cuts a plan makes of one operation."""
    return sum(len(plan.torn) if phase == Phase.TORN.value else 1 for phase in set(plan.phases))


def sample(count: int, wanted: int | None, seed: int, use: str) -> list[int]:
    """Of the numbers from 1 to `count` as many as wanted, in order, drawn from the seed; None takes all."""
    if wanted is None or wanted >= count:
        return list(range(1, count + 1))
    ranked = sorted(range(1, count + 1), key=lambda number: (seeded_bytes(seed, 8, use, number), number))
    return sorted(ranked[:wanted])


def selected(plan: SweepPlan, count: int) -> list[int]:
    """Of `count` operations of the clean run those that the plan names. Raises SweepError for others."""
    if not plan.operations:
        return list(range(1, count + 1))
    found: set[int] = set()
    for first, last in plan.operations:
        end = count if last is None else last
        if not 1 <= first <= end <= count:
            text = f"{first}-{'' if last is None else last}" if first != last else str(first)
            raise SweepError(f"operations: '{text}': the run without a cut has operations 1-{count}")
        found.update(range(first, end + 1))
    return sorted(found)


def points_of(trace: Trace, plan: SweepPlan, seed: int) -> list[Point]:
    """All cuts, then all faults, each in the order of their operations."""
    named = selected(plan, len(trace.operations))
    wanted = [
        number
        for number in (named[index - 1] for index in sample(len(named), plan.points, seed, "points"))
        if not isinstance(trace.operations[number - 1].done.operation, BadCommand)
    ]
    cuts = [
        Point(operation=number, phase=phase, variant=variant, event=cut)
        for number in wanted
        for phase, variant, cut in cuts_of(number, plan)
    ]
    return cuts + list(_faults(trace, plan, seed, wanted))


def _faults(trace: Trace, plan: SweepPlan, seed: int, wanted: Sequence[int]) -> Iterator[Point]:
    kinds = [fault for fault in FlashFault if fault.value in plan.faults]
    for number in wanted:
        traced = trace.operations[number - 1]
        for fault in kinds:
            if fault in traced.faults:
                event = FlashFaultAt(number=number, fault=fault)
                yield Point(operation=number, phase=fault.value, variant="", event=event)
        if "reset" in plan.faults:
            before = trace.operations[number - 2].done.time if number > 1 else 0
            span = traced.done.time - before
            drawn = int.from_bytes(seeded_bytes(seed, 8, "reset", number), "little")
            time = before + 1 + drawn % max(1, span)
            yield Point(operation=number, phase="reset", variant=str(time), event=ResetAt(time=time))


def kind_name(operation: Operation) -> str:
    """ "program", "erase" or "bad command"."""
    return {"Program": "program", "Erase": "erase"}.get(type(operation).__name__, "bad command")
