"""What broke, by the revision since which it fails: one change that breaks many cases is one thing to see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.regression.notes import day, plural, revision_text
from brownout.regression.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from brownout.regression.model import CaseEntry, RunRef


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """Cases that fail since the same revision, in the report's order; `first` None: nobody knows when."""

    first: RunRef | None
    subject: str
    cases: Sequence[CaseEntry]

    @property
    def text(self) -> str:
        """In words: 25 cases fail since 1a2b3c4 "boot: skip an erase" (2026-11-24)."""
        fail = "fails" if len(self.cases) == 1 else "fail"
        count = plural(len(self.cases), "case")
        if self.first is None:
            return f"{count} {fail}, nobody knows since when"
        subject = f' "{printable(self.subject)}"' if self.subject else ""
        return f"{count} {fail} since {revision_text(self.first)}{subject} ({day(self.first)})"


def causes_of(cases: Iterable[CaseEntry]) -> list[Cause]:
    """Cases by the revision of their first failing run, the oldest first."""
    found: dict[str, list[CaseEntry]] = {}
    for case in cases:
        found.setdefault(cause_key(case), []).append(case)
    causes = [
        Cause(
            first=None if members[0].since is None else members[0].since.first,
            subject="" if members[0].since is None else members[0].since.subject,
            cases=members,
        )
        for members in found.values()
    ]
    return sorted(causes, key=lambda cause: (cause.first is None, cause.first and cause.first.started))


def cause_key(case: CaseEntry) -> str:
    """The same for cases that fail since the same revision."""
    if case.since is None:
        return ""
    first = case.since.first
    return first.revision or first.id
