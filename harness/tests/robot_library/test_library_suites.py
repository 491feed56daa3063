"""The library's keywords on a project with firmware of its own (docs/examples/settings-store)."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from brownout.results.importers import ImportOptions, import_file

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunRobot

# In a process of its own: under pytest, the folder `robot` of this repository may hide the package.
INTRODUCTION = """
import inspect
from brownout.robot import BrownoutLibrary
text = inspect.getdoc(BrownoutLibrary).partition("= A suite =")[2].partition("\\n= ")[0]
print("\\n".join(line[2:] for line in text.splitlines() if line.startswith("|")))
"""
LIBRARY = "*** Settings ***\nLibrary    brownout.robot.BrownoutLibrary\n"
REPLAY = """*** Settings ***
Library    brownout.robot.SweepLibrary
*** Test Cases ***
Finding
    ${outcome}    Replay Should Recover    ${TARGET}    settings-store:unicorn:1:op=3/after
    Should Be Equal    ${outcome}    converted
"""


@pytest.fixture
def introduction(tmp_path: Path) -> str:
    """The suite in the library's own documentation."""
    done = subprocess.run(
        [sys.executable, "-c", INTRODUCTION],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout


@pytest.mark.emulator
def test_suite_of_the_introduction_passes(introduction: str, run_robot: RunRobot, good_target: Path) -> None:
    ran = run_robot({"settings": introduction}, good_target)
    assert ran.returncode == 0, ran.output
    assert ran.metadata == {"Engine": "qemu, unicorn", "Board": "mps2-an385", "Seed": "1"}
    assert not (ran.folder / "evidence").exists()

    (document,) = (ran.folder / "sweeps").rglob("*.json")
    assert json.loads(document.read_text())["findings"] == []
    assert document.with_suffix(".html").is_file()
    assert f'href="{document.relative_to(ran.folder)}"'.replace(" ", "%20") in ran.html(
        "Settings Survive Every Cut"
    )
    swept = import_file(document, ImportOptions(project="demo")).run
    assert (swept.series.engine, swept.series.board, swept.seed) == ("unicorn", "mps2-an385", 1)


@pytest.mark.emulator
def test_suite_of_the_introduction_finds_the_bug(
    introduction: str, run_robot: RunRobot, bad_target: Path
) -> None:
    ran = run_robot({"settings": introduction}, bad_target, "--test", "*Every Cut", "--test", "*Two Cuts")
    assert ran.returncode == 2, ran.output
    swept = ran.failures["Settings Survive Every Cut"]
    assert re.search(
        r"settings-store on unicorn, seed 1: .* fired, \d+ finding\(s\) in \d+ group\(s\)", swept
    )
    assert f"brownout sweep {bad_target} --replay settings-store:unicorn:1:op=" in swept
    assert "loop: torn, program of settings_a" in swept
    story = ran.failures["Settings Survive Two Cuts"]
    assert "boot 1, op=2/torn/random: power lost" in story
    assert f"again: brownout sweep {bad_target} --replay settings-store:unicorn:1:op=2/torn/random" in story


@pytest.mark.emulator
def test_device_that_a_test_started_ends_with_it(run_robot: RunRobot, good_target: Path) -> None:
    """A test that fails before it stops its device is not the next one's trouble."""
    ran = run_robot(
        {
            "first": f"""{LIBRARY}
*** Test Cases ***
Fails
    Start Device From Target    ${{TARGET}}
    Power On
    Fail    on purpose
Starts Anew
    Run Keyword And Expect Error    *there is no device*    Power Should Be    on
    Start Device From Target    ${{TARGET}}
    Power Should Be    off
    ${{count}}    Get Flash Operation Count
    Should Be Equal As Integers    ${{count}}    0
"""
        },
        good_target,
    )
    assert ran.failures == {"Fails": "on purpose"}, ran.output


@pytest.mark.emulator
def test_flash_of_several_devices(run_robot: RunRobot, good_target: Path, tmp_path: Path) -> None:
    """Two devices, one from a board and an ELF file; places, loading, saving; each has a state of its own."""
    image = tmp_path / "image.bin"
    image.write_bytes(b"settings of yours")
    ran = run_robot(
        {
            "flash": f"""{LIBRARY}Suite Setup    Start
*** Keywords ***
Start
    Start Device    mps2-an385    {good_target.parent}/build/firmware.elf    seed=7    device=plain
    Start Device From Target    ${{TARGET}}    device=sensor
*** Test Cases ***
Places
    Flash Should Be Erased    0x200000    4096    device=plain
    Load Flash    {image}    0x200000    device=plain
    Flash Should Hold    0x200000    {image}    device=plain
    Run Keyword And Expect Error    *differs from*at byte 0x0: 53 45 54 31*
    ...    Flash Should Hold    settings_a    {image}    device=sensor
    Run Keyword And Expect Error    *is not erased at byte 0x0*
    ...    Flash Should Be Erased    settings_a    4    device=sensor
    Flash Should Be Erased    settings_b    device=sensor
    Save Flash    ${{OUTPUT_DIR}}/flash.bin    device=plain
Power
    Power On And Lose It    op=1/after    device=sensor
    ${{id}}    Get Replay Id    device=sensor
    Should Be Equal    ${{id}}    mps2-an385:qemu:1:op=1/after
    Power Should Be    off    device=plain
    Remember Flash    device=sensor
    Arm Power Cut At Operation    2    before    device=sensor
    Power On    device=sensor
    ${{what}}    Wait For Power Cut    device=sensor
    Should Be Equal    ${{what}}    op=2/before fired at operation 2 of power session 2
    Restore Flash    device=sensor
    Save Evidence    ${{OUTPUT_DIR}}/saved    device=sensor
    Run Keyword And Expect Error    *there are several devices: say device= (plain, sensor)*    Power On
    Stop All Devices
    Run Keyword And Expect Error    *there is no device*    Power On
"""
        },
        good_target,
    )
    assert ran.returncode == 0, ran.failures
    assert (ran.folder / "flash.bin").read_bytes()[0x20_0000:].startswith(b"settings of yours\xff")
    assert (ran.folder / "saved" / "evidence.json").is_file()
    assert ran.metadata["Seed"] == "1, 7"


def test_emitted_suites_find_their_library(run_robot: RunRobot, good_target: Path) -> None:
    ran = run_robot({"finding": REPLAY}, good_target)
    assert ran.returncode == 0, ran.output
    assert any("boot 2" in message for message in ran.messages("Finding"))


def test_emitted_suites_fail_with_the_story(run_robot: RunRobot, bad_target: Path) -> None:
    ran = run_robot({"finding": REPLAY}, bad_target)
    assert ran.returncode == 1, ran.output
    story = ran.failures["Finding"].splitlines()
    assert story[0].startswith("loop: sleeps for ever")
    assert story[1].startswith("boot 1, op=3/after: power lost at")
    assert story[-1] == f"again: brownout sweep {bad_target} --replay settings-store:unicorn:1:op=3/after"
