"""[live] of a target file: what the board is connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.errors import BrownoutError
from brownout.target import as_document, explain, load_target

if TYPE_CHECKING:
    from conftest import TargetFolder

HOOKS = """
def server(target):
    return target.name

def broken(target):
    raise OSError("no port")

def state(flash):
    return "idle"
"""
WITH_HOOKS = '[hooks]\nfile = "hooks.py"\nstate = "state"\n'


@pytest.fixture(autouse=True)
def hooks(folder: TargetFolder) -> None:
    (folder.path / "hooks.py").write_text(HOOKS)


def test_a_board_runs_alone_unless_told(folder: TargetFolder) -> None:
    target = load_target(folder.write())
    assert target.live is None
    assert as_document(target)["live"] is None
    assert "does not run alone" not in explain(target)


def test_the_function_gets_the_target(folder: TargetFolder) -> None:
    more = f'{WITH_HOOKS}[live]\nsurroundings = "server"\nstates = ["idle"]\n'
    target = load_target(folder.write(('board = "mps2', 'name = "mine"\nboard = "mps2'), more=more))
    assert target.live is not None
    assert (target.live.name, target.live.surroundings(target)) == ("server", "mine")
    assert target.live.states == {"idle"}
    assert "cut in the states idle only" in explain(target)


def test_what_the_function_raises_is_told(folder: TargetFolder) -> None:
    target = load_target(folder.write(more=f'{WITH_HOOKS}[live]\nsurroundings = "broken"\n'))
    assert target.live is not None
    with pytest.raises(BrownoutError, match=r"hooks\.py: broken: OSError: no port"):
        target.live.surroundings(target)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (
            '[live]\nsurroundings = "server"',
            "live.surroundings: 'server': expected [hooks] file, which has it",
        ),
        (
            f'{WITH_HOOKS}[live]\nsurroundings = "sever"',
            "has no function 'sever'; it has server, broken, state",
        ),
        (f"{WITH_HOOKS}[live]\n", "live.surroundings: missing"),
        (f'{WITH_HOOKS}[live]\nsurrounding = "server"', "did you mean 'surroundings'?"),
        (
            '[hooks]\nfile = "hooks.py"\n[live]\nsurroundings = "server"\nstates = ["idle"]',
            "live.states: expected [hooks] state",
        ),
    ],
)
def test_what_does_not_fit_is_an_error(folder: TargetFolder, more: str, message: str) -> None:
    with pytest.raises(BrownoutError) as caught:
        load_target(folder.write(more=more))
    assert message in str(caught.value)
    assert "target.toml" in str(caught.value)
