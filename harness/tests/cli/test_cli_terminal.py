"""Tables: rich on a terminal, plain lines in a pipe."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys

TIMEOUT_S = 60.0
PROGRAM = "from brownout.cli import main; main()"
TABLE = (
    "from brownout.cli.terminal import print_table; "
    "print_table(('name', 'state'), [('qemu', 'works'), ('[b]', 'missing')], styles={'works': 'green'})"
)


def on_a_terminal(code: str, *arguments: str, **environment: str) -> str:
    """What Python code prints where standard output is a terminal."""
    ours, theirs = pty.openpty()
    variables = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments],
            stdout=theirs,
            stderr=subprocess.PIPE,
            env=variables | {"TERM": "xterm-256color", "COLUMNS": "100"} | environment,
            timeout=TIMEOUT_S,
            check=False,
        )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # Linux ends a terminal without a writer so
            while chunk := terminal.read(4096):
                shown += chunk
    assert (done.returncode, done.stderr) == (0, b"")
    return shown.decode()


def test_a_terminal_gets_a_head_and_colour_and_nothing_is_taken_for_markup() -> None:
    shown = on_a_terminal(TABLE)
    assert shown.splitlines()[0].startswith("\x1b[1m")
    assert "\x1b[32mworks" in shown
    assert "[b]" in shown


def test_no_color_is_respected() -> None:
    shown = on_a_terminal(TABLE, NO_COLOR="1")
    assert "\x1b[32m" not in shown
    assert "works" in shown


def test_a_dumb_terminal_and_a_pipe_get_plain_aligned_lines() -> None:
    plain = "qemu  works\n[b]   missing\n"
    assert on_a_terminal(TABLE, TERM="dumb").replace("\r\n", "\n") == plain
    piped = subprocess.run(
        [sys.executable, "-c", TABLE],
        capture_output=True,
        text=True,
        env=os.environ | {"FORCE_COLOR": "1"},
        timeout=TIMEOUT_S,
        check=True,
    )
    assert piped.stdout == plain


def test_boards_fit_a_narrow_terminal() -> None:
    shown = on_a_terminal(PROGRAM, "board", "list", NO_COLOR="1", COLUMNS="60")
    lines = shown.replace("\x1b[1m", "").replace("\x1b[0m", "").splitlines()
    assert lines[0].split() == ["board", "engines", "description"]
    assert max(map(len, lines)) <= 60
    assert any(line.startswith("mps2-an385") for line in lines)
