"""System peripherals of the nRF52840 (PS v1.7): FICR, UICR, CLOCK and POWER, WDT, RNG, TEMP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.nrf52_base import SHORTS, NordicPeripheral, StoreGate
from brownout.engines.unicorn.peripherals.nrf52_timers import LFCLK_HZ
from brownout.engines.unicorn.peripherals.registers import (
    WORD,
    Register,
    StorageBlock,
    WordRegisters,
    numbered,
)
from brownout.engines.unicorn.peripherals.virtual_counter import VirtualCounter
from brownout.flash import seeded_bytes

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus


class Ficr(StorageBlock):
    """Kind "nrf52-ficr": factory information (section 4.4), constant; what is not listed reads all ones.

    Options: `device_id` and `device_address` (64-bit numbers), `at_<offset in hex>` for any register.
    """

    _CONSTANT: Final = {
        0x010: 0x1000,  # CODEPAGESIZE
        0x014: 0x100,  # CODESIZE, pages
        0x0A0: 1,  # DEVICEADDRTYPE: random
        0x100: 0x52840,  # INFO.PART
        0x104: 0x4141_4430,  # INFO.VARIANT: AAD0
        0x108: 0x2004,  # INFO.PACKAGE: QI
        0x10C: 0x100,  # INFO.RAM, KiB
        0x110: 0x400,  # INFO.FLASH, KiB
        # Not in the PS: Nordic's start-up code tells the chip (8: nRF52840) and its revision from these.
        0x130: 8,
        0x134: 3,
    }

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        options = settings.options
        identity = options.get("device_id", 0x0123_4567_89AB_CDEF)
        address = options.get("device_address", 0xC0FF_EE00_0001)
        values = self._CONSTANT | {
            0x060: identity & WORD,
            0x064: identity >> 32,
            0x0A4: address & WORD,
            0x0A8: 0xFFFF_0000 | address >> 32,
        }
        values |= numbered(options, "at_")
        table = {offset: Register(reset=value, writable=0) for offset, value in values.items()}
        super().__init__(bus, settings, table=table, default=WORD)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """Stores change nothing."""


class Uicr(WordRegisters):
    """Kind "nrf52-uicr": user information configuration registers (section 4.5).

    Flash that the NVMC programs and erases: a store clears bits while CONFIG is Wen (the controller is
    asked), and ERASEUICR and ERASEALL set all. It is no part of the modelled array: it is not cut, and a
    power-on brings back what the image or the options (`at_<offset in hex>`) put there. It lives through
    system resets.
    """

    SIZE: Final = 0x400

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        self._bus = bus
        self._settings = settings
        self._factory = bytearray(b"\xff" * self.SIZE)
        for offset, value in numbered(settings.options, "at_").items():
            self.preload(offset, value.to_bytes(4, "little"))
        self._value = bytearray(self._factory)

    def preload(self, offset: int, data: bytes) -> None:
        """Put bytes of an image in place, before the first power-on."""
        self._factory[offset : offset + len(data)] = data

    def power_on(self) -> None:
        """Back to what the factory left."""
        self._value = bytearray(self._factory)

    def reset(self) -> None:
        """Nothing changes."""

    def read_word(self, offset: int) -> int:
        """A word; all ones beyond the registers."""
        if offset >= self.SIZE:
            return WORD
        return int.from_bytes(self._value[offset : offset + 4], "little")

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store of the processor: programs the word if the NVMC allows it."""
        gate = self._bus.find(StoreGate)  # type: ignore[type-abstract]  # it makes none
        if gate is not None and not gate.check_store(offset, lanes):
            return
        if offset < self.SIZE:
            self._bus.log("UICR programmed: it is kept over resets, not over a power loss, and is never cut")
            word = self.read_word(offset) & value
            self._value[offset : offset + 4] = word.to_bytes(4, "little")

    def erase(self) -> None:
        """ERASEUICR or ERASEALL."""
        self._value = bytearray(b"\xff" * self.SIZE)

    def save(self) -> object:
        """The content."""
        return bytes(self._value)

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, bytes)  # noqa: S101 - narrows what save() made
        self._value = bytearray(state)


