"""One boot, run piece by piece between points where states are compared, as far as it is not known."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.interface import StopKind
from brownout.errors import SweepError
from brownout.power import ResetAt
from brownout.sweep.echoes import ECHO_TIME, Echo
from brownout.sweep.graph import Segment
from brownout.sweep.interrupts import held_interrupts
from brownout.sweep.outcome import ENDS, BootEnd, EndKind
from brownout.sweep.port import DoneOperation

if TYPE_CHECKING:
    from collections.abc import Callable

    from brownout.engines.unicorn.interface import Stop
    from brownout.power import Event
    from brownout.sweep.boots import Booter
    from brownout.sweep.graph import Broken

ON: Final = b"on"
"""In place of the digest of a machine that is about to be given power: all are alike."""
SLICE_TIME: Final = 10_000_000
"""A machine comes back after so much virtual time at the latest, some 0.1 s, so that Ctrl-C is heard."""
_TRACED_SLICE_TIME: Final = 20_000
"""The same where each instruction is told."""
_STUCK: Final = 1000
"""So many stops in a row without progress are a bug of the machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Boot:
    """From a power-on (or from a fault) to the end. `time` from the power-on, in halfwords of code."""

    first: Segment
    operations: int
    """Flash operations since the power-on."""
    time: int
    end: BootEnd
    kind: EndKind
    """As `end` says, but BUDGET when the known rest takes longer than this boot had left."""

    @classmethod
    def of(cls, first: Segment, end: BootEnd, budget: int, *, started: int = 0, operations: int = 0) -> Boot:
        """A boot that goes on with a settled segment at `started`, after so many operations."""
        time = started + first.rest_time
        late = end.kind is not EndKind.REPEATS and time > budget
        return cls(
            first=first,
            operations=operations + first.rest_operations,
            time=time,
            end=end,
            kind=EndKind.BUDGET if late else end.kind,
        )

    @property
    def fault(self) -> Stop | None:
        """The last fault that the firmware entered and that no reset ended."""
        return self.first.rest_fault

    @property
    def broken(self) -> Broken | None:
        """The first broken rule that the target asks about."""
        return self.first.broken


