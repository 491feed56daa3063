"""The runner of the pages' commands finds what is wrong with a page."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from doc_blocks import LONG_VARIABLE, ROOT, blocks_of, lay_out, problems_of, run_page, unseen

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 20.0
PAGE = """
# Page

<!-- before: printf one > made -->
```sh
cat made; echo
greeting=hello
```

1. In a list:

    ```sh
    echo "$greeting" "$(cat data.txt)"
    sleep 600 &
    ```

<!-- file: data.txt -->
```
two
```

<!-- prints -->
```text
hello ...o
```

<!-- not run: nobody has such a thing -->
```sh
exit 9
```

<!-- run: long -->
```sh
echo long
```

<!-- exits: 3 -->
```sh
echo three
exit 3
```

<!-- until: ready -->
```sh
python3 -c 'import time; print("ready", flush=True); time.sleep(600)'
```
"""


def page(folder: Path, text: str = PAGE) -> Path:
    path = folder / "page.md"
    path.write_text(text)
    return path


def test_the_blocks_of_a_page_are_one_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LONG_VARIABLE, raising=False)
    blocks = blocks_of(page(tmp_path), "page.md")
    ran = run_page(blocks, tmp_path, deadline_s=DEADLINE_S)
    assert (ran.returncode, ran.output.splitlines()) == (
        0,
        [
            "--- page.md:5",
            "one",
            "--- page.md:12",
            "hello two",
            "--- page.md:38",
            "three",
            "--- page.md:44",
            "ready",
        ],
    )
    prints = next(block for block in blocks if block.note("prints") is not None)
    assert unseen(prints, ran.output) == []
    assert unseen(prints, "hello three") == ["hello ...o"]
    monkeypatch.setenv(LONG_VARIABLE, "1")
    assert "long" in run_page(blocks, tmp_path, deadline_s=DEADLINE_S).output


@pytest.mark.parametrize(
    "text",
    ["```sh\nfalse\ntrue\n```\n", "```sh\nfalse | true\n```\n", "<!-- exits: 3 -->\n```sh\ntrue\n```\n"],
)
def test_a_command_that_fails_fails_the_page(tmp_path: Path, text: str) -> None:
    assert run_page(blocks_of(page(tmp_path, text), "p"), tmp_path, deadline_s=DEADLINE_S).returncode == 1


@pytest.mark.parametrize(
    ("note", "problem"),
    [
        ("not run: no", "says no reason"),
        ("not run", "says no reason"),
        ("run: never", "expected 'long' or 'renode'"),
        ("not-run: because I say so", "not one of"),
        ("skip: because I say so", "not one of"),
    ],
)
def test_a_note_that_hides_a_block_is_a_problem(tmp_path: Path, note: str, problem: str) -> None:
    (block,) = blocks_of(page(tmp_path, f"<!-- {note} -->\n```sh\ntrue\n```\n"), "p")
    found = problems_of(block)
    assert (len(found) == 1 and problem in found[0]) or (
        note.startswith("not-run") and block.note("not run") is None
    )


def test_a_page_writes_into_its_own_folder_only(tmp_path: Path) -> None:
    lay_out(tmp_path)
    blocks = blocks_of(page(tmp_path, "<!-- file: docs/new.md -->\n```\nx\n```\n"), "p")
    with pytest.raises(ValueError, match="its own folder"):
        run_page(blocks, tmp_path, deadline_s=DEADLINE_S)
    assert not (ROOT / "docs" / "new.md").exists()
