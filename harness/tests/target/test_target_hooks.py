"""Hooks: what a user's functions may do, and what becomes of their mistakes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.errors import TargetError
from brownout.flash import OperationLog
from brownout.target import HookContext, Target, load_target

if TYPE_CHECKING:
    from conftest import TargetFolder

FLASH = 0x2100_0000
HOOKS = """
from dataclasses import dataclass

import helper
from brownout.target import Placed

@dataclass
class Counter:
    value: int

def fine(context):
    assert Counter(value=len(context.flash)).value == helper.SIZE

def asserts(context):
    assert context.outcomes == ["new"], f"outcomes {context.outcomes}"

def says(context):
    return "the counter fell"

def crashes(context):
    return context.flash[10**9]

def odd(context):
    return 7

def state(flash):
    return "copying" if flash[:1] == b"C" else "idle"

def broken_state(flash):
    raise ValueError("short record")

def images(board):
    return [Placed(address=board.flash.base + 0x100000, data=b"made", source="made by hook")]

def files(board):
    return {"v2": b"\\x22" * 16}

def wrong_images(board):
    return [(1, b"")]

NUMBER = 1
"""


def load(folder: TargetFolder, keys: str, *changes: tuple[str, str]) -> Target:
    (folder.path / "helper.py").write_text("SIZE = 4\n")
    (folder.path / "hooks.py").write_text(HOOKS)
    return load_target(folder.write(*changes, more=f'[hooks]\nfile = "hooks.py"\n{keys}'))


def context(target: Target) -> HookContext:
    return HookContext(target=target, flash=b"CCCC", before=b"", log=OperationLog(), outcomes=("old",))


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("fine", None),
        ("asserts", "outcomes ('old',)"),
        ("says", "the counter fell"),
        ("crashes", "IndexError: index out of range"),
        ("odd", "returned 7, expected None or a message: use assert, or return text"),
    ],
)
def test_an_invariant_tells_what_is_broken(folder: TargetFolder, name: str, verdict: str | None) -> None:
    target = load(folder, f'invariants = ["{name}"]')
    assert target.hooks[name](context(target)) == verdict


def test_the_state_is_read_and_its_errors_are_shown(folder: TargetFolder) -> None:
    state = load(folder, 'state = "state"').state_of
    assert state is not None
    assert (state(b"C"), state(b"x")) == ("copying", "idle")
    broken = load(folder, 'state = "broken_state"').state_of
    assert broken is not None
    assert broken(b"") == "(ValueError: short record)"


def test_hooks_place_images_and_make_files(folder: TargetFolder) -> None:
    target = load(
        folder,
        'images = "images"\nfiles = "files"',
        ('{ region = "slot0", file = "v2.bin" }', '{ region = "slot0", file = "hook:v2" }'),
    )
    assert target.placed[-1].data == b"made"
    assert target.outcomes[0].flash[0].data == b"\x22" * 16
    whole = load(folder, 'files = "files"', ('file = "v2.bin"\naddress', 'file = "hook:v2"\naddress'))
    assert [item.data for item in whole.placed if item.source == "hook:v2"] == [b"\x22" * 16]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ('invariants = ["missing"]', "has no function 'missing'; it has fine, asserts, says"),
        ('state = "NUMBER"', "has no function 'NUMBER'"),
        ('images = "wrong_images"', "hooks.images: "),
        ('files = "says"', "expected a dict of names and bytes"),
        ('invariants = ["fine", "fine"]', "hooks.invariants: expected each function once"),
        ('files = "crashes"', "crashes: TypeError"),
    ],
)
def test_hooks_that_cannot_be_used_are_errors(folder: TargetFolder, keys: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        load(folder, keys)
    assert message in str(caught.value)
    assert str(folder.path / "target.toml") in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [("def f(:\n", "line 1: "), ("import nothing_like_this\n", "cannot be run: ModuleNotFoundError")],
)
def test_a_hooks_file_that_does_not_run_is_an_error(folder: TargetFolder, text: str, message: str) -> None:
    (folder.path / "hooks.py").write_text(text)
    with pytest.raises(TargetError) as caught:
        load_target(folder.write(more='[hooks]\nfile = "hooks.py"'))
    assert message in str(caught.value)


def test_a_missing_hooks_file_and_a_missing_made_file_are_errors(folder: TargetFolder) -> None:
    with pytest.raises(TargetError, match=r"hooks\.file: .*: there is no such file"):
        load_target(folder.write(more='[hooks]\nfile = "none.py"'))
    with pytest.raises(TargetError, match="no hook made 'v9'; made were: v2"):
        load(folder, 'files = "files"', ('file = "v2.bin" }', 'file = "hook:v9" }'))
