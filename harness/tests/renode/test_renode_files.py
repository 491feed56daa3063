"""The folder that Renode runs a board from: what its lines mean, how it is written."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import os
import re
from typing import TYPE_CHECKING

import pytest

from brownout.board import Board, Uart, find_platform
from brownout.board.export import export_renode
from brownout.cli import main
from brownout.engines.controller import BLOCK_SIZE

if TYPE_CHECKING:
    from pathlib import Path

FILES = ["board.repl", "board.resc", "flash_doorbell.py"]


@dataclasses.dataclass(frozen=True)
class Entry:
    """One peripheral of a platform description."""

    kind: str
    address: int | None
    values: dict[str, str]
    interrupts: dict[str, int]
    """Line of the NVIC by output."""

    @property
    def end(self) -> int:
        assert self.address is not None
        return self.address + int(self.values["size"], 0)


def platform(board: Board) -> dict[str, Entry]:
    """The platform description of `board`, read back; a line that means nothing fails."""
    entries: dict[str, Entry] = {}
    current: Entry | None = None
    for line in export_renode(board)["board.repl"].splitlines():
        if not line.strip() or line.startswith("//"):
            continue
        if found := re.fullmatch(r"(\w+): ([\w.]+) @ sysbus(?: (0x[0-9a-f]+))?", line):
            address = int(found[3], 16) if found[3] else None
            current = entries[found[1]] = Entry(found[2], address, {}, {})
            continue
        assert current is not None, line
        if found := re.fullmatch(r" {4}(\w*) ?-> (nvic|cpu)@(\d+)", line):
            current.interrupts[found[1]] = int(found[3])
        elif found := re.fullmatch(r" {4}(\w+): ?(.*)", line):
            current.values[found[1]] = found[2].strip('"')
        else:
            found = re.fullmatch(r" {8}(\w+) (\w+)", line)
            assert found is not None, line
            current.values[found[1]] = found[2]
    return entries


def commands(board: Board) -> list[str]:
    lines = export_renode(board)["board.resc"].splitlines()
    return [line.strip() for line in lines if line.strip() and not line.startswith("#")]


def changed(board: Board) -> Board:
    """Another board than the shipped one, so that nothing can be written into the templates."""
    assert board.engine.renode is not None
    return dataclasses.replace(
        board,
        name="other",
        cpu=dataclasses.replace(board.cpu, core="cortex-m4", clock_hz=64_000_000),
        flash=dataclasses.replace(
            board.flash,
            base=0x0800_0000,
            size=0x10_0000,
            controller=dataclasses.replace(
                board.flash.controller, command_block=0x3000_0000, doorbell=0x5000_0000
            ),
        ),
        uart={"console": Uart(base=0x4001_1000, index=0, rx_irq=37, tx_irq=38)},
        engine=dataclasses.replace(
            board.engine, renode=dataclasses.replace(board.engine.renode, uart="UART.PL011", mips=64)
        ),
    )


@pytest.fixture(params=["shipped", "changed"])
def any_board(request: pytest.FixtureRequest, board: Board) -> Board:
    return board if request.param == "shipped" else changed(board)


def test_the_platform_is_the_board(any_board: Board) -> None:
    board, entries = any_board, platform(any_board)
    assert entries["cpu"].values == {"cpuType": board.cpu.core, "nvic": "nvic"}
    assert (entries["nvic"].address, entries["nvic"].interrupts) == (0xE000E000, {"": 0})
    assert int(entries["nvic"].values["systickFrequency"]) == board.cpu.clock_hz
    for name, memory in board.memory.items():
        assert (entries[name].kind, entries[name].address) == ("Memory.MappedMemory", memory.base)
        assert entries[name].end == memory.base + memory.size
    flash, block = entries["flash"], entries["flash_commands"]
    assert flash.kind == "Memory.MappedMemory"
    assert (flash.address, flash.end) == (board.flash.base, board.flash.end)
    assert int(flash.values["ResetByte"], 16) == board.flash.erased_value
    assert block.address == board.flash.controller.command_block
    assert block.end - block.address >= BLOCK_SIZE
    uarts = {role: uart for role, uart in board.uart.items() if uart.base != board.flash.controller.doorbell}
    assert "console" in uarts
    for role, uart in uarts.items():
        assert board.engine.renode is not None
        assert (entries[role].kind, entries[role].address) == (board.engine.renode.uart, uart.base)
        assert entries[role].interrupts == {"RxInterrupt": uart.rx_irq, "TxInterrupt": uart.tx_irq}
    assert set(entries) == {"cpu", "nvic", "flash", "flash_commands", *board.memory, *uarts}


def test_nothing_overlaps_and_the_doorbell_is_left_to_the_script(any_board: Board) -> None:
    entries = [entry for entry in platform(any_board).values() if "size" in entry.values]
    spans = sorted((entry.address, entry.end) for entry in entries if entry.address is not None)
    assert all(first[1] <= second[0] for first, second in itertools.pairwise(spans))
    doorbell = any_board.flash.controller.doorbell
    assert not [span for span in spans if span[0] <= doorbell < span[1]]
    assert doorbell not in [entry.address for entry in platform(any_board).values()]


def test_the_script_for_the_monitor_loads_all_of_it(any_board: Board) -> None:
    board = any_board
    assert board.engine.renode is not None
    rom = min(memory.base for memory in board.memory.values() if memory.kind == "rom")
    doorbell = f"{board.flash.controller.doorbell:#010x} 0x1000 True"
    assert commands(board) == [
        "using sysbus",
        f'mach create "{board.name}"',
        "$bin?=$ORIGIN/boot.elf",
        "machine LoadPlatformDescription $ORIGIN/board.repl",
        f'machine PyDevFromFile $ORIGIN/flash_doorbell.py {doorbell} "flash_doorbell"',
        f"cpu PerformanceInMips {board.engine.renode.mips}",
        "macro reset",
        '"""',
        "sysbus LoadELF $bin",
        f"cpu VectorTableOffset {rom:#010x}",
        '"""',
        "runMacro $reset",
    ]


