"""`brownout doctor`: engines are tried, what is missing is told with what to do, nothing hangs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from brownout.board import list_boards
from brownout.cli.doctor_trial import elf_file, try_engine
from brownout.elf import load_elf

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.emulator
PROGRAM = "from brownout.cli import main; main()"
TIMEOUT_S = 120.0


def doctor(folder: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("BROWNOUT_")}
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, "doctor", *options],
        capture_output=True,
        text=True,
        cwd=folder,
        env=variables | {"TMPDIR": str(folder), "RENODE": "/nowhere/renode"} | environment,
        timeout=TIMEOUT_S,
        check=False,
    )


def checks(result: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    found = json.loads(result.stdout)
    assert found["ok"] == (result.returncode == 0)
    return {check["name"]: check for check in found["checks"]}


def fake(path: Path, script: str) -> str:
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o755)
    return str(path)


def test_it_tries_the_engines_and_leaves_nothing(tmp_path: Path) -> None:
    result = doctor(tmp_path, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    found = checks(result)
    assert [found[name]["state"] for name in ("QEMU", "Unicorn")] == ["works", "works"]
    assert "cut and recovered in" in found["QEMU"]["detail"]
    assert found["QEMU"]["boards"] == ["mps2-an385"]
    assert found["Unicorn"]["boards"] == list(list_boards())
    assert found["arm-none-eabi-gcc"]["version"][0].isdigit()
    assert found["Renode"]["state"] == "missing"
    assert "RENODE" in found["Renode"]["advice"]
    assert found["result store"]["state"] == "missing"
    assert list(tmp_path.iterdir()) == []


def test_in_words_with_what_to_do(tmp_path: Path) -> None:
    result = doctor(tmp_path, BROWNOUT_QEMU="/nowhere/qemu")
    assert result.returncode == 0
    assert "\nQEMU                               missing" in " ".join(result.stdout.split(" ")) or any(
        line.split() == ["QEMU", "missing"] for line in result.stdout.splitlines()
    )
    assert "  QEMU: apt install qemu-system-arm" in result.stdout
    assert result.stdout.endswith("\nReady: brownout init my-device\n")


def test_without_a_working_engine_it_is_exit_1(tmp_path: Path) -> None:
    broken = tmp_path / "modules"
    broken.mkdir()
    (broken / "unicorn.py").write_text("raise ImportError('libunicorn.so.2: cannot be loaded')\n")
    store = tmp_path / "store"
    store.mkdir()
    result = doctor(
        tmp_path, "--json", PYTHONPATH=str(broken), BROWNOUT_QEMU="/nowhere/qemu", BROWNOUT_RESULTS=str(store)
    )
    assert (result.returncode, result.stderr) == (1, "")
    found = checks(result)
    assert (found["QEMU"]["state"], found["Unicorn"]["state"]) == ("missing", "fails")
    assert "libunicorn.so.2: cannot be loaded" in found["Unicorn"]["detail"]
    assert (found["result store"]["state"], "store" in found["result store"]["detail"]) == ("fails", True)
    words = doctor(tmp_path, PYTHONPATH=str(broken), BROWNOUT_QEMU="/nowhere/qemu")
    assert words.returncode == 1
    assert words.stdout.endswith("\nNo engine works: nothing can be cut here yet.\n")


def test_an_emulator_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = fake(tmp_path / "qemu", "import signal\nsignal.pause()\n")
    monkeypatch.setenv("BROWNOUT_QEMU", hangs)
    trial = try_engine("qemu", deadline_s=3)
    assert trial.problem == "does not come to an end within 3 s"
    assert trial.seconds < 30


def test_an_emulator_that_dies_is_told_in_one_line(tmp_path: Path) -> None:
    dies = fake(
        tmp_path / "qemu",
        "import sys\n"
        "if '--version' in sys.argv:\n    print('QEMU emulator version 9.9.9')\n"
        "else:\n    sys.exit('qemu: bad magic')\n",
    )
    found = checks(doctor(tmp_path, "--json", BROWNOUT_QEMU=dies))["QEMU"]
    assert (found["state"], found["version"]) == ("fails", "9.9.9")
    assert "qemu: bad magic" in found["detail"]
    assert "\n" not in found["detail"]


def test_its_image_is_an_elf_file(tmp_path: Path) -> None:
    file = tmp_path / "x.elf"
    file.write_bytes(elf_file(bytes.fromhex("00c0002009000000fee7")))
    image = load_elf(file)
    assert image.entry == 9
    assert image.flat(0, 0x1000, "rom") == bytes.fromhex("00c0002009000000fee7")


def test_renode_too(renode: str, tmp_path: Path) -> None:
    found = checks(doctor(tmp_path, "--json", RENODE=renode))["Renode"]
    assert found["state"] == "works", found
