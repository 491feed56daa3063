"""A Renode that is missing, old, silent, angry or dying: one line with its log, and no process left."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.engines.renode import find_renode
from brownout.engines.renode.machine import RenodeMachine
from brownout.engines.renode.process import RenodeProcess, Start, monitor_path
from brownout.errors import EngineError

from .conftest import TERMINALS, TIMEOUT_S, FakeFactory, FakeRenode, ended, log_of

if TYPE_CHECKING:
    from brownout.board import Board


def start(program: Path, folder: Path, *, timeout: float = TIMEOUT_S) -> RenodeProcess:
    folder.mkdir(exist_ok=True)
    return RenodeProcess(Start(program=str(program), folder=folder, timeout_s=timeout))


def refused(program: Path, folder: Path, *, timeout: float = TIMEOUT_S) -> str:
    """What is said when it cannot be started; its log is where that says."""
    with pytest.raises(EngineError) as caught:
        start(program, folder, timeout=timeout)
    assert log_of(str(caught.value)).is_file()
    return str(caught.value)


# -- looking for it -----------------------------------------------------------------------------------


def test_it_is_found_by_renode_and_on_the_path(
    fake_renode: FakeFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = fake_renode().program
    monkeypatch.setenv("RENODE", str(program))
    assert find_renode() == str(program)
    monkeypatch.setenv("RENODE", "")
    monkeypatch.setenv("PATH", str(program.parent))
    assert find_renode() == str(program)


def test_what_is_no_renode_is_named_as_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def message(wanted: str) -> str:
        monkeypatch.setenv("RENODE", wanted)
        with pytest.raises(EngineError) as caught:
            find_renode()
        return str(caught.value)

    assert message("renode-nowhere").startswith(
        "renode-nowhere: not found: install Renode's portable release (1.15 or newer)"
    )
    assert "not found" in message(str(tmp_path / "renode"))
    assert f"is a folder, expected the program itself, such as {tmp_path}/renode" in message(str(tmp_path))
    (tmp_path / "renode").write_text("#!/bin/sh\n")
    assert message(str(tmp_path / "renode")) == f"RENODE={tmp_path}/renode: is not an executable file"


# -- starting it --------------------------------------------------------------------------------------


def test_one_that_prints_an_error_and_ends(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode("print('no display', file=sys.stderr); sys.exit(3)")
    said = refused(fake.program, tmp_path / "f")
    assert f"{fake.program} did not start: Renode " in said
    assert "exit code 3; it said: no display" in said
    assert "no display" in log_of(said).read_text()


def test_one_that_is_killed_while_it_starts(fake_renode: FakeFactory, tmp_path: Path) -> None:
    said = refused(fake_renode("os.kill(os.getpid(), signal.SIGSEGV)").program, tmp_path / "f")
    assert "killed by signal 11 (SIGSEGV); it said: nothing" in said


def test_a_file_that_is_no_program(tmp_path: Path, shared_network: None) -> None:
    program = tmp_path / "renode"
    program.write_text("no program")
    program.chmod(0o755)
    (tmp_path / "f").mkdir()
    with pytest.raises(EngineError, match=rf"{program}: cannot be started \(Exec format error\)"):
        start(program, tmp_path / "f")


def test_a_file_that_is_no_program_in_a_network_of_its_own(tmp_path: Path, own_network: None) -> None:
    program = tmp_path / "renode"
    program.write_text("no program")
    program.chmod(0o755)
    assert "exit code 127; it said: " in refused(program, tmp_path / "f")  # a shell tries it


@pytest.mark.parametrize("version", ["1.14.0", "1.9.0", "0.9"])
def test_an_old_version(fake_renode: FakeFactory, tmp_path: Path, version: str) -> None:
    fake = fake_renode(f"def version(): say('Renode, version {version} (0123)')")
    assert f"it is version {version}, expected 1.15 or newer" in refused(fake.program, tmp_path / "f")
    assert fake.is_gone()


@pytest.mark.parametrize("version", ["1.15.0", "1.16.1", "2.0"])
def test_a_version_that_is_new_enough(fake_renode: FakeFactory, tmp_path: Path, version: str) -> None:
    fake = fake_renode(f"def version(): say('Renode, version {version} (0123)')")
    process = start(fake.program, tmp_path / "f")
    process.quit()
    assert fake.is_gone()


def test_one_that_is_another_program(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode("def version(): say('what version?')")
    assert "expected the version of Renode, found 'what version?'" in refused(fake.program, tmp_path / "f")
    assert fake.is_gone()


def test_one_that_hangs_at_start(fake_renode: FakeFactory, tmp_path: Path) -> None:
    # Its launcher is what the harness started.
    fake = fake_renode("hang()")
    said = refused(fake.behind_launcher(), tmp_path / "f", timeout=3)
    assert "did not start: Renode did not answer 'version' in time; it said: nothing" in said
    assert fake.is_gone()


# -- talking to it ------------------------------------------------------------------------------------


def test_answers_come_without_prompt_and_echo(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode("""
        def other(line):
            say("(machine) " + line)
            say("0x2A\\r")
    """)
    process = start(fake.program, tmp_path / "f")
    try:
        assert process.execute("cpu PC") == "0x2A"
    finally:
        process.quit()
    assert not process.log_named


@pytest.mark.parametrize(
    "answer",
    [
        "There was an error executing command 'x'\\nError E02: no such thing",
        "No such command or device: x",
        "No such variable: $x",
        "Could not find file 'x'",
        "Bad parameters for command x",
        "Errors during compilation or loading:",
        'Command x failed, returning "1".',
    ],
)
def test_a_command_that_is_refused(fake_renode: FakeFactory, tmp_path: Path, answer: str) -> None:
    fake = fake_renode(f"def other(line): say({answer!r}.replace(chr(92) + 'n', chr(10)))")
    process = start(fake.program, tmp_path / "f")
    try:
        with pytest.raises(EngineError, match="Renode refused 'x': ") as caught:
            process.execute("x")
        assert answer.split("\\n")[-1][:20] in str(caught.value)
        assert log_of(str(caught.value)).is_file()
        assert process.log_named
    finally:
        process.quit()


def test_one_that_dies_in_a_command(fake_renode: FakeFactory, tmp_path: Path) -> None:
    process = start(fake_renode("def other(line): say('out of memory'); sys.exit(7)").program, tmp_path / "f")
    with pytest.raises(EngineError, match="Renode ended before it answered 'start': exit code 7") as caught:
        process.execute("start")
    assert "out of memory" in str(caught.value)
    with pytest.raises(EngineError, match="Renode has ended before 'pause': exit code 7"):
        process.execute("pause")
    process.wait()
    assert "out of memory" in log_of(str(caught.value)).read_text()


def test_one_that_hangs_in_a_command(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode("def other(line): hang()")
    process = start(fake.program, tmp_path / "f")
    with pytest.raises(EngineError, match="Renode did not answer 'start' in time") as caught:
        process.execute("start", 0.2)
    assert log_of(str(caught.value)).is_file()
    process.kill()
    process.wait()
    assert fake.is_gone()


def test_one_that_closes_its_output_and_lives_on(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode("def other(line): os.close(1); os.close(2); hang()")
    process = start(fake.program, tmp_path / "f")
    with pytest.raises(EngineError, match="ended before it answered 'x': it runs on without its monitor"):
        process.execute("x")
    process.quit()
    assert fake.is_gone()


def test_what_a_launcher_leaves_behind_ends_with_it(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode("signal.signal(signal.SIGTERM, signal.SIG_IGN)\ndef other(line): hang()")
    process = start(fake.behind_launcher(), tmp_path / "f")
    waiter = threading.Thread(target=process.wait_ended)
    waiter.start()
    assert process.pid != fake.pid
    os.kill(process.pid, signal.SIGKILL)
    waiter.join(TIMEOUT_S)
    assert fake.is_gone()
    process.wait()


def test_a_path_is_spelled_for_the_monitor() -> None:
    assert monitor_path(Path("/tmp/a b/x.repl")) == r"@/tmp/a\ b/x.repl"
    for path in ("/tmp/a;b", "/tmp/a\nb", "/tmp/a\\b"):
        with pytest.raises(EngineError, match="Renode's monitor cannot read such a path"):
            monitor_path(Path(path))


# -- the machine's folder -----------------------------------------------------------------------------


def test_nothing_is_left_of_a_machine_that_did_its_work(
    fake_renode: FakeFactory, board: Board, scratch: Path
) -> None:
    fake = fake_renode(TERMINALS)
    machine = RenodeMachine(str(fake.program), board)
    assert list(scratch.iterdir()) == [machine.process.log.parent]
    machine.close()
    assert list(scratch.iterdir()) == []
    assert fake.is_gone()


def test_the_log_stays_when_the_platform_is_refused(
    fake_renode: FakeFactory, board: Board, scratch: Path
) -> None:
    fake = fake_renode("""
        def other(line):
            if "LoadPlatformDescription" in line:
                say("There was an error executing command 'machine LoadPlatformDescription'")
                say("Error E04: Could not resolve type: 'UART.NoSuch'.")
    """)
    with pytest.raises(EngineError, match=r"Could not resolve type: 'UART\.NoSuch'") as caught:
        RenodeMachine(str(fake.program), board)
    log = log_of(str(caught.value))
    assert "UART.NoSuch" in log.read_text()
    assert list(scratch.iterdir()) == [log.parent]
    assert {path.suffix for path in log.parent.iterdir()} == {".log"}
    assert fake.is_gone()


def test_the_log_stays_when_it_does_not_start(fake_renode: FakeFactory, board: Board, scratch: Path) -> None:
    fake = fake_renode("print('mono is missing'); sys.exit(1)")
    with pytest.raises(EngineError, match="mono is missing") as caught:
        RenodeMachine(str(fake.program), board)
    assert "mono is missing" in log_of(str(caught.value)).read_text()
    assert len(list(scratch.iterdir())) == 1


def test_nothing_stays_when_there_was_nothing_to_log(
    board: Board, scratch: Path, tmp_path: Path, shared_network: None
) -> None:
    program = tmp_path / "renode"
    program.write_text("no program")
    program.chmod(0o755)
    with pytest.raises(EngineError, match="cannot be started"):
        RenodeMachine(str(program), board)
    assert list(scratch.iterdir()) == []


def test_the_log_stays_when_it_dies_at_work(fake_renode: FakeFactory, board: Board, scratch: Path) -> None:
    fake = fake_renode(TERMINALS.replace("if ", 'if line == "machine Reset": sys.exit(9)\n        if ', 1))
    machine = RenodeMachine(str(fake.program), board)
    with pytest.raises(EngineError, match="exit code 9") as caught:
        machine.reset()
    machine.close()
    assert log_of(str(caught.value)).is_file()
    assert len(list(scratch.iterdir())) == 1


# -- a harness that is killed -------------------------------------------------------------------------

HARNESS = """
import sys
from pathlib import Path
from brownout.engines.renode import network
from brownout.engines.renode.process import RenodeProcess, Start

