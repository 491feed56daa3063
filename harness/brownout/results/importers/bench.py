"""Benches: the JSON of `brownout bench`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.results.ids import new_run_id
from brownout.results.importers.base import Fields
from brownout.results.model import Better, Case, Figure, Result, Run, RunKind, Series

if TYPE_CHECKING:
    from brownout.results.importers.base import ImportOptions, ResultFile

FORMAT: Final = "brownout-bench"
_VERSION: Final = 1
_BOUNDS: Final = {"<=": Better.LOWER, ">=": Better.HIGHER}
_UNITS: Final = {
    "s": Better.LOWER,
    "ms": Better.LOWER,
    "us": Better.LOWER,
    "B": Better.LOWER,
    "rt": Better.LOWER,
}
_COUNTS: Final = frozenset({"B", "op", "rt"})
"""Units of what does not depend on the machine, as long as it is the same each time."""


def import_bench(file: ResultFile, options: ImportOptions, document: object) -> Run:
    """A bench as a run. Raises ImportFileError: not of this version, or something is missing."""
    bench = Fields(file, document)
    version = bench.integer("version")
    if version != _VERSION:
        raise file.error(f"expected {FORMAT} version {_VERSION}, found {version}")
    duration = bench.number("duration_s")
    started = file.ended(duration)
    skipped = bench.mapping("skipped")
    return Run(
        id=new_run_id(started),
        series=Series(
            project=options.project,
            kind=RunKind.BENCH,
            name="bench",
            board=options.board or bench.text("board"),
            engine=options.engine or bench.text("engine"),
        ),
        started=started,
        duration_s=duration,
        revision=options.revision,
        seed=bench.integer("seed") if options.seed is None else options.seed,
        command=options.command,
        source=str(file.path),
        cases=[Case(name=name, result=Result.SKIP, message=str(why)) for name, why in skipped.items()],
        figures=[_figure(figure) for figure in bench.objects("figures")],
    )


def _figure(figure: Fields) -> Figure:
    unit, value, samples = figure.text("unit"), figure.number("value"), figure.numbers("samples")
    # A count that differs within one run, or is an average, is as noisy as a time.
    exact = unit in _COUNTS and len(set(samples)) <= 1 and value.is_integer()
    return Figure(
        name=figure.text("name"),
        title=figure.text("title"),
        unit=unit,
        value=value,
        better=_BOUNDS.get(figure.text("bound", ""), _better(unit)),
        noisy=not exact,
        samples=samples,
    )


def _better(unit: str) -> Better:
    return Better.HIGHER if unit.endswith("/s") else _UNITS.get(unit, Better.NEITHER)
