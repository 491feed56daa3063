"""`brownout sweep` on Renode: cuts live, replays, the sample of a sweep on Unicorn, a Renode that fails."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Result, Tiny


@pytest.mark.emulator
def test_renode_makes_each_cut_live(tiny: Tiny, result_of: Callable[..., Result], renode: str) -> None:
    del renode
    tiny.build()
    document = tiny.path / "live.json"
    result = result_of("sweep", tiny.file, "--engine", "renode", "--points", "1", "--json", document)
    assert result.code == 0, result.out + result.err
    assert "tiny on mps2-an385 (renode), seed 1" in result.out
    assert "5 requested, 5 fired" in result.out
    assert {point["verdict"] for point in json.loads(document.read_text())["points"]} == {"new"}


@pytest.mark.emulator
def test_a_defect_is_found_and_replayed_on_renode(
    tiny: Tiny, result_of: Callable[..., Result], renode: str
) -> None:
    del renode
    tiny.build("DEFECT")
    cut = "op=2/torn/one_unstable_bit"
    outputs = [
        result_of("sweep", tiny.file, "--replay", f"tiny:{engine}:1:{cut}")
        for engine in ("unicorn", "renode")
    ]
    assert [output.code for output in outputs] == [1, 1], outputs[1].out + outputs[1].err
    cuts = [re.findall(r"^boot 1.*flash ([0-9a-f]{12})", output.out, re.MULTILINE) for output in outputs]
    assert cuts[0] == cuts[1]
    assert len(cuts[0]) == 1
    traced = result_of("sweep", tiny.file, "--replay", f"tiny:renode:1:{cut}", "--trace")
    assert "--trace: Renode cannot; replay the same cut on unicorn" in traced.error


@pytest.mark.emulator
def test_the_sample_of_a_sweep_is_checked_on_renode(
    tiny: Tiny, result_of: Callable[..., Result], renode: str
) -> None:
    del renode
    tiny.build()
    result = result_of("sweep", tiny.file, "--jobs", "1", "--live", "3")
    assert result.code == 0, result.out + result.err
    assert "live:           3 of 3 cuts gave the same flash on renode\n" in result.out


def test_without_renode_it_is_said(
    tiny: Tiny, result_of: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENODE", "/no-renode")
    tiny.build()
    assert "/no-renode: not found" in result_of("sweep", tiny.file, "--engine", "renode").error
    replay = result_of("sweep", tiny.file, "--replay", "tiny:renode:1:op=2/before")
    assert "/no-renode: not found" in replay.error
    result = result_of("sweep", tiny.file, "--points", "1", "--jobs", "1", "--live", "1")
    assert result.code == 0
    assert "on renode" not in result.out


def test_a_renode_that_fails_is_an_error_after_the_result(
    tiny: Tiny, result_of: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENODE", "/bin/false")
    tiny.build()
    document = tiny.path / "sweep.json"
    result = result_of("sweep", tiny.file, "--points", "1", "--jobs", "1", "--live", "1", "--json", document)
    assert "live check on renode: /bin/false did not start" in result.error
    assert "5 requested, 5 fired" in result.out
    checks = {check["engine"]: check for check in json.loads(document.read_text())["live"]}
    assert checks["renode"]["sampled"] == 0
    assert checks["renode"]["problem"]
