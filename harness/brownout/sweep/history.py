"""The operation log of a swept run, put together afterwards: runs are pieced together and keep no log."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

from brownout.flash import FlashModel, Resolve
from brownout.power import Cut, FlashFaultAt, OperationTrigger

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from brownout.flash import LogRecord, Snapshot
    from brownout.power import Event
    from brownout.sweep.port import DoneOperation

Session: TypeAlias = "tuple[Iterable[DoneOperation | None], Event | None]"
"""Operations of a power session (None: a reset), and what happened in it."""


class Historian:
    """Does the operations of runs again, on a model of its own."""

    def __init__(self, start: Snapshot, seed: int, clean: Sequence[DoneOperation | None]) -> None:
        self._start = start
        self._model = FlashModel(start.geometry, seed=seed)
        self._clean = clean
        self._records: list[LogRecord] | None = None
        self._position: list[int] = []

    def log(self, at: int | None, flash: Snapshot, sessions: Sequence[Session]) -> Iterator[LogRecord]:
        """Records of the clean run's first `at` operations, which left `flash`, and of what came then.

        `at` None: `flash` is without power, nothing has run yet.
        """
        if at is not None:
            records = self._clean_records()
            yield from records[: self._position[at]]
        model = self._model
        model.restore(flash)
        if at is None:
            model.power_on()
        resolve = Resolve.RANDOM
        for number, (steps, event) in enumerate(sessions):
            if number:
                model.power_off()
                model.power_on(resolve)
            resolve = Resolve.RANDOM
            self._session(steps, event)
            if isinstance(event, Cut):
                resolve = event.resolve
        yield from list(model.log)

    def _session(self, steps: Iterable[DoneOperation | None], event: Event | None) -> None:
        model = self._model
        for done in steps:
            if done is None:
                model.reset()
            elif isinstance(event, FlashFaultAt) and model.ordinal + 1 == event.number:
                model.apply(done.operation, fault=event.fault)
            elif (
                isinstance(event, Cut)
                and isinstance(event.trigger, OperationTrigger)
                and model.ordinal + 1 == event.trigger.number
            ):
                model.apply(done.operation, cut=event.phase, torn=event.torn)
                return
            else:
                model.apply(done.operation)

    def _clean_records(self) -> list[LogRecord]:
        if self._records is None:
            model = self._model
            model.restore(self._start)
            model.power_on()
            self._position.append(len(model.log))
            for done in self._clean:
                if done is None:
                    model.reset()
                else:
                    model.apply(done.operation)
                    self._position.append(len(model.log))
            self._records = list(model.log)
        return self._records
