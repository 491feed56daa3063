"""Every command in the documentation is run, unless the page says why not (doc_blocks.py has the notes)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from doc_blocks import ROOT, blocks_of, lay_out, problems_of, run_page, unseen, wants_long
from markdown_it import MarkdownIt

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.emulator
DOCS = ROOT / "docs"
DEADLINE_S = 1800 if wants_long() else 240
PAGES = {
    str(path.relative_to(DOCS)): path
    for path in sorted(DOCS.rglob("*.md"))
    if "examples" not in path.relative_to(DOCS).parts
} | {"README.md": ROOT / "README.md"}
BLOCKS = {name: blocks_of(path, name) for name, path in PAGES.items()}
COMMANDS = [name for name, blocks in BLOCKS.items() if any(block.is_command for block in blocks)]

# So many blocks of a page are not run. Who adds one has to say so here too.
NOT_RUN = {
    "README.md": 3,
    "ci.md": 2,
    "debugging.md": 1,
    "figures.md": 1,
    "how-to/run-on-a-cluster.md": 1,
    "mutants.md": 3,
    "renode.md": 4,
    "results.md": 1,
    "sweep.md": 1,
    "targets.md": 1,
    "tutorial/ten-minutes.md": 1,
}


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.timeout(DEADLINE_S + 60)
def test_commands_work(name: str, tmp_path: Path) -> None:
    lay_out(tmp_path)
    ran = run_page(BLOCKS[name], tmp_path, deadline_s=DEADLINE_S)
    assert ran.returncode == 0, ran.output
    assert [line for line in ran.output.splitlines() if line.startswith(f"--- {name}:")] == [
        f"--- {block.page}:{block.line}" for block in ran.blocks
    ]
    for block in BLOCKS[name]:
        if block.note("prints") is not None:
            assert unseen(block, ran.output) == [], f"{name}:{block.line}\n{ran.output}"


@pytest.mark.parametrize("name", PAGES)
def test_notes_are_understood(name: str) -> None:
    found = [f"{name}:{block.line}: {text}" for block in BLOCKS[name] for text in problems_of(block)]
    assert found == []


def test_blocks_that_are_not_run_are_counted_and_say_why() -> None:
    left_out = [block for blocks in BLOCKS.values() for block in blocks if block.note("not run") is not None]
    counted: dict[str, int] = {}
    for block in left_out:
        counted[block.page] = counted.get(block.page, 0) + 1
        print(f"{block.page}:{block.line}: {block.note('not run')}")  # noqa: T201 - for -s
    assert counted == NOT_RUN


@pytest.mark.parametrize("name", PAGES)
def test_commands_are_fenced(name: str) -> None:
    """A block that is only indented would not be run, and nobody would know."""
    tokens = MarkdownIt().enable("table").parse(PAGES[name].read_text(encoding="utf-8"))
    assert [token.content for token in tokens if token.type == "code_block"] == []
    shells = {"bash", "shell", "console", "zsh", "shell-session"}
    assert [block.line for block in BLOCKS[name] if block.kind in shells] == []
