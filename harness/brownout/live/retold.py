"""A run on the in-process engine told for its evidence: console, timeline, instructions of the recovery.

Its clock is virtual: a microsecond for each halfword of code.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.errors import EngineError
from brownout.evidence import Lane, TimelineEvent, TimelineKind, flash_text
from brownout.power import Cut
from brownout.sweep.live import run_live
from brownout.sweep.places import Places
from brownout.sweep.points import kind_name
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.trace_lines import TraceLines
from brownout.sweep.tracing import Wanted
from brownout.sweep.unicorn_machine import unicorn_machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.power import Event
    from brownout.sweep.machine import Machine, MachineFactory
    from brownout.sweep.port import DoneOperation
    from brownout.target import Target

CONSOLE: Final = "console"
HALFWORD_S: Final = 1e-6
_FIRST, _LAST = 500, 1500
"""Instructions of the recovery that are kept: how it begins and how it ends."""
_TRACED: Final = 2000
"""Flash operations of it that are kept, the first ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retold:
    """`uart` and `trace` are text; of a long recovery the trace has the beginning and the end."""

    uart: str
    timeline: tuple[TimelineEvent, ...]
    trace: str


def retell(
    target: Target, events: Sequence[Event], *, seed: int, factory: MachineFactory = unicorn_machine
) -> Retold:
    """Do a run with its cuts and faults once more, and note what it does. Raises SweepError, EngineError."""
    runtime = Runtime(Setup(target=target, seed=seed, factory=factory))
    try:
        notes = _Notes(target, recovery=1 + sum(isinstance(event, Cut) for event in events))
        run = run_live(runtime, events, tracer=notes)
        notes.add(TimelineKind.NOTE, Lane.DEVICE, f"verdict: {run.assessment.verdict}")
        return notes.told()
    finally:
        runtime.close()


class _Notes:
    """The tracer: flash operations and console of every boot, instructions of boot number `recovery`."""

    def __init__(self, target: Target, *, recovery: int) -> None:
        self._recovery = recovery
        self._lines = TraceLines(target)
        self._places = Places(target)
        self._has_console = CONSOLE in target.board.uart
        self._machine: Machine | None = None
        self._session = 0
        self._start_s = 0.0
        self._heard = 0
        self._uart: list[str] = []
        self._events: list[TimelineEvent] = []
        self._flash: list[DoneOperation] = []
        """Operations alike in a row that are no event yet."""
        self._flash_first = 0
        self._operations = 0
        self._seen: dict[int, str] = {}
        self._first: list[str] = []
        self._traced: list[tuple[int, str]] = []
        """Flash operations of the recovery, with how many instructions were told before."""
        self._last: deque[str] = deque(maxlen=_LAST)
        self._told = 0

    # -- the tracer ----------------------------------------------------------------------------------------

    def wants(self, session: int, machine: Machine) -> Wanted:
        """A power session begins."""
        self._machine, self._session = machine, session
        self._heard = self._operations = 0
        self.add(TimelineKind.POWER_ON, Lane.DEVICE, f"power on, session {session}")
        self._uart.append(f"--- power on, session {session} ---")
        return Wanted.EVERYTHING if session == self._recovery else Wanted.OPERATIONS

    def instruction(self, address: int) -> None:
        """Keep it when it is one of the first or the last. Millions of times: code is looked at once."""
        line = self._seen.get(address)
        if line is None and self._machine is not None:
            line = self._seen[address] = self._lines.instruction(self._machine, self._session, address)
        self._last.append(line or "")
        self._told += 1
        if self._told == _FIRST:
            self._first = list(self._last)
            self._last.clear()

    def operation(self, done: DoneOperation) -> None:
        """Note it, and what the console said before it."""
        self._hear()
        if self._flash and self._key(self._flash[0]) != self._key(done):
            self._end_flash()
        if not self._flash:
            self._flash_first = self._operations + 1
        self._operations += 1
        self._flash.append(done)
        if done.status is None:
            self._end_flash()
        if self._session == self._recovery:
            self._traced.append((self._told, self._lines.operation(self._session, done)))

    def ended(self, session: int) -> None:
        """The power is gone, or the boot has arrived, or hangs."""
        lost = bool(self._events) and self._events[-1].text.endswith("power lost")
        self._hear(whole=True)
        self._end_flash()
        kind = TimelineKind.POWER_CUT if lost else TimelineKind.NOTE
        text = f"power cut, session {session}" if lost else f"end of session {session}"
        self.add(kind, Lane.DEVICE, text)
        self._uart.append(f"--- {text} ---")
        self._start_s = self._now()

    # -- inside --------------------------------------------------------------------------------------------

    def add(self, kind: TimelineKind, target: Lane, text: str, moment_s: float | None = None) -> None:
        """Note an event of the device, now."""
        when = self._now() if moment_s is None else moment_s
        self._events.append(
            TimelineEvent(time_s=when, kind=kind, source=Lane.DEVICE, target=target, text=text)
        )

    def told(self) -> Retold:
        """All that was noted."""
        return Retold(
            uart="".join(f"{line}\n" for line in self._uart) if self._has_console else "",
            timeline=tuple(self._events),
            trace="".join(f"{line}\n" for line in self._trace()),
        )

    def _trace(self) -> Iterator[str]:
        """The instructions that were kept, and every flash operation behind the one that started it."""
        end = self._told - len(self._last)
        kept = [*enumerate(self._first, 1), *enumerate(self._last, end + 1)]
        before = 0
        for number, line in sorted([*kept, *self._traced[:_TRACED]], key=lambda item: item[0]):
            if number > before + 1:
                yield f"... {number - before - 1} instructions left out ..."
            before = number
            yield line

    def _now(self) -> float:
        machine = self._machine
        return self._start_s + (0 if machine is None else machine.time) * HALFWORD_S

    def _hear(self, *, whole: bool = False) -> None:
        """Take over the lines that the console has shown since the last time."""
        if not self._has_console or self._machine is None:
            return
        try:
            sent = self._machine.output(CONSOLE)
        except EngineError:
            self._has_console = False
            return
        new = sent[self._heard :]
        end = len(new) if whole else new.rfind(b"\n") + 1
        self._heard += end
        for line in new[:end].decode(errors="replace").splitlines():
            if line.strip():
                self._uart.append(f"[{self._now():10.6f}] {line}")
                self.add(TimelineKind.NOTE, Lane.DEVICE, line.strip())

    def _key(self, done: DoneOperation) -> tuple[str, str]:
        return (kind_name(done.operation), self._places.region(done.operation.offset))

    def _end_flash(self) -> None:
        """Operations of one kind and region in a row are one event; a cut one stands alone."""
        run, self._flash = self._flash, []
        if not run:
            return
        *whole, last = run
        if last.status is not None:
            whole = run
        first = self._flash_first
        if whole:
            self._flash_event(whole, first, "")
        if last.status is None:
            self._flash_event([last], first + len(run) - 1, ", power lost")

    def _flash_event(self, run: Sequence[DoneOperation], first: int, after: str) -> None:
        kind, region = self._key(run[0])
        done = run[0].operation
        text = flash_text(kind, region, first, len(run), offset=done.offset, length=done.length)
        moment = self._start_s + run[0].time * HALFWORD_S
        self.add(TimelineKind.FLASH, Lane.FLASH, f"{text}{after}", moment)


__all__ = ["HALFWORD_S", "Retold", "retell"]
