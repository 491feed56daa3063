"""Engines by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.engines.qemu import QemuEngine
from brownout.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board
    from brownout.engines.base import Engine

ENGINES = ("qemu",)
"""Names that create_engine() knows."""


def create_engine(name: str, board: Board, boot: Path, *, seed: int) -> Engine:
    """An engine for `board` whose ROM holds the ELF file `boot`. Raises EngineError, ElfError."""
    if name == "qemu":
        return QemuEngine(board, boot, seed=seed)
    raise EngineError(f"engine '{name}': not known; expected one of {', '.join(ENGINES)}")
