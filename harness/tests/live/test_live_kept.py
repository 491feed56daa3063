"""The evidence of a finding: what the run with it did, on one clock, with the recovery's instructions."""

from __future__ import annotations

import json
import re
import shlex
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from brownout.cli.root import cli
from brownout.evidence import EvidenceKey, Lane, TimelineKind, parse_timeline, read_evidence
from brownout.live.recovery import recover
from brownout.live.retold import retell
from brownout.power import parse_event
from brownout.target import Target, load_target

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def good(good_example: Path) -> Target:
    return load_target(good_example / "target.toml")


def sweep(example: Path, folder: Path, *arguments: str) -> dict[str, object]:
    file = folder / "sweep.json"
    words = [str(example / "target.toml"), "--jobs", "1", "--live", "0", "--json", str(file), *arguments]
    result = CliRunner().invoke(cli, ["sweep", *words], catch_exceptions=False, standalone_mode=False)
    assert result.exception is None
    document: dict[str, object] = json.loads(file.read_text())
    return document


def test_a_run_is_told_in_the_order_in_which_it_happened(good: Target) -> None:
    told = retell(good, [parse_event("op=3/torn/random")], seed=1)
    kinds = [event.kind for event in told.timeline if event.kind is not TimelineKind.NOTE]
    assert kinds[0] is TimelineKind.POWER_ON
    cut = kinds.index(TimelineKind.POWER_CUT)
    assert kinds[cut - 1] is TimelineKind.FLASH
    assert kinds.count(TimelineKind.POWER_CUT) == 1
    assert kinds[cut + 1] is TimelineKind.POWER_ON
    lost = [event for event in told.timeline if event.text.endswith("power lost")]
    assert [re.search(r"operation (\d+)", event.text)[1] for event in lost] == ["3"]  # type: ignore[index]
    assert lost[0].target is Lane.FLASH
    assert told.timeline[-1].text.startswith("verdict: converted")
    times = [
        event.time_s for event in told.timeline if event.kind in (TimelineKind.POWER_ON, TimelineKind.FLASH)
    ]
    assert times == sorted(times)


def test_the_trace_is_of_the_recovery_and_has_symbols(good: Target) -> None:
    told = retell(good, [parse_event("op=3/torn/random")], seed=1)
    lines = told.trace.splitlines()
    assert lines
    assert all(line.startswith(("boot 2  ", "...")) for line in lines)
    assert "Reset_Handler" in lines[0] or "reset" in lines[0]
    assert any("  flash       " in line for line in lines)
    left_out = re.search(r"^\.\.\. (\d+) instructions left out \.\.\.$", told.trace, re.MULTILINE)
    assert left_out is not None
    instructions = [line for line in lines if "  0x" in line]
    assert len(instructions) == 2000


def test_evidence_of_findings_is_what_their_replay_does(bad_example: Path, tmp_path: Path) -> None:
    document = sweep(bad_example, tmp_path, "--evidence", str(tmp_path / "evidence"))
    groups = {group["id"]: group for group in document["groups"]}  # type: ignore[attr-defined]
    findings = {finding["id"]: finding for finding in document["findings"]}  # type: ignore[attr-defined]
    assert groups
    assert {path.name for path in (tmp_path / "evidence").iterdir()} == set(groups)
    for name, group in groups.items():
        folder = tmp_path / "evidence" / name
        evidence, example = read_evidence(folder), findings[group["example"]]
        assert evidence.verdict == group["verdict"]
        assert evidence.replay == (example["shrunk"] or example["replay"])
        assert shlex.split(evidence.command)[1:] == [
            "sweep",
            str(bad_example / "target.toml"),
            "--replay",
            evidence.replay,
        ]
        target = load_target(bad_example / "target.toml")
        again = recover(target, evidence.replay)
        assert again.verdict == evidence.verdict
        assert (folder / evidence.files[EvidenceKey.FLASH]).read_bytes() == again.flash
        assert (folder / evidence.files[EvidenceKey.FLASH_BEFORE]).read_bytes() == again.flash_before
        timeline = parse_timeline((folder / evidence.files[EvidenceKey.TIMELINE]).read_text())
        assert f"verdict: {group['verdict']}" in [event.text for event in timeline]
        assert (folder / evidence.files[EvidenceKey.TRACE]).read_text().startswith("boot 2  ")


def test_a_sweep_without_findings_keeps_nothing(good_example: Path, tmp_path: Path) -> None:
    document = sweep(good_example, tmp_path, "--evidence", str(tmp_path / "evidence"))
    assert document["findings"] == []
    assert list((tmp_path / "evidence").iterdir()) == []


def test_a_folder_that_cannot_be_made_is_told_before_the_sweep(good_example: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    words = [str(good_example / "target.toml"), "--evidence", str(tmp_path / "file" / "evidence")]
    result = CliRunner().invoke(cli, ["sweep", *words], standalone_mode=False)
    assert "file" in str(result.exception)
    assert result.output == ""
