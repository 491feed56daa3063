"""TOML into dataclasses: every mistake is one line that names file, key and remedy."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - resolved at run time by brownout.settings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from brownout.errors import SettingsError
from brownout.settings import load_settings, parse_settings

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Wheel:
    radius: float
    spokes: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Bicycle:
    name: str
    wheels: Mapping[str, Wheel]
    brake: Literal["rim", "disc"] = "rim"
    tags: tuple[str, ...] = ()
    bell: bool | None = None
    spare: Wheel | None = None


GOOD = """
name = "green"
tags = ["a", "b"]
bell = true
[wheels.front]
radius = 1
[spare]
radius = 0.5
spokes = 36
"""


def parse(text: str) -> Bicycle:
    return parse_settings(text, Bicycle, source="bike.toml")


def test_all_kinds_of_values_arrive() -> None:
    assert parse(GOOD) == Bicycle(
        name="green",
        tags=("a", "b"),
        bell=True,
        wheels={"front": Wheel(radius=1.0)},
        spare=Wheel(radius=0.5, spokes=36),
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("nmae = 'x'\n", "bike.toml: nmae: unknown key; did you mean 'name'?"),
        ("wheels = {}\n", "bike.toml: name: missing; expected a string"),
        ("name = 1\nwheels = {}\n", "bike.toml: name: expected a string, found an integer (1)"),
        ("name = 'x'\nwheels = 3\n", "bike.toml: wheels: expected a table, found an integer (3)"),
        (
            "name = 'x'\n[wheels.front]\nradius = 1\nspoke = 3\n",
            "bike.toml: wheels.front.spoke: unknown key; did you mean 'spokes'?",
        ),
        (
            "name = 'x'\n[wheels.front]\nradius = true\n",
            "bike.toml: wheels.front.radius: expected a number, found true or false (True)",
        ),
        (
            "name = 'x'\nbrake = 'drum'\n[wheels]\n",
            "bike.toml: brake: expected 'rim' or 'disc', found a string ('drum')",
        ),
        ("name = 'x'\ntags = 'a'\n[wheels]\n", "bike.toml: tags: expected an array, found a string ('a')"),
        ("name = 'x'\ntags = [1]\n[wheels]\n", "bike.toml: tags.0: expected a string, found an integer (1)"),
        ("name = 'x'\nbell = 1\n[wheels]\n", "bike.toml: bell: expected true or false, found an integer (1)"),
    ],
)
def test_a_mistake_is_one_line_with_file_and_key(text: str, message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse(text)
    assert str(caught.value) == message


def test_a_syntax_error_names_the_line() -> None:
    with pytest.raises(SettingsError, match=r"bike\.toml: is not valid TOML: .*line 2"):
        parse("name = 'x'\n= 3\n")


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"gone\.toml: cannot be read \(No such file"):
        load_settings(tmp_path / "gone.toml", Bicycle)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"name = '\xff'")
    with pytest.raises(SettingsError, match="is not UTF-8 text"):
        load_settings(binary, Bicycle)
