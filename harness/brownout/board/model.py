"""What a board.toml says, as values. Addresses and sizes are in bytes."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - brownout.settings resolves the annotations at run time
from dataclasses import dataclass, field
from typing import Literal


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
    """The flash controller: addresses of its command block and its doorbell register."""

    kind: Literal["reference"]
    command_block: int
    doorbell: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashSettings:
    """Geometry and behaviour of the flash array."""

    base: int
    size: int
    sector_size: int
    write_unit: int
    program_buffer: int
    controller: Controller
    regions: Mapping[str, Region]
    erased_value: int = 0xFF
    write_once: bool = False

    @property
    def end(self) -> int:
        """First address after the array."""
        return self.base + self.size


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
class Engines:
    """Settings of the engines that can run the board."""

    qemu: QemuSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """A board. Load it with load_board(), which checks it too."""

    schema: Literal[1]
    name: str
    cpu: Cpu
    memory: Mapping[str, Memory]
    flash: FlashSettings
    uart: Mapping[str, Uart]
    description: str = ""
    modules: Mapping[str, Module] = field(default_factory=dict)
    engine: Engines = field(default_factory=Engines)
