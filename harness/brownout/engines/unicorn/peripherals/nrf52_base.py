"""What peripherals of the nRF52 have in common: tasks, events, interrupts (nRF52840 PS v1.7, section 6.1)."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.registers import WORD, WordRegisters, numbered

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

_TASKS_END: Final = 0x80
_EVENTS: Final = 0x100
_EVENTS_END: Final = 0x180
INTEN: Final = 0x300
INTENSET: Final = 0x304
INTENCLR: Final = 0x308
SHORTS: Final = 0x200


class StoreGate(ABC):
    """What decides whether stores into flash and UICR are carried out: the NVMC."""

    @abstractmethod
    def check_store(self, offset: int, lanes: int) -> bool:
        """Whether a store at `offset` of the bits in `lanes` is carried out. Raises AccessFaultError."""


class EventRouter(ABC):
    """What carries events to tasks: the PPI."""

    @abstractmethod
    def join(self, base: int, peripheral: NordicPeripheral) -> None:
        """The peripheral at `base` takes part."""

    @abstractmethod
    def signal(self, address: int) -> None:
        """The event register at `address` was set by its peripheral."""

    @abstractmethod
    def routes(self, address: int) -> bool:
        """Whether an enabled channel listens to the event register at `address`."""


class NordicPeripheral(WordRegisters):
    """Tasks at 0x000, events at 0x100, SHORTS, INTEN; every other register stores.

    An event register that is 1 with its INTEN bit set drives the interrupt line. A subclass implements
    task() and may treat registers of its own in read_register() and write_register().
    """

    def __init__(
        self, bus: Bus, settings: PeripheralSettings, *, resets: Mapping[int, int] | None = None
    ) -> None:
        """`resets` are reset values of registers after the event block, where they are not 0."""
        self._bus = bus
        self._settings = settings
        self._resets = dict(resets or {})
        self._values: dict[int, int] = {}
        self._events = 0
        self._inten = 0
        self._level = False
        self._router: EventRouter | None = None

    # -- for subclasses --------------------------------------------------------------------------------

    def task(self, number: int) -> None:
        """A task register (offset / 4) was written with 1."""

    def before_access(self) -> None:
        """Called before each access: bring events up to date."""

    def after_write(self) -> None:
        """Called after each store, whatever it was to."""

    def read_register(self, offset: int) -> int:
        """Value of a register after the event block."""
        return self.peek(offset)

    def write_register(self, offset: int, value: int, lanes: int) -> None:
        """A store to a register after the event block."""
        self.poke(offset, (self.peek(offset) & ~lanes) | value)

    def event(self, number: int) -> None:
        """Set the event register at 0x100 + 4 * `number`; the PPI carries it on."""
        self._events |= 1 << number
        self._update_irq()
        if self._router is not None:
            self._router.signal(self._settings.base + _EVENTS + 4 * number)

    def awaited(self, number: int) -> bool:
        """Whether anything but a look at its register waits for an event: an interrupt or a PPI channel."""
        if self._inten >> number & 1:
            return True
        return self._router is not None and self._router.routes(self._settings.base + _EVENTS + 4 * number)

    def peek(self, offset: int) -> int:
        """What a register holds."""
        return self._values.get(offset, self._resets.get(offset, 0))

    def poke(self, offset: int, value: int) -> None:
        """Change what a register holds."""
        self._values[offset] = value & WORD

    @property
    def enabled_interrupts(self) -> int:
        """INTEN: a bit for each event number."""
        return self._inten

    # -- the bus's side --------------------------------------------------------------------------------

    def trigger(self, number: int) -> None:
        """The PPI starts a task."""
        self.task(number)
        self._update_irq()
        self.after_write()

    def reset(self) -> None:
        """Reset values."""
        self._values = {}
        self._events = 0
        self._inten = 0
        self._update_irq()
        if self._router is None:
            self._router = self._bus.find(EventRouter)  # type: ignore[type-abstract]  # it makes none
            if self._router is not None:
                self._router.join(self._settings.base, self)

    def read_word(self, offset: int) -> int:
        """Value of a register; tasks read 0."""
        self.before_access()
        if offset < _TASKS_END:
            return 0
        if _EVENTS <= offset < _EVENTS_END:
            return self._events >> (offset - _EVENTS) // 4 & 1
        if offset in (INTEN, INTENSET, INTENCLR):
            return self._inten
        return self.read_register(offset)

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """A store."""
        self.before_access()
        if offset < _TASKS_END:
            if value & 1:
                self.task(offset // 4)
        elif _EVENTS <= offset < _EVENTS_END:
            bit = 1 << (offset - _EVENTS) // 4
            self._events = self._events | bit if value & 1 else self._events & ~bit
        elif offset == INTEN:
            self._inten = value
        elif offset == INTENSET:
            self._inten |= value
        elif offset == INTENCLR:
            self._inten &= ~value
        else:
            self.write_register(offset, value, lanes)
        self._update_irq()
        self.after_write()

    def save(self) -> object:
        """Registers, events, interrupt enables, what extra_state() adds; brings nothing up to date."""
        return (tuple(sorted(self._values.items())), self._events, self._inten, self.extra_state())

    def load(self, state: object) -> None:
        """Go back to a value of save()."""
        assert isinstance(state, tuple)  # noqa: S101 - narrows what save() made
        values, self._events, self._inten, extra = state
        self._values = dict(values)
        self.load_extra_state(extra)
        self._level = bool(self._events & self._inten)
        self.after_write()

    def extra_state(self) -> tuple[int, ...]:
        """State of a subclass."""
        return ()

    def load_extra_state(self, state: tuple[int, ...]) -> None:
        """Go back to a value of extra_state()."""

    def _update_irq(self) -> None:
        level = bool(self._events & self._inten)
        if level != self._level and self._settings.irq is not None:
            self._bus.set_irq(self._settings.irq, level)
        self._level = level


class NordicStorage(NordicPeripheral):
    """Kind "nrf52-storage": tasks do nothing and registers store (PPI, MWU, GPIOTE, SPIM...).

    Options: `set_<offset>` = offset of the register that is set through it, `clear_<offset>` likewise
    (offsets in hex in the name); `at_<offset>` = value after a reset.
    """

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings, resets=numbered(settings.options, "at_"))
        self._setters = numbered(settings.options, "set_")
        self._clearers = numbered(settings.options, "clear_")

    def read_register(self, offset: int) -> int:
        """Set and clear registers read as what they change."""
        return self.peek(self._setters.get(offset, self._clearers.get(offset, offset)))

    def write_register(self, offset: int, value: int, lanes: int) -> None:
        """A store, to the register itself or through its set or clear register."""
        if offset in self._setters:
            self.poke(self._setters[offset], self.peek(self._setters[offset]) | value)
        elif offset in self._clearers:
            self.poke(self._clearers[offset], self.peek(self._clearers[offset]) & ~value)
        else:
            super().write_register(offset, value, lanes)
