"""Sweeps, benches, mutants and firmware images as runs."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from results_files import (
    a_sweep,
    bench_document,
    failing_sweep,
    finding,
    imported,
    write_device,
    write_sweep,
)

from brownout.errors import ElfError, ImportFileError
from brownout.results.importers import ImportOptions, import_file
from brownout.results.importers.sweep import stable_name
from brownout.results.model import Better, CutOutcome, FirmwareImage, Location, Result, RunKind, Series
from brownout.sweep.result import LiveCheck

ROOT = Path(__file__).resolve().parents[3]
GCC = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-g", "-Os", "-nostdlib", "-Wl,-e,copy_sector"]
SOURCE = """
const int table[3] = {1, 2, 3};
int counter = 7;
int buffer[25];
int copy_sector(int index)
{
    counter++;
    return table[index % 3] + buffer[counter];
}
"""


def built(folder: Path) -> Path:
    """A small firmware with debug information: code from 0x1000."""
    source = folder / "boot" / "copy.c"
    source.parent.mkdir()
    source.write_text(SOURCE)
    image = folder / "build" / "1.0.0" / "boot.elf"
    image.parent.mkdir(parents=True)
    subprocess.run(
        [*GCC, "-Wl,-Ttext=0x1000", "-Wl,-Tdata=0x20000000", str(source), "-o", str(image)], check=True
    )
    return image


# -- sweeps ------------------------------------------------------------------------------------------------


def test_a_clean_sweep(tmp_path):
    path = write_sweep(tmp_path / "sweep.json", a_sweep())
    os.utime(path, (1_700_000_000, 1_700_000_000))
    run = imported(path)
    assert run.series == Series(
        project="demo", kind=RunKind.SWEEP, name="boot", board="nrf52840-dk", engine="unicorn"
    )
    assert (run.seed, run.duration_s, run.complete, run.source) == (7, 12.5, True, str(path))
    assert run.started == datetime.fromtimestamp(1_700_000_000 - 12.5, UTC)
    assert run.id.startswith(f"{run.started:%Y%m%d-%H%M%S}")
    (case,) = run.cases
    assert (case.name, case.result, case.message, case.flash_operations) == ("sweep", Result.PASS, "", 2)
    assert case.detail == "read of 0x40000000 (no peripheral): 0x0"
    assert run.cuts[1] == CutOutcome(operation=1, phase="torn", variant="random", verdict="new")
    assert len(run.cuts) == 4
    figures = {figure.name: figure for figure in run.figures}
    assert {name: figure.value for name, figure in figures.items()} == {
        "sweep.points": 4,
        "sweep.distinct": 3,
        "sweep.failed": 0,
        "flash.operations": 2,
        "sweep.clean-time": 8000,
        "sweep.duration": 12.5,
        "sweep.rate": 0.32,
        "sweep.live-qemu": 2,
    }
    assert {name for name, figure in figures.items() if figure.noisy} == {"sweep.duration", "sweep.rate"}
    assert figures["sweep.rate"].better is Better.HIGHER
    assert figures["flash.operations"].better is Better.NEITHER


def test_each_group_of_findings_is_a_case_that_can_be_replayed(tmp_path):
    path = write_sweep(tmp_path / "sweep.json", failing_sweep())
    run = imported(path, target="my targets/boot.toml")
    whole, first, second, third = run.cases
    assert (whole.result, whole.message) == (Result.FAIL, "3 finding(s) in 3 group(s)")
    name = "brick: torn, program of journal in copy_sector: HardFault: read of 0x... at 0x... (erase)"
    assert (first.name, second.name) == (name, f"{name} (2)")
    assert third.name == "loop: cut, erase of journal: CFSR 0x00008200, HFSR 0x40000000"
    assert {case.result for case in run.cases} == {Result.FAIL}
    assert first.message == "brick: HardFault: read of 0x05575001 (2x, at operation 1)"
    assert first.detail.splitlines() == [
        "cut at copy_sector+0x1c: program at 0x31008 (journal)",
        "found with boot:unicorn:1:op=1/torn/random; the command does a smaller cut that fails alike",
        "boot 1: op=1/torn/random",
        "boot 2: branches to itself",
    ]
    assert first.replay == "boot:unicorn:1:op=1/before"
    assert first.command == ("brownout sweep 'my targets/boot.toml' --replay boot:unicorn:1:op=1/before")
    assert first.location == Location(file="", symbol="copy_sector+0x1c")


def test_a_finding_that_was_not_shrunk_is_replayed_as_it_is(tmp_path):
    findings = [finding(number, f"{number:08x}", 1, shrunk="") for number in (1, 2, 3)]
    run = imported(write_sweep(tmp_path / "s.json", failing_sweep(findings=findings)))
    assert run.cases[1].replay == "boot:unicorn:1:op=1/torn/random"


def test_a_finding_is_placed_in_the_source_when_its_firmware_is_there(tmp_path):
    image = built(tmp_path)
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    subprocess.run(["git", "add", "boot/copy.c"], cwd=tmp_path, check=True)
    path = write_sweep(tmp_path / "sweep.json", failing_sweep(pc=0x1000))
    firmware = (image.parents[1],)
    line = SOURCE.splitlines().index("    counter++;") + 1
    place = imported(path, firmware=firmware, sources=tmp_path).cases[1].location
    assert place == Location(file="boot/copy.c", line=line, symbol="copy_sector+0x1c")
    place = imported(path, firmware=firmware).cases[1].location
    assert place is not None
    assert place.file == "copy.c"


def test_evidence_of_a_group_is_taken_along(tmp_path):
    write_device(tmp_path / "kept" / "00000001" / "dev", command="brownout sweep x.toml --replay y")
    path = write_sweep(tmp_path / "sweep.json", failing_sweep())
    first, second = imported(path, evidence=tmp_path / "kept").cases[1:3]
    assert [(item.path, item.key) for item in first.evidence] == [
        ("dev/evidence.json", ""),
        ("dev/operations.jsonl", "operations"),
        ("dev/uart.log", "uart"),
    ]
    assert first.command == "brownout sweep x.toml --replay y"
    assert first.flash_operations == 2
    assert second.evidence == ()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"complete": False, "stopped": "deadline"}, "not complete (deadline)"),
        (
            {"live": [LiveCheck(engine="qemu", sampled=2, same=1, different=["boot:unicorn:1:op=1/after"])]},
            "1 live cut(s) left another flash than was derived: boot:unicorn:1:op=1/after",
        ),
    ],
)
def test_a_sweep_without_findings_need_not_be_clean(tmp_path, fields, message):
    run = imported(write_sweep(tmp_path / "sweep.json", a_sweep(**fields)))
    assert (run.cases[0].result, run.cases[0].message) == (Result.FAIL, message)
    assert run.complete is fields.get("complete", True)


def test_names_of_groups_do_not_depend_on_addresses():
    title = "brick: torn, program in {}: read of {} at {} ({}) (CFSR 0x00008200)"
    one = stable_name(title.format("f+0x36", "0x05575000", "0x000005fe", "f+0x2e"))
    other = stable_name(title.format("f+0x3a", "0x05575004", "0x00000602", "f+0x32"))
    assert one == other == "brick: torn, program in f: read of 0x... at 0x... (f) (CFSR 0x00008200)"
    assert stable_name(title.replace("8200", "0400")) != stable_name(title)


# -- benches -----------------------------------------------------------------------------------------------


def test_a_bench(tmp_path):
    path = tmp_path / "bench.json"
    path.write_text(json.dumps(bench_document()))
    run = imported(path, engine="other", seed=5)
    assert run.series == Series(
        project="demo", kind=RunKind.BENCH, name="bench", board="mps2-an385", engine="other"
    )
    assert (run.duration_s, run.seed) == (9.5, 5)
    assert [(case.name, case.result, case.message) for case in run.cases] == [
        ("renode", Result.SKIP, "needs Renode")
    ]
    figures = {figure.name: figure for figure in run.figures}
    app = figures["power-on.app"]
    assert (app.value, app.unit, app.samples, app.title) == (
        51.0,
        "ms",
        [50.0, 52.0, 51.0],
        "power-on to the application's first line",
    )
    lower, higher, neither = Better.LOWER, Better.HIGHER, Better.NEITHER
    assert {name: (figure.better, figure.noisy) for name, figure in figures.items()} == {
        "power-on.app": (lower, True),
        "upgrade.link-rate": (higher, True),
        "size.boot-flash": (lower, False),
        "doorbell.operations": (neither, False),
        "stack.interrupt": (lower, True),
        "relay.memory": (lower, True),
        # Its aim says that more is better.
        "debug.read-ratio": (higher, True),
        "cut-and-recover.ratio": (neither, True),
    }


# -- mutants -----------------------------------------------------------------------------------------------

WRITE_MUTANTS = """
import json, sys
from dataclasses import asdict
from pathlib import Path
sys.path.insert(0, str(Path(sys.argv[1], "robot/tests")))
sys.path.insert(0, str(Path(sys.argv[1], "examples")))
import mutants
import sweep_mutants
from mutant_runs import TestResult

