"""The sequence picture and the flash map, before they are drawn."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from regression_runs import evidence_files, timeline

from brownout.evidence import Lane, TimelineEvent, TimelineKind
from brownout.flash.operations import Phase, Status
from brownout.flash.oplog import LogRecord, OperationLog, RecordKind
from brownout.regression.drawing import WIDTH, draw
from brownout.regression.evidence import devices_of
from brownout.regression.flashmap import SectorState
from brownout.regression.sequence import fold, picture
from brownout.results.model import EvidenceItem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def events(*words: str) -> list[TimelineEvent]:
    """An event for each word: cut, on, or a message of that text."""
    kinds = {"cut": TimelineKind.POWER_CUT, "on": TimelineKind.POWER_ON}
    return [
        TimelineEvent(
            time_s=float(at),
            kind=kinds.get(word, TimelineKind.MESSAGE),
            source=Lane.DEVICE,
            target=Lane.FLASH if word == "cut" else Lane.SERVER,
            text=word,
        )
        for at, word in enumerate(words)
    ]


def rows(found: Sequence[TimelineEvent]) -> list[tuple[str, int, str]]:
    return [(row.text, row.times, row.last_text) for row in fold(found)]


def test_alike_events_are_one_row_with_their_number() -> None:
    assert rows(events("hello", *(f"chunk {n}" for n in range(5)), "bye")) == [
        ("hello", 1, ""),
        ("chunk 0", 5, "chunk 4"),
        ("bye", 1, ""),
    ]


def test_a_cycle_is_drawn_once() -> None:
    words = [word for n in range(4) for word in (f"get {n}", f"take {n}")]
    found = fold(events(*words, "end"))
    assert [(row.text, row.times, row.first, row.last) for row in found] == [
        ("get 0", 4, True, False),
        ("take 0", 4, False, True),
        ("end", 1, True, True),
    ]


def test_power_is_never_folded() -> None:
    assert len(fold(events(*["on", "cut"] * 5))) == 10


def test_the_part_around_the_cut_is_in_sight() -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26)}" for n in range(200)]
    found = picture(events(*words[:120], "cut", *words[120:]))
    assert found is not None
    shown = [block for block in found.blocks if block.shown]
    assert [block.shown for block in found.blocks] == [False, True, False]
    assert any(row.text == "cut" for row in shown[0].rows)
    assert sum(len(block.rows) for block in found.blocks) == 201


def test_a_huge_timeline_keeps_what_is_near_the_cut() -> None:
    words = [f"{chr(97 + n % 26)}{chr(97 + n // 26 % 26)}{chr(97 + n // 676)}" for n in range(2000)]
    found = picture(events(*words, "cut"))
    assert found is not None
    assert found.left_out == 2001 - 600
    assert found.blocks[-1].rows[-1].text == "cut"


def test_nothing_makes_no_picture() -> None:
    assert picture([]) is None


def test_the_drawing_says_when_the_device_has_no_power() -> None:
    found = picture(timeline())
    assert found is not None
    (block,) = found.blocks
    drawing = draw(block, found.lanes)
    device = [life for life in drawing.lives if life.x == dict(drawing.lanes)["device"]]
    assert [life.alive for life in device] == [False, True, False, True]
    cut = next(row for row in drawing.rows if row.kind == "power-cut")
    assert device[1].bottom == cut.y
    assert cut.x2 - cut.x1 > WIDTH * 0.8
    assert all(0 <= row.text_x < WIDTH and 0 < row.y < drawing.height for row in drawing.rows)
    assert "power cut at" in drawing.summary


def test_lanes_that_did_nothing_are_left_out() -> None:
    only = [event for event in timeline() if event.source in (Lane.DEVICE, Lane.FLASH)]
    found = picture([event for event in only if event.target in (Lane.DEVICE, Lane.FLASH)])
    assert found is not None
    assert [name for name, _ in draw(found.blocks[0], found.lanes).lanes] == ["device", "flash"]


def test_the_map_tells_what_became_of_the_sectors(tmp_path: Path) -> None:
    (device,) = devices_of(evidence_files(tmp_path))
    assert device.flash is not None
    assert device.problems == ()
    found = {row.name: [(cell.state, cell.sectors) for cell in row.cells] for row in device.flash.rows}
    assert found == {
        "boot": [(SectorState.UNCHANGED, 8), (SectorState.BLANK, 8)],
        "kernel": [
            (SectorState.CHANGED, 2),
            (SectorState.TORN, 1),
            (SectorState.UNCHANGED, 9),
            (SectorState.BLANK, 4),
        ],
        "app": [(SectorState.BLANK, 31)],
        "flag": [(SectorState.ERASED, 1)],
        "staging": [(SectorState.CHANGED, 10), (SectorState.BLANK, 22)],
    }
    torn = device.flash.rows[1].cells[1]
    assert torn.cuts == ("in program 90 at 0x12100, 256 bytes",)
    assert sum(count for _, count in device.flash.counts) == 0x60000 // 4096


@pytest.mark.parametrize(
    ("name", "data", "problem"),
    [
        ("flash.bin", b"short", "flash map: flash image of 5 bytes: expected 393216"),
        ("operations.jsonl", b"nonsense\n", "flash map: operation log, line 1"),
        ("timeline.jsonl", b"{}\n", "timeline, line 1: expected an event"),
        ("evidence.json", b"{", "expected evidence"),
        ("flash-before.bin", None, "no flash image from before the run"),
    ],
)
def test_evidence_that_is_damaged_is_told_and_the_rest_shown(
    tmp_path: Path, name: str, data: bytes | None, problem: str
) -> None:
    items = [item for item in evidence_files(tmp_path) if item.path != f"dev-1/{name}" or data is not None]
    items = [
        replace(item, data=data) if item.path == f"dev-1/{name}" and data is not None else item
        for item in items
    ]
    (device,) = devices_of(items)
    assert any(problem in text for text in device.problems)
    assert device.uart is not None


def test_evidence_of_two_devices_is_kept_apart(tmp_path: Path) -> None:
    items = evidence_files(tmp_path)
    second = [
        EvidenceItem(path=item.path.replace("dev-1", "dev-2"), key=item.key, media_type="", data=item.data)
        for item in items
        if item.key == "uart"
    ]
    found = devices_of([*items, *second])
    assert [device.subject for device in found] == ["dev-1", "dev-2"]
    assert found[1].flash is None


def test_a_long_log_keeps_its_end() -> None:
    data = "".join(f"line {number}\n" for number in range(5000)).encode()
    (device,) = devices_of([EvidenceItem(path="uart.log", key="uart", media_type="", data=data)])
    assert device.uart is not None
    assert (device.uart.lines[-1], device.uart.left_out) == ("line 4999", 3000)


def with_operations(items: list[EvidenceItem], *records: LogRecord) -> list[EvidenceItem]:
    """The evidence with another log of operations."""
    data = "\n".join(OperationLog(records).dump_lines()).encode()
    return [replace(item, data=data) if item.key == "operations" else item for item in items]


def test_a_sector_that_was_erased_after_the_cut_is_not_half_done_but_marked(tmp_path: Path) -> None:
    torn = LogRecord(
        kind=RecordKind.PROGRAM, sequence=1, session=1, ordinal=1, offset=0x12100, length=256, cut=Phase.TORN
    )
    repair = LogRecord(
        kind=RecordKind.ERASE, sequence=2, session=2, ordinal=1, offset=0x12000, length=4096, status=Status.OK
    )
    items = evidence_files(tmp_path)
    found = []
    for records in ((torn,), (torn, repair)):
        (device,) = devices_of(with_operations(items, *records))
        assert device.flash is not None
        assert device.flash.cuts == 1
        found += [cell.state for row in device.flash.rows for cell in row.cells if cell.cuts]
    assert found == [SectorState.TORN, SectorState.CHANGED]


def test_a_power_cut_is_named_as_in_the_replay_id(tmp_path: Path) -> None:
    items = [
        replace(item, data=item.data.replace(b"kernel.program#90/torn in session 1", b"power cut, session 1"))
        if item.key == "timeline"
        else item
        for item in evidence_files(tmp_path)
    ]
    (device,) = devices_of(items)
    assert device.sequence is not None
    drawn = [row for block in device.sequence.blocks for row in draw(block, device.sequence.lanes).rows]
    cuts = [row.text for row in drawn if row.kind == "power-cut"]
    assert len(cuts) == 1
    assert cuts[0].startswith("Power cut: session 1")
    assert cuts[0].endswith("kernel.program#90/torn at its operation 90")
    hit = [row.text for row in drawn if row.hit]
    assert hit == [drawn[[row.kind for row in drawn].index("power-cut") - 1].text]
