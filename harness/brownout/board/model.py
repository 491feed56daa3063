"""What a board.toml says, as values. Addresses and sizes are in bytes."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - brownout.settings resolves the annotations at run time
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Cpu:
    """The processor. `clock_hz` in Hz; `interrupts` counts external interrupt lines."""

    core: str
    clock_hz: int
    interrupts: int
    mpu_regions: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """A RAM or ROM range outside the modelled flash."""

    base: int
    size: int
    kind: Literal["ram", "rom"]

    @property
    def end(self) -> int:
        """First address after the range."""
        return self.base + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """A part of the flash array; `offset` counts from the array's first byte."""

    offset: int
    size: int

    @property
    def end(self) -> int:
        """First offset after the region."""
        return self.offset + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class Controller:
    """The flash controller.

    `kind` "reference" has a command block and a doorbell (firmware/SPEC.md, section 10). Every other kind
    is a block of `size` bytes of registers at `base`, is run by the in-process engine, and may have an
    interrupt line and settings of its own.
    """

    kind: str
    command_block: int = 0
    doorbell: int = 0
    base: int = 0
    size: int = 0x400
    irq: int | None = None
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """First address after the registers."""
        return self.base + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class PeripheralSettings:
    """Registers that the in-process engine models; `kind` is the class, `options` are its settings."""

    kind: str
    base: int
    size: int = 0x1000
    irq: int | None = None
    options: Mapping[str, int] = field(default_factory=dict)

    @property
    def end(self) -> int:
        """First address after the registers."""
        return self.base + self.size


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashSettings:
    """Geometry and behaviour of the flash array.

    Erase sectors are all of `sector_size`, or `sectors` lists (count, size) runs from the first sector on and
    `sector_size` is 0. `max_programs` limits the programs of a word between two erases (0: no limit).
    """

    base: int
    size: int
    write_unit: int
    program_buffer: int
    controller: Controller
    regions: Mapping[str, Region] = field(default_factory=dict)
    sector_size: int = 0
    sectors: tuple[tuple[int, ...], ...] = ()
    erased_value: int = 0xFF
    write_once: bool = False
    max_programs: int = 0

    @property
    def end(self) -> int:
        """First address after the array."""
        return self.base + self.size

    @property
    def sector_runs(self) -> tuple[tuple[int, int], ...]:
        """(count, bytes) runs of the array's erase sectors."""
        if self.sectors:
            return tuple((run[0], run[1]) for run in self.sectors)
        return ((self.size // self.sector_size, self.sector_size),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Uart:
    """A UART by role. `index` is its number on the board (QEMU: the position of its -serial option)."""

    base: int
    index: int
    rx_irq: int
    tx_irq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """A software module of the reference layout (firmware/SPEC.md): where it is installed and staged."""

    id: int
    kind: int
    region: str
    staged_region: str


@dataclass(frozen=True, slots=True, kw_only=True)
class QemuSettings:
    """How QEMU emulates the board. The machine's memory backend holds flash array and command block."""

    machine: str
    flash_backend: Literal["machine"]
    backend_base: int
    backend_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class UnicornSettings:
    """How the in-process engine fills in what the board file does not describe.

    `unmapped_read` is what a read of an address with nothing behind it gives; `vector_table` is where the
    core reads its first stack pointer and its reset vector when the target does not say otherwise (None:
    start of the flash).
    """

    unmapped_read: int = 0
    vector_table: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenodeSettings:
    """How Renode emulates the board: a platform is generated from the rest of the board file.

    `uart` is Renode's class for every UART that has a role; `mips` is how many million instructions the
    processor executes in a second of virtual time.
    """

    uart: str
    mips: int = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class RenodeScript:
    """Somebody's own machine that Renode emulates the board with (docs/renode.md, "Your own scripts").

    `path` is a monitor script (.resc) or a platform description (.repl). The rest are names in the machine:
    the flash array, the peripheral at the flash controller's doorbell, the core, UARTs by role.
    """

    path: Path
    flash: str = "flash"
    doorbell: str = "flash_doorbell"
    cpu: str = "cpu"
    uarts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Engines:
    """Settings of the engines that can run the board."""

    qemu: QemuSettings | None = None
    unicorn: UnicornSettings | None = None
    renode: RenodeSettings | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the engines that can run the board."""
        return tuple(item.name for item in fields(self) if getattr(self, item.name) is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board. Load it with load_board(), which checks it too."""

    schema: Literal[1]
    name: str
    cpu: Cpu
    memory: Mapping[str, Memory]
    flash: FlashSettings
    uart: Mapping[str, Uart] = field(default_factory=dict)
    description: str = ""
    modules: Mapping[str, Module] = field(default_factory=dict)
    peripheral: Mapping[str, PeripheralSettings] = field(default_factory=dict)
    engine: Engines = field(default_factory=Engines)
