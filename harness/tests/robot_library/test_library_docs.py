"""libdoc of the libraries: nothing without documentation, example and types, and no link into nothing."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LIBRARIES = [
    "brownout.robot.BrownoutLibrary",
    "brownout.robot.SweepLibrary",
    "brownout.renode_robot.RenodePowerLibrary",
]


def libdoc(library: str, output: Path) -> Path:
    done = subprocess.run(
        [sys.executable, "-m", "robot.libdoc", library, str(output)],
        cwd=output.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # It warns of what it cannot make sense of, and ends well all the same.
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    return output


@pytest.fixture(scope="module", params=LIBRARIES)
def spec(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    output = libdoc(request.param, tmp_path_factory.mktemp("libdoc") / "library.json")
    found: dict[str, Any] = json.loads(output.read_text())
    return found


def test_every_keyword_has_documentation_with_an_example(spec: dict[str, Any]) -> None:
    keywords = spec["keywords"]
    assert keywords
    for keyword in keywords:
        assert keyword["shortdoc"], keyword["name"]
        # An example without the keyword itself shows nothing.
        _, _, example = keyword["doc"].partition("Example")
        assert f">{keyword['name']}</a>" in example, keyword["name"]


def test_every_argument_has_a_type(spec: dict[str, Any]) -> None:
    untyped = [
        (keyword["name"], argument["name"])
        for keyword in spec["keywords"]
        for argument in keyword["args"]
        if argument["kind"] != "NAMED_ONLY_MARKER" and argument["type"] is None
    ]
    assert untyped == []


def test_names_in_the_text_are_keywords_sections_or_types(spec: dict[str, Any]) -> None:
    """libdoc makes a link of those; of a name that is none it says nothing."""
    texts = [spec["doc"], *(keyword["doc"] for keyword in spec["keywords"])]
    unknown = [name for text in texts for name in re.findall(r'<span class="name">([A-Z][^<]*)<', text)]
    assert unknown == []


def test_types_of_ours_are_explained(spec: dict[str, Any]) -> None:
    custom = {item["name"]: item["doc"] for item in spec["typedocs"] if item["type"] == "Custom"}
    assert [name for name, text in custom.items() if not text] == []
    if spec["name"].endswith("BrownoutLibrary"):
        assert set(custom) == {"Cut", "CutOrFault", "Replay"}


def test_libdoc_makes_a_page(tmp_path: Path) -> None:
    page = libdoc("brownout.robot.BrownoutLibrary", tmp_path / "library.html").read_text()
    assert "Recover After Power Cuts" in page
