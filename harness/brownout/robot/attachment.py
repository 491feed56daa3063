"""A folder of evidence as a few lines of HTML for Robot's log; they need nothing from outside."""

from __future__ import annotations

import bisect
import html
from collections import Counter
from typing import TYPE_CHECKING, Final

from brownout.evidence import EvidenceKey, read_evidence
from brownout.flash import OperationLog, RecordKind
from brownout.robot.output import link_to

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from brownout.evidence import Evidence
    from brownout.flash import LogRecord

_LINES: Final = 12
_SECTORS: Final = 12
_WIDTH: Final = 720
_LEAST: Final = 2.0
"""Pixels of a sector in the picture: a large flash has more sectors than the picture has pixels."""
_COLOURS: Final = {"erase": "#e69f00", "program": "#0072b2", "cut": "#d00000"}


def attachment(name: str, folder: Path) -> str:
    """HTML about the evidence of device `name` in `folder`. Raises EvidenceError, LogError."""
    evidence = read_evidence(folder)
    version = f" {evidence.engine_version}" if evidence.engine_version else ""
    seed = "" if evidence.seed is None else f", seed {evidence.seed}"
    head = f"{evidence.board} on {evidence.engine}{version}{seed}"
    parts = [f"<b>{_text(name)}</b>: {_text(head)}"]
    if evidence.verdict:
        parts.append(f"{_text(evidence.verdict)}: {_text(evidence.detail)}")
    if evidence.replay:
        parts.append(f"replay <code>{_text(evidence.replay)}</code>")
    if evidence.command:
        parts.append(f"again: <code>{_text(evidence.command)}</code>")
    for cut in evidence.cuts:
        fired = "did not fire"
        if cut.operation is not None:
            fired = f"fired at operation {cut.operation} of power session {cut.session}"
        parts.append(f"cut <code>{_text(cut.cut)}</code> {fired}")
    body = "".join(f"<div>{part}</div>" for part in parts)
    return (
        f"<div>{body}{_console(folder, evidence)}{_flash(folder, evidence)}{_processor(folder, evidence)}"
        f"{_links(folder, evidence)}</div>"
    )


def _console(folder: Path, evidence: Evidence) -> str:
    if EvidenceKey.UART not in evidence.files:
        return ""
    lines = (folder / evidence.files[EvidenceKey.UART]).read_text("utf-8", "replace").splitlines()[-_LINES:]
    shown = "\n".join(lines) or "nothing"
    return f"<div>last on the console:</div><pre>{_text(shown)}</pre>"


def _processor(folder: Path, evidence: Evidence) -> str:
    if EvidenceKey.PROCESSOR not in evidence.files:
        return ""
    text = (folder / evidence.files[EvidenceKey.PROCESSOR]).read_text("utf-8", "replace")
    return f"<details><summary>where the processor was</summary><pre>{_text(text)}</pre></details>"


def _links(folder: Path, evidence: Evidence) -> str:
    links = [
        f'<a href="{_text(link_to(folder / file))}">{_text(file)}</a>'
        for file in (*evidence.files.values(), "evidence.json")
    ]
    return f"<div>files: {', '.join(links)}</div>"


# -- flash -------------------------------------------------------------------------------------------------


def _flash(folder: Path, evidence: Evidence) -> str:
    if EvidenceKey.OPERATIONS not in evidence.files:
        return ""
    text = (folder / evidence.files[EvidenceKey.OPERATIONS]).read_text()
    operations = OperationLog.parse_lines(text.splitlines()).operations()
    starts = list(_starts(evidence))
    counts: dict[int, Counter[str]] = {}
    for record in operations:
        for index in _sectors(starts, evidence.size, record):
            counts.setdefault(index, Counter()).update(_labels(record))
    if not counts:
        return "<div>flash: no operations</div>"
    lengths = [end - start for start, end in zip(starts, [*starts[1:], evidence.size], strict=True)]
    total = f"flash: {len(operations)} operation(s) in {len(counts)} of {len(starts)} sectors"
    return (
        f"<div>{total}</div>{_picture(evidence, starts, lengths, counts)}{_table(evidence, starts, counts)}"
    )


def _starts(evidence: Evidence) -> Iterator[int]:
    offset = 0
    for count, size in evidence.sectors:
        for _ in range(count):
            yield offset
            offset += size


def _sectors(starts: Sequence[int], size: int, record: LogRecord) -> range:
    first, last = record.offset, record.offset + max(1, record.length) - 1
    if not 0 <= first <= last < size:
        return range(0)
    return range(bisect.bisect_right(starts, first) - 1, bisect.bisect_right(starts, last))


def _labels(record: LogRecord) -> Iterator[str]:
    if record.kind in (RecordKind.ERASE, RecordKind.PROGRAM):
        yield record.kind.value
    if record.cut is not None:
        yield "cut"


def _picture(
    evidence: Evidence, starts: Sequence[int], lengths: Sequence[int], counts: dict[int, Counter[str]]
) -> str:
    """The flash from its first to its last byte: erased and programmed sectors, cuts; named regions below."""
    scale = _WIDTH / evidence.size
    bars = []
    for index, counter in sorted(counts.items()):
        wide = max(_LEAST, lengths[index] * scale)
        for row, label in enumerate(("erase", "program")):
            if counter[label]:
                bars.append(_bar(starts[index] * scale, row * 10, wide, 9, _COLOURS[label]))
        if counter["cut"]:
            bars.append(_bar(starts[index] * scale, 0, wide, 19, _COLOURS["cut"]))
    for name, (offset, size) in evidence.regions.items():
        wide = max(_LEAST, size * scale - 1)
        bars.append(_bar(offset * scale, 22, wide, 8, "#b0b0b0", f"{name} at {offset:#x}, {size:#x} bytes"))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" width="{_WIDTH}" height="31" '
        f'viewBox="0 0 {_WIDTH} 31"><title>Flash: erased above, programmed below, cuts across; regions'
        f'</title><rect width="{_WIDTH}" height="19" fill="#eeeeee"/>{"".join(bars)}</svg>'
    )


def _bar(x: float, y: float, width: float, height: float, colour: str, title: str = "") -> str:
    told = f"<title>{_text(title)}</title>" if title else ""
    return f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}">{told}</rect>'


def _table(evidence: Evidence, starts: Sequence[int], counts: dict[int, Counter[str]]) -> str:
    # Cuts first: they are what the reader looks for.
    order = sorted(counts, key=lambda index: (not counts[index]["cut"], index))
    rows = [
        f"<tr><td>{starts[index]:#x}</td><td>{_text(_regions(evidence, starts[index]))}</td>"
        + "".join(f"<td>{counts[index][label]}</td>" for label in ("erase", "program", "cut"))
        + "</tr>"
        for index in order[:_SECTORS]
    ]
    more = len(order) - len(rows)
    rest = f"<div>and {more} more sectors: operations.jsonl has all</div>" if more else ""
    head = "".join(f"<th>{name}</th>" for name in ("sector", "region", "erases", "programs", "cuts"))
    return f'<table style="width:auto"><tr>{head}</tr>{"".join(rows)}</table>{rest}'


def _regions(evidence: Evidence, offset: int) -> str:
    found = [name for name, (start, size) in evidence.regions.items() if start <= offset < start + size]
    return ", ".join(found)


def _text(text: str) -> str:
    return html.escape(text)


__all__ = ["attachment"]
