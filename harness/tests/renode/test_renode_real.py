"""With the real Renode: the exported folder by hand, who can reach it, what a killed harness leaves."""

from __future__ import annotations

import contextlib
import os
import random
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pytest

from brownout.cli import main
from brownout.engines.controller import geometry_of
from brownout.engines.renode import network
from brownout.engines.renode.machine import RenodeMachine
from brownout.engines.renode.uarts import Terminal
from brownout.errors import EngineError
from brownout.flash import FlashModel, decode_command
from brownout.lab import FirmwareBuilds

from .conftest import FakeRenode, ended

if TYPE_CHECKING:
    from types import TracebackType

    from brownout.board import Board

pytestmark = [pytest.mark.emulator, pytest.mark.usefixtures("renode"), pytest.mark.xdist_group("renode")]

TIMEOUT_S = 60.0
PROMPT_AND_ECHO = re.compile(r"^.*echo .*$", re.MULTILINE)


class ByHand:
    """Renode in a terminal, as a person starts it; everything that it keeps is in `home`."""

    def __init__(self, renode: str, folder: Path, home: Path, *arguments: str) -> None:
        home.mkdir()
        self.process = subprocess.Popen(
            [renode, "--console", "--plain", "--disable-gui", "--hide-log", *arguments],
            cwd=folder,
            env={**os.environ, "TMPDIR": str(home), "HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.said = ""
        self._marks = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.process.communicate(b"quit\n", 10)
        finally:
            self.process.kill()
            self.process.wait()

    def type(self, command: str) -> str:
        """A line for the monitor; what it prints until it has done that."""
        self._marks += 1
        mark, before = f"\nmark {self._marks}", len(self.said)
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f'{command}\necho "mark {self._marks}"\n'.encode())
        self.process.stdin.flush()
        deadline = time.monotonic() + TIMEOUT_S
        while mark not in PROMPT_AND_ECHO.sub("", self.said[before:]):
            ready, _, _ = select.select([self.process.stdout], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, self.said
            self.said += os.read(self.process.stdout.fileno(), 65536).decode().replace("\r", "")
        return self.said[before:]


@pytest.fixture
def folder(board: Board, tmp_path: Path) -> Path:
    """What the command line exports."""
    where = tmp_path / "board"
    with pytest.raises(SystemExit) as caught:
        main(["board", "export", board.name, "--engine", "renode", str(where)])
    assert caught.value.code == 0
    return where


def test_a_person_starts_the_folder_and_sees_the_console(
    renode: str, folder: Path, board: Board, tmp_path: Path
) -> None:
    (folder / "boot.elf").write_bytes(FirmwareBuilds.find().version("1.0.0").boot.read_bytes())
    console = tmp_path / "console.txt"
    with ByHand(renode, folder, tmp_path / "home", "board.resc") as by_hand:
        by_hand.type(f"sysbus.console CreateFileBackend @{console} true")
        assert "0xFFFFFFFF" in by_hand.type(f"sysbus ReadDoubleWord {board.flash.end - 4:#x}")
        by_hand.type("start")
        deadline = time.monotonic() + TIMEOUT_S
        while "halted" not in console.read_text():
            assert time.monotonic() < deadline, by_hand.said
            by_hand.type("machine ElapsedVirtualTime")
        # Nothing of it listens, though it is in this machine's network.
        assert waiting(by_hand.process.pid) == []
    # The flash is erased: there is no manifest to boot.
    assert console.read_text().splitlines() == ["boot 1.0.0", "boot: halted: not found"]


def test_another_image_and_flash_operations_without_the_harness(
    renode: str, folder: Path, board: Board, tmp_path: Path, probe_elf: Path
) -> None:
    path = tmp_path / "console"
    image = random.Random(2).randbytes(0x1000)
    (tmp_path / "image.bin").write_bytes(image)
    with ByHand(renode, folder, tmp_path / "home", "-e", f"$bin=@{probe_elf}; i @board.resc") as by_hand:
        by_hand.type(f'emulation CreateUartPtyTerminal "console_terminal" "{path}" true')
        by_hand.type("connector Connect sysbus.console console_terminal")
        by_hand.type(f"sysbus LoadBinary @{tmp_path / 'image.bin'} {board.flash.base + 0x5000:#x}")
        terminal = Terminal(path)
        try:
            by_hand.type("start")
            assert answer(terminal, "") == "probe ready"
            model = FlashModel(geometry_of(board.flash), seed=1)
            model.load_image(0x5000, image)
            model.power_on()
            for line in (
                "p10000 100 f0f0f0f0",
                "p10000 10 33333333",  # clears bits only
                "p10010 4 ffffffff",
                "p10002 4 0",  # not on a word
                "p100f0 20 0",  # across a page
                "p400000 4 0",
                "pfffffffc 8 0",
                "p10000 0 0",
                "e5000",
                "e10004",
                "e400000",
                "e3ff000",
            ):
                assert answer(terminal, line + "\n") == f"{expected(model, line):08x} done", line
            by_hand.type("pause")
            for offset in (0x5000, 0x10000, 0x10004, 0x10010, 0x100FC):
                said = by_hand.type(f"sysbus ReadDoubleWord {board.flash.base + offset:#x}")
                word = int.from_bytes(model.shadow[offset : offset + 4], "little")
                assert f"0x{word:08X}" in said
        finally:
            terminal.close()


def answer(terminal: Terminal, line: str) -> str:
    """What the firmware prints after `line`."""
    data, deadline = b"", time.monotonic() + TIMEOUT_S
    os.write(terminal.descriptor, line.encode())
    while not data.endswith(b"\n"):
        ready, _, _ = select.select([terminal.descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, data
        data += terminal.drain()
    return data.decode().strip()


def expected(model: FlashModel, line: str) -> int:
    """The model's status for a line of the probe's."""
    words = [int(word, 16) for word in line[1:].split()]
    if line[0] == "e":
        effect = model.apply(decode_command(2, words[0], 0x1000, bytes(256)))
    else:
        data = b"".join((words[2] + at & 0xFFFFFFFF).to_bytes(4, "little") for at in range(0, 256, 4))
        effect = model.apply(decode_command(1, words[0], words[1], data))
    assert effect.status is not None
    return effect.status


# -- who can reach it ---------------------------------------------------------------------------------


def waiting(leader: int) -> list[str]:
    """Every socket of the session of `leader`, and its children's, that waits for somebody: loopback too."""
    inodes = {inode for pid in family(leader) for inode in network._sockets(pid)}
    found = []
    for table, state in network._WAITING.items():
        path = Path(f"/proc/{leader}/net", table)
        for line in path.read_text().splitlines()[1:] if path.exists() else ():
            fields = line.split()
            if fields[3] == state and fields[9] in inodes:
                found.append(f"{table} {fields[1]}")
    return found


def family(leader: int) -> list[int]:
    """`leader` and all that descend from it."""
    found = [leader]
    for pid in found:
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):  # a thread that has just ended
                found += [int(child) for child in children.read_text().split()]
    return found


@pytest.fixture(params=["own network", "shared network"])
def any_network(request: pytest.FixtureRequest) -> str:
    request.getfixturevalue(request.param.replace(" ", "_"))
    return str(request.param)


@pytest.mark.usefixtures("scratch")
def test_a_machine_listens_nowhere(renode: str, board: Board, any_network: str) -> None:
    machine = RenodeMachine(renode, board)
    try:
        assert waiting(machine.process.pid) == []
        own = os.readlink(f"/proc/{machine.process.pid}/ns/net")  # noqa: PTH115 - no path that exists
        shared = os.readlink("/proc/self/ns/net")  # noqa: PTH115 - no path that exists
        assert (own == shared) is (any_network == "shared network")
    finally:
        machine.close()


@pytest.mark.usefixtures("scratch")
def test_a_temporary_folder_may_have_a_space_in_its_name(
    renode: str, board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "my temporary files"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    machine = RenodeMachine(renode, board)
    assert "my temporary files" in str(machine.process.log)
    machine.close()


@pytest.mark.usefixtures("shared_network", "scratch")
def test_what_a_script_opens_is_refused(renode: str, board: Board) -> None:
    machine = RenodeMachine(renode, board)
    try:
        machine.process.execute('emulation CreateServerSocketTerminal 0 "open" false')
        assert waiting(machine.process.pid)
        with pytest.raises(EngineError, match=r"Renode listens on tcp port \d+, where other machines"):
            machine.process.refuse_listeners()
    finally:
        machine.close()


# -- a harness that is killed -------------------------------------------------------------------------

CHILD = """
import sys, threading
from pathlib import Path
from brownout.board import load_board
from brownout.device import Device

device = Device(load_board("mps2-an385"), Path(sys.argv[1]), engine="renode", seed=1)
device.power_on()
device.wait_for_line("probe ready", 60)
device.console.spawn.send("n40000000 10000\\n")  # the doorbell rings without end
print(device.engine.process_id, flush=True)
threading.Event().wait()
"""


@pytest.mark.parametrize("launcher", [False, True], ids=["direct", "launcher"])
def test_no_renode_outlives_a_harness_that_is_killed(
    renode: str, probe_elf: Path, tmp_path: Path, *, launcher: bool
) -> None:
    program = renode
    if launcher:  # Renode's Debian package has such a one: it is the launcher that the harness starts
        stand_in = FakeRenode(tmp_path, "")
        stand_in.program.unlink()
        stand_in.program.symlink_to(renode)
        program = str(stand_in.behind_launcher())
    with subprocess.Popen(
        [sys.executable, "-c", CHILD, str(probe_elf)],
        stdout=subprocess.PIPE,
        env={**os.environ, "RENODE": program, "TMPDIR": str(tmp_path)},
        text=True,
    ) as harness:
        try:
            assert harness.stdout is not None
            members = family(int(harness.stdout.readline()))
        finally:
            harness.kill()
    assert len(members) == 1 + launcher
    assert [pid for pid in members if not ended(pid)] == []


def test_ctrl_c_ends_run_on_renode_in_order(probe_elf: Path, tmp_path: Path) -> None:
    saved = tmp_path / "after.bin"
    arguments = ["run", "--engine", "renode", "--seed", "7", "--boot", str(probe_elf), "--save", str(saved)]
    with subprocess.Popen(
        [sys.executable, "-c", "from brownout.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)][1] == "probe ready\n"
            members = family(process.pid)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "power cut" in out
    assert err.splitlines() == ["replay mps2-an385:renode:7", "interrupted"]
    assert saved.read_bytes() == b"\xff" * 0x400000
    assert len(members) > 1
    assert [pid for pid in members if not ended(pid)] == []
