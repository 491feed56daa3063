"""Runs and cases for the tests of the store."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from brownout.results.ids import new_run_id
from brownout.results.model import Case, Result, Revision, Run, RunKind, Series

if TYPE_CHECKING:
    from brownout.results.model import CutOutcome, EvidenceItem, Figure

BEGIN = datetime(2026, 11, 20, 8, 30, 0, 123456, tzinfo=UTC)
SERIES = Series(project="demo", kind=RunKind.ROBOT, name="Suite", board="mps2-an385", engine="qemu")
NOWHERE = Revision()


def a_run(
    day: float = 0,
    *,
    series: Series = SERIES,
    cases: tuple[Case, ...] = (),
    cuts: tuple[CutOutcome, ...] = (),
    figures: tuple[Figure, ...] = (),
    revision: Revision = NOWHERE,
    complete: bool = True,
) -> Run:
    started = BEGIN + timedelta(days=day)
    return Run(
        id=new_run_id(started),
        series=series,
        started=started,
        duration_s=1.25,
        revision=revision,
        cases=cases,
        cuts=cuts,
        figures=figures,
        complete=complete,
    )


def a_case(
    name: str = "Suite.One",
    result: Result = Result.PASS,
    *,
    evidence: tuple[EvidenceItem, ...] = (),
    message: str = "",
) -> Case:
    return Case(name=name, result=result, evidence=evidence, message=message)
