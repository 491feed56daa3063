"""What a wrong argument is told: a line with what, where, what was expected, and the nearest known name."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import RunRobot

# Keyword and arguments -> a part of what it says. A device `device` of the target is there, without power.
WRONG = {
    "Arm Power Cut    op=3/tron": "cut 'op=3/tron': expected op=N, region=NAME",
    "Arm Power Cut    region=settings_c.program#1/torn": "no flash region 'settings_c'; known: ",
    "Arm Power Cut At Operation    0": "operation 0: expected 1 or more",
    "Arm Power Cut At Operation    1    befor": "phase 'befor': did you mean 'before'?",
    "Connect Uplink    localhost": "server address 'localhost': expected HOST:PORT",
    "Console Should Show    (": "pattern '(': missing )",
    "Console Should Show    ready    timeout=0": "timeout 0 s: expected more than no time",
    "Flash Should Be Erased    setings_b": "settings_b); did you mean 'settings_b'?",
    "Flash Should Hold    settings_b    /nowhere": "/nowhere: cannot be read as what the flash should hold",
    "Flash Should Hold    settings_b    /dev/null": "/dev/null: is empty",
    "Load Flash    /nowhere": "/nowhere: cannot be read as what to load into the flash",
    "Load Flash    ${BIG}    0x3ffff0": "do not fit at 0x3ffff0: the flash ends after 16",
    "Power On    device=devise": "device 'devise': there is none; did you mean 'device'?",
    "Power Should Be    of": "'OFF' and 'ON'",
    "Read Flash    0x10": "flash '0x10': an offset needs a count of bytes",
    "Read Flash    0x10    -4": "flash '0x10': -4 bytes: expected 1 to ",
    "Read Flash    0x1ffffffff    4": "expected an offset below 0x400000, the size of the flash",
    "Read Flash    0    many": "Argument 'count' got value 'many' that cannot be converted to integer",
    "Recover After Power Cuts    ${TARGET}    expct=converted": "did you mean 'expect=...'?",
    "Recover After Power Cuts    ${TARGET}    expect=convertd": "no such outcome; did you mean 'converted'?",
    "Recover After Power Cuts    ${TARGET}    op=300/torn": "not-fired: op=300/torn/random did not happen",
    "Recover After Power Cuts    /nowhere.toml": "/nowhere.toml: cannot be read (No such file or directory)",
    "Replay Should Recover    ${TARGET}    settings-store:unicorn:op=3": "expected BOARD:ENGINE:SEED",
    "Replay Should Recover    ${TARGET}    other:unicorn:1": "for target 'other', expected 'settings-store'",
    "Restore Flash": "no flash is remembered: use Remember Flash first",
    "Save Evidence    /proc/x": "/proc/x: cannot be made for evidence",
    "Save Flash    /proc/x/y": "/proc/x: cannot be made",
    "Send To Console    hello": "the device has no power",
    "Start Device    mps2-an358    x.elf    device=b": "board 'mps2-an358': not found",
    "Start Device    mps2-an385    /nowhere.elf    device=b": "/nowhere.elf: cannot be read as an ELF file",
    "Start Device From Target    ${TARGET}": "device 'device': is there already",
    "Start Device From Target    ${TARGET}    engine=qmu    device=b": "Available: 'QEMU' and 'RENODE'",
    "Sweep Power Cuts    ${TARGET}    torm": "phase 'torm': did you mean 'torn'?",
    "Sweep Power Cuts    ${TARGET}    point=3": "'point=3': did you mean 'points=...'?",
    "Sweep Power Cuts    ${TARGET}    points=0": "points 0: expected a number of at least 1",
    "Sweep Power Cuts    ${TARGET}    points=some": "Argument 'points' got value 'some'",
    "Sweep Power Cuts    ${TARGET}    depth=3": "depth 3: expected 1 or 2",
    "Wait For Power Cut": "no power cut is armed: use Arm Power Cut first",
    "Wait For Power Cut    soon": "Argument 'timeout' got value 'soon'",
}


@pytest.mark.emulator
def test_wrong_arguments(run_robot: RunRobot, good_target: Path, tmp_path: Path) -> None:
    (tmp_path / "big.bin").write_bytes(bytes(32))
    tests = "".join(f"Call {number}\n    {call}\n" for number, call in enumerate(WRONG))
    suite = (
        "*** Settings ***\nLibrary    brownout.robot.BrownoutLibrary\n"
        "Suite Setup    Start Device From Target    ${TARGET}\n"
        f"*** Variables ***\n${{BIG}}    {tmp_path}/big.bin\n*** Test Cases ***\n{tests}"
    )
    ran = run_robot({"wrong": suite}, good_target)
    for number, (call, expected) in enumerate(WRONG.items()):
        said = ran.failures.get(f"Call {number}", "nothing: it passed")
        assert expected in said, call
        # What happened to a device is a story; what is wrong with an argument is a line.
        assert "\n" not in said or expected.startswith("not-fired"), call
    assert "Traceback" not in ran.output


def test_names_that_differ_get_folders_that_differ() -> None:
    names = ["A/B", "A:B", "A_B", "A_B.", "A_B ", "..", "", "x" * 300, "x" * 301]
    code = f"from brownout.robot.output import file_name; print(*map(file_name, {names!r}), sep='\\n')"
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    folders = said.stdout.splitlines()
    assert len(set(folders)) == len(names)
    assert folders[2] == "A_B"
    assert all(0 < len(folder) < 255 and "/" not in folder and folder.strip(". ") for folder in folders)
