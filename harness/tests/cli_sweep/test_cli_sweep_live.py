"""`brownout sweep` of a target that is connected to something ([live]), on QEMU."""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from conftest import Result, Tiny

pytestmark = pytest.mark.emulator

WAIT_S = 60.0
SURROUNDINGS = """
import pathlib
from brownout.engines.base import PowerEventKind

HERE = pathlib.Path(__file__).parent

class Operator:
    '''Sends a letter at each power-on: the run's of LETTERS, the last one when there are no more.'''

    def __init__(self, target):
        self.runs = 0

    def __enter__(self):
        (HERE / "started").touch()
        return self

    def __exit__(self, *error):
        (HERE / "stopped").touch()

    def connect(self, device):
        self.device = device
        device.engine.add_listener(self)

    def power_changed(self, event):
        if event.kind is PowerEventKind.ON:
            self.runs += event.session == 1
            self.device.console.write(LETTERS[min(self.runs, len(LETTERS)) - 1].encode())
            (HERE / "pid").write_text(str(self.device.engine.process_id))

    def arrived(self):
        return True

def uncut(context):
    assert not any(record.cut for record in context.log), "it was cut"

def number(target):
    return 7

NUMBER = 7
LETTERS = "A"
"""


@pytest.fixture
def connected(tiny: Tiny) -> Tiny:
    """It waits for a letter from outside before it copies."""
    hooks = tiny.path / "hooks.py"
    hooks.write_text(hooks.read_text() + SURROUNDINGS)
    tiny.file.write_text(tiny.file.read_text() + '\n[live]\nsurroundings = "Operator"\n')
    return tiny.build("LISTENS")


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_its_surroundings_run_while_it_is_swept(connected: Tiny, result_of: Callable[..., Result]) -> None:
    """And the engine is QEMU without being told."""
    result = result_of("sweep", connected.file, "--phases", "after")
    assert (result.code, result.err) == (0, ""), result.out + result.err
    assert "tiny on mps2-an385 (qemu), seed 1: 4 flash operations" in result.out
    assert "4 requested, 4 fired" in result.out
    assert "elsewhere" not in result.out
    assert (connected.path / "stopped").exists()
    replayed = result_of("sweep", connected.file, "--replay", "tiny:qemu:1:op=3/before")
    assert replayed.code == 0
    assert "boot 1: op=3/before hit program at 0x20100; flash" in replayed.out


def test_a_run_that_takes_another_way_is_told_as_it_was(
    connected: Tiny, result_of: Callable[..., Result]
) -> None:
    """The pages are copied in the other order in all runs but the clean one. All cuts are findings."""
    change(connected.path / "hooks.py", 'LETTERS = "A"', 'LETTERS = "AB"')
    change(connected.file, 'state = "state"', 'state = "state"\ninvariants = ["uncut"]')
    document = connected.path / "sweep.json"
    result = result_of("sweep", connected.file, "--phases", "before", "--json", document)
    assert result.code == 1
    assert "elsewhere:      2 cut(s) hit another operation than without a cut" in result.out
    parsed = json.loads(document.read_text())
    assert parsed["machine_log"] == [
        f"op={number}/before: hit program at {now} (slot0); without a cut, this operation was "
        f"program at {then} (slot0)"
        for number, now, then in ((2, "0x20100", "0x20000"), (3, "0x20000", "0x20100"))
    ]
    where = {finding["cuts"][0]: finding["where"] for finding in parsed["findings"]}
    assert where["op=2/before"] == ["program at 0x20100 (slot0)"]
    assert where["op=3/before"] == ["program at 0x20000 (slot0)"]
    assert where["op=4/before"] == ["erase at 0x1000 (flag)"]


def test_a_cut_that_did_not_fire_is_a_finding(connected: Tiny, result_of: Callable[..., Result]) -> None:
    change(connected.path / "hooks.py", 'LETTERS = "A"', 'LETTERS = "AQ"')
    result = result_of("sweep", connected.file, "--points", "1", "--phases", "before")
    assert result.code == 1
    assert "1 requested, 0 fired" in result.out
    assert "not-fired" in result.out


