"""A counter that virtual time drives: nothing runs between two looks at it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brownout.engines.unicorn.interface import Bus


class VirtualCounter:
    """Counts at `numerator` / `denominator` per unit of virtual time since it was started, without a limit.

    The machine's virtual time is no part of its state: save() keeps the count and the part of a step that
    has passed.
    """

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._numerator = 1
        self._denominator = 1
        self.reset()

    def reset(self) -> None:
        """Stopped, at 0."""
        self.running = False
        self._count = 0
        self._part = 0
        self._since = 0

    def set_rate(self, numerator: int, denominator: int) -> None:
        """Count at another rate from now on."""
        self._fold()
        self._numerator, self._denominator, self._part = numerator, denominator, 0

    def start(self) -> None:
        """Count from now on."""
        if not self.running:
            self.running = True
            self._since = self._bus.now

    def stop(self) -> None:
        """Keep the count."""
        self._fold()
        self.running = False

    def set(self, count: int) -> None:
        """Go on from `count`."""
        self._count, self._part, self._since = count, 0, self._bus.now

    def set_keeping_part(self, count: int) -> None:
        """Go on from `count` without losing the part of a step that has passed."""
        self._fold()
        self._count = count

    @property
    def count(self) -> int:
        """Steps so far."""
        self._fold()
        return self._count

    def time_of(self, count: int) -> int:
        """Virtual time at which a running counter reaches `count`, which is ahead."""
        self._fold()
        missing = (count - self._count) * self._denominator - self._part
        return self._since + -(-missing // self._numerator)

    def save(self) -> tuple[int, ...]:
        """State without the machine's time."""
        self._fold()
        return (int(self.running), self._count, self._part, self._numerator, self._denominator)

    def load(self, state: tuple[int, ...]) -> None:
        """Go back to a value of save()."""
        running, self._count, self._part, self._numerator, self._denominator = state
        self.running = bool(running)
        self._since = self._bus.now

    def _fold(self) -> None:
        """Move what has passed since the last look into the count."""
        if not self.running:
            return
        now = self._bus.now
        steps, self._part = divmod(self._part + (now - self._since) * self._numerator, self._denominator)
        self._count += steps
        self._since = now
