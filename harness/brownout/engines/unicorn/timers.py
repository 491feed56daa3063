"""The core's own clocks, driven by virtual time: SysTick and the cycle counter of the DWT."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

_ENABLE, _TICKINT, _CLKSOURCE, _COUNTFLAG = 1, 2, 4, 1 << 16
_MAX: Final = 0xFFFFFF
_WORD: Final = 0xFFFFFFFF
_CYCCNTENA: Final = 1
_CONTROL, _RELOAD, _CURRENT, _CALIBRATION = 0x0, 0x4, 0x8, 0xC
_NO_REFERENCE: Final = 1 << 31
_NEVER: Final = -1


class SysTick:
    """Counts down by one for each unit of virtual time. Nothing runs between two looks at it."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Off."""
        self._control = _CLKSOURCE
        self._reload = 0
        self._left = 0  # what CURRENT reads while it stands still
        self._wrap = _NEVER  # virtual time of the next wrap while it runs
        self._flag = False
        self._reported = 0

    @property
    def due(self) -> int | None:
        """Virtual time of the next interrupt; None when there is none to come."""
        if not self._counts or not self._control & _TICKINT:
            return None
        return self._wrap

    def take_interrupt(self) -> bool:
        """Whether it wrapped with its interrupt on since the last call."""
        self._catch_up()
        wrapped, self._reported = self._reported, 0
        return bool(wrapped)

    def read(self, offset: int) -> int:
        """Register at `offset` from 0xE000E010."""
        self._catch_up()
        if offset == _CONTROL:
            value = self._control | (_COUNTFLAG if self._flag else 0)
            self._flag = False
            return value
        if offset == _RELOAD:
            return self._reload
        if offset == _CURRENT:
            return self._current()
        return _NO_REFERENCE if offset == _CALIBRATION else 0

    def write(self, offset: int, value: int) -> None:
        """Store to the register at `offset`."""
        self._catch_up()
        if offset == _CONTROL:
            was, self._left = self._control, self._current()
            self._control = value & (_ENABLE | _TICKINT) | _CLKSOURCE
            if value & _ENABLE and not was & _ENABLE:
                self._wrap = self._now() + (self._left or self._reload + 1)
                self._left = 0
        elif offset == _RELOAD:
            self._reload = value & _MAX
            if self._wrap == _NEVER:
                self._wrap = self._now() + self._reload + 1
        elif offset == _CURRENT:
            self._left, self._flag = 0, False
            self._wrap = self._now() + self._reload + 1

    def save(self) -> tuple[int, ...]:
        """State without absolute times."""
        self._catch_up()
        return (
            self._control,
            self._reload,
            self._wrap - self._now() if self._counts else self._left,
            int(self._flag),
            self._reported,
        )

    def load(self, state: tuple[int, ...]) -> None:
        """Go back to save()."""
        self._control, self._reload, left, flag, self._reported = state
        self._flag = bool(flag)
        self._left = left
        self._wrap = self._now() + left if left else _NEVER

    @property
    def _counts(self) -> bool:
        return bool(self._control & _ENABLE) and self._wrap != _NEVER

    def _current(self) -> int:
        if not self._counts:
            return self._left
        left = self._wrap - self._now()
        return left if 0 < left <= self._reload else 0

    def _catch_up(self) -> None:
        late = self._now() - self._wrap
        if not self._counts or late < 0:
            return
        if self._reload == 0:  # it stays at 0
            self._wrap = _NEVER
        else:
            period = self._reload + 1
            self._wrap += (late // period + 1) * period
        self._flag = True
        if self._control & _TICKINT:
            self._reported = 1


class CycleCounter:
    """DWT_CTRL and DWT_CYCCNT; one cycle for each unit of virtual time."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self.reset()

    def reset(self) -> None:
        """Off, at 0."""
        self.control = 0
        self._count = 0
        self._since = 0

    @property
    def count(self) -> int:
        """CYCCNT."""
        passed = self._now() - self._since if self.control & _CYCCNTENA else 0
        return (self._count + passed) & _WORD

    def set_count(self, value: int) -> None:
        """Write CYCCNT."""
        self._count, self._since = value & _WORD, self._now()

    def set_control(self, value: int) -> None:
        """Write CTRL."""
        self.set_count(self.count)
        self.control = value & _CYCCNTENA

    def save(self) -> tuple[int, ...]:
        """State without absolute times."""
        return (self.control, self.count)

    def load(self, state: tuple[int, ...]) -> None:
        """Go back to save()."""
        self.control, count = state
        self.set_count(count)
