"""Renode on the command line: what cannot work is one line and exit code 2; boards tell their engines."""

from __future__ import annotations

from pathlib import Path

import pytest

from brownout.board import find_platform
from brownout.cli import main

from .conftest import TERMINALS, FakeFactory, log_of


class Result:
    """A command line, its exit code and its one line."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as caught:
            main(list(arguments))
        self.code = caught.value.code
        self.out, self.err = capfd.readouterr()

    @property
    def error(self) -> str:
        assert self.code == 2
        line = self.err.splitlines()[-1]
        assert line.startswith("brownout: error: ")
        assert "Traceback" not in self.err
        return line


def run(capfd: pytest.CaptureFixture[str], boot: Path, *more: str) -> Result:
    return Result(capfd, "run", "--boot", str(boot), "--engine", "renode", "--timeout", "5", *more)


def test_run_without_renode(
    capfd: pytest.CaptureFixture[str], probe_elf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENODE", "renode-nowhere")
    result = run(capfd, probe_elf)
    assert "renode-nowhere: not found: install Renode's portable release" in result.error
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ("print('no display'); sys.exit(3)", "exit code 3; it said: no display"),
        ("def version(): say('Renode, version 1.14.0 (0)')", "it is version 1.14.0, expected 1.15 or newer"),
        ("def other(line): sys.exit(7)", "': exit code 7"),
        ("def other(line): say('There was an error')", "': There was an error (log"),
        (TERMINALS + "        if line == 'machine Reset': sys.exit(9)", "exit code 9"),
    ],
    ids=["start", "version", "dies", "load", "reset"],
)
def test_run_with_a_renode_that_fails(
    capfd: pytest.CaptureFixture[str],
    probe_elf: Path,
    fake_renode: FakeFactory,
    monkeypatch: pytest.MonkeyPatch,
    scratch: Path,
    changes: str,
    message: str,
) -> None:
    fake = fake_renode(changes)
    monkeypatch.setenv("RENODE", str(fake.program))
    result = run(capfd, probe_elf)
    assert message in result.error
    assert log_of(result.error).is_file()
    assert fake.is_gone()
    assert len(list(scratch.iterdir())) == 1


def test_choices_that_do_not_fit(capfd: pytest.CaptureFixture[str], probe_elf: Path) -> None:
    assert "(no [engine.renode] in its board.toml)" in run(capfd, probe_elf, "--board", "nrf52840-dk").error
    replay = run(capfd, probe_elf, "--replay", "mps2-an385:qemu:1").error
    assert "leave out --seed, --cut and --engine" in replay
    assert (
        "'bochs' is not one of 'qemu', 'renode'"
        in Result(capfd, "run", "--boot", "x", "--engine", "bochs").error
    )
    up = Result(capfd, "board", "up", "stm32f4-discovery", "--engine", "renode").error
    assert "board 'stm32f4-discovery': Renode does not run it (no [engine.renode]" in up
    assert "QEMU does not run it (no [engine.qemu]" in Result(capfd, "board", "up", "nrf52840-dk").error


def test_board_up_without_renode(
    capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, scratch: Path
) -> None:
    monkeypatch.setenv("RENODE", "renode-nowhere")
    result = Result(capfd, "board", "up", "mps2-an385", "--engine", "renode")
    assert "renode-nowhere: not found" in result.error
    assert result.err.count("\n") == 1
    assert list(scratch.iterdir()) == []


def test_boards_are_listed_with_their_engines(capfd: pytest.CaptureFixture[str]) -> None:
    assert "qemu, unicorn, renode" in Result(capfd, "board", "list").out.splitlines()[0]
    assert "engines    qemu, unicorn, renode" in Result(capfd, "board", "show", "mps2-an385").out
    assert "expected one of them" in Result(capfd, "board", "list", "--json", "--markdown").error


def test_the_table_of_the_docs_is_the_one_that_is_generated(capfd: pytest.CaptureFixture[str]) -> None:
    table = Result(capfd, "board", "list", "--markdown").out
    assert table.count("\n") == 2 + len(list(find_platform().glob("*/board.toml")))
    page = Path(__file__).parents[3] / "docs" / "renode.md"
    assert table in page.read_text()
