"""`brownout sweep` on a bootloader of 50 lines: summaries, files, replays, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from conftest import Result, Tiny

FAST = ("--jobs", "1", "--live", "0")


def test_a_bootloader_that_survives_is_clean(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    html, document = tiny.path / "out" / "report.html", tiny.path / "out" / "sweep.json"
    result = result_of("sweep", tiny.file, *FAST, "--html", html, "--json", document)
    assert (result.code, result.err) == (0, "")
    assert (
        "tiny on mps2-an385 (unicorn), seed 1: 4 flash operations, ends in 'new' without a cut" in result.out
    )
    assert re.search(r"cuts: +20 requested, 20 fired, \d+ distinct, 0 failed", result.out)
    assert result.out.endswith("no findings\n")
    parsed = json.loads(document.read_text())
    assert [operation["kind"] for operation in parsed["operations"]] == [
        "erase",
        "program",
        "program",
        "erase",
    ]
    assert parsed["operations"][0]["symbol"].startswith(("erase_sector", "command"))
    assert parsed["coverage"] == {"requested": {"before": 4, "torn": 12, "after": 4}}
    assert {point["verdict"] for point in parsed["points"]} == {"new"}
    assert "No findings." in html.read_text()


def test_a_defect_is_found_and_its_replay_line_works(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build("DEFECT")
    robot = tiny.path / "robot"
    result = result_of("sweep", tiny.file, *FAST, "--emit-robot", robot)
    assert result.code == 1
    assert re.search(r"\d+ finding\(s\) in \d+ group\(s\)", result.out)
    line = re.search(r"^  brownout (sweep .* --replay \S+)$", result.out, re.MULTILINE)
    assert line is not None, result.out
    replayed = result_of(*line[1].split())
    assert replayed.code == 1
    assert re.search(r"^verdict (loop|wrong-flash) at ", replayed.out, re.MULTILINE)
    assert re.search(r"^boot 1, op=\d/", replayed.out, re.MULTILINE)
    assert replayed.out == result_of(*line[1].split()).out
    assert len(list(robot.glob("*.robot"))) == result.out.count("--replay")


def test_a_trace_shows_the_recovery_with_symbols(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    result = result_of("sweep", tiny.file, "--replay", "tiny:unicorn:1:op=2/torn/random", "--trace")
    assert result.code == 0
    traced = [line for line in result.out.splitlines() if line.startswith("boot 2  0x")]
    assert traced[0].endswith("  reset")
    assert any("  copy_slot+0x" in line for line in traced)
    assert not any(line.startswith(("boot 1  0x", "boot 3  0x")) for line in result.out.splitlines())


def test_depth_two_torn_all_and_faults(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    result = result_of("sweep", tiny.file, *FAST, "--depth", "2", "--depth2-points", "5", "--torn", "all")
    assert result.code == 0, result.out
    assert re.search(r"cut pairs: +\d+ requested", result.out)
    document = tiny.path / "faults.json"
    result_of("sweep", tiny.file, *FAST, "--phases", "none", "--faults", "dropped,reset", "--json", document)
    assert {point["phase"] for point in json.loads(document.read_text())["points"]} == {"dropped", "reset"}


def test_jobs_do_not_change_the_result(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build("DEFECT")
    texts = []
    for jobs in ("1", "2"):
        document = tiny.path / f"{jobs}.json"
        result_of("sweep", tiny.file, "--jobs", jobs, "--live", "0", "--json", document)
        texts.append(re.sub(r'"(duration_s|points_per_s)": [0-9.]+', "", document.read_text()))
    assert texts[0] == texts[1]


@pytest.mark.emulator
def test_qemu_makes_each_cut_live(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    document = tiny.path / "live.json"
    result = result_of("sweep", tiny.file, "--engine", "qemu", "--points", "2", "--json", document)
    assert result.code == 0, result.out + result.err
    assert "10 requested, 10 fired" in result.out
    assert {point["verdict"] for point in json.loads(document.read_text())["points"]} == {"new"}
    replayed = result_of("sweep", tiny.file, "--replay", "tiny:qemu:1:op=2/torn/random")
    assert replayed.code == 0
    assert "boot 2: arrived in 'new' after 4 flash operation(s)" in replayed.out
    assert "verdict new" in replayed.out


@pytest.mark.emulator
def test_qemu_and_unicorn_leave_the_same_flash(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    cut = "op=2/torn/one_unstable_bit"
    digests = [
        re.findall(
            r"flash ([0-9a-f]{12})", result_of("sweep", tiny.file, "--replay", f"tiny:{engine}:1:{cut}").out
        )
        for engine in ("unicorn", "qemu")
    ]
    assert digests[0][:5] == digests[1][:5]


def test_a_robot_suite_reproduces_the_finding(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build("DEFECT")
    robot = tiny.path / "robot"
    assert result_of("sweep", tiny.file, *FAST, "--emit-robot", robot).code == 1
    run = [sys.executable, "-m", "robot", "--output", "none", "--log", "none", "--report", "none", str(robot)]
    failed = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert failed.returncode == len(list(robot.glob("*.robot"))), failed.stdout + failed.stderr
    assert "loop: " in failed.stdout
    tiny.build()
    passed = subprocess.run(run, capture_output=True, text=True, timeout=120, check=False)
    assert passed.returncode == 0, passed.stdout + passed.stderr


@pytest.mark.parametrize(
    ("defines", "message"),
    [
        ((), ""),
        (("LAZY",), "no flash operation ever happened"),
        (("STUCK",), "without a cut it never arrives"),
        (("UNDEFINED", "LAZY"), "without a cut it "),
    ],
)
def test_a_device_that_is_not_well_without_a_cut_is_not_swept(
    tiny: Tiny, result_of: Callable[..., Result], defines: tuple[str, ...], message: str
) -> None:
    if not defines:  # it arrives, but in another outcome than expected
        tiny.build()
        text = tiny.file.read_text().replace('expected = "new"', 'expected = "old"')
        tiny.file.write_text(text)
        message = "without a cut it ends in 'new', expected 'old'"
    else:
        tiny.build(*defines)
        if "LAZY" in defines:
            tiny.file.write_text(tiny.file.read_text().replace('expected = "new"', 'expected = "old"'))
    assert message in result_of("sweep", tiny.file, *FAST).error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "renode"), "--engine renode: sweeps on it are not built in yet; use unicorn or qemu"),
        (("--trace",), "--trace: goes with --replay ID only"),
        (("--points", "0"), "'0': expected all, or a number of at least 1"),
        (("--points", "some"), "'some': expected all, or a number of at least 1"),
        (("--phases", "before,late"), "'late': expected all, none, or some of before,torn,after"),
        (("--faults", "gremlins"), "'gremlins': expected all, none, or some of"),
        (("--phases", "none"), "there is nothing to sweep"),
        (("--depth", "3"), "3 is not in the range 1<=x<=2"),
        (("--replay", "tiny:unicorn"), "replay id 'tiny:unicorn': expected"),
        (("--replay", "other:unicorn:1:op=1/before"), "is for target 'other'"),
        (("--engine", "qemu", "--faults", "dropped"), "engine qemu: makes single power cuts only"),
        (("--html", "."), "is a folder, expected a file name"),
    ],
)
def test_bad_options_are_one_line_and_exit_2(
    tiny: Tiny, result_of: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    tiny.build()
    assert message in result_of("sweep", tiny.file, *arguments).error


def test_a_terminal_sees_progress_and_a_pipe_does_not(tiny: Tiny) -> None:
    tiny.build()
    command = [sys.executable, "-c", "from brownout.cli import main; main()", "sweep", str(tiny.file), *FAST]
    ours, theirs = pty.openpty()
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=120, check=False)
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux ends a terminal without a writer so
            while chunk := terminal.read(4096):
                shown += chunk
    assert done.returncode == 0, shown
    assert re.search(rb"sweep .*20/20.* [0-9,]+/s", shown), shown
    piped = subprocess.run(command, capture_output=True, timeout=120, check=False)
    assert (piped.returncode, piped.stderr) == (0, b"")


def test_ctrl_c_ends_a_sweep_quietly(tiny: Tiny) -> None:
    """Some recoveries of this one run until a budget of minutes is spent."""
    tiny.build("DEFECT", "SLOW")
    text = tiny.file.read_text().replace("200_000", "90_000_000_000").replace("state =", "#")
    tiny.file.write_text(text + 'invariants = ["seen"]\n')
    marker = tiny.path / "started"
    (tiny.path / "hooks.py").write_text(
        f"import pathlib\ndef seen(context):\n    pathlib.Path({str(marker)!r}).touch()\n"
    )
    code = "from brownout.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "sweep", str(tiny.file), "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not marker.exists() and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.05)  # until a worker process has assessed a point
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # its workers end with it
    assert process.returncode == 130, (out, err)
    assert (out, err.strip()) == (b"", b"")


def test_a_bad_target_is_one_line_and_exit_2(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    tiny.file.write_text(tiny.file.read_text().replace("expected", "expcted"))
    assert "expcted: unknown key; did you mean 'expected'?" in result_of("sweep", tiny.file).error
    assert "cannot be read" in result_of("sweep", tiny.path / "none.toml").error
