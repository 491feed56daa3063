"""The commands of a page of the documentation, and how they are run.

A block that is fenced as `sh` is run. What stands right above it says otherwise, or what to do before:

    <!-- not run: REASON -->     never: it needs a person, hardware, the network, or hours
    <!-- run: long -->           only with BROWNOUT_DOCS_LONG=1 (`make docs-test`)
    <!-- run: renode -->         only where Renode is installed
    <!-- until: TEXT -->         it runs until somebody ends it: here, once it has printed TEXT
    <!-- before: COMMAND -->     done first; what the reader is assumed to have
    <!-- exits: 1 -->            the block ends with this exit code
    <!-- prints -->              above another block: its lines are in the page's output ("..." is anything)
    <!-- file: NAME -->          above another block: it is that file

The blocks of a page are one shell, in a folder of their own that looks like the top of a checkout.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from brownout.engines.renode import find_renode
from brownout.errors import EngineError

ROOT: Final = Path(__file__).parents[3]
LONG_VARIABLE: Final = "BROWNOUT_DOCS_LONG"
SHARED: Final = ("ci", "docs", "examples", "firmware", "harness", "platform", "robot", "server", ".venv")
SHARED_BUILD: Final = ("examples", "firmware", "third_party")
_FENCE: Final = re.compile(
    r"(?P<notes>(?:^[ ]*<!--[^\n]*-->\n)*)"
    r"^(?P<indent>[ ]*)```(?P<kind>[^\n]*)\n(?P<text>.*?)^(?P=indent)```[ ]*$",
    re.M | re.S,
)
_NOTE: Final = re.compile(r"<!--\s*([a-z ]+?)(?::\s*(.*?))?\s*-->")
_NOTES: Final = frozenset({"not run", "run", "before", "until", "exits", "prints", "file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """A fenced block: what it is, its text without the page's indentation, the notes above it."""

    page: str
    line: int
    kind: str
    text: str
    notes: tuple[tuple[str, str], ...]

    def note(self, name: str) -> str | None:
        """The first note of that name; "" for one without a value."""
        return next((value for key, value in self.notes if key == name), None)

    @property
    def is_command(self) -> bool:
        return self.kind.split(" ")[0] == "sh"

    @property
    def is_wanted(self) -> bool:
        """Whether it is run here and now."""
        if not self.is_command or self.note("not run") is not None:
            return False
        return {None: True, "long": wants_long(), "renode": has_renode()}[self.note("run")]


def wants_long() -> bool:
    """Whether the blocks that take long are run too."""
    return bool(os.environ.get(LONG_VARIABLE))


def has_renode() -> bool:
    """Whether Renode is installed."""
    try:
        find_renode()
    except EngineError:
        return False
    return True


@dataclass(slots=True)
class Ran:
    """What a page's shell said."""

    returncode: int
    output: str
    blocks: list[Block] = field(default_factory=list)


def blocks_of(path: Path, name: str) -> list[Block]:
    """All fenced blocks of a page, in order."""
    text = path.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        notes = tuple((key, value or "") for key, value in _NOTE.findall(match["notes"]))
        indent = match["indent"]
        lines = [line.removeprefix(indent) for line in match["text"].splitlines(keepends=True)]
        found.append(
            Block(
                page=name,
                line=text.count("\n", 0, match.start("kind")) + 1,
                kind=match["kind"].strip(),
                text="".join(lines),
                notes=notes,
            )
        )
    return found


def problems_of(block: Block) -> list[str]:
    """What is wrong with the notes above a block."""
    found = [
        f"'{name}': not one of {', '.join(sorted(_NOTES))}" for name, _ in block.notes if name not in _NOTES
    ]
    reason = block.note("not run")
    if reason is not None and len(reason.split()) < 3:
        found.append("'not run': says no reason")
    if block.note("run") not in (None, "long", "renode"):
        found.append("'run': expected 'long' or 'renode'")
    if block.note("until") is not None and block.text.count("\n") != 1:
        found.append("'until': expected one command")
    if not block.is_command and {"not run", "run", "exits", "before", "until"} & {
        name for name, _ in block.notes
    }:
        found.append("is no sh block: its note has no effect")
    return found


def lay_out(folder: Path) -> None:
    """Make `folder` look like the top of a checkout with the firmware built; what is written stays in it."""
    for name in SHARED:
        if (ROOT / name).exists():
            (folder / name).symlink_to(ROOT / name)
    (folder / "build").mkdir()
    for name in SHARED_BUILD:
        (folder / "build" / name).symlink_to(ROOT / "build" / name)


def run_page(blocks: list[Block], folder: Path, *, deadline_s: float) -> Ran:
    """Run a page's commands in `folder`, and look for what it says that they print."""
    wanted = [block for block in blocks if block.is_wanted]
    for block in blocks:
        name = block.note("file")
        if name:
            _write(folder, name, block.text)
    script = "trap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + "".join(map(_lines, wanted))
    with subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=deadline_s)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return Ran(returncode=process.returncode, output=output, blocks=wanted)


def _lines(block: Block) -> str:
    """A block as part of the page's script; a failure is told with its line."""
    before = "".join(f"{value}\n" for name, value in block.notes if name == "before")
    code = block.note("exits")
    text = block.text
    if code is not None:
        text = f"status=0\n(\n{text}) || status=$?\n[ $status = {code} ]\n"
    shown = block.note("until")
    if shown is not None:
        text = (
            f": > until.log\n( exec {text}) > until.log 2>&1 &\nended=$!\n"
            f"until grep -qF {shlex.quote(shown)} until.log; do\n"
            "  kill -0 $ended || { cat until.log; exit 1; }\n  sleep 0.1\ndone\n"
            "cat until.log\nkill $ended\nwait $ended || [ $? = 143 ]\n"
        )
    return f"{before}echo '--- {block.page}:{block.line}'\n{text}"


def unseen(block: Block, output: str) -> list[str]:
    """Lines of a `prints` block that the output does not have."""
    seen = [" ".join(line.split()) for line in output.splitlines()]
    missing = []
    for line in filter(None, (" ".join(line.split()) for line in block.text.splitlines())):
        pattern = re.compile(".*".join(map(re.escape, line.split("..."))))
        if line != "..." and not any(pattern.fullmatch(other) for other in seen):
            missing.append(line)
    return missing


def _write(folder: Path, name: str, text: str) -> None:
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise ValueError(f"{name}: a page's file belongs into its own folder")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
