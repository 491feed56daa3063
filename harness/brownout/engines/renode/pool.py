"""Machines between two devices: Renode takes seconds to start and a fraction of one to reset."""

from __future__ import annotations

import atexit
import contextlib
import threading
from typing import TYPE_CHECKING, Final

from brownout.engines.renode.machine import RenodeMachine
from brownout.engines.renode.network import listeners_allowed
from brownout.errors import EngineError

if TYPE_CHECKING:
    from brownout.board import Board, RenodeScript

    _Key = tuple[str, Board, bool, RenodeScript | None]

_MOST: Final = 2
"""Idle machines that are kept, for devices that are made one after the other."""


class RenodePool:
    """Machines by board, all of one process; they end with it. May be used by several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[_Key, RenodeMachine]] = []

    def take(self, program: str, board: Board, script: RenodeScript | None = None) -> RenodeMachine:
        """A machine for `board`, of `script` if given, stopped: an idle or a new one. Raises EngineError."""
        key = (program, board, listeners_allowed(), script)
        with self._lock:
            for item in list(self._idle):
                if item[0] == key:
                    self._idle.remove(item)
                    if not item[1].process.ended:
                        return item[1]
                    item[1].close()
        return RenodeMachine(program, board, listeners=key[2], script=script)

    def give_back(self, program: str, board: Board, machine: RenodeMachine) -> None:
        """Keep a machine that is paused and that nobody uses."""
        surplus: list[RenodeMachine] = []
        with self._lock:
            self._idle.append(((program, board, machine.listeners, machine.script), machine))
            while len(self._idle) > _MOST:
                surplus.append(self._idle.pop(0)[1])
        for old in surplus:
            old.close()

    def close(self) -> None:
        """End all idle machines."""
        with self._lock:
            idle, self._idle = self._idle, []
        for _, machine in idle:
            with contextlib.suppress(EngineError, OSError):
                machine.close()


POOL: Final = RenodePool()
"""The pool of this process."""
atexit.register(POOL.close)

__all__ = ["POOL", "RenodePool"]
