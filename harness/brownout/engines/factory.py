"""Engines by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.qemu import QemuEngine
from brownout.engines.qemu.engine import find_qemu
from brownout.engines.renode import RenodeEngine, find_renode
from brownout.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board, RenodeScript
    from brownout.engines.base import Engine

ENGINES = ("qemu", "renode")
"""Names that create_engine() knows: engines that run in real time."""
TITLES: Final = {"qemu": "QEMU", "renode": "Renode", "unicorn": "Unicorn"}
"""Engines as a person writes them."""


def engine_problem(name: str, board: Board, *, script: RenodeScript | None = None) -> str:
    """Why an engine of ENGINES cannot run `board` on this machine, "" when it can; `script` is for Renode.

    Raises EngineError for an unknown engine.
    """
    _check_known(name)
    settings = board.engine.qemu if name == "qemu" else board.engine.renode
    if settings is None and (name != "renode" or script is None):
        return f"board '{board.name}': {TITLES[name]} does not run it (no [engine.{name}] in its board.toml)"
    try:
        find_qemu() if name == "qemu" else find_renode()
    except EngineError as error:
        return str(error)
    return ""


def create_engine(
    name: str, board: Board, boot: Path, *, seed: int, script: RenodeScript | None = None
) -> Engine:
    """An engine for `board` whose ROM holds the ELF file `boot`; `script` is for Renode.

    Raises EngineError, ElfError.
    """
    _check_known(name)
    if name == "qemu":
        return QemuEngine(board, boot, seed=seed)
    return RenodeEngine(board, boot, seed=seed, script=script)


def _check_known(name: str) -> None:
    if name not in ENGINES:
        raise EngineError(f"engine '{name}': not known; expected one of {', '.join(ENGINES)}")