if sys.argv[3:]:
    network._WAYS = (tuple(sys.argv[3:]),)
    assert network.private_network()
process = RenodeProcess(Start(program=sys.argv[1], folder=Path(sys.argv[2])))
print("started", flush=True)
process.wait_ended()
"""


def kill_harness(program: Path, folder: Path, *ways: str) -> None:
    """Start it in a process of its own, with a network of its own made in that way, and kill the process."""
    folder.mkdir()
    command = [sys.executable, "-c", HARNESS, str(program), str(folder), *ways]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as harness:
        try:
            assert harness.stdout is not None
            assert harness.stdout.readline() == "started\n"
        finally:
            harness.kill()


def test_it_ends_with_a_harness_that_is_killed(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode("sys.stdin = open('/dev/stdin')\ndef other(line): hang()")
    kill_harness(fake.program, tmp_path / "f")
    assert fake.is_gone()


@pytest.mark.parametrize("ways", [[], ["-r", "-n"]], ids=["any network", "network of a user"])
def test_it_ends_even_when_it_never_looks_at_its_input(
    fake_renode: FakeFactory, tmp_path: Path, ways: list[str]
) -> None:
    if ways and subprocess.run(["unshare", *ways, "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs a system where a user may give a process a network of its own")
    # After its first answers it listens to nobody: only the parent's death can end it.
    fake: FakeRenode = fake_renode("""
        first = []
        def version():
            say("Renode, version 1.16.1 (0)")
            line = sys.stdin.readline().strip()
            say(line[6:-1])
            hang()
    """)
    kill_harness(fake.program, tmp_path / "f", *ways)
    assert fake.is_gone()


def test_it_ends_behind_a_launcher_too(fake_renode: FakeFactory, tmp_path: Path) -> None:
    fake = fake_renode()
    started = time.monotonic()
    kill_harness(fake.behind_launcher(), tmp_path / "f")
    assert ended(fake.pid)
    assert time.monotonic() - started < TIMEOUT_S
