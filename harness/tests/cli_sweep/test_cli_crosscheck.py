"""`brownout crosscheck`: engines that agree, firmware that makes them differ, engines that are not there."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from brownout.flash import BadCommand, Erase, Phase
from brownout.live.crosscheck import chosen_cuts
from brownout.power import parse_cut

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Result, Tiny

COPIED = "    erase_sector(SLOT0);\n"
COUNTED = """
    WORD(0xe000e014u) = 0xffffffu;
    WORD(0xe000e018u) = 0u;
    WORD(0xe000e010u) = 5u;
    erase_sector(SLOT0);
    WORD(0x21fff010u) = WORD(0xe000e018u);
    command(1u, SLOT0 + 0x800u, 4u);
"""
"""The same, and how long the erase took behind the copy: another number on each engine."""
ARRIVES = "    running = WORD(FLASH + SLOT0);\n"
HANDLER = "static void crashed(void) { for (;;) { } }\n"
CRASHES = """
    if (WORD(FLASH + SLOT0) == 0xffffffffu) {
        __asm volatile("udf #0");
    }
"""
COUNTS = """
    while (WORD(FLASH + SLOT0) == 0xffffffffu) {
        if (++spent % 0x400u == 0u) {
            erase_sector(0x60000u);
        }
        WORD(0x21fff010u) = spent;
        command(1u, 0x60000u + spent % 0x400u * 4u, 4u);
    }
