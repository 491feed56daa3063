"""RTC and TIMER of the nRF52840 (PS v1.7, sections 6.20 and 6.30) on virtual time."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.nrf52_base import SHORTS, NordicPeripheral
from brownout.engines.unicorn.peripherals.virtual_counter import VirtualCounter

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

LFCLK_HZ: Final = 32768
_PCLK_HZ: Final = 16_000_000
_CC: Final = 0x540
_COMPARE: Final = 16
"""Number of the first COMPARE event."""


class _Counting(NordicPeripheral):
    """A counter on virtual time that sets COMPARE[n] when it equals CC[n]. Option `channels` (default 4).

    A subclass says how fast the counter runs and how wide it is, and brings events up to date in
    before_access(): `_seen` is the count up to which that is done.
    """

    def __init__(
        self, bus: Bus, settings: PeripheralSettings, *, resets: Mapping[int, int] | None = None
    ) -> None:
        super().__init__(bus, settings, resets=resets)
        self._channels = settings.options.get("channels", 4)
        self._counter = VirtualCounter(bus)
        self._seen = 0
        self._planned = -1
        self._set_rate()

    # -- for subclasses --------------------------------------------------------------------------------

    @property
    @abstractmethod
    def _wrap(self) -> int:
        """Count at which the counter is 0 again."""

    @abstractmethod
    def _set_rate(self) -> None:
        """Let the counter run as PRESCALER says."""

    def _awaited_counts(self, count: int) -> list[int]:
        """The first count after `count` of each event that somebody waits for."""
        return [
            self._next(channel, count)
            for channel in range(self._channels)
            if self.awaited(_COMPARE + channel)
        ]

    def _next(self, channel: int, count: int) -> int:
        """First count after `count` at which the counter equals CC[channel]."""
        distance = (self.peek(_CC + 4 * channel) - count) % self._wrap
        return count + (distance or self._wrap)

    # -- the bus's side --------------------------------------------------------------------------------

    def reset(self) -> None:
        """Stopped, at 0."""
        self._counter.reset()
        self._seen = 0
        self._planned = -1
        super().reset()
        self._set_rate()

    def after_write(self) -> None:
        """Ask to be woken for the next event that somebody waits for."""
        if not self._counter.running:
            return
        counts = self._awaited_counts(self._seen)
        if counts:
            time = self._counter.time_of(min(counts))
            if time != self._planned:
                self._planned = time
                self._bus.at(time, "count")

    def tick(self, action: str) -> None:
        """The time of an event has come."""
        del action
        self._planned = -1
        self.before_access()
        self.after_write()

    def extra_state(self) -> tuple[int, ...]:
        """How many counts have not been looked at, and the counter."""
        return (self._counter.count - self._seen, *self._counter.save())

    def load_extra_state(self, state: tuple[int, ...]) -> None:
        """Go back to a value of extra_state()."""
        self._counter.load(state[1:])
        self._seen = self._counter.count - state[0]
        self._planned = -1


class Rtc(_Counting):
    """Kind "nrf52-rtc": 24-bit counter at 32768 Hz / (PRESCALER + 1). Option `channels` (default 4).

    The low-frequency clock need not be started. An event is generated where EVTEN or INTEN asks for it,
    as on the device.
    """

    _TICK: Final = 0
    _OVRFLW: Final = 1
    _EVTEN: Final = 0x340
    _EVTENSET: Final = 0x344
    _EVTENCLR: Final = 0x348
    _COUNTER: Final = 0x504
    _PRESCALER: Final = 0x508
    _wrap = 1 << 24

    def task(self, number: int) -> None:
        """START, STOP, CLEAR, TRIGOVRFLW."""
        if number == 0:
            self._counter.start()
        elif number == 1:
            self._counter.stop()
        elif number in (2, 3):
            self._counter.set(0 if number == 2 else self._wrap - 16)
            self._seen = self._counter.count

    def before_access(self) -> None:
        """Set the events of all counter values since the last look."""
        old, new = self._seen, self._counter.count
        if new == old:
            return
        self._seen = new
        asked = self._asked()
        if asked >> self._TICK & 1:
            self.event(self._TICK)
        if asked >> self._OVRFLW & 1 and new // self._wrap > old // self._wrap:
            self.event(self._OVRFLW)
        for channel in range(self._channels):
            if asked >> _COMPARE + channel & 1 and self._next(channel, old) <= new:
                self.event(_COMPARE + channel)

    def read_register(self, offset: int) -> int:
        """COUNTER, and EVTEN through its set and clear registers."""
        if offset == self._COUNTER:
            return self._counter.count % self._wrap
        if offset in (self._EVTENSET, self._EVTENCLR):
            return self.peek(self._EVTEN)
        return super().read_register(offset)

    def write_register(self, offset: int, value: int, lanes: int) -> None:
        """PRESCALER is taken while the counter stands."""
        if offset == self._EVTENSET:
            self.poke(self._EVTEN, self.peek(self._EVTEN) | value)
        elif offset == self._EVTENCLR:
            self.poke(self._EVTEN, self.peek(self._EVTEN) & ~value)
        elif offset == self._PRESCALER:
            if not self._counter.running:
                self.poke(offset, value & 0xFFF)
                self._set_rate()
        elif offset != self._COUNTER:
            super().write_register(offset, value, lanes)

    def _asked(self) -> int:
        return self.peek(self._EVTEN) | self.enabled_interrupts

    def _awaited_counts(self, count: int) -> list[int]:
        counts = super()._awaited_counts(count)
        if self.awaited(self._OVRFLW):
            counts.append((count // self._wrap + 1) * self._wrap)
        if self.awaited(self._TICK):
            counts.append(count + 1)
        return counts

    def _set_rate(self) -> None:
        self._counter.set_rate(LFCLK_HZ, self._bus.clock_hz * (self.peek(self._PRESCALER) + 1))


class Timer(_Counting):
    """Kind "nrf52-timer": 16 MHz / 2^PRESCALER in timer mode, counts COUNT tasks in counter mode.

    Option `channels` (default 4, TIMER3 and TIMER4 have 6).
    """

    _MODE: Final = 0x504
    _BITMODE: Final = 0x508
    _PRESCALER: Final = 0x510
    _BITS: Final = (16, 8, 24, 32)
    _CAPTURE: Final = 16
    """Number of the first CAPTURE task."""

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings, resets={self._PRESCALER: 4})

    def task(self, number: int) -> None:
        """START, STOP, COUNT, CLEAR, SHUTDOWN, CAPTURE[n]."""
        if number == 0:
            if not self.peek(self._MODE):
                self._counter.start()
        elif number in (1, 4):
            self._counter.stop()
        elif number == 2:
            if self.peek(self._MODE):
                self._counter.set(self._counter.count + 1)
                self.before_access()
        elif number == 3:
            self._counter.set(0)
            self._seen = 0
        elif self._CAPTURE <= number < self._CAPTURE + self._channels:
            self.poke(_CC + 4 * (number - self._CAPTURE), self._counter.count % self._wrap)

    def before_access(self) -> None:
        """Set the events of all counter values since the last look; SHORTS clear or stop on the way."""
        old, new = self._seen, self._counter.count
        shorts = self.peek(SHORTS)
        while new > old:
            reached = [(self._next(channel, old), channel) for channel in range(self._channels)]
            count = min(reached)[0]
            if count > new:
                break
            hit = [channel for at, channel in reached if at == count]
            for channel in hit:
                self.event(_COMPARE + channel)
            if any(shorts >> channel & 1 for channel in hit):
                # Whole periods that passed unseen all set the same events: one of them stands for all.
                period, rest = count % self._wrap or self._wrap, new - count
                new = rest if rest < period else period + rest % period
                old = 0
                self._counter.set_keeping_part(new)
            else:
                old = count
            if any(shorts >> 8 + channel & 1 for channel in hit):
                self._counter.stop()
                self._counter.set(0 if old == 0 else count)
                new = self._counter.count
                break
        self._seen = new

    def write_register(self, offset: int, value: int, lanes: int) -> None:
        """PRESCALER changes the rate."""
        super().write_register(offset, value, lanes)
        if offset == self._PRESCALER:
            self._set_rate()

    @property
    def _wrap(self) -> int:
        return 1 << self._BITS[self.peek(self._BITMODE) & 3]

    def _set_rate(self) -> None:
        self._counter.set_rate(_PCLK_HZ, self._bus.clock_hz << min(self.peek(self._PRESCALER), 9))
