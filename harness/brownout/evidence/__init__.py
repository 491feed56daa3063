"""What is kept of a device that failed, so that somebody who was not there sees what happened."""

from brownout.evidence.files import (
    MANIFEST,
    NAMES,
    Evidence,
    EvidenceCut,
    EvidenceKey,
    parse_evidence,
    read_evidence,
    write_evidence,
)
from brownout.evidence.timeline import (
    Lane,
    TimelineEvent,
    TimelineKind,
    dump_timeline,
    flash_text,
    parse_timeline,
)

__all__ = [
    "MANIFEST",
    "NAMES",
    "Evidence",
    "EvidenceCut",
    "EvidenceKey",
    "Lane",
    "TimelineEvent",
    "TimelineKind",
    "dump_timeline",
    "flash_text",
    "parse_evidence",
    "parse_timeline",
    "read_evidence",
    "write_evidence",
]
