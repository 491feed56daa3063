"""A run from the first power-on on, with its cuts and faults, on the machine: nothing is derived.

What a replay does, and what derived images and remembered recoveries are checked against.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.flash import Resolve
from brownout.power import Cut
from brownout.sweep.outcome import EndKind
from brownout.sweep.runtime import not_fired
from brownout.sweep.tracing import Wanted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.flash import FlashModel, LogRecord
    from brownout.power import Event
    from brownout.sweep.assess import Assessment
    from brownout.sweep.boots import Booter
    from brownout.sweep.history import Session
    from brownout.sweep.runs import Boot
    from brownout.sweep.runtime import Runtime
    from brownout.sweep.tracing import Tracer


@dataclass(frozen=True, slots=True, kw_only=True)
class BootReport:
    """One power session of a run. Times in halfwords of code since its power-on.

    `event` is what happened in it, "" for a boot that was left alone; `end` says how it ended, `place` where;
    `flash` is the BLAKE2b-128 of the array at its end, in hex.
    """

    session: int
    event: str
    end: str
    outcome: str
    place: str
    time: int
    operations: int
    resets: int
    flash: str

    def __str__(self) -> str:
        what = f", {self.event}" if self.event else ""
        where = f" in '{self.outcome}'" if self.outcome else f" at {self.place}" if self.place else ""
        resets = f", {self.resets} reset(s)" if self.resets else ""
        return (
            f"boot {self.session}{what}: {self.end}{where} after {self.operations} flash operation(s), "
            f"{self.time} halfwords{resets}; flash {self.flash[:12]}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveRun:
    """A whole run: the verdict, and each boot. `flash` is the array at the end, `flashes` after each boot."""

    assessment: Assessment
    boots: tuple[BootReport, ...]
    flash: bytes
    flashes: tuple[bytes, ...]


def run_live(
    runtime: Runtime,
    events: Sequence[Event],
    *,
    memo: bool = False,
    tracer: Tracer | None = None,
) -> LiveRun:
    """Run with `events`, in their order; cuts count operations from their power-on.

    Args:
        runtime: whose machine to use.
        events: what happens; an event that does not happen gives the verdict "not-fired".
        memo: look up what is known of the clean boots.
        tracer: told what happens, boot by boot.
    """
    return _Live(runtime, events, tracer, memo=memo).run()


class _Live:
    def __init__(
        self,
        runtime: Runtime,
        events: Sequence[Event],
        tracer: Tracer | None,
        *,
        memo: bool,
    ) -> None:
        self._runtime = runtime
        self._booter: Booter = runtime.booter
        self._model: FlashModel = runtime.booter.model
        self._events = list(events)
        self._tracer = tracer
        self._memo = memo
        self._reports: list[BootReport] = []
        self._boots: list[tuple[Boot, Event | None]] = []
        self._flashes: list[bytes] = []

    def run(self) -> LiveRun:
        model = self._model
        model.restore(self._runtime.start)
        pending, resolve = list(self._events), Resolve.RANDOM
        while True:
            model.power_on(resolve)
            key = self._booter.power_on_key()
            used = len(pending)
            boot = self._one(key if not pending else None, pending)
            happened = self._events[len(self._events) - used : len(self._events) - len(pending)]
            event = happened[-1] if happened else None
            if boot.kind is not EndKind.POWER_LOST:
                break
            resolve = event.resolve if isinstance(event, Cut) else Resolve.RANDOM
            self._note(boot, event)
        if self._booter.waiting:
            missing = event if event is not None else pending[0]
            self._note(boot, None)
            return self._result(not_fired(missing, boot))
        self._note(boot, event)
        faulty = any(not isinstance(event, Cut) for event in self._events)
        boots = [boot]
        while self._runtime.assessor.needs_boot(boots):
            model.power_off()
            model.power_on()
            boots.append(self._one(self._booter.power_on_key(), []))
            self._note(boots[-1], None)
        return self._result(self._runtime.assessor.judge(key, boots, self._history, faulty=faulty))

    def _one(self, key: bytes | None, pending: list[Event]) -> Boot:
        machine, port = self._booter.machine, self._booter.port
        self._booter.start()
        tracer, session = self._tracer, self._model.session
        wanted = Wanted.NOTHING if tracer is None else tracer.wants(session, machine)
        if tracer is None or wanted is Wanted.NOTHING:
            return self._booter.go_on(key, events=pending, memo=self._memo)
        if wanted is Wanted.EVERYTHING:
            machine.trace(tracer.instruction)
        port.on_operation = tracer.operation
        try:
            boot = self._booter.go_on(key, events=pending, memo=False)
            tracer.ended(session)
            return boot
        finally:
            machine.trace(None)
            port.on_operation = None

    def _note(self, boot: Boot, event: Event | None) -> None:
        self._boots.append((boot, event))
        self._flashes.append(bytes(self._model.shadow))
        place = "" if boot.kind is EndKind.ARRIVED else self._runtime.places.symbol(boot.end.pc)
        self._reports.append(
            BootReport(
                session=self._model.session,
                event=str(event) if event is not None else "",
                end=boot.kind.value,
                outcome=boot.end.outcome,
                place=place if boot.end.pc else "",
                time=boot.time,
                operations=boot.operations,
                resets=boot.first.rest_resets,
                flash=hashlib.blake2b(self._flashes[-1], digest_size=16).hexdigest(),
            )
        )

    def _history(self, boots: Sequence[Boot]) -> Iterator[LogRecord]:
        sessions: list[Session] = [(boot.first.steps(), event) for boot, event in self._boots]
        return self._runtime.log_from_start(sessions)

    def _result(self, assessment: Assessment) -> LiveRun:
        return LiveRun(
            assessment=assessment,
            boots=tuple(self._reports),
            flash=self._flashes[-1],
            flashes=tuple(self._flashes),
        )
