"""Evidence of a failed case, from the files that were kept to what the report shows of them."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from brownout.errors import EvidenceError, LogError
from brownout.evidence import (
    MANIFEST,
    Evidence,
    EvidenceKey,
    TimelineKind,
    parse_evidence,
    parse_timeline,
)
from brownout.flash.oplog import OperationLog
from brownout.regression.flashmap import FlashMap, flash_map
from brownout.regression.model import DeviceEvidence, TextFile
from brownout.regression.sequence import SequencePicture, picture
from brownout.regression.text import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.evidence import EvidenceCut, TimelineEvent
    from brownout.results.model import EvidenceItem

_UART_LINES: Final = 2000
_TRACE_LINES: Final = 3000
"""Lines of a text in the report; the end is what matters."""
_MOST_BYTES: Final = 400_000
_SAMPLE: Final = re.compile(r" +\d+x pc 0x[0-9a-f]+ (\S.*)")
_SHOWN: Final = frozenset(
    {
        EvidenceKey.UART,
        EvidenceKey.TRACE,
        EvidenceKey.PROCESSOR,
        EvidenceKey.TIMELINE,
        EvidenceKey.FLASH,
        EvidenceKey.FLASH_BEFORE,
        EvidenceKey.OPERATIONS,
        EvidenceKey.REPLAY,
    }
)


def devices_of(items: Sequence[EvidenceItem]) -> tuple[DeviceEvidence, ...]:
    """What was kept of each device, in the order of the folders."""
    folders: dict[str, list[EvidenceItem]] = defaultdict(list)
    for item in items:
        folders[str(PurePosixPath(item.path).parent)].append(item)
    return tuple(_device(folder, folders[folder]) for folder in sorted(folders))


def _device(folder: str, items: Sequence[EvidenceItem]) -> DeviceEvidence:
    problems: list[str] = []
    manifest = _manifest(items, problems)
    files = {item.key: item.data for item in items if item.key}
    subject = manifest.subject if manifest is not None else ""
    return DeviceEvidence(
        subject=printable(subject or (folder if folder != "." else "")),
        verdict=manifest.verdict if manifest is not None else "",
        detail=manifest.detail if manifest is not None else "",
        command=manifest.command if manifest is not None else "",
        uart=_text(files, EvidenceKey.UART, "UART log", _UART_LINES),
        trace=_text(files, EvidenceKey.TRACE, "Trace of the recovery", _TRACE_LINES),
        processor=_processor(files),
        sequence=_sequence(manifest, files, problems),
        flash=_flash(manifest, files, problems),
        others=tuple(
            f"{printable(item.path)} ({len(item.data):,} bytes)"
            for item in items
            if item.key not in _SHOWN and not item.path.endswith(MANIFEST)
        ),
        problems=tuple(problems),
    )


def _manifest(items: Sequence[EvidenceItem], problems: list[str]) -> Evidence | None:
    for item in items:
        if PurePosixPath(item.path).name == MANIFEST:
            try:
                return parse_evidence(item.data, item.path)
            except EvidenceError as error:
                problems.append(printable(str(error)))
    return None


def _text(files: Mapping[str, bytes], key: EvidenceKey, title: str, most: int) -> TextFile | None:
    data = files.get(key)
    if not data:
        return None
    skipped = data[:-_MOST_BYTES].count(b"\n") if len(data) > _MOST_BYTES else 0
    lines = printable(data[-_MOST_BYTES:].decode(errors="replace")).splitlines()
    return TextFile(title=title, lines=lines[-most:], left_out=skipped + max(0, len(lines) - most))


def _processor(files: Mapping[str, bytes]) -> TextFile | None:
    text = _text(files, EvidenceKey.PROCESSOR, "Where the processor was at the end", _TRACE_LINES)
    if text is None:
        return None
    # Where it was most often says it all, when it waits for ever.
    most = next((found[1] for line in text.lines if (found := _SAMPLE.match(line))), "")
    return replace(text, title=f"{text.title}, {most}" if most else text.title, from_end=False)


def _sequence(
    manifest: Evidence | None, files: Mapping[str, bytes], problems: list[str]
) -> SequencePicture | None:
    data = files.get(EvidenceKey.TIMELINE)
    if data is None:
        return None
    try:
        events = parse_timeline(data.decode(errors="replace"))
        return picture(_with_cuts(events, manifest.cuts if manifest is not None else ()))
    except EvidenceError as error:
        problems.append(printable(str(error)))
        return None


def _with_cuts(events: Sequence[TimelineEvent], cuts: Sequence[EvidenceCut]) -> list[TimelineEvent]:
    """The events; a power cut also says which cut of the replay id it was, and at which operation."""
    named = {cut.session: cut for cut in cuts if cut.session is not None and cut.operation is not None}
    found = []
    for event in events:
        session = re.search(r"session (\d+)", event.text)
        cut = named.get(int(session[1])) if session is not None else None
        if event.kind is TimelineKind.POWER_CUT and cut is not None and cut.cut not in event.text:
            event = replace(event, text=f"{event.text}: {cut.cut} at its operation {cut.operation}")
        found.append(event)
    return found


def _flash(manifest: Evidence | None, files: Mapping[str, bytes], problems: list[str]) -> FlashMap | None:
    after, before = files.get(EvidenceKey.FLASH), files.get(EvidenceKey.FLASH_BEFORE)
    if manifest is None or after is None:
        return None
    if before is None:
        problems.append("no flash image from before the run was kept: no map of what changed")
        return None
    try:
        return flash_map(manifest, before, after, _log(files))
    except (ValueError, LogError) as error:
        problems.append(printable(f"flash map: {error}"))
        return None


def _log(files: Mapping[str, bytes]) -> OperationLog | None:
    data = files.get(EvidenceKey.OPERATIONS)
    return None if data is None else OperationLog.parse_lines(data.decode(errors="replace").splitlines())
