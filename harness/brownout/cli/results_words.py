"""Runs and comparisons in words, as tables and as JSON, for `brownout results`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from brownout.cli.terminal import print_table
from brownout.results.model import Result

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.results.compare import CaseChange, FigureChange, RunComparison
    from brownout.results.model import Case, Figure, Revision, Run, RunSummary

    Document = dict[str, Any]
    """JSON."""

_STYLES: Final = {"worse": "bold red", "better": "green"}
_MESSAGE_WIDTH: Final = 160
_SHORT_SHA: Final = 10
_SAME_RATIO: Final = 0.0005
"""A ratio that is shown as 1.000 is no change to tell."""


def print_json(value: object) -> None:
    """Print a document."""
    click.echo(json.dumps(value, indent=1, ensure_ascii=False))


def totals(run: Run) -> str:
    """What a run is of, and how it went, on one line."""
    counts = {result: sum(case.result is result for case in run.cases) for result in Result}
    parts = [
        f"{counts[result]} {word}"
        for result, word in ((Result.PASS, "passed"), (Result.FAIL, "failed"), (Result.SKIP, "skipped"))
        if counts[result]
    ]
    parts += [f"{len(run.cuts):,} cuts"] if run.cuts else []
    parts += [f"{len(run.figures)} figures"] if run.figures else []
    parts += [] if run.complete else ["not complete"]
    return f"{_subject(run)}: {', '.join(parts) or 'nothing'}"


# -- lists -------------------------------------------------------------------------------------------------


def summary_columns() -> Sequence[str]:
    """Head of a list of runs."""
    return ("run", "kind", "name", "board", "engine", "commit", "branch", "passed", "failed", "skipped", "")


def summary_row(run: RunSummary) -> Sequence[str]:
    """A run in a list."""
    series = run.series
    return (
        run.id,
        series.kind.value,
        series.name,
        series.board or "-",
        series.engine or "-",
        _commit(run.revision),
        run.revision.branch or "-",
        str(run.passed),
        str(run.failed),
        str(run.skipped),
        "" if run.complete else "not complete",
    )


def summary_document(run: RunSummary) -> Document:
    """A run in a list, as JSON."""
    return {
        **_head_document(run),
        "passed": run.passed,
        "failed": run.failed,
        "skipped": run.skipped,
        "cuts": run.cuts,
        "figures": run.figures,
    }


# -- one run -----------------------------------------------------------------------------------------------


def show_run(run: Run, kept: Mapping[str, Sequence[tuple[str, int]]]) -> None:
    """Print what a run found: what did not pass first, then figures and firmware."""
    click.echo(f"run {run.id}: {totals(run)}")
    facts = [
        ("project", run.series.project),
        ("started", f"{run.started:%Y-%m-%d %H:%M:%S} UTC, took {run.duration_s:.1f} s"),
        ("revision", _revision(run.revision)),
        ("board", run.series.board),
        ("engine", " ".join(part for part in (run.series.engine, run.engine_version) if part)),
        ("seed", "" if run.seed is None else str(run.seed)),
        ("source", run.source),
        ("again", run.command),
    ]
    _facts(facts)
    for word, result in (("failed", Result.FAIL), ("skipped", Result.SKIP)):
        cases = [case for case in run.cases if case.result is result]
        if cases:
            click.echo(f"\n{word}:")
            for case in cases:
                _show_short(case, len(kept.get(case.name, ())))
    if run.figures:
        click.echo("\nfigures:")
        rows = [(figure.name, _value(figure), figure.unit, figure.title) for figure in run.figures]
        print_table(("figure", "value", "unit", "what it is"), rows)
    if run.firmware:
        click.echo("\nfirmware:")
        rows = [
            (image.name, f"{image.size:,} B", image.sha256[:16], _sections(image.sections))
            for image in run.firmware
        ]
        print_table(("image", "file", "SHA-256", "on the device"), rows)


def show_case(case: Case, kept: Sequence[tuple[str, int]]) -> None:
    """Print everything about a case."""
    click.echo(f"{case.name}: {case.result.value}")
    place = case.location
    where = ""
    if place is not None:
        line = f"{place.file}:{place.line}" if place.line else place.file
        where = " ".join(part for part in (line, place.symbol) if part)
    facts = [
        ("duration", "" if case.duration_s is None else f"{case.duration_s:.3f} s"),
        ("place", where),
        ("tags", ", ".join(case.tags)),
        ("operations", "" if case.flash_operations is None else f"{case.flash_operations:,} of the flash"),
        ("replay", case.replay),
        ("again", case.command),
    ]
    _facts(facts)
    for text in (case.message, case.detail):
        if text:
            click.echo(f"\n{text}")
    if kept:
        click.echo("\nevidence (--evidence DIR writes it):")
        print_table(("file", "size"), [(name, f"{size:,} B") for name, size in kept])


def run_document(run: Run, kept: Mapping[str, Sequence[tuple[str, int]]]) -> Document:
    """Everything about a run, as JSON; of evidence the names and sizes."""
    return {
        **_head_document(run),
        "engine_version": run.engine_version,
        "seed": run.seed,
        "command": run.command,
        "source": run.source,
        "firmware": [
            {"name": image.name, "sha256": image.sha256, "size": image.size, "sections": dict(image.sections)}
            for image in run.firmware
        ],
        "cases": [_case_document(case, kept.get(case.name, ())) for case in run.cases],
        "figures": [_figure_document(figure) for figure in run.figures],
        "cuts": [
            {
                "operation": cut.operation,
                "phase": cut.phase,
                "variant": cut.variant,
                "verdict": cut.verdict,
                "finding": cut.finding,
            }
            for cut in run.cuts
        ],
    }


def _show_short(case: Case, kept: int) -> None:
    click.echo(f"  {case.name}")
    if case.message:
        click.echo(f"    {_short(case.message)}")
    if case.command:
        click.echo(f"    again: {case.command}")
    if kept:
        click.echo(f"    {kept} file(s) of evidence: --case NAME --evidence DIR")


# -- two runs ----------------------------------------------------------------------------------------------


def compare_words(comparison: RunComparison) -> None:
    """Print what changed: the worst first."""
    old, new = comparison.old, comparison.new
    click.echo(f"A  {old.id}  {_revision(old.revision) or '-'}  {totals(old)}")
    click.echo(f"B  {new.id}  {_revision(new.revision) or '-'}  {totals(new)}")
    if not comparison.same_series:
        click.echo("these runs are of different things: a difference need be no regression")
    for word, changes in (
        ("broke", comparison.broke),
        ("fixed", comparison.fixed),
        ("still failing", comparison.still_failing),
        ("skipped now", comparison.skipped),
        ("new", comparison.added),
        ("gone", comparison.removed),
        ("unknown, for a run was not complete", comparison.unknown),
    ):
        if changes:
            click.echo(f"\n{word} ({len(changes)}):")
            for change in changes:
                _show_change(change)
    rows = [_figure_row(change) for change in comparison.figures if _worth_telling(change)]
    if rows:
        click.echo("\nfigures:")
        columns = ("figure", "ratio", "A", "B", "unit", "")
        print_table(columns, rows, styles=_STYLES, header=True)
    if not comparison.broke:
        click.echo("\nnothing broke")


def comparison_document(comparison: RunComparison) -> Document:
    """What changed, as JSON."""
    lists = {
        "broke": comparison.broke,
        "fixed": comparison.fixed,
        "still_failing": comparison.still_failing,
        "skipped": comparison.skipped,
        "added": comparison.added,
        "removed": comparison.removed,
        "unknown": comparison.unknown,
    }
    return {
        "old": _head_document(comparison.old),
        "new": _head_document(comparison.new),
        "same_series": comparison.same_series,
        **{name: [_change_document(change) for change in changes] for name, changes in lists.items()},
        "still_passing": len(comparison.still_passing),
        "figures": [
            {
                "name": change.name,
                "unit": change.unit,
                "old": None if change.old is None else change.old.value,
                "new": None if change.new is None else change.new.value,
                "ratio": change.ratio,
                "worse": change.worse,
            }
            for change in comparison.figures
        ],
    }


def _show_change(change: CaseChange) -> None:
    case = change.new or change.old
    both = change.old is not None and change.new is not None
    click.echo(f"  {change.name}" + ("" if both or case is None else f": {case.result.value}"))
    if change.new is not None and change.new.result is Result.FAIL:
        if change.new.message:
            click.echo(f"    {_short(change.new.message)}")
        if change.new.command:
            click.echo(f"    again: {change.new.command}")


def _worth_telling(change: FigureChange) -> bool:
    if change.old is None or change.new is None:
        return True
    return change.changed and (change.ratio is None or abs(change.ratio - 1) >= _SAME_RATIO)


def _figure_row(change: FigureChange) -> Sequence[str]:
    return (
        change.name,
        "-" if change.ratio is None else f"{change.ratio:.3f}",
        "-" if change.old is None else _value(change.old),
        "-" if change.new is None else _value(change.new),
        change.unit,
        _direction(change),
    )


def _direction(change: FigureChange) -> str:
    if change.old is None:
        return "new"
    if change.new is None:
        return "gone"
    if change.worse:
        return "worse"
    return "better" if change.new.better.value else ""


# -- small parts -------------------------------------------------------------------------------------------


def _facts(facts: Sequence[tuple[str, str]]) -> None:
    width = max(len(name) for name, _ in facts)
    for name, text in facts:
        if text:
            click.echo(f"  {name.ljust(width)}  {text}")


def _subject(run: Run) -> str:
    series = run.series
    place = "/".join(part for part in (series.board, series.engine) if part)
    return f"{series.kind.value} {series.name}" + (f" on {place}" if place else "")


def _commit(revision: Revision) -> str:
    return (revision.commit[:_SHORT_SHA] or "-") + ("+" if revision.dirty else "")


def _revision(revision: Revision) -> str:
    if not revision.commit:
        return ""
    branch = f" ({revision.branch})" if revision.branch else ""
    changed = " and changes" if revision.dirty else ""
    return f"{revision.commit[:_SHORT_SHA]}{branch}{changed}"


def _value(figure: Figure) -> str:
    value = figure.value
    return f"{value:,.0f}" if value.is_integer() else f"{value:,.4g}" if abs(value) < 100 else f"{value:,.1f}"


def _sections(sections: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {size:,}" for name, size in sections.items())


def _short(text: str) -> str:
    line = text.strip().splitlines()[0] if text.strip() else ""
    return line if len(line) <= _MESSAGE_WIDTH else f"{line[: _MESSAGE_WIDTH - 3]}..."


def _head_document(run: Run | RunSummary) -> Document:
    return {
        "id": run.id,
        "project": run.series.project,
        "kind": run.series.kind.value,
        "name": run.series.name,
        "board": run.series.board,
        "engine": run.series.engine,
        "started": run.started.isoformat(),
        "duration_s": run.duration_s,
        "commit": run.revision.commit,
        "branch": run.revision.branch,
        "dirty": run.revision.dirty,
        "complete": run.complete,
    }


def _case_document(case: Case, kept: Sequence[tuple[str, int]]) -> Document:
    place = case.location
    return {
        "name": case.name,
        "result": case.result.value,
        "duration_s": case.duration_s,
        "message": case.message,
        "detail": case.detail,
        "tags": list(case.tags),
        "replay": case.replay,
        "command": case.command,
        "location": None
        if place is None
        else {"file": place.file, "line": place.line, "symbol": place.symbol},
        "flash_operations": case.flash_operations,
        "evidence": [{"path": name, "size": size} for name, size in kept],
    }


def _change_document(change: CaseChange) -> Document:
    case = change.new or change.old
    return {
        "name": change.name,
        "old": None if change.old is None else change.old.result.value,
        "new": None if change.new is None else change.new.result.value,
        "message": "" if case is None else case.message,
        "replay": "" if case is None else case.replay,
        "command": "" if case is None else case.command,
    }


def _figure_document(figure: Figure) -> Document:
    return {
        "name": figure.name,
        "title": figure.title,
        "unit": figure.unit,
        "value": figure.value,
        "better": figure.better.value,
        "noisy": figure.noisy,
        "samples": list(figure.samples),
    }
