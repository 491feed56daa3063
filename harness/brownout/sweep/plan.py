"""What to sweep: which cuts and faults, at which operations, how deep."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from brownout.flash import FlashFault, Phase, Resolve, Torn, TornDraw, TornStyle

PHASES: Final = tuple(phase.value for phase in Phase)
FAULTS: Final = (*(fault.value for fault in FlashFault), "reset")
"""Names of all faults: those of the flash, and a reset of the processor."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TornVariant:
    """A way to tear an operation, and how the next power-on reads half-way bits."""

    torn: Torn
    resolve: Resolve = Resolve.RANDOM


FEW_TORN: Final = (
    TornVariant(torn=TornStyle.RANDOM),
    TornVariant(torn=TornStyle.ONLY_LAST_WORD),
    TornVariant(torn=TornStyle.ONE_UNSTABLE_BIT),
)
"""What a sweep tears unless it is told to do more."""

ALL_TORN: Final = (
    *FEW_TORN,
    TornVariant(torn=TornDraw(style=TornStyle.RANDOM, number=2)),
    TornVariant(torn=TornDraw(style=TornStyle.RANDOM, number=3)),
    TornVariant(torn=TornStyle.FORWARD),
    TornVariant(torn=TornStyle.BACKWARD),
    TornVariant(torn=TornStyle.ONLY_FIRST_WORD),
    TornVariant(torn=TornStyle.ONE_BIT),
    TornVariant(torn=TornStyle.ALL_BUT_ONE_BIT),
    TornVariant(torn=TornStyle.ONE_UNSTABLE_BIT, resolve=Resolve.ONES),
    TornVariant(torn=TornStyle.ONE_UNSTABLE_BIT, resolve=Resolve.ZEROS),
    TornVariant(torn=TornStyle.ALL_UNSTABLE),
    TornVariant(torn=TornStyle.ALL_UNSTABLE, resolve=Resolve.ONES),
    TornVariant(torn=TornStyle.ALL_UNSTABLE, resolve=Resolve.ZEROS),
)
"""Every kind of damage: `--torn all`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepPlan:
    """A sweep.

    Args:
        seed: where everything random comes from; None takes the target's.
        engine: what runs the recoveries.
        phases: of each operation, the phases to cut in ("before", "torn", "after").
        torn: ways to tear an operation.
        points: operations to cut, drawn from the seed; None cuts all.
        operations: only these operations of the clean run are cut: (first, last) of each part, None for
            the last there is; empty for all.
        depth: 2 cuts the recoveries as well.
        pairs: at depth 2, operations of recoveries to cut, drawn from the seed; None cuts all.
        faults: names of faults to inject besides (FAULTS).
        live: cuts that are done again live, to check that the derived flash is right.
        shrink: for the first findings of a kind, look for the smallest cut that fails alike.
        deadline_s: stop after so many seconds; None never does.
        max_findings: stop after so many findings; None never does.
    """

    seed: int | None = None
    engine: str = "unicorn"
    phases: tuple[str, ...] = PHASES
    torn: tuple[TornVariant, ...] = FEW_TORN
    points: int | None = None
    operations: tuple[tuple[int, int | None], ...] = ()
    depth: int = 1
    pairs: int | None = None
    faults: tuple[str, ...] = ()
    live: int = 6
    shrink: bool = True
    deadline_s: float | None = None
    max_findings: int | None = None