class ClockPower(NordicPeripheral):
    """Kind "nrf52-clock-power": CLOCK and POWER share their registers (sections 5.3 and 5.4).

    Oscillators start at once. GPREGRET, GPREGRET2 and RESETREAS live through a system reset.
    """

    _HFCLKRUN: Final = 0x408
    _HFCLKSTAT: Final = 0x40C
    _LFCLKRUN: Final = 0x414
    _LFCLKSTAT: Final = 0x418
    _LFCLKSRCCOPY: Final = 0x41C
    _RESETREAS: Final = 0x400
    _SYSTEMOFF: Final = 0x500
    _LFCLKSRC: Final = 0x518
    _RETAINED: Final = (0x400, 0x51C, 0x520)
    _RUNNING: Final = 1 << 16
    _RAM: Final = 0x900
    _DOG: Final = 1 << 1
    _SREQ: Final = 1 << 2

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        resets = {self._HFCLKSTAT: self._RUNNING, 0x528: 0x10}
        resets |= {self._RAM + 0x10 * bank: 0xFFFF for bank in range(9)}
        super().__init__(bus, settings, resets=resets)
        self._fresh = True
        self._watchdog = False

    def power_on(self) -> None:
        """Forget retained registers; the next reset() is the power-on's."""
        self._values = {}
        self._fresh = True
        self._watchdog = False

    def reset(self) -> None:
        """Keep the retained registers and note the reason."""
        kept = {offset: self.peek(offset) for offset in self._RETAINED}
        if not self._fresh:
            kept[self._RESETREAS] |= self._DOG if self._watchdog else self._SREQ
        self._fresh = False
        self._watchdog = False
        super().reset()
        self._values.update(kept)

    def blame_watchdog(self) -> None:
        """The reset that follows is the watchdog's."""
        self._watchdog = True

    def task(self, number: int) -> None:
        """Start and stop oscillators, calibrate."""
        match number:
            case 0:
                self.poke(self._HFCLKRUN, 1)
                self.poke(self._HFCLKSTAT, self._RUNNING | 1)
                self.event(0)
            case 1:
                self.poke(self._HFCLKRUN, 0)
                self.poke(self._HFCLKSTAT, self._RUNNING)
            case 2:
                source = self.peek(self._LFCLKSRC) & 3
                self.poke(self._LFCLKRUN, 1)
                self.poke(self._LFCLKSRCCOPY, source)
                self.poke(self._LFCLKSTAT, self._RUNNING | source)
                self.event(1)
            case 3:
                self.poke(self._LFCLKRUN, 0)
                self.poke(self._LFCLKSTAT, 0)
            case 4:
                self.event(3)  # DONE
            case 5:
                self.event(10)  # CTSTARTED
            case 6:
                self.event(11)  # CTSTOPPED
            case _:
                pass

    def write_register(self, offset: int, value: int, lanes: int) -> None:
        """RESETREAS is cleared by ones; RAM[n].POWERSET and POWERCLR change POWER."""
        if offset == self._RESETREAS:
            self.poke(offset, self.peek(offset) & ~value)
        elif offset == self._SYSTEMOFF:
            if value & 1:
                self._bus.log("POWER: SYSTEMOFF is not modelled, the processor runs on")
        elif offset >= self._RAM and offset & 0xF in (4, 8):
            power = offset & ~0xF
            old = self.peek(power)
            self.poke(power, old | value if offset & 0xF == 4 else old & ~value)
        elif offset not in (self._HFCLKRUN, self._HFCLKSTAT, self._LFCLKRUN, self._LFCLKSTAT):
            super().write_register(offset, value, lanes)

    def read_register(self, offset: int) -> int:
        """POWERSET and POWERCLR read as POWER."""
        return self.peek(offset & ~0xF if offset >= self._RAM else offset)

    def extra_state(self) -> tuple[int, ...]:
        """Whether a reset is under way."""
        return (int(self._fresh), int(self._watchdog))

    def load_extra_state(self, state: tuple[int, ...]) -> None:
        """Go back to a value of extra_state()."""
        self._fresh, self._watchdog = bool(state[0]), bool(state[1])


