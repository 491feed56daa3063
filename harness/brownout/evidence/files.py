"""A folder of evidence: `evidence.json` says what is in it and how to do it again."""

from __future__ import annotations

import dataclasses
import enum
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from brownout.errors import EvidenceError
from brownout.files import write_atomic

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

MANIFEST: Final = "evidence.json"
FORMAT: Final = "brownout-evidence"
VERSION: Final = 1


class EvidenceKey(enum.StrEnum):
    """What a file of the evidence holds."""

    UART = "uart"
    """The console, with the time of each line."""
    FLASH = "flash"
    """The whole array at the end."""
    FLASH_BEFORE = "flash_before"
    """The whole array before the first power-on."""
    OPERATIONS = "operations"
    """The log of flash operations (brownout.flash.OperationLog)."""
    LINK = "link"
    """What the uplink carried."""
    TIMELINE = "timeline"
    """brownout.evidence.timeline"""
    TRACE = "trace"
    """Instructions of the recovery, with symbols."""
    PROCESSOR = "processor"
    """Where the processor was at the end, with symbols, if it had power (brownout.processor)."""
    REPLAY = "replay"
    ENGINE = "engine"
    """What the emulator said about itself."""


NAMES: Final[Mapping[EvidenceKey, str]] = {
    EvidenceKey.UART: "uart.log",
    EvidenceKey.FLASH: "flash.bin",
    EvidenceKey.FLASH_BEFORE: "flash-before.bin",
    EvidenceKey.OPERATIONS: "operations.jsonl",
    EvidenceKey.LINK: "link.jsonl",
    EvidenceKey.TIMELINE: "timeline.jsonl",
    EvidenceKey.TRACE: "trace.txt",
    EvidenceKey.PROCESSOR: "processor.txt",
    EvidenceKey.REPLAY: "replay.txt",
    EvidenceKey.ENGINE: "engine.txt",
}
"""File names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceCut:
    """A power cut as text. `operation` is that of its power session at which it fired, None when it did not.

    `time_s` is on the clock of the timeline.
    """

    cut: str
    session: int | None = None
    operation: int | None = None
    time_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What evidence.json says about one device.

    `command` does it again, pasted into a shell ("" when there is no such command). `base` and `size` are the
    array's in bytes; `sectors` (count, bytes) runs of erase sectors; `regions` name -> (offset, size);
    `files` key -> file name in the same folder; `firmware` name -> SHA-256 in hex.
    """

    subject: str
    board: str
    engine: str
    engine_version: str = ""
    seed: int | None = None
    replay: str = ""
    command: str = ""
    base: int
    size: int
    erased_value: int = 0xFF
    sectors: Sequence[tuple[int, int]]
    regions: Mapping[str, tuple[int, int]]
    firmware: Mapping[str, str] = field(default_factory=dict)
    cuts: Sequence[EvidenceCut] = ()
    verdict: str = ""
    detail: str = ""
    files: Mapping[EvidenceKey, str] = field(default_factory=dict)


def write_evidence(folder: Path, evidence: Evidence, files: Mapping[EvidenceKey, bytes]) -> None:
    """Write the files, then evidence.json, which names them.

    Raises EvidenceError when the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise EvidenceError(f"{folder}: cannot be made for evidence ({error.strerror})") from error
    for key, data in files.items():
        write_atomic(folder / NAMES[key], data)
    named = dataclasses.replace(evidence, files={key: NAMES[key] for key in files})
    document = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(named)}
    write_atomic(folder / MANIFEST, (json.dumps(document, indent=1) + "\n").encode())


def read_evidence(folder: Path) -> Evidence:
    """What evidence.json in `folder` says. Raises EvidenceError."""
    path = folder / MANIFEST
    try:
        data = path.read_bytes()
    except OSError as error:
        raise EvidenceError(f"{path}: cannot be read ({error.strerror})") from error
    return parse_evidence(data, str(path))


def parse_evidence(data: bytes, where: str = MANIFEST) -> Evidence:
    """What write_evidence() wrote. Raises EvidenceError for anything else, or of a newer version."""
    try:
        value = json.loads(data)
        found, version = value.pop("format"), value.pop("version")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvidenceError(f"{where}: expected evidence (JSON with a format)") from error
    if found != FORMAT or version != VERSION:
        raise EvidenceError(f"{where}: expected {FORMAT} version {VERSION}, found {found} version {version}")
    try:
        value["sectors"] = tuple((int(count), int(size)) for count, size in value["sectors"])
        value["regions"] = {name: (int(at), int(size)) for name, (at, size) in value["regions"].items()}
        value["cuts"] = tuple(EvidenceCut(**cut) for cut in value["cuts"])
        value["files"] = {EvidenceKey(key): str(name) for key, name in value["files"].items()}
        return Evidence(**value)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise EvidenceError(f"{where}: not evidence of this version ({error})") from error
