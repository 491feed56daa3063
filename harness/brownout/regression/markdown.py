"""The report as Markdown for a comment on a pull request: what a reviewer needs, the rest folded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.regression.causes import causes_of
from brownout.regression.model import Change, Trend
from brownout.regression.notes import plural, revision_text, series_text, since_text
from brownout.regression.numbers import band_text, ratio_text, value_text
from brownout.regression.text import clipped, first_line, printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.regression.model import CaseEntry, Document, FigureEntry

LIMIT: Final = 65_536
"""Characters of a comment on GitHub."""
_ROOM: Final = 1_500
"""Kept for the end of the comment, and for what was left out."""
_MESSAGE: Final = 400
_LOG: Final = 12
_LINE: Final = 160
_MOST: Final = 30
_WHOLE: Final = 12
"""Failures that are told whole, of all causes together; of each at least one."""
MARKER: Final = "<!-- brownout-report -->"
"""First line of the comment: a job finds and updates it by this."""


def render_markdown(document: Document) -> str:
    """The comment; fewer characters than LIMIT, whatever the document holds."""
    parts: list[str] = []
    used, left_out = 0, 0
    for part in _parts(document):
        size = len(part) + 2
        if used + size > LIMIT - _ROOM:
            left_out += 1
            continue
        parts.append(part)
        used += size
    if left_out:
        parts.append(f"{plural(left_out, 'part')} did not fit into a comment; index.html has everything.")
    parts.append("<sub>All of it, with the evidence of each failure: index.html of this report.</sub>")
    return "\n\n".join(parts) + "\n"


def _parts(document: Document) -> Iterator[str]:
    sign = "❌" if document.broke else "✅" if document.good else "⚠️"
    yield f"{MARKER}\n## {sign} {escape(document.headline)}"
    yield _counts(document)
    broke = document.of(Change.BROKE)
    causes = causes_of(broke)
    whole = max(1, _WHOLE // max(1, len(causes)))
    for cause in causes[:_MOST]:
        if len(causes) > 1:
            yield f"### {escape(cause.text)}"
        for case in cause.cases[:whole]:
            yield "\n".join(_failure(case, level=4 if len(causes) > 1 else 3))
        if len(cause.cases) > whole:
            rest = cause.cases[whole:]
            yield _folded(f"{plural(len(rest), 'case')} more", "\n".join(_list(rest)))
    if len(causes) > _MOST:
        yield f"and more since {plural(len(causes) - _MOST, 'other revision')}."
    worse = document.figures_of(Trend.WORSE)
    if worse:
        yield f"### Slower or bigger\n\n{_figures(worse)}"
    for title, cases in (
        ("Fixed", document.of(Change.FIXED)),
        ("Flaky", document.flaky),
        ("Still failing", document.of(Change.STILL_FAILING)),
        ("Failing in new series", document.of(Change.FAILS_IN_NEW_SERIES)),
    ):
        if cases:
            yield _folded(f"{title}: {len(cases)}", "\n".join(_list(cases)))
    moved = document.figures_of(Trend.CHANGED, Trend.BETTER, Trend.UNDECIDED)
    if moved:
        yield _folded(f"Other figures that moved: {len(moved)}", _figures(moved))
    yield _folded("What was compared", "\n".join(_series(document)))


def _counts(document: Document) -> str:
    counts = [(change.value.replace("-", " "), len(document.of(change))) for change in Change]
    counts[2:2] = [
        ("flaky", len(document.flaky)),
        ("slower or bigger", len(document.figures_of(Trend.WORSE))),
    ]
    return " · ".join(f"{count} {name}" for name, count in counts if count) or "Nothing to report."


def _failure(case: CaseEntry, *, level: int) -> Iterator[str]:
    """What broke: name, message, since when, how to replay; the end of the log folded."""
    flaky = f" (flaky: failed {case.flaky.failed} of {case.flaky.runs})" if case.flaky else ""
    yield f"{'#' * level} {escape(one_line(case.name))}{escape(flaky)}"
    yield ""
    if case.message:
        yield escape(clipped(first_line(case.message), _MESSAGE))
        yield ""
    about = [since_text(case.since)] if case.since else []
    if case.was is None:
        about.append("it was not in the baseline's run")
    about.append(series_text(case.run.series))
    if case.location and case.location.file:
        line = f":{case.location.line}" if case.location.line else ""
        about.append(f"{case.location.file}{line}")
    yield escape("; ".join(about))
    if case.command or case.replay:
        yield ""
        yield _fenced(case.command or case.replay, "sh")
    log = next((device.uart for device in case.evidence if device.uart), None)
    if log is not None:
        lines = [clipped(line, _LINE) for line in log.lines[-_LOG:]]
        yield ""
        yield _folded("End of the UART log", _fenced("\n".join(lines), "text"))


def _list(cases: Sequence[CaseEntry]) -> Iterator[str]:
    for case in cases[:_MOST]:
        parts = [f"**{escape(one_line(case.name))}**"]
        if case.flaky:
            parts.append(f"failed {case.flaky.failed} of {case.flaky.runs} runs")
        if case.since:
            parts.append(escape(since_text(case.since)))
        yield f"- {', '.join(parts)}"
    if len(cases) > _MOST:
        yield f"- and {len(cases) - _MOST} more"


def _figures(figures: Sequence[FigureEntry]) -> str:
    lines = ["| Figure | Ratio | Baseline | Now | Noise |", "|---|---|---|---|---|"]
    for figure in figures[:_MOST]:
        cells = [
            one_line(figure.title),
            f"{ratio_text(figure)} {figure.word}",
            value_text(figure.then, figure.unit),
            value_text(figure.now, figure.unit),
            band_text(figure),
        ]
        lines.append(f"| {' | '.join(escape(cell) for cell in cells)} |")
    if len(figures) > _MOST:
        lines.append(f"| and {len(figures) - _MOST} more | | | | |")
    return "\n".join(lines)


def _series(document: Document) -> Iterator[str]:
    for entry in document.series:
        base = "no baseline: new" if entry.baseline is None else f"against {revision_text(entry.baseline)}"
        text = f"{series_text(entry.run.series)}: {revision_text(entry.run)} {base}, {entry.passed} passed, "
        text += f"{entry.failed} failed, {entry.skipped} skipped"
        notes = [*entry.notes, *(f"firmware {note}" for note in entry.firmware)]
        yield f"- {escape(text)}" + "".join(f"; {escape(one_line(note))}" for note in notes)


def _folded(title: str, body: str) -> str:
    return f"<details><summary>{escape(title)}</summary>\n\n{body}\n\n</details>"


def _fenced(text: str, language: str) -> str:
    """A code block that its content cannot end."""
    safe = printable(text)
    fence = "```"
    while fence in safe:
        fence += "`"
    return f"{fence}{language}\n{safe}\n{fence}"


def one_line(text: str) -> str:
    """Text without line ends."""
    return " ".join(printable(text).split())


def escape(text: str) -> str:
    """Text that Markdown and HTML take as it is: no markup, no mention of a person."""
    escaped = []
    for char in one_line(text):
        if char in "<>&":
            escaped.append({"<": "&lt;", ">": "&gt;", "&": "&amp;"}[char])
        elif char == "@":
            escaped.append("@\u200b")  # nobody gets a mail because a device printed a name
        else:
            escaped.append(f"\\{char}" if char in "\\`*_[]|~#" else char)
    return "".join(escaped)
