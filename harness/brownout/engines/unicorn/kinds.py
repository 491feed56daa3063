"""Which kinds of peripherals and flash controllers a board file may name for the in-process engine."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from brownout.engines.unicorn.peripherals.registry import CONTROLLERS, PERIPHERALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from brownout.board import Board


def kind_problems(board: Board) -> tuple[str, ...]:
    """Kinds of `board` that nothing models, one line each that starts with the key."""
    return tuple(_unknown(board))


def _unknown(board: Board) -> Iterator[str]:
    kind = board.flash.controller.kind
    if kind not in CONTROLLERS:
        yield f"flash.controller.kind: {_not_known(kind, CONTROLLERS)}"
    for name, peripheral in board.peripheral.items():
        if peripheral.kind not in PERIPHERALS:
            yield f"peripheral.{name}.kind: {_not_known(peripheral.kind, PERIPHERALS)}"


def _not_known(kind: str, known: Iterable[str]) -> str:
    names = sorted(known)
    near = difflib.get_close_matches(kind, names, n=1)
    hint = f"did you mean '{near[0]}'?" if near else f"expected one of {', '.join(names)}"
    return f"'{kind}' is not known; {hint}"
