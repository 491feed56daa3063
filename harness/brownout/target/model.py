"""What a target file says, as values: a bootloader, what lies in its flash, and what a good boot is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from brownout.board import Board, RenodeScript
    from brownout.elf import ElfImage
    from brownout.flash import OperationLog


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Bytes at an address of the processor's address space; `source` names them in messages."""

    address: int
    data: bytes
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressRange:
    """Addresses from `start` up to, not including, `end`."""

    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One way in which a boot may end well. What is empty or None is not asked for.

    Args:
        name: in results, such as "old" or "new".
        pc: the boot has arrived when the processor is about to execute an address in here.
        marker: the boot has arrived when these words (address -> value) are in memory and one was just
            stored.
        vector_table: VTOR at arrival.
        flash: ranges of the array that must read so.
        memory: words of RAM that must read so at arrival (address -> value).
    """

    name: str
    pc: AddressRange | None = None
    marker: Mapping[int, int]
    vector_table: int | None = None
    flash: Sequence[Placed]
    memory: Mapping[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class HookContext:
    """What an invariant may look at after the last clean boot of a recovery.

    `flash` is the whole array, `before` what it was before the upgrade; `log` has every flash operation
    of the run with its cuts, `outcomes` the names of the outcomes of the clean boots, in order.
    `surroundings` is what the [live] function returned, None for a board that runs alone.
    """

    target: Target
    flash: bytes
    before: bytes
    log: OperationLog
    outcomes: Sequence[str]
    surroundings: object = None


class Hook(Protocol):
    """An extra invariant: raises AssertionError or returns a message when broken, None when it holds."""

    def __call__(self, context: HookContext, /) -> str | None:
        """Look, do not touch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target file, loaded and checked (brownout.target.load_target).

    Args:
        path: the file.
        board: what it runs on.
        elf: the bootloader, None when images alone make the device.
        placed: what lies in flash and ROM at first, the ELF's segments included, in order.
        region_names: parts of the array by name, for reports (offset from the array's start).
        boot_budget: virtual time (halfwords of code executed) that one power-on may take to arrive.
        clean_boots: boots in a row that must end in the same outcome with the same flash, at least 1.
        outcomes: ways to end well; `expected` names the one in which the run without a cut must end.
        hooks: extra invariants by name.
        rules: flash rules whose violation is a finding (brownout.sweep.rules has the names).
        state_of: names the state of the upgrade protocol, for coverage; None when the file has no such hook.
        seed: default seed.
        vector_table: where the core reads its first stack pointer and reset vector; None: as the board says.
        renode: the machine of the user's own that Renode runs it on, None for the one made from the board.
        live: what the board is connected to, None for one that runs alone. Only brownout.live can run it.
    """

    path: Path
    name: str
    board: Board
    elf: ElfImage | None
    placed: Sequence[Placed]
    region_names: Mapping[str, AddressRange]
    boot_budget: int
    clean_boots: int
    outcomes: Sequence[Outcome]
    expected: str
    hooks: Mapping[str, Hook]
    rules: frozenset[str]
    state_of: StateReader | None
    seed: int
    vector_table: int | None = None
    renode: RenodeScript | None = None
    live: LiveSettings | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveSettings:
    """A target beside its surroundings.

    `name` is the function's, `surroundings` makes what brownout.live.Surroundings describes; `states` of the
    upgrade protocol to cut in, none for all.
    """

    name: str
    surroundings: SurroundingsMaker
    states: frozenset[str]


class SurroundingsMaker(Protocol):
    """Makes what the board is connected to, not yet started."""

    def __call__(self, target: Target, /) -> object:
        """Raises TargetError."""


class StateReader(Protocol):
    """Names the state of the upgrade protocol that a flash array is in, such as "idle" or "copying"."""

    def __call__(self, flash: bytes, /) -> str:
        """Look at the whole array."""
