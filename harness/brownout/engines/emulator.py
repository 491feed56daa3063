"""What engines share that run an emulator in a process of its own: power state, listeners, failures."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from brownout.elf import load_elf
from brownout.engines.base import PowerEvent, PowerEventKind, PowerListener, PowerState
from brownout.errors import DeadlineError, EngineError, StateError
from brownout.flash import seeded_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from brownout.board import Board
    from brownout.engines.controller import FlashController

_log = logging.getLogger(__name__)

END_TIMEOUT_S = 20.0


class EmulatorEngine(ABC):
    """State of the power and who follows it. `flash` is made by the engine itself."""

    name: str
    flash: FlashController

    def __init__(self, board: Board) -> None:
        self._board = board
        self._listeners: list[PowerListener] = []
        self._changed = threading.Condition()
        self._state = PowerState.OFF
        self._cutting = False
        self._failure: EngineError | None = None
        self._resets = 0
        self._closed = False

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def state(self) -> PowerState:
        """Whether the board has power."""
        return self._state

    @property
    def resets(self) -> int:
        """Resets of the processor in this power session."""
        return self._resets

    def add_listener(self, listener: PowerListener) -> None:
        """Tell `listener` about every change of power from now on."""
        self._listeners.append(listener)

    def raise_for_failure(self) -> None:
        """Raise EngineError when the emulator ended by itself since the last on()."""
        if self._failure is not None:
            raise EngineError(str(self._failure)) from self._failure

    # -- power -----------------------------------------------------------------------------------------

    @abstractmethod
    def on(self) -> None:
        """Give power. Raises StateError, EngineError."""

    @abstractmethod
    def cut(self) -> None:
        """Take the power at once. Raises DeadlineError when the emulator does not end."""

    def cycle(self) -> None:
        """cut(), then on()."""
        self.cut()
        self.on()

    def wait_off(self, timeout: float) -> None:
        """Wait up to `timeout` seconds until the power is off. Raises DeadlineError, EngineError."""
        self._wait_state_off(timeout)
        self.raise_for_failure()

    def wait_state(self, state: PowerState, timeout: float) -> bool:
        """Wait up to `timeout` seconds for `state`; tells whether it is so."""
        with self._changed:
            return self._changed.wait_for(lambda: self._state is state, timeout)

    def clock(self) -> float:
        """The device's time in seconds: an emulator without a time of its own follows the host's."""
        return time.monotonic()

    # -- for the engine --------------------------------------------------------------------------------

    def _begin_session(self) -> None:
        """The flash gets power. Raises StateError when it has it already, or the engine is closed."""
        with self._changed:
            if self._closed or self._state is PowerState.ON:
                raise StateError(
                    "power on: the engine is closed" if self._closed else "power on: it is on; cut it first"
                )
            self._failure = None
            self._cutting = False
            self._resets = 0
            self.flash.power_on()
            self._state = PowerState.ON

    def _end_session(self, kind: PowerEventKind) -> None:
        """The processor has stopped: tell the flash, the listeners, who waits for the end, who cut."""
        try:
            self.flash.power_off()
            self._announce(kind, {})
        except Exception as error:
            _log.exception("end of a power session")
            if self._failure is None:
                self._failure = EngineError(f"end of a power session: {type(error).__name__}: {error}")
        with self._changed:
            self._state = PowerState.OFF
            self._changed.notify_all()
        self.flash.announce_cut()

    def _wait_state_off(self, timeout: float) -> None:
        if not self.wait_state(PowerState.OFF, timeout):
            raise DeadlineError(f"power off: still on after {timeout:g} s")

    def _announce(self, kind: PowerEventKind, ports: Mapping[str, str]) -> frozenset[str]:
        """Tell all listeners; the UART roles whose ports they opened."""
        event = PowerEvent(kind=kind, session=self.flash.model.session, ports=ports)
        for listener in self._listeners:
            listener.power_changed(event)
        return frozenset(event.taken)

    def _garbage(self) -> dict[str, bytes]:
        """What each RAM holds when the processor starts, by the memory's name."""
        model = self.flash.model
        return {
            name: seeded_bytes(model.seed, memory.size, "ram", name, model.session, self._resets)
            for name, memory in self._board.memory.items()
            if memory.kind == "ram"
        }


def rom_image(board: Board, boot: Path) -> tuple[int, bytes]:
    """(address, contents) of the board's ROM with the ELF file `boot`. Raises EngineError, ElfError."""
    roms = [(name, memory) for name, memory in board.memory.items() if memory.kind == "rom"]
    if len(roms) != 1:
        raise EngineError(
            f"board '{board.name}': has {len(roms)} memories of kind rom, expected 1 for {boot}"
        )
    name, rom = roms[0]
    return rom.base, load_elf(boot).flat(rom.base, rom.size, f"memory.{name}")


__all__ = ["END_TIMEOUT_S", "EmulatorEngine", "rom_image"]
