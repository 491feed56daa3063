"""`brownout` and `fieldlink` look alike: help with examples that parse, one line for an error, exit codes."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest

from brownout.cli import main as brownout_main
from brownout.cli.root import cli as brownout
from fieldlink.cli import main as fieldlink_main
from fieldlink.cli.program import LazyGroup, first_paragraph
from fieldlink.cli.root import cli as fieldlink

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 60.0
PROGRAMS = {"brownout": (brownout, brownout_main), "fieldlink": (fieldlink, fieldlink_main)}


def walk(command: click.Command, *path: str) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command of a program, with the words that lead to it."""
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            found = command.get_command(context, name)
            assert found is not None
            yield from walk(found, *path, name)


COMMANDS = [entry for name, (group, _) in PROGRAMS.items() for entry in walk(group, name)]
IDS = [" ".join(path) for path, _ in COMMANDS]


def run(capfd: pytest.CaptureFixture[str], program: str, *arguments: str) -> tuple[int, str, str]:
    """Exit code, output and errors of a program, through its entry point."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        PROGRAMS[program][1](list(arguments))
    out, err = capfd.readouterr()
    assert isinstance(caught.value.code, int)
    return caught.value.code, out, err


def parse(words: list[str]) -> None:
    """Have click read a command line as far as its commands' own code. Raises UsageError."""
    command: click.Command | None = PROGRAMS[words[0]][0]
    context: click.Context | None = None
    name, rest = words[0], words[1:]
    while command is not None:
        context = command.make_context(name, rest, parent=context)
        if not isinstance(command, click.Group):
            return
        found, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        name = str(found)


def examples(text: str) -> list[list[str]]:
    """The command lines below "Examples", with the shell's own parts taken off."""
    block = re.search(r"^ *Examples?\b[^\n]*:\n((?: {4,}.*\n?)+)", text, re.M)
    assert block is not None, text
    lines = re.sub(r"\\\n\s*", "", block[1]).splitlines()
    found = [re.search(r"\b(brownout|fieldlink) (?:(?! [>|] )[^)])*", line) for line in lines]
    assert all(found), lines
    return [shlex.split(match[0]) for match in found if match is not None]


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=IDS)
def test_help_has_examples_that_parse(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    path: tuple[str, ...],
    command: click.Command,
) -> None:
    # The files of an example are the reader's.
    monkeypatch.setattr(click.Path, "convert", lambda _self, value, _parameter, _context: Path(value))
    code, out, err = run(capfd, *path, "--help")
    assert (code, err) == (0, "")
    assert out == run(capfd, *path, "-h")[1]
    for words in examples(out):
        assert words[: len(path)] == list(path) or not path[1:], f"an example of another command: {words}"
        parse(words)


@pytest.mark.parametrize(("path", "command"), COMMANDS, ids=IDS)
def test_a_wrong_option_is_one_line_and_exit_2(
    capfd: pytest.CaptureFixture[str], path: tuple[str, ...], command: click.Command
) -> None:
    code, out, err = run(capfd, *path, "--no-such-option")
    if path == ("fieldlink", "debug"):  # `fieldlink debug DEVICE` takes it to `debug gdb`
        assert code == 2
        return
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"{path[0]}: error: No such option:? '?--no-such-option\b.*\n", err), err


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_wrong_command_is_one_line_and_exit_2(capfd: pytest.CaptureFixture[str], program: str) -> None:
    code, out, err = run(capfd, program, "no-such-command")
    assert (code, out) == (2, "")
    assert re.fullmatch(rf"{program}: error: No such command 'no-such-command'\.\n", err)


@pytest.mark.parametrize("program", PROGRAMS)
def test_version_and_help_without_arguments(capfd: pytest.CaptureFixture[str], program: str) -> None:
    code, out, _ = run(capfd, program, "--version")
    assert code == 0
    assert re.fullmatch(rf"{program}, version \d+\.\d+\.\d+\n", out)
    code, out, err = run(capfd, program)
    assert (code, err) == (0, "")
    assert out.startswith(f"Usage: {program} [OPTIONS] COMMAND")


