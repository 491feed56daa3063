"""Completion in real shells: the script that a program prints, and what a shell makes of it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pexpect
import pytest

TIMEOUT_S = 60
QUOTES = "''"
LINES = [
    ("brownout bo", ["board"]),
    ("brownout board sh", ["show"]),
    ("brownout board show n", ["nrf52840-dk"]),
    ("brownout target init --board stm32", ["stm32f4-discovery", "stm32h7-nucleo"]),
    ("brownout sweep --engine ", ["qemu", "renode", "unicorn"]),
    ("brownout run --engine q", ["qemu"]),
    ("brownout sweep --max", ["--max-findings"]),
    ("fieldlink de", ["debug", "devices"]),
    ("fieldlink debug re", ["read", "regs"]),
    ("fieldlink keygen fl", ["fleet"]),
    ("fieldlink completion ", ["bash", "fish", "zsh"]),
]


@pytest.fixture
def environment() -> dict[str, str]:
    """With the programs of this environment on PATH."""
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "dumb"}


def shell(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_bash(environment: dict[str, str], line: str, expected: list[str]) -> None:
    program = line.split()[0]
    script = (
        f'eval "$({program} completion bash)"\n'
        f"COMP_WORDS=({line}{QUOTES if line.endswith(' ') else ''})\n"
        "COMP_CWORD=$((${#COMP_WORDS[@]} - 1))\n"
        f"_{program}_completion {program}\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(
        [shell("bash"), "--norc", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert sorted(done.stdout.split()) == expected, done.stderr
    assert done.stderr == ""


@pytest.mark.parametrize(("line", "expected"), LINES, ids=[line for line, _ in LINES])
def test_fish(environment: dict[str, str], line: str, expected: list[str]) -> None:
    program = line.split()[0]
    script = f'{program} completion fish | source; complete -C "{line}"'
    done = subprocess.run(
        [shell("fish"), "--no-config", "-c", script],
        capture_output=True,
        text=True,
        env=environment,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert sorted(row.split("\t")[0] for row in done.stdout.splitlines()) == expected


def test_zsh(environment: dict[str, str], tmp_path: Path) -> None:
    """A person's zsh: the script in a folder of functions, then Tab."""
    zsh = shell("zsh")
    for program in ("brownout", "fieldlink"):
        done = subprocess.run(
            [program, "completion", "zsh"],
            capture_output=True,
            env=environment,
            timeout=TIMEOUT_S,
            check=True,
        )
        (tmp_path / f"_{program}").write_bytes(done.stdout)
    (tmp_path / ".zshrc").write_text(
        f"fpath=({tmp_path} $fpath)\nPS1='ready> '\nautoload -U compinit\ncompinit -u -D\n"
    )
    child = pexpect.spawn(
        zsh, ["-i"], env=environment | {"ZDOTDIR": str(tmp_path)}, timeout=TIMEOUT_S, dimensions=(40, 150)
    )
    try:
        child.expect_exact("ready> ")
        child.send("brownout board show n\t")
        child.expect_exact("nrf52840-dk")
        child.sendcontrol("u")
        child.send("fieldlink keygen fl\t")
        child.expect_exact("fleet")
    finally:
        child.close(force=True)


@pytest.mark.parametrize("program", ["brownout", "fieldlink"])
def test_an_unknown_shell_is_one_line(environment: dict[str, str], program: str) -> None:
    done = subprocess.run(
        [program, "completion", "tcsh"],
        capture_output=True,
        text=True,
        env=environment,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr.startswith(f"{program}: error: Invalid value for '")
    assert done.stderr.count("\n") == 1
