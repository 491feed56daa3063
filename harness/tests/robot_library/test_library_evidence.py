"""What is kept of a failed test, how its log shows it, and that an import of the run finds it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import zlib
from base64 import b64decode
from contextlib import suppress
from html import escape
from typing import TYPE_CHECKING
from urllib.parse import unquote

import pytest

from brownout.evidence import EvidenceKey, read_evidence
from brownout.results.importers import ImportOptions, import_file

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ran, RunRobot

    from brownout.results.model import Case

FAILING = """*** Settings ***
Library    brownout.robot.BrownoutLibrary
*** Test Cases ***
Fails In Real Time
    Start Device From Target    ${TARGET}    device=sensor/1
    Arm Power Cut    op=3/torn
    Power On
    Wait For Power Cut
    Power On
    Console Should Show    every 300 s
    Fail    on purpose
Fails After It Was Stopped
    Start Device From Target    ${TARGET}    device=gone
    Power On
    Console Should Show    every 300 s
    Stop Device
    Fail    on purpose
Fails In A Run
    Recover After Power Cuts    ${TARGET}    op=2/before
    ${outcome}    Recover After Power Cuts    ${TARGET}    op=3/torn
    Should Be Equal    ${outcome}    lost
Passes
    Start Device From Target    ${TARGET}
    Power On
    Console Should Show    every 300 s
    ${count}    Get Flash Operation Count
    Set Test Message    ${count} operations
"""


def imported(ran: Ran) -> dict[str, Case]:
    run = import_file(ran.folder / "output.xml", ImportOptions(project="demo")).run
    assert (run.series.engine, run.series.board, run.seed) == ("qemu, unicorn", "mps2-an385", 1)
    return {case.name.rpartition(".")[2]: case for case in run.cases}


def check_links(html: str, folder: Path) -> None:
    """They are relative and lead to files."""
    links = [unquote(link) for link in re.findall(r'href="([^"]+)"', html)]
    assert len(links) > 5
    for link in links:
        assert not link.startswith(("/", "file:", "http"))
        assert (folder / link).is_file(), link


@pytest.mark.emulator
def test_failed_tests_leave_evidence_in_folder_log_and_import(
    run_robot: RunRobot, good_target: Path, tmp_path: Path
) -> None:
    stale = tmp_path / "out" / "evidence" / "Suites.Settings" / "Passes" / "device"
    stale.mkdir(parents=True)
    (stale / "evidence.json").write_text("of an earlier run")
    ran = run_robot({"settings": FAILING}, good_target)
    assert set(ran.failures) == {"Fails In Real Time", "Fails After It Was Stopped", "Fails In A Run"}
    assert not stale.exists()
    kept = ran.folder / "evidence" / "Suites.Settings"
    folders = {str(path.parent.relative_to(kept)) for path in kept.rglob("evidence.json")}
    assert folders == {
        "Fails In Real Time/sensor_1-a6a5e381",
        "Fails After It Was Stopped/gone",
        "Fails In A Run/settings-store",
    }
    _check_real_time(ran, kept / "Fails In Real Time")
    _check_stopped(kept / "Fails After It Was Stopped" / "gone")
    run = read_evidence(kept / "Fails In A Run" / "settings-store")
    # Of two runs that were well it is the last one.
    assert (run.replay, run.verdict) == ("settings-store:unicorn:1:op=3/torn/random", "converted")
    assert "settings-store:unicorn:1:op=3/torn/random" in ran.html("Fails In A Run")

    cases = imported(ran)
    assert cases["Fails In Real Time"].replay == "mps2-an385:qemu:1:op=3/torn/random"
    assert {item.key for item in cases["Fails In Real Time"].evidence} >= {"uart", "flash", "timeline"}
    assert cases["Fails In A Run"].command.startswith("brownout sweep ")
    assert not cases["Passes"].evidence
    # Not those of the test before it, nor of the suite's setup.
    assert cases["Passes"].message == f"{cases['Passes'].flash_operations} operations"
    assert cases["Passes"].flash_operations in range(2, 50)

    # The whole folder can be moved: links and import still find everything.
    moved = tmp_path / "elsewhere"
    shutil.move(ran.folder, moved)
    check_links(ran_html(moved), moved)
    case = import_file(moved / "output.xml", ImportOptions(project="demo")).run.cases[0]
    assert case.evidence


def ran_html(folder: Path) -> str:
    text = (folder / "output.xml").read_text()
    return "".join(re.findall(r'href="[^"]+"', text))


def _check_real_time(ran: Ran, folder: Path) -> None:
    assert f"evidence: {folder}" in ran.messages("Fails In Real Time")
    html = ran.html("Fails In Real Time")
    found = read_evidence(folder / "sensor_1-a6a5e381")
    assert found.subject == "sensor/1"
    assert f"replay <code>{found.replay}</code>" in html
    assert f"again: <code>{escape(found.command)}</code>" in html
    assert "fired at operation 3 of power session 1" in html
    assert "sensor 4711: every 300 s" in html
    assert re.search(r"<td>0x201000</td><td>settings_b</td><td>\d+</td><td>\d+</td><td>1</td>", html)
    check_links(html, ran.folder)
    # log.html itself has it: it is what people open.
    assert "sensor_1-a6a5e381/flash-before.bin" in _log_text(ran.folder / "log.html")


def _log_text(log: Path) -> str:
    """All texts of a log.html; Robot packs those that are long."""
    packed = re.findall(r'"([A-Za-z0-9+/]{40,}={0,2})"', log.read_text())
    texts = []
    for text in packed:
        with suppress(zlib.error, ValueError):
            texts.append(zlib.decompress(b64decode(text)).decode())
    return "\n".join(texts)


def _check_stopped(folder: Path) -> None:
    """The command names files where they are now."""
    found = read_evidence(folder)
    before = folder / found.files[EvidenceKey.FLASH_BEFORE]
    assert str(before) in found.command
    assert before.stat().st_size == found.size


@pytest.mark.emulator
def test_failed_suite_setup_has_one_evidence(run_robot: RunRobot, good_target: Path) -> None:
    text = """*** Settings ***