class Run:
    """A run in pieces. Its machine stands still while pieces are followed that are known as echoes."""

    def __init__(
        self,
        booter: Booter,
        key: bytes | None,
        events: list[Event],
        *,
        off: bool,
        memo: bool,
        at_sync: Callable[[], None] | None,
    ) -> None:
        self._booter = booter
        self._machine, self._port, self._model = booter.machine, booter.port, booter.model
        self._events = events
        self._memo = memo
        self._at_sync = at_sync
        self._budget = booter.target.boot_budget
        self._segment = Segment(key=key)
        self._chain = [self._segment]
        self._seen = {key}
        self._off = off
        self._now = 0 if off else booter.machine.time
        self._offset = 0
        """The machine's time is less by this: its state may be one that another run left earlier."""
        self._started = self._began = self._now
        self._done_before = booter.model.ordinal
        self._reset_at: int | None = None
        self._logged = 0
        self._bypassed = False
        self._at: Echo | None = None
        """The run is at the end of this echo; the machine is not."""
        # Of the piece that is run now: the machine and the flash at its start, what an echo did of it.
        self._state = ON if off else b""
        self._flash = booter.model.snapshot()
        self._fresh = True
        self._echoed: tuple[DoneOperation, ...] | None = None

    def to_end(self) -> Boot:
        """Run to the end, or to a state that is known."""
        self._booter.counters.runs += 1
        still = 0
        self._next_event()
        while True:
            before = self._now
            stop = self._follow() or self._go()
            boot = self._after(stop)
            if boot is not None:
                return boot
            still = still + 1 if self._now == before else 0
            if still > _STUCK:
                raise SweepError(f"machine at {stop.pc:#x}: stops ({stop.kind.value}) and does not go on")

    @property
    def waiting(self) -> bool:
        """A cut or a fault is still to happen."""
        return self._port.armed or self._reset_at is not None or bool(self._events)

    # -- the machine ---------------------------------------------------------------------------------------

    def _go(self) -> Stop:
        """Run the machine."""
        self._load()
        limit = self._budget if self._reset_at is None else min(self._budget, self._reset_at)
        longest = SLICE_TIME if self._port.on_operation is None else _TRACED_SLICE_TIME
        with held_interrupts():
            stop = self._machine.run(max(0, min(limit - self._now, longest)))
        self._now = self._machine.time + self._offset
        if self._port.fired is not None:
            self._port.fired = None
            if stop.kind is not StopKind.POWER_LOST:
                self._next_event()
        return stop

    def _load(self) -> None:
        """Bring the machine to where the run is."""
        if self._off:
            self._off = False
            self._booter.start()
        elif self._at is not None:
            self._booter.resume(self._at.state, self._model.snapshot())
            self._machine.take_read_ranges()
            self._offset = self._now - self._machine.time
            self._at = None

    def _next_event(self) -> None:
        """Arm what is to happen next."""
        event = self._events.pop(0) if self._events else None
        self._reset_at = event.time if isinstance(event, ResetAt) else None
        self._port.arm(None if isinstance(event, ResetAt) else event)

    # -- echoes --------------------------------------------------------------------------------------------

    @property
    def _may_look_up(self) -> bool:
        return self._memo and self._at_sync is None and not self.waiting and not self._bypassed

    def _follow(self) -> Stop | None:
        """Do what an echo of this piece says, on the flash model alone; None when there is none."""
        if not self._fresh:
            return None
        self._fresh = False
        if not self._state or not self._may_look_up:
            return None
        echo = self._booter.echoes.find(self._state, self._flash)
        if echo is None or self._now + echo.time > self._budget:
            return None
        done: list[DoneOperation] = []
        for one in echo.operations:
            effect = self._model.apply(one.operation)
            if effect.status is not one.status:
                # The flash counts programs, and has another count there.
                self._model.restore(self._flash)
                return None
            done.append(
                DoneOperation(
                    operation=one.operation,
                    pc=one.pc,
                    time=self._began + one.time,
                    status=one.status,
                    violations=effect.violations,
                )
            )
        self._off = False
        self._at, self._echoed = echo, tuple(done)
        self._segment.own_fault = echo.fault
        self._now = self._began + echo.time
        return echo.stop

    def _keep_echo(self, stop: Stop, began: int, digest: bytes) -> None:
        """Keep the piece that has just ended, if following it later is worth it."""
        segment = self._segment
        if segment.time < ECHO_TIME or self._echoed is not None or not self._state or segment.key is None:
            return
        if not self._memo or self._bypassed or stop.kind in (StopKind.BUDGET, StopKind.POWER_LOST):
            return
        echo = Echo(
            operations=tuple(replace(done, time=done.time - began) for done in segment.operations),
            time=segment.time,
            stop=stop,
            fault=segment.own_fault,
            state=self._machine.save(),
            digest=digest,
        )
        self._booter.echoes.add(self._state, self._flash, self._machine.take_read_ranges(), echo)

    # -- where pieces end ----------------------------------------------------------------------------------

    def _after(self, stop: Stop) -> Boot | None:
        match stop.kind:
            case StopKind.PAUSED:
                return self._sync(stop)
            case StopKind.RESET:
                self._model.reset()
                return self._sync(stop)
            case StopKind.FAULT:
                self._segment.own_fault = stop
                return None
            case StopKind.ARRIVED:
                self._load()
                reached = self._booter.arrivals.reached(stop, self._machine, self._model)
                if reached is None:
                    return None
                kind = EndKind.ARRIVED if reached[0] else EndKind.WRONG_FLASH
                end = self._booter.end(kind, stop.pc, outcome=reached[0], wrong=reached[1])
                return self._finish(stop, end)
            case StopKind.BUDGET if self._reset_at is not None and self._now >= self._reset_at:
                self._machine.reset()
                self._model.reset()
                self._next_event()
                return self._sync(stop, reset=True)
            case StopKind.BUDGET if self._now < self._budget:
                return None
            case _:
                return self._finish(stop, self._booter.end(ENDS[stop.kind], stop.pc, detail=stop.detail))

    def _sync(self, stop: Stop, *, reset: bool = False) -> Boot | None:
        if self._at is None:
            self._port.sync(self._machine.time)
        began = self._close(reset=reset or stop.kind is StopKind.RESET)
        digest = self._machine.state_digest() if self._at is None else self._at.digest
        self._keep_echo(stop, began, digest)
        flash = self._model.snapshot()
        key = hashlib.blake2b(digest + self._booter.keys.key(flash), digest_size=16).digest()
        if self._at_sync is not None:
            self._at_sync()
        # What follows is no function of the state while something is still to happen, nor when the array is
        # not what the flash model says.
        following_key = None if self.waiting or self._bypassed else key
        if following_key is not None:
            if key in self._seen:
                return self._settle(self._booter.end(EndKind.REPEATS, self._last_pc()))
            known = self._booter.memo.find(key, self._budget - self._now) if self._may_look_up else None
            if known is not None:
                self._segment.next = known
                return self._settle(known.end)
            self._seen.add(key)
        following = Segment(key=following_key)
        self._segment.next = following
        self._segment = following
        self._chain.append(following)
        self._state, self._flash, self._fresh, self._echoed = digest, flash, True, None
        return None

    def _finish(self, stop: Stop, end: BootEnd) -> Boot:
        began = self._close(reset=False)
        self._keep_echo(stop, began, b"")
        return self._settle(end)

    def _close(self, *, reset: bool) -> int:
        """End the piece; return when it began."""
        segment, began, offset = self._segment, self._began, self._offset
        if self._at is None:
            self._look_for_bypasses()
        ran = self._port.take() if self._at is None else ()
        if offset:
            ran = tuple(replace(done, time=done.time + offset) for done in ran)
        segment.operations = (self._echoed or ()) + ran
        segment.time = self._now - began
        segment.reset = reset
        self._began = self._now
        self._booter.counters.operations += len(segment.operations)
        return began

    def _last_pc(self) -> int:
        """Where the last flash operation came from."""
        return next((part.operations[-1].pc for part in reversed(self._chain) if part.operations), 0)

    def _look_for_bypasses(self) -> None:
        """Stores past the controller: each says so in the log, so most of the time there is nothing to do."""
        if len(self._machine.log) == self._logged:
            return
        self._logged = len(self._machine.log)
        found = self._model.check_array(self._machine.array)
        if found and not self._bypassed:
            self._bypassed = True
            self._segment.bypass = found[0]

    def _settle(self, end: BootEnd | None) -> Boot:
        rules = self._booter.rules
        for segment in reversed(self._chain):
            segment.settle(end, rules)
            if self._memo and segment.key is not None:
                self._booter.memo.add(segment)
        first = self._chain[0]
        assert first.end is not None  # noqa: S101 - settled just now
        return Boot.of(first, first.end, self._budget, started=self._started, operations=self._done_before)