"""


def seen_by(tiny: Tiny, addition: str) -> Tiny:
    source = tiny.path / "boot.c"
    source.write_text(source.read_text().replace(COPIED, addition))
    return tiny.build()


@pytest.mark.emulator
def test_engines_that_agree_are_the_same(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    document = tiny.path / "out" / "crosscheck.json"
    arguments = ("--engines", "qemu,unicorn", "--points", "7", "--json", document)
    result = result_of("crosscheck", tiny.file, *arguments)
    assert (result.code, result.err) == (0, ""), result.out
    assert "tiny on mps2-an385, seed 1: 4 flash operations without a cut; on qemu, unicorn" in result.out
    assert len(re.findall(r"^op=\d/\S+ +\S+ at 0x\w+ .* new +[0-9a-f]{12} .* same$", result.out, re.M)) == 7
    assert "7 of 7 cuts are the same on qemu, unicorn" in result.out
    parsed = json.loads(document.read_text())
    assert (parsed["format"], parsed["version"], parsed["agrees"]) == ("brownout-crosscheck", 1, True)
    assert {cut["cut"].split("/")[1] for cut in parsed["cuts"]} == {"before", "torn", "after"}
    first, second = parsed["cuts"][0]["seen"]
    assert first["after_cut"] == second["after_cut"] != first["after_recovery"]
    assert (first["replay"], second["verdict"]) == (f"tiny:qemu:1:{parsed['cuts'][0]['cut']}", "new")


@pytest.mark.emulator
def test_renode_agrees_with_the_others(tiny: Tiny, result_of: Callable[..., Result], renode: str) -> None:
    del renode
    tiny.build()
    result = result_of("crosscheck", tiny.file, "--points", "5")
    assert (result.code, result.err) == (0, ""), result.out
    assert "5 of 5 cuts are the same on unicorn, qemu, renode" in result.out
    assert "left out" not in result.out


@pytest.mark.emulator
def test_a_difference_has_its_offset_and_its_replay_lines(
    tiny: Tiny, result_of: Callable[..., Result]
) -> None:
    seen_by(tiny, COUNTED)
    document = tiny.path / "crosscheck.json"
    arguments = ("--engines", "unicorn,qemu", "--points", "25", "--json", document)
    result = result_of("crosscheck", tiny.file, *arguments)
    assert result.code == 1
    assert (
        "different: operation 2 without a cut: program at 0x20800 (slot0), other data on unic" in result.out
    )
    found = {cut["cut"]: cut["differences"] for cut in json.loads(document.read_text())["cuts"]}
    assert found["op=1/after"][0]["what"] == "flash after the recovery"
    assert found["op=2/after"][0]["what"] == "flash after the cut"
    assert 0x20800 <= found["op=2/after"][0]["offset"] < 0x20804
    assert "\nop=2/after at program at 0x20800 (slot0)\n" in result.out
    line = re.search(r"^  brownout (sweep .* --replay tiny:unicorn:1:op=2/after)$", result.out, re.MULTILINE)
    assert line is not None, result.out
    assert result_of(*line[1].split()).code == 0
    assert "tiny:qemu:1:op=2/after" in result.out


@pytest.mark.emulator
@pytest.mark.parametrize(("broken", "verdict"), [(CRASHES, "brick"), (COUNTS, "loop")])
def test_a_device_that_never_arrives_is_the_same_one(
    tiny: Tiny,
    result_of: Callable[..., Result],
    monkeypatch: pytest.MonkeyPatch,
    broken: str,
    verdict: str,
) -> None:
    """In real time a crash is a loop; how far a loop came with the flash depends on when it was given up."""
    source = tiny.path / "boot.c"
    text = source.read_text().replace(ARRIVES, broken + ARRIVES)
    handlers = "(uintptr_t)reset" + ", (uintptr_t)crashed" * 5
    text = text.replace("(uintptr_t)reset}", handlers + "}")
    source.write_text(text.replace("void reset(void);", "void reset(void);\n" + HANDLER, 1))
    tiny.build("DEFECT")
    monkeypatch.setattr("brownout.live.crosscheck.chosen_cuts", lambda *_: [(2, parse_cut("op=2/after"))])
    result = result_of("crosscheck", tiny.file, "--engines", "unicorn,qemu")
    assert result.code == 0, result.out + result.err
    assert re.search(
        rf"^op=2/after +erase at 0x20000 \(slot0\) +{verdict} .* same$", result.out, re.MULTILINE
    )


def test_engines_that_are_not_there(
    tiny: Tiny, result_of: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.build()
    monkeypatch.setenv("RENODE", "/no-renode")
    monkeypatch.setenv("BROWNOUT_QEMU", "/no-qemu")
    named = result_of("crosscheck", tiny.file, "--engines", "unicorn,renode")
    assert "/no-renode: not found" in named.error
    error = result_of("crosscheck", tiny.file).error
    assert "engines: unicorn: expected at least two of unicorn,qemu,renode" in error
    assert "/no-qemu: not found" in error
    assert "/no-renode: not found" in error


@pytest.mark.emulator
def test_what_is_left_out_is_said(
    tiny: Tiny, result_of: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny.build()
    monkeypatch.setenv("RENODE", "/no-renode")
    result = result_of("crosscheck", tiny.file, "--points", "1")
    assert result.code == 0
    assert "left out: renode: /no-renode: not found" in result.out
    assert "1 of 1 cuts are the same on unicorn, qemu" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engines", "qemu,bochs"), "'bochs': expected some of unicorn,qemu,renode"),
        (("--engines", "qemu,qemu"), "engines: qemu,qemu: expected each once"),
        (("--engines", "qemu"), "engines: qemu: expected at least two of unicorn,qemu,renode"),
        (("--engines", ""), "'': expected some of unicorn,qemu,renode"),
        (("--points", "0"), "0 is not in the range x>=1"),
        (("--json", "."), "is a folder, expected a file name"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(
    tiny: Tiny, result_of: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    tiny.build()
    assert message in result_of("crosscheck", tiny.file, *arguments).error


def test_a_target_that_is_not_well_without_a_cut_is_an_error(
    tiny: Tiny, result_of: Callable[..., Result]
) -> None:
    tiny.build("STUCK")
    error = result_of("crosscheck", tiny.file, "--engines", "unicorn,qemu").error
    assert "without a cut it never arrives" in error


def test_cuts_are_of_all_phases_and_none_twice() -> None:
    operations = [Erase(offset=sector * 0x1000, length=0x1000) for sector in range(40)]
    chosen = chosen_cuts(operations, 20, seed=1)
    assert len(set(chosen)) == 20
    assert [number for number, _ in chosen] == sorted(number for number, _ in chosen)
    phases = [cut.phase for _, cut in chosen]
    assert [phases.count(phase) for phase in (Phase.BEFORE, Phase.TORN, Phase.AFTER)] == [4, 12, 4]
    assert chosen_cuts(operations, 20, seed=1) == chosen != chosen_cuts(operations, 20, seed=2)
    assert len(chosen_cuts(operations, 1000, seed=1)) == 200
    assert {cut.phase for _, cut in chosen_cuts(operations, 3, seed=1)} == set(Phase)
    assert chosen_cuts([BadCommand(code=9, offset=0, length=0)], 5, seed=1) == []
