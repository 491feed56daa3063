"""The folder of evidence and its timeline: what is written is read back, anything else is one clear line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from brownout.errors import EvidenceError
from brownout.evidence import (
    MANIFEST,
    Evidence,
    EvidenceCut,
    EvidenceKey,
    Lane,
    TimelineEvent,
    TimelineKind,
    dump_timeline,
    parse_timeline,
    read_evidence,
    write_evidence,
)

if TYPE_CHECKING:
    from pathlib import Path

EVIDENCE = Evidence(
    subject="dev-1",
    board="mps2-an385",
    engine="qemu",
    seed=7,
    replay="mps2-an385:qemu:7:op=3/torn/random",
    base=0x2100_0000,
    size=0x2000,
    sectors=((2, 0x1000),),
    regions={"flag": (0, 0x1000)},
    cuts=(
        EvidenceCut(cut="op=3/torn/random", session=1, operation=3, time_s=0.5),
        EvidenceCut(cut="op=9/after"),
    ),
)


def event(time_s: float, text: str) -> TimelineEvent:
    return TimelineEvent(
        time_s=time_s, kind=TimelineKind.MESSAGE, source=Lane.DEVICE, target=Lane.SERVER, text=text
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    folder = tmp_path / "suite" / "dev-1"
    write_evidence(folder, EVIDENCE, {EvidenceKey.UART: b"boot\n", EvidenceKey.FLASH: bytes(0x2000)})
    found = read_evidence(folder)
    assert found.files == {EvidenceKey.UART: "uart.log", EvidenceKey.FLASH: "flash.bin"}
    assert (folder / found.files[EvidenceKey.UART]).read_bytes() == b"boot\n"
    assert found.cuts == EVIDENCE.cuts
    assert (found.sectors, found.regions, found.seed) == (EVIDENCE.sectors, EVIDENCE.regions, 7)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "expected brownout-evidence version 1, found brownout-evidence version 2"),
        ({"format": "other"}, "found other version 1"),
        ({"files": {"sound": "a.wav"}}, "not evidence of this version .*sound"),
        ({"regions": [1]}, "not evidence of this version"),
        ({"surplus": 1}, "not evidence of this version .*surplus"),
    ],
)
def test_other_evidence_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    write_evidence(tmp_path, EVIDENCE, {})
    path = tmp_path / MANIFEST
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(EvidenceError, match=message) as caught:
        read_evidence(tmp_path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"a": 1}'])
def test_what_is_no_evidence_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(EvidenceError, match="expected evidence"):
        read_evidence(tmp_path)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError, match="cannot be made for evidence"):
        write_evidence(tmp_path / "file" / "dev-1", EVIDENCE, {})
    with pytest.raises(EvidenceError, match=r"cannot be read \(No such file"):
        read_evidence(tmp_path)


def test_a_timeline_is_in_the_order_of_time() -> None:
    events = [event(2.0, 'later "quoted"'), event(1.0, "sooner")]
    assert parse_timeline(dump_timeline(events)) == [events[1], events[0]]


@pytest.mark.parametrize("line", ["{}", "no JSON", '{"time_s": 1, "kind": "party"}', "7"])
def test_a_line_that_is_no_event_is_named(line: str) -> None:
    text = dump_timeline([event(1.0, "a")]) + line + "\n"
    with pytest.raises(EvidenceError, match=r"events\.jsonl, line 2: expected an event"):
        parse_timeline(text, "events.jsonl")
