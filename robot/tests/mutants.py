"""`make mutants`: takes the protections away one by one; the Robot suites must notice each time.

Exit code 0 when every mutant was caught, 1 when one survived, 2 when something could not be tried. What was
found is in build/mutants/mutants.json, the logs of each mutant in build/mutants/NAME. See docs/mutants.md.
"""

from __future__ import annotations

import enum
import json
import sys
import time
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click
from mutant_patches import ROOT, Mutant, MutantError, read_all
from mutant_runs import TestResult, Workshop, matches, run_tests

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OUTPUT: Final = ROOT / "build" / "mutants"
BASELINE: Final = "baseline"
_MESSAGE_WIDTH: Final = 110


class Verdict(enum.Enum):
    """What became of a mutant."""

    CAUGHT = "caught"
    SURVIVED = "survived"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a mutant: `tests` are the ones that ran, `detail` says why it was not caught."""

    name: str
    removes: str
    verdict: Verdict
    seconds: float
    tests: tuple[TestResult, ...] = ()
    detail: str = ""


def judge(mutant: Mutant, results: Sequence[TestResult]) -> tuple[Verdict, str]:
    """The verdict on a mutant whose tests ran, and why when it is not CAUGHT."""
    named = [result for result in results if any(matches(result, test) for test in mutant.caught_by)]
    passed = [result.name for result in named if result.passed]
    if passed:
        return Verdict.SURVIVED, f"passed: {', '.join(passed)}"
    for result in named:
        if mutant.because.match(result.message) is None:
            why = f"not because of '{mutant.because.pattern}': {result.first_line}"
            return Verdict.ERROR, f"'{result.name}' failed, but {why}"
    return Verdict.CAUGHT, ""


def try_mutant(mutant: Mutant, workshop: Workshop) -> Outcome:
    """Build a mutant, run the tests that must catch it, judge."""
    started = time.monotonic()
    results: tuple[TestResult, ...] = ()
    try:
        build = workshop.build(mutant.name, mutant)
        results = run_tests(mutant.name, mutant.caught_by, build, workshop.folder / mutant.name / "robot")
        verdict, detail = judge(mutant, results)
        if verdict is Verdict.CAUGHT:
            workshop.forget(mutant.name)
    except MutantError as error:
        verdict, detail = Verdict.ERROR, str(error)
    return Outcome(
        name=mutant.name,
        removes=mutant.removes,
        verdict=verdict,
        seconds=round(time.monotonic() - started, 1),
        tests=results,
        detail=detail,
    )


def try_baseline(mutants: Sequence[Mutant], workshop: Workshop) -> Outcome:
    """Run the tests of all mutants on the sources as they are: CAUGHT here means that all passed."""
    started = time.monotonic()
    results: tuple[TestResult, ...] = ()
    tests = sorted({test for mutant in mutants for test in mutant.caught_by})
    detail = ""
    try:
        build = workshop.build(BASELINE, None)
        results = run_tests(BASELINE, tests, build, workshop.folder / BASELINE / "robot")
        failed = [f"'{result.name}' failed: {result.first_line}" for result in results if not result.passed]
        detail = "; ".join(failed)
    except MutantError as error:
        detail = str(error)
    return Outcome(
        name=BASELINE,
        removes="nothing: all of these tests pass",
        verdict=Verdict.ERROR if detail else Verdict.CAUGHT,
        seconds=round(time.monotonic() - started, 1),
        tests=results,
        detail=detail,
    )


def run_all(mutants: Sequence[Mutant], folder: Path, workers: int) -> list[Outcome]:
    """Try the sources as they are and every mutant, with progress lines; outcomes in their order."""
    workshop = Workshop(folder)
    outcomes: dict[str, Outcome] = {}
    with ThreadPoolExecutor(workers) as pool:
        waiting: list[Future[Outcome]] = [pool.submit(try_baseline, mutants, workshop)]
        waiting += [pool.submit(try_mutant, mutant, workshop) for mutant in mutants]
        try:
            for number, future in enumerate(as_completed(waiting), 1):
                outcome = future.result()
                outcomes[outcome.name] = outcome
                said = "passed" if outcome.name == BASELINE and not outcome.detail else outcome.verdict.value
                click.echo(
                    f"mutants: [{number}/{len(waiting)}] {outcome.name}: {said} in {outcome.seconds:g} s"
                    + (f": {outcome.detail}" if outcome.detail else "")
                )
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return [outcomes[name] for name in (BASELINE, *(mutant.name for mutant in mutants))]


def table(outcomes: Iterable[Outcome]) -> str:
    """Each mutant with the tests that caught it and what they said."""
    lines = []
    for outcome in outcomes:
        if outcome.name == BASELINE:
            continue
        lines.append(f"{outcome.name}: {outcome.verdict.value}")
        lines += [
            f"    {test.name}\n        {_shorten(test.first_line)}"
            for test in outcome.tests
            if not test.passed
        ]
        lines += [f"    {outcome.detail}"] if outcome.detail else []
    return "\n".join(lines)


def save(outcomes: Iterable[Outcome], path: Path) -> None:
    """Write the outcomes as JSON."""
    content = [asdict(outcome) | {"verdict": outcome.verdict.value} for outcome in outcomes]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def exit_code(outcomes: Sequence[Outcome]) -> int:
    """0 all caught, 1 a survivor, 2 an error."""
    verdicts = {outcome.verdict for outcome in outcomes}
    return 2 if Verdict.ERROR in verdicts else int(Verdict.SURVIVED in verdicts)


def choose(mutants: Sequence[Mutant], names: Sequence[str]) -> list[Mutant]:
    """The mutants with these names; all when there are none. Raises MutantError."""
    known = {mutant.name: mutant for mutant in mutants}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise MutantError(f"no mutant '{unknown[0]}' in firmware or server; --list names them")
    return [known[name] for name in names] if names else list(mutants)


@click.command(help=__doc__)
@click.option("--list", "list_only", is_flag=True, help="Name the mutants and run nothing.")
@click.option(
    "--only", metavar="NAME", multiple=True, help="Try only this mutant; may be given several times."
)
@click.option(
    "--workers", default=2, show_default=True, type=click.IntRange(1, 16), help="Mutants tried at a time."
)
@click.option(
    "--output",
    default=OUTPUT,
    type=click.Path(path_type=Path, resolve_path=True),
    help="Folder to build and report in.",
)
def main(list_only: bool, only: tuple[str, ...], workers: int, output: Path) -> None:
    """Run the command line."""
    try:
        mutants = choose(read_all(), only)
    except MutantError as error:
        click.echo(f"mutants: {error}", err=True)
        sys.exit(2)
    if list_only:
        for mutant in mutants:
            click.echo(f"{mutant.name:32} {mutant.removes}")
        return
    outcomes = run_all(mutants, output, workers)
    save(outcomes, output / "mutants.json")
    click.echo(table(outcomes))
    caught = sum(outcome.verdict is Verdict.CAUGHT for outcome in outcomes if outcome.name != BASELINE)
    click.echo(f"mutants: {caught} of {len(mutants)} caught; {output / 'mutants.json'}")
    sys.exit(exit_code(outcomes))


def _shorten(text: str) -> str:
    return text if len(text) <= _MESSAGE_WIDTH else f"{text[: _MESSAGE_WIDTH - 3]}..."


if __name__ == "__main__":
    main()
