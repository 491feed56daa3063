"""A report of the benchmark as text and as a JSON document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.bench.figures import Unit

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.bench.runner import BenchReport
    from brownout.bench.samples import Result

FORMAT: Final = "brownout-bench"
VERSION: Final = 1
_JSON_DECIMALS: Final = 6
_HEADINGS: Final = ("figure", "value", "min", "max", "n", "unit", "aim", "", "what it is")
_RIGHT: Final = frozenset({"value", "min", "max", "n", "aim"})
_DECIMALS: Final[Mapping[Unit, int]] = {
    Unit.SECOND: 3,
    Unit.MILLISECOND: 1,
    Unit.MICROSECOND: 1,
    Unit.RATIO: 2,
    Unit.ROUND_TRIP: 1,
    Unit.CUT_RATE: 2,
}


def as_document(report: BenchReport) -> dict[str, object]:
    """The report as JSON values. `value` is the figure's headline: the median, of a stack the maximum."""
    options = report.options
    return {
        "format": FORMAT,
        "version": VERSION,
        "board": options.board,
        "engine": options.engine,
        "seed": options.seed,
        "repeat": options.repeat,
        "machine": dict(report.machine),
        "duration_s": round(report.duration_s, 3),
        "skipped": dict(report.skipped),
        "figures": [_figure(result) for result in report.results],
    }


def as_table(report: BenchReport) -> str:
    """The report as text: a line on where and how, one for each figure, one for each group left out."""
    options, machine = report.options, report.machine
    head = (
        f"{options.board} on {options.engine}, seed {options.seed}, repeated {options.repeat} x, "
        f"{machine['cores']} cores ({machine['system']} {machine['processor']}), {report.duration_s:.1f} s"
    )
    rows = [_HEADINGS, *(_row(result) for result in report.results)]
    skipped = [f"{group}: skipped: {why}" for group, why in report.skipped.items()]
    return "\n".join([head, "", *_aligned(rows), *skipped])


def _figure(result: Result) -> dict[str, object]:
    figure, summary = result.figure, result.summary
    return {
        "name": figure.name,
        "title": figure.title,
        "unit": figure.unit.value,
        "value": _rounded(result.value),
        "headline": figure.headline.value,
        "median": _rounded(summary.median),
        "min": _rounded(summary.minimum),
        "max": _rounded(summary.maximum),
        "samples": [_rounded(sample) for sample in result.measurement.samples],
        "aim": figure.aim,
        "bound": None if figure.aim is None else figure.bound.value,
        "verdict": result.verdict.value or None,
        "note": result.measurement.note,
    }


def _rounded(value: float) -> float:
    return round(value, _JSON_DECIMALS)


def _row(result: Result) -> tuple[str, ...]:
    figure, summary = result.figure, result.summary
    note = f" ({result.measurement.note})" if result.measurement.note else ""
    return (
        figure.name,
        _number(result.value, figure.unit),
        _number(summary.minimum, figure.unit),
        _number(summary.maximum, figure.unit),
        str(summary.count),
        figure.unit.value,
        "" if figure.aim is None else f"{figure.bound.value} {_number(figure.aim, figure.unit)}",
        result.verdict.value,
        f"{figure.title}{note}",
    )


def _number(value: float, unit: Unit) -> str:
    return f"{value:.{_DECIMALS.get(unit, 0)}f}"


def _aligned(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.rjust(width) if heading in _RIGHT else cell.ljust(width)
            for cell, width, heading in zip(row, widths, _HEADINGS, strict=True)
        ).rstrip()
        for row in rows
    ]
