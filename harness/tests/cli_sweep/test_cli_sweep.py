"""`brownout sweep` on a bootloader of 50 lines: summaries, files, replays, exit codes."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

from brownout.live import sweep_live
from brownout.sweep import SweepPlan
from brownout.sweep.stops import SweepInterruptedError
from brownout.target import load_target

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
    assert re.fullmatch(r"boot 2  0x[0-9a-f]{8}  reset +\w+(\.w)? .+", traced[0]), traced[0]
    assert any(re.search(r"  copy_slot\+0x[0-9a-f]+ +\w", line) for line in traced)
    # The erase that was torn, once more, right after the store to the doorbell.
    lines = result.out.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("boot 2  flash"))
    assert lines[first] == "boot 2  flash       erase of 4096 bytes at 0x21020000 (slot0); ok"
    assert re.search(r"  \S*\+0x[0-9a-f]+ +str", lines[first - 1]), lines[first - 1]
    assert (
        "boot 2  flash       program of 256 bytes at 0x21020000 (slot0): 02 00 22 22 02 00 22 22 ...; ok"
        in lines
    )
    assert sum(line.startswith("boot 2  flash") for line in lines) == 4
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


@pytest.mark.emulator
@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
def test_a_late_repair_is_no_finding(tiny: Tiny, result_of: Callable[..., Result], engine: str) -> None:
    """A bit of the flag reads as gone at the recovery and is back one boot later, with this seed."""
    tiny.build()
    result = result_of("sweep", tiny.file, "--replay", f"tiny:{engine}:5:op=4/torn/done=/half=0.01/ones")
    writes = re.findall(r"^boot \d+: arrived in 'new' after (\d+)", result.out, re.MULTILINE)
    assert writes == ["0", "4", "0", "0", "0"], result.out
    assert (result.code, "verdict new\n" in result.out) == (0, True)


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
        (("--engine", "renode", "--depth", "2"), "engine renode: makes single power cuts only"),
        (("--trace",), "--trace: goes with --replay ID only"),
        (("--points", "0"), "'0': expected all, or a number of at least 1"),
        (("--points", "some"), "'some': expected all, or a number of at least 1"),
        (("--operations", "4-2"), "'4-2': ends before it begins"),
        (("--operations", "0-2"), "'0-2': expected A, A-B or A- with commas between"),
        (("--operations", "1,,2"), "'': expected A, A-B or A- with commas between"),
        (("--max-findings", "0"), "0 is not in the range x>=1"),
        (("--deadline", "0"), "0.0 is not in the range x>0"),
        (("--cluster", "tcp://127.0.0.1:1"), "cluster 'tcp://127.0.0.1:1': no Dask scheduler answers"),
        (("--cluster", "nowhere"), "cluster 'nowhere': no Dask scheduler answers (missing port number"),
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


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_does_not_wait_for_a_boot_that_takes_minutes(tiny: Tiny, jobs: str) -> None:
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
        [sys.executable, "-c", code, "sweep", str(tiny.file), "--jobs", jobs],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            deadline = time.monotonic() + 60
            while not marker.exists() and time.monotonic() < deadline and process.poll() is None:
                time.sleep(0.05)  # until a point has been assessed
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
        finally:
            process.kill()  # its workers end with it
    assert (process.returncode, err.strip()) == (130, b""), (out, err)
    assert b"of 20 points (interrupted): this says nothing about the rest\nno findings so far\n" in out


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_ctrl_c_keeps_what_is_known(tiny: Tiny, jobs: str) -> None:
    tiny.build("DEFECT", "SLOW")
    tiny.file.write_text(tiny.file.read_text().replace("200_000", "60_000_000"))
    html, document, robot = tiny.path / "early.html", tiny.path / "early.json", tiny.path / "robot"
    outputs = ("--html", str(html), "--json", str(document), "--emit-robot", str(robot))
    command = [sys.executable, "-c", "from brownout.cli import main; main()", "sweep", str(tiny.file)]
    ours, theirs = pty.openpty()
    with (
        os.fdopen(ours, "rb", buffering=0) as terminal,
        subprocess.Popen(
            [*command, "--jobs", jobs, "--live", "0", "--torn", "all", *outputs],
            stdout=subprocess.PIPE,
            stderr=theirs,
        ) as process,
    ):
        os.close(theirs)
        try:
            shown = b""
            while not re.search(rb"\b(1[5-9]|[2-9]\d)/\d+", shown):  # some points are done
                assert select.select([terminal], [], [], 60)[0], shown
                shown += terminal.read(4096)
            process.send_signal(signal.SIGINT)
            out, _ = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130, out
    found = json.loads(document.read_text())
    assert (found["complete"], found["stopped"]) == (False, "interrupted")
    assert 15 <= len(found["points"]) < 68 == found["depths"][0]["requested"]
    assert found["findings"]
    assert {finding["verdict"] for finding in found["findings"]} <= {"loop", "wrong-flash"}
    (depth,) = found["depths"]
    done = depth["fired"]
    assert done == len(found["points"])
    said = f"stopped after {done} of 68 points (interrupted)"
    assert said.encode() in out
    assert f"Not complete: {said}." in html.read_text()
    assert len(list(robot.glob("*.robot"))) == len(found["groups"])


def test_a_deadline_keeps_what_is_known(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build("DEFECT", "SLOW")
    tiny.file.write_text(tiny.file.read_text().replace("200_000", "60_000_000"))
    document = tiny.path / "early.json"
    result = result_of("sweep", tiny.file, *FAST, "--torn", "all", "--deadline", "2", "--json", document)
    assert "not done within its time" in result.error
    assert "(its time was over): this says nothing about the rest" in result.out
    found = json.loads(document.read_text())
    assert (found["complete"], found["stopped"]) == (False, "deadline")
    assert 0 < len(found["points"]) < 68


def test_enough_findings_end_a_sweep(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build("DEFECT")
    html, document = tiny.path / "early.html", tiny.path / "early.json"
    result = result_of("sweep", tiny.file, *FAST, "--max-findings", "1", "--json", document, "--html", html)
    assert (result.code, result.err) == (1, "")
    assert re.search(r"^stopped after \d+ of 20 points \(enough findings\)", result.out, re.MULTILINE)
    found = json.loads(document.read_text())
    assert (found["complete"], found["stopped"], len(found["findings"])) == (False, "max-findings", 1)
    assert "Not complete" in html.read_text()
    # Exactly as many as there are do not make it incomplete, none neither.
    tiny.build()
    result = result_of("sweep", tiny.file, *FAST, "--max-findings", "1", "--json", document)
    assert (result.code, result.out.endswith("\nno findings\n")) == (0, True)
    assert json.loads(document.read_text())["complete"] is True


@pytest.mark.emulator
def test_a_live_sweep_that_ends_early_keeps_what_is_known(
    tiny: Tiny, result_of: Callable[..., Result]
) -> None:
    tiny.build("DEFECT")
    document = tiny.path / "early.json"
    live = ("--engine", "qemu", "--phases", "before", "--json", document)
    result = result_of("sweep", tiny.file, *live, "--max-findings", "1")
    assert (result.code, "stopped after 3 of 4 points (enough findings)" in result.out) == (1, True)
    found = json.loads(document.read_text())
    assert (found["complete"], found["stopped"]) == (False, "max-findings")
    assert [point["verdict"] for point in found["points"]] == ["new", "old", found["findings"][0]["verdict"]]
    assert "stopped after 0 of 4 points" in result_of("sweep", tiny.file, *live, "--deadline", "0.001").out
    assert json.loads(document.read_text())["stopped"] == "deadline"

    def interrupt(done: int, total: int, rate: float) -> None:
        if done == 2:
            raise KeyboardInterrupt

    plan = SweepPlan(engine="qemu", phases=("before",))
    with pytest.raises(SweepInterruptedError) as caught:
        sweep_live(load_target(tiny.file), plan, progress=interrupt)
    early = caught.value.result
    assert (early.complete, early.stopped, len(early.points)) == (False, "interrupted", 2)
    assert early.depths[0].requested == 4


@pytest.mark.parametrize("engine", ["unicorn", pytest.param("qemu", marks=pytest.mark.emulator)])
def test_only_the_operations_that_are_asked_for_are_cut(
    tiny: Tiny, result_of: Callable[..., Result], engine: str
) -> None:
    tiny.build()
    document = tiny.path / "some.json"
    some = ("--operations", "1,3-", "--phases", "after", "--engine", engine)
    result = result_of("sweep", tiny.file, *FAST, *some, "--json", document)
    assert result.code == 0, result.err
    assert [point["operation"] for point in json.loads(document.read_text())["points"]] == [1, 3, 4]
    assert "sample:         3 of 4 operations" in result.out
    error = result_of("sweep", tiny.file, *FAST, "--engine", engine, "--operations", "2-9").error
    assert "operations: '2-9': the run without a cut has operations 1-4" in error


def test_a_bad_target_is_one_line_and_exit_2(tiny: Tiny, result_of: Callable[..., Result]) -> None:
    tiny.build()
    tiny.file.write_text(tiny.file.read_text().replace("expected", "expcted"))
    assert "expcted: unknown key; did you mean 'expected'?" in result_of("sweep", tiny.file).error
    assert "cannot be read" in result_of("sweep", tiny.path / "none.toml").error