class Watchdog(NordicPeripheral):
    """Kind "nrf52-wdt": resets (CRV + 1) / 32768 s after the last reload of all enabled channels (6.36).

    It goes on over a system reset and cannot be stopped. The interrupt two cycles ahead of the reset is
    given as long before it as on the device.
    """

    _RUNSTATUS: Final = 0x400
    _REQSTATUS: Final = 0x404
    _CRV: Final = 0x504
    _RREN: Final = 0x508
    _CONFIG: Final = 0x50C
    _RELOADS: Final = range(0x600, 0x620, 4)
    _MAGIC: Final = 0x6E52_4635
    _GRACE: Final = 2

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings, resets={self._CRV: WORD, self._RREN: 1, self._CONFIG: 1})
        self._counter = VirtualCounter(bus)
        self._counter.set_rate(LFCLK_HZ, bus.clock_hz)
        self._waiting = 0

    def power_on(self) -> None:
        """Stop it."""
        self._counter.reset()
        self._values = {}
        self._waiting = 0

    def reset(self) -> None:
        """Runs on if it was started."""
        kept = self._values if self._counter.running else {}
        super().reset()
        self._values = kept
        if self._counter.running:
            self._plan()

    def task(self, number: int) -> None:
        """START."""
        if number == 0 and not self._counter.running:
            self._counter.set(0)
            self._counter.start()
            self._waiting = self.peek(self._RREN)
            self._plan()

    def read_register(self, offset: int) -> int:
        """RUNSTATUS, REQSTATUS."""
        if offset == self._RUNSTATUS:
            return int(self._counter.running)
        if offset == self._REQSTATUS:
            return self._waiting if self._counter.running else self.peek(self._RREN)
        return 0 if offset in self._RELOADS else super().read_register(offset)

    def write_register(self, offset: int, value: int, lanes: int) -> None:
        """RR[n] reloads; the configuration is fixed once it runs."""
        if offset in self._RELOADS:
            if value == self._MAGIC and self._counter.running:
                self._waiting &= ~(1 << (offset - self._RELOADS.start) // 4)
                if not self._waiting:
                    self._waiting = self.peek(self._RREN)
                    self._counter.set(0)
                    self._plan()
        elif not self._counter.running:
            super().write_register(offset, value, lanes)

    def tick(self, action: str) -> None:
        """Time to warn or to reset, unless it was reloaded since."""
        if not self._counter.running:
            return
        count, limit = self._counter.count, self.peek(self._CRV) + 1
        if action == "warn" and count >= limit - self._GRACE:
            self.event(0)
        elif action == "reset" and count >= limit:
            power = self._bus.find(ClockPower)
            if power is not None:
                power.blame_watchdog()
            self.power_on()
            self._bus.request_reset()

    def extra_state(self) -> tuple[int, ...]:
        """The counter and the channels that have not reloaded."""
        return (self._waiting, *self._counter.save())

    def load_extra_state(self, state: tuple[int, ...]) -> None:
        """Go back to a value of extra_state()."""
        self._waiting = state[0]
        self._counter.load(state[1:])
        if self._counter.running:
            self._plan()

    def _plan(self) -> None:
        limit = self.peek(self._CRV) + 1
        count = self._counter.count
        if count < limit - self._GRACE:
            self._bus.at(self._counter.time_of(limit - self._GRACE), "warn")
        self._bus.at(self._counter.time_of(max(limit, count)), "reset")


class Rng(NordicPeripheral):
    """Kind "nrf52-rng": a byte at once for each look (section 6.19), from option `seed`."""

    _VALUE: Final = 0x508
    _BLOCK: Final = 256

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings)
        self._drawn = 0
        self._running = False

    def power_on(self) -> None:
        """Start the sequence again."""
        self._drawn = 0

    def reset(self) -> None:
        """Stopped."""
        self._running = False
        super().reset()

    def task(self, number: int) -> None:
        """START and STOP."""
        self._running = number == 0
        self._draw()

    def before_access(self) -> None:
        """The next value is there as soon as the last event was cleared."""
        if self._running and not self._events & 1:
            self._draw()

    def extra_state(self) -> tuple[int, ...]:
        """How far it is."""
        return (self._drawn, int(self._running))

    def load_extra_state(self, state: tuple[int, ...]) -> None:
        """Go back to a value of extra_state()."""
        self._drawn, self._running = state[0], bool(state[1])

    def _draw(self) -> None:
        if not self._running:
            return
        block = seeded_bytes(
            self._settings.options.get("seed", 0), self._BLOCK, "rng", self._drawn // self._BLOCK
        )
        self.poke(self._VALUE, block[self._drawn % self._BLOCK])
        self._drawn += 1
        if self.peek(SHORTS) & 1:
            self._running = False
        self.event(0)


class Temp(NordicPeripheral):
    """Kind "nrf52-temp": measures at once (section 6.29); option `quarter_degrees` (default 100: 25 C)."""

    _TEMP: Final = 0x508

    def task(self, number: int) -> None:
        """START."""
        if number == 0:
            self.poke(self._TEMP, self._settings.options.get("quarter_degrees", 100))
            self.event(0)


class Egu(NordicPeripheral):
    """Kind "nrf52-egu": a task sets the event of its number (section 6.8)."""

    def task(self, number: int) -> None:
        """TRIGGER[n]."""
        self.event(number)
