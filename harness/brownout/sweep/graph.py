"""What is known about runs: pieces between points where states were compared, each run once.

What follows a state is a function of it. So a run that comes to a state that was seen before has the rest of
the other run, its flash operations included.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.sweep.outcome import EndKind

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from brownout.engines.unicorn.interface import Stop
    from brownout.flash import Violation, ViolationKind
    from brownout.sweep.outcome import BootEnd
    from brownout.sweep.port import DoneOperation


@dataclass(frozen=True, slots=True, kw_only=True)
class Broken:
    """A rule of the flash that was broken, and where the store came from (0: not known)."""

    violation: Violation
    pc: int


@dataclass(slots=True, kw_only=True)
class Segment:
    """A piece of a run, and sums from its start to the end of the run.

    `rest_fault` is the last fault that the firmware entered and that no reset ended, `broken` the first
    rule that was broken.
    """

    key: bytes | None
    """Of the state at its start; None while a cut or a fault was still to come."""
    operations: tuple[DoneOperation, ...] = ()
    time: int = 0
    reset: bool = False
    """The processor was reset at its end."""
    own_fault: Stop | None = None
    bypass: Violation | None = None
    """A store past the controller that was found at its end."""
    next: Segment | None = None
    rest_time: int = 0
    rest_operations: int = 0
    rest_resets: int = 0
    rest_fault: Stop | None = None
    broken: Broken | None = None
    end: BootEnd | None = None

    def settle(self, end: BootEnd | None, rules: frozenset[ViolationKind]) -> None:
        """Form the sums, from those of the next segment or the `end` of the run."""
        after = self.next
        own = None if self.reset else self.own_fault
        self.broken = self._own_broken(rules)
        self.rest_time = self.time
        self.rest_operations = len(self.operations)
        self.rest_resets = int(self.reset)
        self.rest_fault = own
        self.end = end
        if after is not None:
            self.rest_time += after.rest_time
            self.rest_operations += after.rest_operations
            self.rest_resets += after.rest_resets
            self.rest_fault = after.rest_fault if after.rest_resets else after.rest_fault or own
            self.broken = self.broken or after.broken
            self.end = after.end

    def _own_broken(self, rules: frozenset[ViolationKind]) -> Broken | None:
        for done in self.operations:
            for violation in done.violations:
                if violation.kind in rules:
                    return Broken(violation=violation, pc=done.pc)
        if self.bypass is not None and self.bypass.kind in rules:
            return Broken(violation=self.bypass, pc=0)
        return None

    def chain(self) -> Iterator[Segment]:
        """This segment and those after it."""
        segment: Segment | None = self
        while segment is not None:
            yield segment
            segment = segment.next

    def path(self) -> Iterator[DoneOperation]:
        """The operations from here to the end of the run."""
        for segment in self.chain():
            yield from segment.operations

    def steps(self) -> Iterator[DoneOperation | None]:
        """The operations from here to the end of the run, and None for each reset of the processor."""
        for segment in self.chain():
            yield from segment.operations
            if segment.reset:
                yield None

    def holds_for(self, budget: int) -> bool:
        """Whether the rest of the run is known for a boot that has `budget` left.

        A run that was ended by its budget is known only as far as it went.
        """
        return self.end is not None and (self.end.kind is not EndKind.BUDGET or self.rest_time >= budget)


class Memo:
    """Segments by the key of the state that they start in."""

    def __init__(self, limit: int = 400_000) -> None:
        self._segments: dict[bytes, Segment] = {}
        self._limit = limit

    def __len__(self) -> int:
        return len(self._segments)

    @property
    def segments(self) -> Mapping[bytes, Segment]:
        """What is known."""
        return self._segments

    def find(self, key: bytes, budget: int) -> Segment | None:
        """What follows a state, for a boot with so much virtual time left; None: run on."""
        segment = self._segments.get(key)
        return segment if segment is not None and segment.holds_for(budget) else None

    def add(self, segment: Segment) -> None:
        """Remember a settled segment."""
        if len(self._segments) >= self._limit:
            # Forgetting costs time, never a result.
            self._segments.clear()
        assert segment.key is not None  # noqa: S101
        self._segments[segment.key] = segment
