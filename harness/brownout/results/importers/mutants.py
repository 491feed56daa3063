"""Mutants: what `make mutants` and `make sweep` write about defects that tests must find.

Both files are lists of outcomes. Of a Robot mutant the good verdict is "caught", of a swept one "killed"; the
entry "baseline" is the firmware as it is: caught means that all tests passed, killed that a sweep of it found
something.
"""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from brownout.results.ids import new_run_id
from brownout.results.importers.base import Fields, unique_cases
from brownout.results.model import Case, Result, Run, RunKind, Series

if TYPE_CHECKING:
    from brownout.results.importers.base import ImportOptions, ResultFile

_BASELINE: Final = "baseline"
_ROBOT_VERDICTS: Final = ("caught", "survived", "error")
_SWEEP_VERDICTS: Final = ("killed", "survived", "error")


def is_mutants(document: object) -> bool:
    """Whether a JSON value looks like outcomes of mutants."""
    return (
        isinstance(document, list)
        and bool(document)
        and all(
            isinstance(entry, dict) and {"name", "removes", "verdict"} <= entry.keys() for entry in document
        )
    )


def import_mutants(file: ResultFile, options: ImportOptions, document: object) -> Run:
    """Outcomes of mutants as a run. Raises ImportFileError."""
    outcomes = Fields(file, {"outcomes": document}).objects("outcomes")
    swept = any(outcome.text("sweep", "") for outcome in outcomes)
    duration = sum(outcome.number("seconds") for outcome in outcomes)
    started = file.ended(duration)
    cases = [_swept(file, outcome) if swept else _tested(file, outcome) for outcome in outcomes]
    return Run(
        id=new_run_id(started),
        series=Series(
            project=options.project,
            kind=RunKind.MUTANTS,
            name="sweep-mutants" if swept else "mutants",
            board=options.board or "",
            engine=options.engine or "",
        ),
        started=started,
        duration_s=duration,
        revision=options.revision,
        seed=options.seed,
        command=options.command,
        source=str(file.path),
        cases=unique_cases(cases),
    )


def _tested(file: ResultFile, outcome: Fields) -> Case:
    name, verdict = outcome.text("name"), _verdict(file, outcome, _ROBOT_VERDICTS)
    tests = [
        f"{'passed' if test.flag('passed', False) else 'failed'}: {test.text('name')}"
        for test in outcome.objects("tests")
    ]
    return Case(
        name=name,
        result=Result.PASS if verdict == "caught" else Result.FAIL,
        duration_s=outcome.number("seconds"),
        message="" if verdict == "caught" else _said(verdict, outcome),
        detail="\n".join([f"removes: {outcome.text('removes')}", *tests]),
        command=_command("robot/tests/mutants.py", name),
    )


def _swept(file: ResultFile, outcome: Fields) -> Case:
    name, verdict = outcome.text("name"), _verdict(file, outcome, _SWEEP_VERDICTS)
    is_baseline = name == _BASELINE
    good = "survived" if is_baseline else "killed"
    plan, cut = outcome.text("sweep"), outcome.text("cut", "")
    seed = "" if outcome.is_null("seed") else f", seed {outcome.integer('seed')}"
    return Case(
        name=f"{name} ({plan}{seed})" if is_baseline else name,
        result=Result.PASS if verdict == good else Result.FAIL,
        duration_s=outcome.number("seconds"),
        message="" if verdict == good else _said(verdict, outcome),
        detail="\n".join(
            [
                f"removes: {outcome.text('removes')}",
                f"sweep: {plan}, {outcome.integer('failed')} of {outcome.integer('points')} cuts failed",
                *([f"by {cut}: {outcome.text('detail', '')}"] if cut else []),
            ]
        ),
        replay=cut,
        command=_command("examples/sweep_mutants.py", name),
    )


def _verdict(file: ResultFile, outcome: Fields, known: tuple[str, ...]) -> str:
    verdict = outcome.text("verdict")
    if verdict not in known:
        raise file.error(
            f"{outcome.text('name')}: expected a verdict of {', '.join(known)}, found '{verdict}'"
        )
    return verdict


def _said(verdict: str, outcome: Fields) -> str:
    detail = outcome.text("detail", "")
    return f"{verdict}: {detail}" if detail else verdict


def _command(script: str, name: str) -> str:
    return shlex.join(["python", script, *([] if name == _BASELINE else ["--only", name])])
