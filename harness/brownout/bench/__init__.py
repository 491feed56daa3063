"""The benchmark: figures of the reference device on an engine, as a table and as JSON (docs/figures.md).

python -m brownout.bench --output build/bench/bench.json
"""

from brownout.bench.figures import FIGURES, Figure, find_figure
from brownout.bench.report import as_document, as_table
from brownout.bench.runner import GROUPS, BenchOptions, BenchReport, run_bench
from brownout.bench.samples import Measurement, Result, Summary, Verdict, judge, summarize

__all__ = [
    "FIGURES",
    "GROUPS",
    "BenchOptions",
    "BenchReport",
    "Figure",
    "Measurement",
    "Result",
    "Summary",
    "Verdict",
    "as_document",
    "as_table",
    "find_figure",
    "judge",
    "run_bench",
    "summarize",
]
