"""A bus without a machine: for the tests of a peripheral or of a flash controller.

    bus = BenchBus(flash=board.flash)
    nvmc = bus.attach(Nvmc(bus, board.flash))
    nvmc.write(Nvmc.CONFIG, 4, 1)
    nvmc.store(0x1000, 4, 0x12345678)
    bus.array[0x1000:0x1004], bus.operations

Flash operations go to a real flash model, time passes when it is told to.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from brownout.engines.controller import geometry_of
from brownout.engines.unicorn.interface import Retaining, Ticking
from brownout.errors import StateError
from brownout.flash import FlashModel, Operation, Phase, Status, Violation, seeded_bytes

if TYPE_CHECKING:
    from brownout.board import FlashSettings
    from brownout.engines.unicorn.interface import Peripheral

_P = TypeVar("_P")
_ATTACHED = TypeVar("_ATTACHED", bound="Peripheral")


class BenchBus:
    """What a peripheral asks for, kept where a test can look at it.

    Attributes: `array` is the flash, `operations` what was asked of it, `irqs` the level of each
    interrupt line, `resets` the system resets asked for, `messages` the log, `ram` what DMA reads and
    writes (by address), `fail` and `cut` are what happens to the next operations.
    """

    def __init__(self, *, flash: FlashSettings | None = None, clock_hz: int = 64_000_000) -> None:
        """With `flash`, operations are carried out by a model of it."""
        self.now = 0
        self.clock_hz = clock_hz
        self.operations: list[Operation] = []
        self.irqs: dict[int, bool] = {}
        self.resets = 0
        self.messages: list[str] = []
        self.ram: dict[int, int] = {}
        self.bypasses: list[tuple[int, bytes]] = []
        self.own_ram: dict[int, bytearray] = {}
        self.fail: Phase | None = None
        self.cut: Phase | None = None
        self._model = None if flash is None else FlashModel(geometry_of(flash), seed=1)
        if self._model is not None:
            self._model.power_on()
        self._attached: list[Peripheral] = []
        self._agenda: list[tuple[int, Ticking, str]] = []

    @property
    def array(self) -> memoryview:
        """What the flash reads. Raises StateError without a flash."""
        return self._require_model().shadow

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Flash rules that were broken. Raises StateError without a flash."""
        return self._require_model().violations

    def attach(self, peripheral: _ATTACHED) -> _ATTACHED:
        """Power a peripheral on; at() and find() know it from now on."""
        self._attached.append(peripheral)
        item: object = peripheral
        if isinstance(item, Retaining):
            item.power_on()
        peripheral.reset()
        return peripheral

    def reset(self) -> None:
        """System reset: what was asked of at() is forgotten, then everything attached is reset."""
        self._agenda.clear()
        for item in self._attached:
            item.reset()

    def advance(self, time: int) -> None:
        """Let virtual time pass; wake who asked for it. A reset that is asked for is counted, not done."""
        end = self.now + time
        while due := [entry for entry in self._agenda if entry[0] <= end]:
            entry = min(due, key=lambda item: item[0])
            self._agenda.remove(entry)
            self.now = max(self.now, entry[0])
            entry[1].tick(entry[2])
        self.now = end

    def at(self, time: int, action: str) -> None:
        """Have the last attached peripheral woken; a bench has one that ticks."""
        for peripheral in reversed(self._attached):
            if isinstance(peripheral, Ticking):
                self._agenda.append((time, peripheral, action))
                return

    def set_irq(self, number: int, level: bool) -> None:
        """Note the level of a line."""
        self.irqs[number] = level

    def read_memory(self, address: int, size: int) -> bytes:
        """Bytes of `ram`, 0 where none was written."""
        return bytes(self.ram.get(address + index, 0) for index in range(size))

    def write_memory(self, address: int, data: bytes) -> None:
        """Bytes into `ram`."""
        self.ram.update({address + index: value for index, value in enumerate(data)})

    def operate(self, operation: Operation) -> Status | None:
        """Give an operation to the flash model, with `fail` or `cut`. Raises StateError without a flash."""
        self.operations.append(operation)
        return self._require_model().apply(operation, fail=self.fail, cut=self.cut).status

    def bypass(self, offset: int, data: bytes) -> None:
        """Note a change of the array past the flash model."""
        self.bypasses.append((offset, data))

    def map_ram(self, address: int, size: int) -> memoryview:
        """RAM of the peripheral's own."""
        self.own_ram[address] = bytearray(size)
        return memoryview(self.own_ram[address])

    def draw(self, size: int, *use: str | int) -> bytes:
        """Seeded bytes."""
        return seeded_bytes(1, size, *use)

    def request_reset(self) -> None:
        """Count it."""
        self.resets += 1

    def log(self, message: str) -> None:
        """Keep each message once."""
        if message not in self.messages:
            self.messages.append(message)

    def find(self, kind: type[_P]) -> _P | None:
        """An attached peripheral of a class."""
        return next((item for item in self._attached if isinstance(item, kind)), None)

    def _require_model(self) -> FlashModel:
        if self._model is None:
            raise StateError("bench bus: it has no flash; give BenchBus a board's flash settings")
        return self._model