def test_the_doorbells_script_is_python_2_as_well(any_board: Board) -> None:
    # IronPython reads Python 2.7: what Python 3 added must not slip in.
    text = export_renode(any_board)["flash_doorbell.py"]
    new = (ast.JoinedStr, ast.AnnAssign, ast.Nonlocal, ast.NamedExpr, ast.Starred, ast.YieldFrom, ast.Await)
    tree = ast.parse(text)
    assert not [node for node in ast.walk(tree) if isinstance(node, new)]
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            arguments = node.args
            assert not arguments.kwonlyargs
            assert not arguments.posonlyargs
            assert node.returns is None
        if isinstance(node, ast.Raise):
            assert node.cause is None
    assert text.isascii()
    for name in FILES:
        assert "{{" not in export_renode(any_board)[name]


# -- brownout board export --engine renode -----------------------------------------------------------------


class Export:
    """`brownout board export mps2-an385 ...`."""

    def __init__(self, capfd: pytest.CaptureFixture[str], *arguments: str) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["board", "export", *arguments])
        self.code = caught.value.code
        self.out, self.err = capfd.readouterr()


def test_a_folder_is_written_and_then_left_alone(
    capfd: pytest.CaptureFixture[str], tmp_path: Path, board: Board
) -> None:
    folder = tmp_path / "renode"
    arguments = ["mps2-an385", "--engine", "renode", str(folder)]
    result = Export(capfd, *arguments)
    assert (result.code, result.out, result.err) == (0, "", "")
    assert {path.name: path.read_text() for path in folder.iterdir()} == export_renode(board)
    assert [path.name for path in tmp_path.iterdir()] == ["renode"]

    (folder / "boot.elf").write_text("the user's")
    for name in FILES:
        os.utime(folder / name, (1, 1))
    (folder / "board.resc").write_text("stale")
    assert Export(capfd, *arguments).code == 0
    assert (folder / "boot.elf").read_text() == "the user's"
    assert (folder / "board.resc").read_text() == export_renode(board)["board.resc"]
    assert [(folder / name).stat().st_mtime == 1 for name in FILES] == [True, False, True]
    assert [path.name for path in tmp_path.iterdir()] == ["renode"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mps2-an385"], "Missing option '--format' (a file) or '--engine' (a folder)"),
        (["mps2-an385", "--engine", "renode"], "--engine renode: expected the folder to write as well"),
        (["mps2-an385", "--engine", "qemu", "x"], "'qemu' is not 'renode'"),
        (["mps2-an385", "--engine", "renode", "--format", "layout", "x"], "--engine and --format: expected"),
        (
            ["mps2-an385", "--engine", "renode", "--output", "x", "x"],
            "--output: is for --format; name the folder after --engine renode",
        ),
        (["mps2-an385", "--format", "layout", "x"], "x: a folder is for --engine; name the file"),
        (
            ["nrf52840-dk", "--engine", "renode", "x"],
            "board 'nrf52840-dk': Renode does not run it (no [engine.renode] in its board.toml)",
        ),
        (["mps2", "--engine", "renode", "x"], "board 'mps2': not found"),
    ],
)
def test_what_cannot_be_exported_is_one_line(
    capfd: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    result = Export(capfd, *arguments)
    assert result.code == 2
    assert result.err.count("\n") == 1
    assert message in result.err
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_written_stays_as_it_was(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(folder: Path) -> str:
        result = Export(capfd, "mps2-an385", "--engine", "renode", str(folder))
        assert result.code == 2
        assert result.err.count("\n") == 1
        return result.err

    file = tmp_path / "file"
    file.write_text("x")
    assert f"{file}: cannot be written: expected a folder or nothing there" in refused(file)
    assert file.read_text() == "x"
    missing = tmp_path / "no" / "renode"
    assert f"{missing}: cannot be written (No such file or directory)" in refused(missing)
    # The last of the files cannot be written, so neither are the first ones.
    folder = tmp_path / "renode"
    (folder / "flash_doorbell.py").mkdir(parents=True)
    assert "flash_doorbell.py: cannot be written: expected a file" in refused(folder)
    assert [path.name for path in folder.iterdir()] == ["flash_doorbell.py"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "renode"]


def test_a_board_of_ones_own_is_exported_too(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    own = tmp_path / "platform" / "own"
    own.mkdir(parents=True)
    source = (find_platform() / "mps2-an385" / "board.toml").read_text()
    (own / "board.toml").write_text(source.replace('"mps2-an385"', '"own"', 1) + "mips = 40\n")
    platform_folder = str(tmp_path / "platform")
    result = Export(capfd, "own", "--engine", "renode", str(tmp_path / "out"), "--platform", platform_folder)
    assert result.err == ""
    assert "cpu PerformanceInMips 40\n" in (tmp_path / "out" / "board.resc").read_text()
