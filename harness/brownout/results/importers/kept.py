"""Evidence that a run left in folders, read for the store."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from brownout.errors import EvidenceError
from brownout.evidence import MANIFEST, Evidence, EvidenceKey, read_evidence
from brownout.results.model import EvidenceItem
from brownout.results.store import EVIDENCE_LIMIT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

_TYPES: Final = {
    ".bin": "application/octet-stream",
    ".html": "text/html",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
    ".log": "text/plain",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".xml": "application/xml",
}
_REPLAY_FILE: Final = "replay.txt"
_OPERATIONS_FILE: Final = "operations.jsonl"
_OPERATIONS: Final = frozenset({"program", "erase", "bad_command"})
_MOST_FILES: Final = 1000
_HEAD_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a folder of evidence held. `devices` is what each evidence.json in it said.

    `replay` and `command` are the first ones that there are, or ""; `flash_operations` is the sum of the
    devices', None when nobody kept a log; `notes` tells what could not be read.
    """

    items: Sequence[EvidenceItem] = ()
    devices: Sequence[Evidence] = ()
    replay: str = ""
    command: str = ""
    flash_operations: int | None = None
    notes: Sequence[str] = field(default=())


def read_kept(folder: Path) -> Kept:
    """Everything in `folder`: its files and those of the folders in it. Links are not followed.

    What cannot be read is left out and told in the notes: the result of the test counts more.
    """
    items: list[EvidenceItem] = []
    notes: list[str] = []
    devices: list[Evidence] = []
    keys: dict[str, EvidenceKey] = {}
    paths = sorted(_files(folder))
    if len(paths) > _MOST_FILES:
        notes.append(f"not kept: {len(paths) - _MOST_FILES} more files in {folder}")
    for path in paths[:_MOST_FILES]:
        if path.name != MANIFEST:
            continue
        try:
            evidence = read_evidence(path.parent)
        except EvidenceError as error:
            notes.append(str(error))
            continue
        devices.append(evidence)
        keys.update({str(path.parent / name): key for key, name in evidence.files.items()})
    for path in paths[:_MOST_FILES]:
        name = path.relative_to(folder).as_posix()
        try:
            size = path.stat().st_size
            if size > EVIDENCE_LIMIT:
                notes.append(f"not kept: {name} ({size} bytes, the limit is {EVIDENCE_LIMIT})")
                continue
            data = path.read_bytes()
        except OSError as error:
            notes.append(f"not kept: {name} ({error.strerror})")
            continue
        key = keys.get(str(path))
        kind = _TYPES.get(path.suffix, "application/octet-stream")
        items.append(
            EvidenceItem(path=name, key="" if key is None else key.value, media_type=kind, data=data)
        )
    return Kept(
        items=tuple(items),
        devices=tuple(devices),
        replay=_replay(items, devices),
        command=next((device.command for device in devices if device.command), ""),
        flash_operations=_operations(items),
        notes=tuple(notes),
    )


def is_evidence(folder: Path) -> bool:
    """Whether a folder, or one in it, has an evidence.json."""
    try:
        return (folder / MANIFEST).is_file() or any(folder.glob(f"*/{MANIFEST}"))
    except OSError:
        return False


def _files(folder: Path) -> Iterator[Path]:
    try:
        entries = sorted(folder.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            continue
        if entry.is_dir():
            yield from _files(entry)
        elif entry.is_file():
            yield entry


def _replay(items: Sequence[EvidenceItem], devices: Sequence[Evidence]) -> str:
    for device in devices:
        if device.replay:
            return device.replay
    for item in items:
        if item.path.rsplit("/", 1)[-1] == _REPLAY_FILE:
            words = item.data[:_HEAD_BYTES].decode(errors="replace").split("\n", 1)[0].split()
            if words:
                return words[-1]
    return ""


def _operations(items: Sequence[EvidenceItem]) -> int | None:
    """Operations in the logs. A line is told by its beginning: a log may hold megabytes of data."""
    logs = [item for item in items if item.path.rsplit("/", 1)[-1] == _OPERATIONS_FILE]
    if not logs:
        return None
    count = 0
    starts = tuple(f'{{"kind": {json.dumps(kind)}'.encode() for kind in sorted(_OPERATIONS))
    for log in logs:
        count += sum(line.startswith(starts) for line in log.data.splitlines())
    return count
