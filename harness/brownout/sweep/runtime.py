"""One process's share of a sweep: a machine, the clean run's operations, and the recoveries of its points."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.engines.controller import geometry_of
from brownout.errors import SweepError
from brownout.flash import Phase, Program, Region
from brownout.flash.faults import Cells, bits_of, changing_bits
from brownout.power import Cut, OperationTrigger, ResetAt
from brownout.sweep.assess import NOT_FIRED, Assessment, Assessor
from brownout.sweep.boots import Booter
from brownout.sweep.history import Historian
from brownout.sweep.outcome import EndKind
from brownout.sweep.places import Places
from brownout.sweep.trace import initial_flash, trace_clean_run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from brownout.flash import FlashModel, LogRecord, Operation, Snapshot, TornBits
    from brownout.power import Event, FlashFaultAt
    from brownout.sweep.graph import Segment
    from brownout.sweep.history import Session
    from brownout.sweep.machine import MachineFactory
    from brownout.sweep.port import DoneOperation
    from brownout.sweep.runs import Boot
    from brownout.sweep.trace import Trace
    from brownout.target import Target

_SNAPSHOT_OPERATIONS = 128
"""So many operations lie between two snapshots of the clean run's flash."""
_CHECKPOINT_OPERATIONS = 32
"""At least so many operations lie between two saved states of the clean run's machine."""
_MOST_CHECKPOINTS = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a process needs to take part in a sweep. `clean` is the clean run: None stands for a reset."""

    target: Target
    seed: int
    factory: MachineFactory
    clean: tuple[DoneOperation | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Checkpoint:
    """The clean run after so many operations; `machine` is None at the power-on."""

    operations: int
    time: int
    machine: object
    flash: Snapshot


class Runtime:
    """Derives flash images and assesses recoveries. One thread at a time."""

    def __init__(self, setup: Setup) -> None:
        self.setup = setup
        target = setup.target
        model = initial_flash(target, geometry_of(target.board.flash), setup.seed)
        self.start = model.snapshot()
        self.booter = Booter(target, model, setup.seed, setup.factory)
        self.places = Places(target)
        self.assessor = Assessor(self.booter, b"".join(self.start.array.sectors), self.places)
        self._model = model
        self._clean: list[DoneOperation] = []
        self._historian: Historian | None = None
        self._snapshots: dict[int, Snapshot] = {}
        self._here: tuple[int, Snapshot] | None = None
        self._checkpoints: list[_Checkpoint] = []
        if setup.clean:
            self._set_clean(setup.clean)

    def close(self) -> None:
        """Give the machine back."""
        self.booter.machine.close()

    # -- the clean run -------------------------------------------------------------------------------------

    def trace(self, *, faults: bool) -> Trace:
        """The clean run. Raises SweepError when there is none."""
        trace = trace_clean_run(self.booter, self.start, self.places, faults=faults)
        self._set_clean(tuple(trace.boot.first.steps()))
        return trace

    def _set_clean(self, clean: Sequence[DoneOperation | None]) -> None:
        self._clean = [done for done in clean if done is not None]
        self._historian = Historian(self.start, self.setup.seed, clean)
        self._snapshots.clear()
        self._here = None

    def flash_before(self, number: int) -> Snapshot:
        """The flash before operation `number` of the clean run; the model is left like that."""
        wanted, model = number - 1, self._model
        if not 0 <= wanted < len(self._clean):
            raise SweepError(f"op={number}: the clean run has {len(self._clean)} flash operations")
        done, flash = self._near(wanted)
        model.restore(flash)
        if done == 0 and not model.powered:
            model.power_on()
        while done < wanted:
            if done % _SNAPSHOT_OPERATIONS == 0 and done not in self._snapshots:
                self._snapshots[done] = model.snapshot()
            model.apply(self._clean[done].operation)
            done += 1
        self._here = (wanted, model.snapshot())
        return self._here[1]

    def _near(self, wanted: int) -> tuple[int, Snapshot]:
        """The last known flash of the clean run at or before so many operations."""
        kept = wanted - wanted % _SNAPSHOT_OPERATIONS
        while kept > 0 and kept not in self._snapshots:
            kept -= _SNAPSHOT_OPERATIONS
        if self._here is not None and kept <= self._here[0] <= wanted:
            return self._here
        return (kept, self._snapshots[kept]) if kept in self._snapshots else (0, self.start)

    # -- recoveries ----------------------------------------------------------------------------------------

    def assess(self, events: Sequence[Event]) -> Assessment:
        """What comes of a cut of the clean run (and one of its recovery), or of a fault of the clean run.

        Raises SweepError for other events, and for cuts at operations that there are not.
        """
        first, rest = events[0], events[1:]
        if not isinstance(first, Cut):
            if rest:
                raise SweepError(f"{first}: a fault stands alone: expected no cut after it")
            return self._assess_fault(first)
        if not rest:
            self.cut(first)
            return self._recover(first, None, None)
        second = rest[0]
        if not isinstance(second, Cut) or len(rest) > 1:
            raise SweepError("expected one cut, a cut of the clean run and one of its recovery, or one fault")
        again = self.recoveries_of(first, [number_of(second)], lambda _: [second])
        for _, _, assessment in again:
            return assessment
        raise SweepError(f"{second}: the recovery has no such operation")

    def cut(self, cut: Cut) -> None:
        """Leave the model as after `cut` of the clean run and the power-on that follows."""
        number = number_of(cut)
        self.flash_before(number)
        self._model.apply(self._clean[number - 1].operation, cut=cut.phase, torn=cut.torn)
        self._model.power_on(cut.resolve)

    def recovery(self, cut: Cut) -> Boot:
        """The boot after `cut` of the clean run."""
        self.cut(cut)
        return self.booter.boot()

    def recoveries_of(
        self, first: Cut, wanted: Sequence[int], cuts: Callable[[int], Iterable[Cut]]
    ) -> Iterator[tuple[Cut, DoneOperation, Assessment]]:
        """Recover from `first`, cut that at each of the `wanted` operations, in order, and recover again.

        Gives each cut, the operation that it hit, and what came of it.
        """
        recovery = self.recovery(first).first
        self.cut(first)
        model, left = self._model, list(wanted)
        for done in recovery.path():
            if not left:
                return
            if model.ordinal + 1 == left[0]:
                here = model.snapshot()
                for cut in cuts(left.pop(0)):
                    model.apply(done.operation, cut=cut.phase, torn=cut.torn)
                    model.power_on(cut.resolve)
                    yield cut, done, self._recover(first, recovery, cut)
                    model.restore(here)
            model.apply(done.operation)

    def _recover(self, first: Cut, recovery: Segment | None, second: Cut | None) -> Assessment:
        key = self.booter.power_on_key()
        boot = self.booter.boot()

        def history(boots: Sequence[Boot]) -> Iterator[LogRecord]:
            at = number_of(first) - 1
            sessions: list[Session] = [((self._clean[at],), first)]
            if recovery is not None:
                sessions.append((recovery.steps(), second))
            return self._log(at, self.flash_before(at + 1), sessions, boots)

        return self.assessor.assess(key, boot, history)

    def _log(
        self, at: int, flash: Snapshot, sessions: list[Session], boots: Sequence[Boot]
    ) -> Iterator[LogRecord]:
        if self._historian is None:
            raise SweepError("there is no clean run yet")
        after: list[Session] = [(boot.first.steps(), None) for boot in boots]
        return self._historian.log(at, flash, sessions + after)

    def log_from_start(self, sessions: list[Session]) -> Iterator[LogRecord]:
        """The log of a run from the first power-on."""
        historian = self._historian or Historian(self.start, self.setup.seed, ())
        return historian.log(None, self.start, sessions)

    # -- faults --------------------------------------------------------------------------------------------

    def _assess_fault(self, fault: FlashFaultAt | ResetAt) -> Assessment:
        near = self._checkpoint_before(fault)
        booter, model = self.booter, self._model
        if near.machine is None:
            model.restore(self.start)
            model.power_on()
            booter.start()
            flash = model.snapshot()
        else:
            flash = near.flash
            model.restore(flash)
            booter.resume(near.machine, flash)
        boot = booter.go_on(None, events=[fault])
        if booter.waiting:
            return not_fired(fault, boot)

        def history(boots: Sequence[Boot]) -> Iterator[LogRecord]:
            return self._log(near.operations, flash, [(boots[0].first.steps(), fault)], boots[1:])

        return self.assessor.assess(b"fault " + str(fault).encode(), boot, history, faulty=True)

    def _checkpoint_before(self, fault: FlashFaultAt | ResetAt) -> _Checkpoint:
        if not self._checkpoints:
            self._make_checkpoints()
        if isinstance(fault, ResetAt):
            return _latest(c for c in self._checkpoints if c.time < fault.time or not c.operations)
        return _latest(c for c in self._checkpoints if c.operations < fault.number)

    def _make_checkpoints(self) -> None:
        """Run the clean run once more, to be able to join it in its middle."""
        booter, model = self.booter, self._model
        spacing = max(_CHECKPOINT_OPERATIONS, len(self._clean) // _MOST_CHECKPOINTS)
        model.restore(self.start)
        self._checkpoints = [_Checkpoint(operations=0, time=0, machine=None, flash=self.start)]

        def keep() -> None:
            if model.ordinal - self._checkpoints[-1].operations >= spacing:
                self._checkpoints.append(
                    _Checkpoint(
                        operations=model.ordinal,
                        time=booter.machine.time,
                        machine=booter.machine.save(),
                        flash=model.snapshot(),
                    )
                )

        model.power_on()
        key = booter.power_on_key()
        booter.start()
        booter.go_on(key, at_sync=keep)

    # -- live ----------------------------------------------------------------------------------------------

    def live_flash(self, cut: Cut) -> Snapshot:
        """The flash after a cut that the machine ran into, from the first power-on: nothing is derived.

        Raises SweepError when the cut did not fire.
        """
        self._model.restore(self.start)
        self._model.power_on()
        self.booter.start()
        boot = self.booter.go_on(None, events=[cut], memo=False)
        if boot.kind is not EndKind.POWER_LOST:
            raise SweepError(f"live run: {cut} did not fire, the boot {boot.kind.value}")
        return self._model.snapshot()

    def derived_flash(self, cut: Cut) -> Snapshot:
        """The flash after a cut of the clean run, without running it."""
        number = number_of(cut)
        self.flash_before(number)
        self._model.apply(self._clean[number - 1].operation, cut=cut.phase, torn=cut.torn)
        return self._model.snapshot()

    def operation_of(self, first: Cut, second: Cut) -> Operation:
        """The operation of the recovery from `first` that `second` hits; the model is left before it."""
        path = self.recovery(first).first.path()
        self.cut(first)
        return self._walk(path, number_of(second))

    def torn_bits(self, first: Cut, second: Cut | None) -> TornBits:
        """Bit by bit what the last of these cuts left, torn as it is."""
        if second is None:
            self.flash_before(number_of(first))
            operation, cut = self._clean[number_of(first) - 1].operation, first
        else:
            operation, cut = self.operation_of(first, second), second
        model = self._model
        region = Region(offset=operation.offset, size=operation.length)
        before = _cells(model, region)
        model.apply(operation, cut=Phase.TORN, torn=cut.torn)
        data = operation.data if isinstance(operation, Program) else None
        return bits_of(before, _cells(model, region), changing_bits(before, data))

    def _walk(self, path: Iterator[DoneOperation], number: int) -> Operation:
        """Do the operations before the `number`-th of a boot; return that one."""
        for done in path:
            if self._model.ordinal + 1 == number:
                return done.operation
            self._model.apply(done.operation)
        raise SweepError(f"op={number}: the recovery has no such operation")

    @property
    def clean(self) -> Sequence[DoneOperation]:
        """The operations of the clean run."""
        return self._clean


def _cells(model: FlashModel, region: Region) -> Cells:
    return Cells(value=model.read(region), unstable=model.unstable_mask(region), programs=b"")


def _latest(checkpoints: Iterable[_Checkpoint]) -> _Checkpoint:
    return max(checkpoints, key=lambda checkpoint: checkpoint.operations)


def number_of(cut: Cut) -> int:
    """Which operation of its boot a cut hits. Raises SweepError when it says so in another way."""
    if not isinstance(cut.trigger, OperationTrigger):
        raise SweepError(f"{cut}: expected op=N here")
    return cut.trigger.number


def not_fired(event: Event, boot: Boot) -> Assessment:
    """The assessment of a run in which a cut or a fault did not happen: an error, never a pass."""
    return Assessment(
        key=b"",
        verdict=NOT_FIRED,
        detail=f"{event} did not happen: the boot {boot.kind.value} after {boot.operations} operations",
        pc=0,
        recovery_time=0,
        boots=(boot,),
    )
