"""Names of what can come of a cut, and how the report shows them: never by colour alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.sweep.result import SweepResult

FAILURES: Final[Mapping[str, str]] = {
    "brick": "the device never came up again: it faulted or locked up",
    "loop": "the device never came up again: it ran, slept or reset until the boot budget was spent",
    "disagree": "boots in a row ended differently, or went on changing the flash: a revert that comes late",
    "wrong-flash": "it came up, but the flash reads as in none of the outcomes: a mix, or damage",
    "rule": "a rule of the flash was broken on the way back",
    "hook": "an invariant of the target's hooks file did not hold",
    "not-fired": "the cut never fired: the run says nothing",
}
"""Verdict -> what it means. Every other verdict is the name of an outcome, which is good."""

_FAILURE_LETTERS: Final = {
    "brick": "B",
    "loop": "L",
    "disagree": "D",
    "wrong-flash": "W",
    "rule": "R",
    "hook": "H",
    "not-fired": "X",
}
_GOOD_SLOTS: Final = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class VerdictStyle:
    """How a verdict looks: `css` names a custom property of the style sheet, `letter` stands in cells."""

    name: str
    letter: str
    css: str
    failure: bool
    meaning: str
    count: int


def is_failure(verdict: str) -> bool:
    """Tell whether a verdict is a failure rather than the name of an outcome."""
    return verdict in FAILURES


def verdict_meaning(verdict: str) -> str:
    """A verdict in one line."""
    return FAILURES.get(verdict, f"the device came up as '{verdict}', and so did every boot after")


_STOPS: Final[Mapping[str, str]] = {
    "interrupted": "interrupted",
    "deadline": "its time was over",
    "error": "an error",
    "max-findings": "enough findings",
}
"""SweepResult.stopped -> in words."""


def stopped_text(result: SweepResult) -> str:
    """How far a sweep came that is not complete, and why: "stopped after 20 of 300 points (interrupted)"."""
    fired = sum(depth.fired for depth in result.depths)
    requested = sum(depth.requested for depth in result.depths)
    why = _STOPS.get(result.stopped, result.stopped)
    return f"stopped after {fired:,} of {requested:,} points ({why})"


def verdict_styles(result: SweepResult) -> tuple[VerdictStyle, ...]:
    """Styles of all verdicts of the result: the clean outcome first, then other outcomes, then failures."""
    counts = Counter(point.verdict for point in result.points)
    counts.update({finding.verdict: 0 for finding in result.findings})
    counts.update({result.clean_outcome: 0})
    good = sorted(
        (name for name in counts if not is_failure(name)),
        key=lambda name: (name != result.clean_outcome, name),
    )
    styles = []
    taken = set(_FAILURE_LETTERS.values())
    for index, name in enumerate(good):
        letter = next((char.lower() for char in name if char.isalnum() and char.lower() not in taken), "?")
        taken.add(letter)
        styles.append(_style(name, letter, f"good-{min(index, _GOOD_SLOTS - 1)}", counts))
    styles += [_style(name, _FAILURE_LETTERS[name], name, counts) for name in FAILURES if name in counts]
    return tuple(styles)


def _style(name: str, letter: str, css: str, counts: Mapping[str, int]) -> VerdictStyle:
    return VerdictStyle(
        name=name,
        letter=letter,
        css=css,
        failure=is_failure(name),
        meaning=verdict_meaning(name),
        count=counts[name],
    )
