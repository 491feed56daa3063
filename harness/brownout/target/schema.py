"""Tables and keys of a target file (docs/targets.md). Addresses are the processor's, sizes in bytes."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - brownout.settings resolves the annotations at run time
from dataclasses import dataclass, field
from typing import Literal

DEFAULT_BUDGET = 50_000_000
"""Virtual time of one power-on: about half a second of emulation for a boot that never arrives."""

DEFAULT_CLEAN_BOOTS = 3
"""A revert shows on the second boot, a swap that goes back and forth on the third."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageEntry:
    """`[[image]]`: a file at an address or at the start of a region; hex and ELF files know theirs."""

    file: str
    address: int | None = None
    region: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WordEntry:
    """`[[word]]`: 32-bit little-endian words at an address of flash or ROM."""

    address: int
    value: int | None = None
    values: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BootEntry:
    """`[boot]`: how long a boot may take, and how many must agree."""

    budget: int = DEFAULT_BUDGET
    clean_boots: int = DEFAULT_CLEAN_BOOTS
    vector_table: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeEntry:
    """A range of code: by region, by symbol of the ELF, or from `start` up to, not including, `end`."""

    start: int | None = None
    end: int | None = None
    region: str | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MemoryWordEntry:
    """A word of RAM, by address or by symbol of the ELF, and what it must read."""

    value: int
    address: int | None = None
    symbol: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashEntry:
    """A part of the array and what it must read: a file's bytes, words, or what was placed there at first."""

    address: int | None = None
    region: str | None = None
    file: str | None = None
    values: tuple[int, ...] = ()
    unchanged: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeEntry:
    """`[[outcome]]`: one way in which a boot may end well."""

    name: str
    pc: RangeEntry | None = None
    marker: tuple[MemoryWordEntry, ...] = ()
    vector_table: int | None = None
    flash: tuple[FlashEntry, ...] = ()
    memory: tuple[MemoryWordEntry, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionEntry:
    """`[regions.NAME]`: a part of the array, for reports and for `region = ...` elsewhere in the file."""

    address: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class HooksEntry:
    """`[hooks]`: a Python file and the functions of it that the sweep calls."""

    file: str
    invariants: tuple[str, ...] = ()
    state: str | None = None
    images: str | None = None
    files: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenodeEntry:
    """`[engine.renode]`: a script or platform of the user's own, and names in its machine."""

    script: str
    flash: str = "flash"
    doorbell: str = "flash_doorbell"
    cpu: str = "cpu"
    uarts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class EnginesEntry:
    """`[engine]`: how engines run this target where the board's own way is not meant."""

    renode: RenodeEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveEntry:
    """`[live]`: what the board is connected to, on an engine in real time; `states` to cut in, () for all."""

    surroundings: str
    states: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetFile:
    """The whole file."""

    board: str
    schema: Literal[1] = 1
    name: str | None = None
    elf: str | None = None
    expected: str | None = None
    seed: int = 1
    rules: tuple[Literal["sets-bit", "write-once", "too-often", "bad-range", "bypass"], ...] = (
        "sets-bit",
        "write-once",
        "too-often",
        "bad-range",
        "bypass",
    )
    boot: BootEntry = field(default_factory=BootEntry)
    image: tuple[ImageEntry, ...] = ()
    word: tuple[WordEntry, ...] = ()
    outcome: tuple[OutcomeEntry, ...] = ()
    regions: Mapping[str, RegionEntry] = field(default_factory=dict)
    hooks: HooksEntry | None = None
    engine: EnginesEntry = field(default_factory=EnginesEntry)
    live: LiveEntry | None = None
