"""The `brownout` command as a user meets it: output, files, one-line errors with exit code 2."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from brownout.board import find_platform
from brownout.cli import main
from brownout.flash import OperationLog

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 30.0


class Result:
    """What a command printed, and its exit code."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        self.code = caught.value.code
        self.out, self.err = capfd.readouterr()

    @property
    def error(self) -> str:
        """The single line of an error."""
        assert self.code == 2
        assert self.err.count("\n") == 1
        return self.err


def test_help_has_examples(capfd: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["board"], ["flash"], ["run"], ["uplink"]):
        result = Result(capfd, *arguments, "--help")
        assert result.code == 0
        assert "Examples:\n" in result.out


def test_boards_are_listed_shown_and_checked(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert Result(capfd, "board", "list").out.startswith("mps2-an385 ")
    assert json.loads(Result(capfd, "board", "list", "--json").out)[0]["name"] == "mps2-an385"
    assert "0x21020000    128 KiB       kernel" in Result(capfd, "board", "show", "mps2-an385").out
    shown = json.loads(Result(capfd, "board", "show", "mps2-an385", "--json").out)
    assert shown["flash"]["regions"]["app"] == {"offset": 0x40000, "size": 0x10000}
    file = find_platform() / "mps2-an385" / "board.toml"
    assert Result(capfd, "board", "check", str(file)).out == f"{file}: ok\n"
    bad = tmp_path / "board.toml"
    text = file.read_text().replace("index = 1\n", "index = 0\n")
    bad.write_text(text.replace("rx_irq = 2\n", "rx_irq = 77\n"))
    result = Result(capfd, "board", "check", str(bad))
    assert result.code == 2
    assert [line.split(": ")[1] for line in result.err.splitlines()] == ["uart.uplink", "uart.uplink.rx_irq"]
    assert len(json.loads(Result(capfd, "board", "check", str(bad), "--json").out)["problems"]) == 2


def test_an_export_is_written_only_when_it_changes(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    output = tmp_path / "board.h"
    arguments = ["board", "export", "mps2-an385", "--format", "c-header"]
    assert Result(capfd, *arguments, "--output", str(output)).code == 0
    assert output.read_text() == Result(capfd, *arguments).out
    os.utime(output, (1, 1))
    Result(capfd, *arguments, "--output", str(output))
    assert output.stat().st_mtime == 1
    output.write_text("stale")
    Result(capfd, *arguments, "--output", str(output))
    assert output.read_text().startswith("/* Generated")
    assert [path.name for path in tmp_path.iterdir()] == ["board.h"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["board", "show", "mps2"], "board 'mps2': not found in"),
        (["board", "check", "nowhere.toml"], "nowhere.toml: cannot be read"),
        (["board", "export", "mps2-an385"], "Missing option '--format'"),
        (["bord"], "No such command 'bord'"),
        (["flash", "inspect", "nowhere.bin"], "nowhere.bin: cannot be read as a flash image"),
        (["run", "--boot", "nowhere.elf"], "nowhere.elf: cannot be read"),
        (["run", "--boot", "x", "--cut", "sometime"], "cut 'sometime': expected op=N"),
        (["run", "--boot", "x", "--replay", "x"], "replay id 'x': expected BOARD:ENGINE:SEED"),
        (["run", "--boot", "x", "--replay", "a:b:1", "--seed", "1"], "--replay: holds seed and cuts already"),
        (["run", "--boot", "x", "--uplink", "here"], "server address 'here': expected HOST:PORT"),
        (["uplink", "--port", "/dev/nothing", "--server", "127.0.0.1:1"], "/dev/nothing: cannot be opened"),
    ],
)
def test_errors_are_one_line(capfd: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    if arguments[0] == "uplink":
        # The modem reports on the server meanwhile; the last line is the error.
        result = Result(capfd, *arguments)
        assert result.code == 2
        assert message in result.err.splitlines()[-1]
        return
    assert message in Result(capfd, *arguments).error


def test_an_export_into_a_missing_folder_is_refused(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    output = str(tmp_path / "no" / "x.ld")
    arguments = ["board", "export", "mps2-an385", "--format", "linker", "--output", output]
    assert f"its folder does not exist: create {tmp_path / 'no'} first" in Result(capfd, *arguments).error


def test_flash_inspect_says_what_an_empty_array_lacks(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    image = tmp_path / "flash.bin"
    image.write_bytes(b"\xff" * 0x400000)
    result = Result(capfd, "flash", "inspect", str(image))
    assert "flag       clear\ndownload   none\n" in result.out
    assert json.loads(Result(capfd, "flash", "inspect", str(image), "--json").out)["installed"] is None
    image.write_bytes(b"\xff")
    assert "flash image: 1 bytes, expected 4194304" in Result(capfd, "flash", "inspect", str(image)).error


@pytest.mark.emulator
def test_run_shows_the_console_and_saves(
    capfd: pytest.CaptureFixture[str], probe_elf: Path, tmp_path: Path
) -> None:
    flash = tmp_path / "flash.bin"
    flash.write_bytes(b"\xa5" * 0x400000)
    saved, evidence = tmp_path / "after.bin", tmp_path / "evidence"
    result = Result(
        capfd,
        *("run", "--boot", str(probe_elf), "--flash", str(flash), "--seed", "7", "--timeout", "1"),
        *("--save", str(saved), "--evidence", str(evidence)),
    )
    assert result.code == 0
    assert "probe ready\n" in result.out
    assert result.err == "replay mps2-an385:qemu:7\n"
    assert saved.read_bytes() == flash.read_bytes()
    log = OperationLog.parse_lines((evidence / "operations.jsonl").read_text().splitlines())
    assert len(log) == 3
    short = tmp_path / "short.bin"
    short.write_bytes(b"x")
    arguments = ["run", "--boot", str(probe_elf), "--flash", str(short)]
    assert "short.bin: 1 bytes, expected 4194304" in Result(capfd, *arguments).error


@pytest.mark.emulator
def test_run_fails_when_a_cut_does_not_fire(capfd: pytest.CaptureFixture[str], probe_elf: Path) -> None:
    replay = "mps2-an385:qemu:7:op=1/torn"
    arguments = ["run", "--boot", str(probe_elf), "--replay", replay, "--timeout", "0.5"]
    result = Result(capfd, *arguments)
    assert result.code == 2
    assert "cut op=1/torn/random: did not fire within 0.5 s" in result.err.splitlines()[-1]


@pytest.mark.emulator
def test_ctrl_c_ends_run_in_order(probe_elf: Path) -> None:
    code = "from brownout.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "--boot", str(probe_elf)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            lines = [process.stdout.readline() for _ in range(2)]
            assert lines[1] == "probe ready\n"
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "power cut" in out
    assert err.splitlines()[-1] == "interrupted"


def test_uplink_once_ends_when_the_server_is_unreachable(capfd: pytest.CaptureFixture[str]) -> None:
    import pty

    master, slave = pty.openpty()
    try:
        arguments = ["uplink", "--port", os.ttyname(slave), "--server", "127.0.0.1:1", "--once"]
        assert "server 127.0.0.1:1: unreachable (Connection refused)" in Result(capfd, *arguments).error
    finally:
        os.close(master)
        os.close(slave)