def robot(name, verdict, detail=""):
    tests = (TestResult(name="S1 Works", passed=name == "baseline", message="boom"),)
    verdict = mutants.Verdict(verdict)
    return mutants.Outcome(
        name=name, removes="the check", verdict=verdict, seconds=2.5, tests=tests, detail=detail
    )

outcomes = [robot("baseline", "caught"), robot("a", "caught")]
outcomes += [robot("b", "survived", "passed: S1"), robot("c", "error", "no")]
mutants.save(outcomes, Path("mutants.json"))

def swept(name, verdict, **fields):
    return sweep_mutants.Verdict(
        name=name, removes="it", sweep="cuts", verdict=verdict, seconds=1.5, **fields
    )

verdicts = [
    swept("baseline", "survived", seed=None),
    swept("baseline", "killed", seed=109, cut="t:unicorn:109:op=1/after", failed=1, points=4, detail="brick"),
    swept("a", "killed", cut="t:unicorn:1:op=7/after", failed=2, points=4, detail="brick: it"),
    swept("b", "survived", points=4),
]
Path("sweep-mutants.json").write_text(json.dumps([asdict(verdict) for verdict in verdicts]))
"""


@pytest.fixture(scope="module")
def mutant_files(tmp_path_factory):
    """What the two runners of mutants write."""
    folder = tmp_path_factory.mktemp("mutants")
    subprocess.run(
        [sys.executable, "-c", WRITE_MUTANTS, str(ROOT)],
        cwd=folder,
        check=True,
        timeout=60,
    )
    return folder


def test_a_mutant_that_survives_fails(mutant_files):
    run = imported(mutant_files / "mutants.json", engine="qemu", board="mps2-an385")
    assert (run.series.kind, run.series.name, run.series.engine) == (RunKind.MUTANTS, "mutants", "qemu")
    assert run.duration_s == 10.0
    assert [(case.name, case.result, case.message) for case in run.cases] == [
        ("baseline", Result.PASS, ""),
        ("a", Result.PASS, ""),
        ("b", Result.FAIL, "survived: passed: S1"),
        ("c", Result.FAIL, "error: no"),
    ]
    assert run.cases[1].command == "python robot/tests/mutants.py --only a"
    assert run.cases[1].detail == "removes: the check\nfailed: S1 Works"


def test_a_swept_mutant_must_be_killed_and_the_firmware_as_it_is_must_not(mutant_files):
    run = imported(mutant_files / "sweep-mutants.json")
    assert run.series.name == "sweep-mutants"
    assert [(case.name, case.result) for case in run.cases] == [
        ("baseline (cuts)", Result.PASS),
        ("baseline (cuts, seed 109)", Result.FAIL),
        ("a", Result.PASS),
        ("b", Result.FAIL),
    ]
    assert run.cases[2].replay == "t:unicorn:1:op=7/after"
    assert run.cases[2].command == "python examples/sweep_mutants.py --only a"
    assert "2 of 4 cuts failed" in run.cases[2].detail


# -- firmware ----------------------------------------------------------------------------------------------


def test_firmware_is_recorded_with_what_it_takes_on_the_device(tmp_path):
    image = built(tmp_path)
    folder = image.parents[1]
    (folder / "app.bin").write_bytes(b"12345")
    (folder / "notes.txt").write_text("no image")
    path = write_sweep(tmp_path / "sweep.json", a_sweep())
    run = imported(path, firmware=(folder,))
    plain, elf = run.firmware[1], run.firmware[0]
    assert plain == FirmwareImage(name="app.bin", sha256=hashlib.sha256(b"12345").hexdigest(), size=5)
    assert (elf.name, elf.size) == ("1.0.0/boot.elf", image.stat().st_size)
    assert elf.sections["data"] == 4
    assert elf.sections["bss"] == 100
    assert elf.sections["rodata"] == 12
    assert 0 < elf.sections["text"] < 100
    assert set(elf.sections) == {"text", "rodata", "data", "bss"}
    figures = {figure.name: figure for figure in run.figures if figure.name.startswith("image.")}
    assert {name: figure.value for name, figure in figures.items()} == {
        "image.app.bin.size": 5,
        **{f"image.1.0.0/boot.elf.{group}": size for group, size in elf.sections.items()},
    }
    assert not any(figure.noisy for figure in figures.values())
    (alone,) = imported(path, firmware=(image,)).firmware
    assert alone.name == "boot.elf"


def test_firmware_that_is_none(tmp_path):
    path = write_sweep(tmp_path / "sweep.json", a_sweep())
    (tmp_path / "empty").mkdir()
    broken = tmp_path / "broken.elf"
    broken.write_bytes(b"no")
    for bad, kind, why in (
        (tmp_path / "empty", ImportFileError, "has no firmware"),
        (broken, ElfError, "is not an ELF file"),
        (tmp_path / "missing.bin", ImportFileError, "cannot be read"),
    ):
        with pytest.raises(kind, match=why):
            imported(path, firmware=(bad,))
    (tmp_path / "one").mkdir()
    for folder in (tmp_path, tmp_path / "one"):
        (folder / "a.bin").write_bytes(b"1")
    with pytest.raises(ImportFileError, match=r"another image is called 'a\.bin' too"):
        imported(path, firmware=(tmp_path / "a.bin", tmp_path / "one" / "a.bin"))


# -- what cannot be imported -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty: expected output.xml of Robot Framework, JSON of brownout sweep"),
        (b"\n \n", "is empty"),
        (b"hello", "is no file of results that is known: expected output.xml of Robot"),
        (b"\x7fELF\x01\x02", "is no file of results that is known"),
        (b"<html><body/></html>", "is no file of results that is known"),
        (b"{}", "is no file of results that is known"),
        (b"[]", "is no file of results that is known"),
        (b'["name", "removes", "verdict"]', "is no file of results that is known"),
        (b'{"format": "brownout-oplog", "version": 1}', "is no file of results that is known"),
        (b'{"format": "brownout-sweep", "ver', "is no whole JSON file"),
        (b"[" * 100_000, "is no whole JSON file"),
        (b'{"format": "brownout-sweep", "version": 2}', "expected brownout-sweep version 1, found 2"),
        (b'{"format": "brownout-bench", "version": "1"}', "version: expected a whole number, found '1'"),
        (b'{"format": "brownout-sweep", "version": 1}', "duration_s: expected a number, found nothing"),
        (
            b'[{"name": "a", "removes": "b", "verdict": "well", "seconds": 1, "tests": []}]',
            "a: expected a verdict of",
        ),
        (
            b'[{"name": "a", "removes": "b", "verdict": "caught", "seconds": 1, "tests": [5]}]',
            r"tests\[0\]: expected an object, found 5",
        ),
        (b"<robot generator='x'><suite", "is no whole output.xml of Robot Framework"),
        (b"<robot></robot>", "output.xml|has no tests"),
        (b"<testsuites><testsuite>", "is no whole JUnit file"),
        (b"<testsuites></testsuites>", "has no tests"),
    ],
)
def test_a_file_that_cannot_be_imported_is_told_in_one_line(tmp_path, content, why):
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(ImportFileError, match=why) as caught:
        imported(path)
    text = str(caught.value)
    assert text.startswith(f"{path}: ")
    assert "\n" not in text


def test_every_value_of_a_sweep_is_checked(tmp_path):
    """Whatever is missing or of another type, it is one line with its place."""
    good = json.loads(write_sweep(tmp_path / "good.json", failing_sweep()).read_text())
    path = tmp_path / "bad.json"
    refused = []
    for key in good:
        for value in (None, 5, "x", [5], [{}], {"a": 1}, float("nan")):
            path.write_text(json.dumps({**good, key: value}))
            try:
                imported(path)
            except ImportFileError as error:
                refused.append(str(error))
    assert len(refused) > 60
    assert not any("\n" in text for text in refused)


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path):
    for path in (tmp_path, tmp_path / "missing"):
        with pytest.raises(ImportFileError, match="cannot be read"):
            imported(path)


def test_the_digest_is_that_of_the_file(tmp_path):
    path = write_sweep(tmp_path / "sweep.json", a_sweep())
    found = import_file(path, ImportOptions(project="demo"))
    assert found.digest == hashlib.sha256(path.read_bytes()).hexdigest()
