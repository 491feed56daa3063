"""What every engine offers, so that nothing else needs to know which one runs the board."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.engines.controller import FlashController


class PowerState(enum.Enum):
    """Whether the board has power."""

    OFF = "off"
    ON = "on"


class PowerEventKind(enum.Enum):
    """What happened to the power."""

    ON = "power on"
    RESET = "reset"
    """The processor starts again, the power stayed: flash unchanged, RAM refilled."""
    CUT = "power cut"
    """The harness took the power, at an armed cut or because it was told to."""
    DIED = "emulator ended"
    """The emulator ended by itself: raise_for_failure() says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEvent:
    """A change of power.

    `session` numbers the power sessions from 1. `ports` holds a pyserial URL for each UART role, at ON and
    RESET. The processor does not run until all listeners have returned and what they took is connected, so
    nothing that they open misses a byte.
    """

    kind: PowerEventKind
    session: int
    ports: Mapping[str, str] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)

    def take(self, role: str) -> str | None:
        """URL of the UART `role`, None when there is none; who takes it opens it before returning."""
        if role in self.ports:
            self.taken.add(role)
        return self.ports.get(role)


@dataclass(frozen=True, slots=True, kw_only=True)
class Registers:
    """Where the processor is: next instruction, link register, the stack pointer that is in use."""

    pc: int
    lr: int
    sp: int


class PowerListener(Protocol):
    """Somebody who follows the power: a console, a modem."""

    def power_changed(self, event: PowerEvent) -> None:
        """React to `event`, soon; called in one of the engine's threads, one event at a time."""


class PowerProtocol(Protocol):
    """The power switch."""

    def on(self) -> None:
        """Give power. Raises StateError when it is on, EngineError when the engine does not start."""

    def cut(self) -> None:
        """Take the power at once, wherever the processor is; nothing happens when it is off."""

    def cycle(self) -> None:
        """cut(), then on()."""


class Engine(PowerProtocol, Protocol):
    """Runs a board's firmware.

    Its `flash` outlives power cycles; all else of the emulated device ends with the power.
    """

    @property
    def name(self) -> str:
        """Name of the engine, as in board.toml and replay ids."""

    @property
    def flash(self) -> FlashController:
        """The board's flash: model, contents, armed cut."""

    @property
    def state(self) -> PowerState:
        """Whether the board has power."""

    @property
    def resets(self) -> int:
        """Resets of the processor in this power session."""

    @property
    def diagnostics(self) -> str:
        """What the emulator printed about itself, for evidence."""

    def add_listener(self, listener: PowerListener) -> None:
        """Tell `listener` about every change of power from now on."""

    def raise_for_failure(self) -> None:
        """Raise EngineError when the emulator ended by itself since the last on()."""

    def wait_off(self, timeout: float) -> None:
        """Wait until the power is off.

        Raises DeadlineError, and EngineError when the emulator ended by itself.
        """

    def wait_state(self, state: PowerState, timeout: float) -> bool:
        """Wait up to `timeout` seconds for `state`; tells whether it is so."""

    def read_memory(self, address: int, size: int) -> bytes:
        """Read memory as the processor sees it, while the power is on. Raises StateError, EngineError."""

    def program_counter(self) -> int:
        """Where the processor is, while the power is on. Raises StateError, EngineError."""

    def registers(self) -> Registers:
        """The same, with what tells who called, all of one moment. Raises StateError, EngineError."""

    def read_word(self, address: int) -> int:
        """A word as the processor reads it, system registers included. Raises StateError, EngineError."""

    def clock(self) -> float:
        """The device's time in seconds, from anywhere; only differences within a power session count.

        Raises StateError, EngineError.
        """

    def close(self) -> None:
        """Take the power and give everything back. Nothing may be called afterwards but close()."""
