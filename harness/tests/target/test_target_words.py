"""`brownout target check` and `init`, as a user meets them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from brownout.board import list_boards, load_board
from brownout.cli import main
from brownout.target import starter_text

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import TargetFolder


def run(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    assert isinstance(caught.value.code, int)
    return caught.value.code


def test_check_says_the_target_back(folder: TargetFolder, capfd: pytest.CaptureFixture[str]) -> None:
    file = folder.write()
    assert run("target", "check", file) == 0
    out = capfd.readouterr().out
    for text in (
        "runs on mps2-an385 (cortex-m3, 25 MHz)",
        "0x21000000..0x213fffff    4096 KiB  flash  sectors 1024 x 4 KiB; written in units of 4",
        "0x21020000..0x21020fff      4096 B  v1.bin  in kernel, slot0",
        "new   (expected when nothing is cut)",
        "about to run code in 0x21020000..0x21021fff",
        "then VTOR is 0x21020000",
        "the firmware has stored 0x0000600d at 0x20000000",
        "flash 0x21020000..0x210217ff reads as v2.bin",
        "3 boots in a row must end in the same outcome",
        f"Ready: brownout sweep {file}",
    ):
        assert text in out


def test_check_speaks_json(folder: TargetFolder, capfd: pytest.CaptureFixture[str]) -> None:
    assert run("target", "check", folder.write(), "--json") == 0
    document = json.loads(capfd.readouterr().out)
    assert document["expected"] == "new"
    assert document["regions"]["slot0"] == {"offset": 0x20000, "size": 0x2000}
    assert document["outcomes"][1]["marker"] == {"0x20000000": 0x600D}


def test_check_of_a_bad_file_is_one_line_and_exit_2(
    folder: TargetFolder, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("target", "check", folder.write(('elf = "boot.elf"', 'elff = "boot.elf"'))) == 2
    assert capfd.readouterr().err.count("\n") == 1
    assert run("target", "check", folder.path / "none.toml") == 2


@pytest.mark.parametrize("board", list_boards())
def test_a_starter_is_accepted_once_its_files_exist(
    folder: TargetFolder, capfd: pytest.CaptureFixture[str], board: str, build_elf: object
) -> None:
    loaded = load_board(board)
    build = folder.path / "build"
    build.mkdir()
    unicorn = loaded.engine.unicorn
    origin = loaded.flash.base if unicorn is None or unicorn.vector_table is None else unicorn.vector_table
    build_elf(
        build / "boot.elf", core="cortex-m0" if loaded.cpu.core == "cortex-m0" else "cortex-m3", origin=origin
    )  # type: ignore[operator]
    for name in ("app-v1.bin", "app-v2.bin"):
        (build / name).write_bytes(name.encode() * 100)
    file = folder.path / "starter.toml"
    assert run("target", "init", "--board", board, "--output", file) == 0
    assert run("target", "check", file) == 0
    assert "new   (expected when nothing is cut)" in capfd.readouterr().out


def test_init_never_overwrites_unless_told(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "target.toml"
    file.write_text("mine")
    assert run("target", "init", "--board", "mps2-an385", "--output", file) == 2
    assert "is there already" in capfd.readouterr().err
    assert file.read_text() == "mine"
    assert run("target", "init", "--board", "mps2-an385", "--output", file, "--force") == 0
    assert file.read_text() == starter_text(load_board("mps2-an385"))