def test_what_a_group_says_of_a_lazy_command_is_what_that_says_of_itself() -> None:
    lazy = [(path, group) for path, group in COMMANDS if isinstance(group, LazyGroup)]
    for path, group in lazy:
        for name, (_, text) in group.lazy.items():
            found = group.get_command(click.Context(group), name)
            assert found is not None
            assert first_paragraph(found) == text, (*path, name)
            assert found.name == name
    assert sum(len(group.lazy) for _, group in lazy) > 15


def test_naming_the_commands_imports_none_of_them() -> None:
    code = (
        "import sys\n"
        "from brownout.cli import main\n"
        "try:\n    main(['--help'])\n"
        "except SystemExit:\n    pass\n"
        "print(sorted({'sqlalchemy', 'unicorn', 'llvmlite', 'rich', 'brownout.sweep'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=TIMEOUT_S, check=True
    )
    assert done.stdout.splitlines()[-1] == "[]"


INTERRUPTED_IMPORT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, path, target=None):
        if name == sys.argv[1]:
            os.kill(os.getpid(), getattr(signal, sys.argv[2]))

sys.meta_path.insert(0, Interrupt())
from {program}.cli import main
main(sys.argv[3:])
"""


@pytest.mark.parametrize(
    ("program", "module", "sent", "code"),
    [
        ("brownout", "brownout.cli.root", "SIGINT", 130),
        ("brownout", "click", "SIGINT", 130),
        ("brownout", "unicorn", "SIGINT", 130),
        ("brownout", "unicorn", "SIGTERM", 143),
        ("fieldlink", "fieldlink.cli.root", "SIGINT", 130),
        ("fieldlink", "sqlalchemy", "SIGINT", 130),
        ("fieldlink", "sqlalchemy", "SIGTERM", 143),
    ],
)
def test_a_signal_while_python_imports_is_no_traceback(
    program: str, module: str, sent: str, code: int, tmp_path: Path
) -> None:
    arguments = {"brownout": ["sweep", "x.toml"], "fieldlink": ["devices", "--store", "x"]}[program]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_IMPORT.format(program=program), module, sent, *arguments],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        cwd=tmp_path,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.strip()) == (code, "", "")


@pytest.mark.parametrize("program", PROGRAMS)
def test_nothing_is_imported_before_ctrl_c_is_looked_after(program: str) -> None:
    code = (
        "import sys\n"
        "sys.path[:0] = sys.argv[2:]\n"
        "before = set(sys.modules)\n"
        "__import__(sys.argv[1] + '.cli')\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    folders = [entry for entry in sys.path if entry]
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, program, *folders],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stdout.split() == ["__future__", program, f"{program}.cli", f"{program}.cli.main"]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_reader_that_goes_away_is_no_error(program: str) -> None:
    """As in `brownout --help | head -1`."""
    reader, writer = os.pipe()
    os.close(reader)
    code = f"from {program}.cli import main; main()"
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", code, "--help"],
            stdout=output,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert (done.returncode, done.stderr) == (141, b"")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_full_disk_is_one_line(program: str) -> None:
    code = f"from {program}.cli import main; main()"
    with open("/dev/full", "wb") as full:  # noqa: PTH123 - a device
        done = subprocess.run(
            [sys.executable, "-c", code, "--help"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == f"{program}: error: No space left on device"


def test_sigterm_is_handled_within_a_command_only(capfd: pytest.CaptureFixture[str]) -> None:
    before = signal.getsignal(signal.SIGTERM)
    run(capfd, "brownout", "--version")
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.emulator
def test_sigterm_takes_a_device_down(probe_elf: Path, tmp_path: Path) -> None:
    code = "from brownout.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", code, "run", "--boot", str(probe_elf)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:
        try:
            assert process.stdout is not None
            assert [process.stdout.readline() for _ in range(2)][1] == "probe ready\n"
            process.terminate()
            out, err = process.communicate(timeout=TIMEOUT_S)
        finally:
            process.kill()
    assert process.returncode == 143
    assert "power cut" in out
    assert err.splitlines()[-1] == "interrupted"
    assert list(tmp_path.iterdir()) == []