def test_only_the_wanted_states_are_cut(connected: Tiny, result_of: Callable[..., Result]) -> None:
    change(
        connected.path / "hooks.py",
        'return "idle"',
        'if flash[0x20100] == 0x02: return "late"\n    return "idle"',
    )
    change(connected.file, "[live]", '[live]\nstates = ["late"]')
    document = connected.path / "sweep.json"
    assert result_of("sweep", connected.file, "--phases", "before", "--json", document).code == 0
    assert [point["operation"] for point in json.loads(document.read_text())["points"]] == [4]
    change(connected.file, '"late"', '"later"')
    error = result_of("sweep", connected.file).error
    assert "live.states: 'later': the run without a cut has no flash operation in it" in error
    assert "it has some in requested, late" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--engine", "unicorn"), "engine unicorn runs a board alone"),
        (("--replay", "tiny:unicorn:1:op=1/before"), "connected to what 'Operator' makes: use --engine qemu"),
    ],
)
def test_unicorn_refuses_it(
    connected: Tiny, result_of: Callable[..., Result], arguments: tuple[str, ...], message: str
) -> None:
    assert message in result_of("sweep", connected.file, *arguments).error


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "hooks.py",
            '(HERE / "started").touch()',
            'raise OSError("port taken")',
            "Operator: OSError: port taken",
        ),
        ("hooks.py", "self.device = device", 'raise ValueError("no plug")', "Operator: ValueError: no plug"),
        ("hooks.py", "return True", "return self.nothing", "Operator: AttributeError: "),
        ("hooks.py", "self.runs = 0", 'raise KeyError("key")', "hooks.py: Operator: KeyError: 'key'"),
        (
            "target.toml",
            '"Operator"',
            '"number"',
            "number: returned int, expected a context manager with connect()",
        ),
        ("target.toml", '"Operator"', '"NUMBER"', "live.surroundings: "),
        ("target.toml", '"Operator"', '"none"', "has no function 'none'; it has state, uncut, number"),
    ],
    ids=["start", "connect", "arrived", "make", "no surroundings", "no function", "missing"],
)
def test_surroundings_that_fail_are_one_line_and_exit_2(
    connected: Tiny, result_of: Callable[..., Result], file: str, old: str, new: str, message: str
) -> None:
    change(connected.path / file, old, new)
    assert message in result_of("sweep", connected.file).error
    # Left when it was entered, and only then.
    entered = (connected.path / "started").exists()
    assert (connected.path / "stopped").exists() == entered


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_ctrl_c_and_sigterm_leave_nothing(connected: Tiny, sent: signal.Signals, code: int) -> None:
    """It comes while the firmware waits for a letter that means "for ever"."""
    temporary = connected.path / "temporary"
    temporary.mkdir()
    change(connected.path / "hooks.py", 'LETTERS = "A"', 'LETTERS = "Q"')
    change(connected.file, "200_000", "900_000_000")
    program = "from brownout.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", program, "sweep", str(connected.file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"TMPDIR": str(temporary)},
    ) as process:
        try:
            pid, deadline = connected.path / "pid", time.monotonic() + WAIT_S
            while not (pid.exists() and pid.read_text()) and time.monotonic() < deadline:
                assert process.poll() is None, process.communicate()
                select.select([], [], [], 0.02)
            emulator = os.pidfd_open(int(pid.read_text()))
            process.send_signal(sent)
            out, err = process.communicate(timeout=WAIT_S)
        finally:
            process.kill()
    assert (process.returncode, out, err.strip()) == (code, b"", b"")
    assert list(temporary.iterdir()) == []
    assert select.select([emulator], [], [], 0)[0]
    os.close(emulator)
    assert (connected.path / "stopped").exists()


def test_target_check_says_it(connected: Tiny, result_of: Callable[..., Result]) -> None:
    result = result_of("target", "check", connected.file)
    assert result.code == 0
    assert re.search(
        r"^  it is connected to what 'Operator' of the hooks makes: swept on engine qemu", result.out, re.M
    )
    document = json.loads(result_of("target", "check", connected.file, "--json").out)
    assert document["live"] == {"surroundings": "Operator", "states": []}
