"""All cases of the runs as JUnit XML, as CI systems read it: failures with since when, and how to replay."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.etree import ElementTree as ET

from brownout.regression.notes import revision_text, series_text, since_text
from brownout.regression.text import clipped, first_line, printable
from brownout.results.model import Result

if TYPE_CHECKING:
    from brownout.regression.model import CaseEntry, CaseResult, Document, SeriesEntry

_MESSAGE = 500


def render_junit(document: Document) -> str:
    """A test suite for each series, a test case for each case of its run."""
    entries = {case.anchor: case for case in document.cases}
    root = ET.Element("testsuites", name=printable(document.title))
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for series in document.series:
        suite = _suite(series, entries)
        for key in totals:
            totals[key] += int(suite.get(key, "0"))
        root.append(suite)
    for key, value in totals.items():
        root.set(key, str(value))
    root.set("time", f"{sum(series.duration_s for series in document.series):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _suite(series: SeriesEntry, entries: dict[str, CaseEntry]) -> ET.Element:
    results = [case.result for case in series.cases]
    suite = ET.Element(
        "testsuite",
        {
            "name": printable(series_text(series.run.series)),
            "tests": str(len(results)),
            "failures": str(results.count(Result.FAIL)),
            "errors": "0",
            "skipped": str(results.count(Result.SKIP)),
            "time": f"{series.duration_s:.3f}",
            "timestamp": f"{series.run.started:%Y-%m-%dT%H:%M:%S}",
        },
    )
    properties = ET.SubElement(suite, "properties")
    facts = {"run": series.run.id, "revision": revision_text(series.run), "branch": series.run.branch}
    if series.baseline is not None:
        facts["baseline"] = revision_text(series.baseline)
    for name, value in facts.items():
        ET.SubElement(properties, "property", name=name, value=printable(value))
    for case in series.cases:
        suite.append(_case(case, series, entries.get(case.anchor)))
    return suite


def _case(case: CaseResult, series: SeriesEntry, entry: CaseEntry | None) -> ET.Element:
    run = series.run.series
    attributes = {
        "name": printable(case.name),
        "classname": printable(".".join(part for part in (run.kind.value, run.name, run.board) if part)),
        "time": f"{case.duration_s or 0.0:.3f}",
    }
    if case.location is not None and case.location.file:
        attributes["file"] = printable(case.location.file)
        attributes["line"] = str(max(1, case.location.line))
    element = ET.Element("testcase", attributes)
    if case.result is Result.FAIL:
        message = clipped(first_line(case.message) or "failed", _MESSAGE)
        failure = ET.SubElement(element, "failure", message=message, type=_type(entry))
        failure.text = "\n".join(_story(case, entry))
    elif case.result is Result.SKIP:
        ET.SubElement(element, "skipped", message=clipped(first_line(case.message), _MESSAGE))
    return element


def _type(entry: CaseEntry | None) -> str:
    return "failure" if entry is None or entry.change is None else entry.change.value


def _story(case: CaseResult, entry: CaseEntry | None) -> list[str]:
    lines = [printable(case.message)]
    if entry is not None:
        lines += [since_text(entry.since)] if entry.since else []
        if entry.flaky:
            lines.append(f"flaky: failed {entry.flaky.failed} of {entry.flaky.runs} runs")
        lines += [printable(entry.detail)] if entry.detail else []
        lines += [f"replay: {printable(entry.command or entry.replay)}"] * bool(entry.command or entry.replay)
    return lines
