"""Flash rules by the names that target files use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.errors import SweepError
from brownout.flash import ViolationKind

if TYPE_CHECKING:
    from collections.abc import Iterable

RULES: Final = {
    "sets-bit": frozenset({ViolationKind.SETS_BIT}),
    "write-once": frozenset({ViolationKind.WRITE_ONCE}),
    "too-often": frozenset({ViolationKind.TOO_OFTEN}),
    "bad-range": frozenset({ViolationKind.BAD_RANGE, ViolationKind.BAD_COMMAND}),
    "bypass": frozenset({ViolationKind.BYPASS}),
}
"""Kinds of violations by the rule's name in a target file."""


def rule_kinds(names: Iterable[str]) -> frozenset[ViolationKind]:
    """Kinds of violations that are findings. Raises SweepError for a name that is none."""
    kinds: set[ViolationKind] = set()
    for name in names:
        if name not in RULES:
            raise SweepError(f"flash rule '{name}': not known; expected one of {', '.join(RULES)}")
        kinds |= RULES[name]
    return frozenset(kinds)