Library    brownout.robot.BrownoutLibrary
Suite Setup    Broken
*** Keywords ***
Broken
    Start Device From Target    ${TARGET}
    Fail    on purpose
*** Test Cases ***
One
    Power On
Two
    Power On
"""
    ran = run_robot({"settings": text}, good_target)
    folder = ran.folder / "evidence" / "Suites.Settings" / "One"
    assert [path.parent.parent for path in ran.folder.rglob("evidence.json")] == [folder]
    for name in ("One", "Two"):
        assert f"evidence: {folder}" in ran.messages(name)


WATCHING = """
import contextlib
from brownout.device import Device
from brownout.board import load_board
from brownout.robot import watch
from pathlib import Path

class Own:
    ROBOT_LIBRARY_SCOPE = "SUITE"

    def start_mine(self, elf):
        self.stack = contextlib.ExitStack()
        device = self.stack.enter_context(Device(load_board("mps2-an385"), Path(elf), seed=5))
        self.stack.enter_context(watch("mine", device))

    def save_it_myself(self, elf, folder):
        from robot.api import logger
        with Device(load_board("mps2-an385"), Path(elf), seed=6) as device:
            device.save_evidence(Path(folder) / "theirs")
        logger.warn(f"evidence: {folder}")

    def stop_mine(self):
        self.stack.close()
"""
OWN = """*** Settings ***
Library    Own.py
Suite Teardown    Stop Mine
*** Test Cases ***
Watched
    Start Mine    ${TARGET}/../build/firmware.elf
    Fail    on purpose
Passes
    No Operation
Said
    Stop Mine
    Save It Myself    ${TARGET}/../build/firmware.elf    ${OUTPUT_DIR}/evidence/s/t
    Fail    on purpose
"""


@pytest.mark.emulator
def test_listener_serves_libraries_of_others(run_robot: RunRobot, good_target: Path, tmp_path: Path) -> None:
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "Own.py").write_text(WATCHING)
    options = ["--listener", "brownout.robot.EvidenceListener", "--variable", f"EVIDENCE_DIR:{tmp_path}/kept"]
    ran = run_robot({"own": OWN.replace("${TARGET}/..", str(good_target.parent))}, good_target, *options)
    assert set(ran.failures) == {"Watched", "Said"}, ran.output
    kept = tmp_path / "kept" / "Suites.Own" / "Watched"
    assert read_evidence(kept / "mine").seed == 5
    assert f"evidence: {kept}" in ran.messages("Watched")
    assert "seed 5" in ran.html("Watched")
    assert "seed 6" in ran.html("Said")
    assert not ran.html("Passes")


@pytest.mark.emulator
def test_folder_that_cannot_be_written_is_one_warning(run_robot: RunRobot, good_target: Path) -> None:
    ran = run_robot(
        {"settings": FAILING},
        good_target,
        "--test",
        "Fails In Real Time",
        "--variable",
        "EVIDENCE_DIR:/proc/x",
    )
    assert ran.failures == {"Fails In Real Time": "on purpose"}
    (told,) = [text for text in ran.messages("Fails In Real Time") if "no evidence is kept" in text]
    assert told.startswith("sensor/1: no evidence is kept: /proc/x/Suites.Settings/Fails In Real Time")
    assert "Traceback" not in ran.output


@pytest.mark.emulator
def test_two_suites_at_a_time_under_pabot(run_robot: RunRobot, good_target: Path) -> None:
    text = FAILING.partition("Fails After")[0]
    ran = run_robot({"one": text, "two": text}, good_target, tool="pabot")
    assert ran.returncode == 2, ran.output
    for suite in ("One", "Two"):
        folder = ran.folder / "evidence" / f"Suites.{suite}" / "Fails In Real Time" / "sensor_1-a6a5e381"
        assert read_evidence(folder).replay == "mps2-an385:qemu:1:op=3/torn/random"
    check_links(ran_html(ran.folder), ran.folder)
    # The logs of the two processes, which stay where they are, lead to the same files.
    for own in (ran.folder / "pabot_results").glob("*/output.xml"):
        check_links(ran_html(own.parent), own.parent)
    run = import_file(ran.folder / "output.xml", ImportOptions(project="demo")).run
    assert (run.series.engine, run.series.board, run.seed) == ("qemu", "mps2-an385", 1)
    assert [len(case.evidence) > 5 for case in run.cases] == [True, True]


@pytest.mark.emulator
def test_command_of_the_evidence_does_it_again(run_robot: RunRobot, good_target: Path) -> None:
    ran = run_robot({"settings": FAILING}, good_target, "--test", "Fails After It Was Stopped")
    assert list(ran.failures) == ["Fails After It Was Stopped"]
    (manifest,) = ran.folder.rglob("evidence.json")
    command = read_evidence(manifest.parent).command.replace("--timeout 10", "--timeout 1")
    done = subprocess.run(
        ["bash", "-c", f"PATH={sys.prefix}/bin:$PATH; {command}"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "sensor 4711: every 300 s" in done.stdout, done.stderr
