"""A toy microcontroller in Python with a toy bootloader: small enough to cut everywhere by brute force.

The bootloader copies two staged sectors over the installed ones, with a progress word for each, then says
that it is done. Whatever it made of that, it copies all again when the sum is wrong. `defects` change it in
known ways.
"""

from __future__ import annotations

import hashlib
import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from brownout.board import Board
from brownout.board.model import Controller, Cpu, FlashSettings, Memory
from brownout.elf import ElfImage, Segment
from brownout.engines.unicorn.interface import Stop, StopKind
from brownout.errors import EngineError
from brownout.flash import Erase, Program, Status, seeded_bytes
from brownout.target import AddressRange, HookContext, Outcome, Placed, Target

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from brownout.engines.unicorn.interface import FlashPort
    from brownout.flash import Operation

BASE, SECTOR, SECTORS = 0x10000, 64, 16
CODE, RAM = 0x100, 0x2000
FLAG, INSTALLED, STAGED, PROGRESS, COUNT = 0, 1 * SECTOR, 9 * SECTOR, 7 * SECTOR, 8 * SECTOR
REQUEST, DONE = 0x600DCAFE, 0x0DD0BEEF
MAGIC = 0x5A5A0000

WORDS = SECTOR // 4
ENTRY, APP = 0, 90
# Words of RAM: which sector, which word, how many resets there were, a scratch word.
SECTOR_VAR, WORD_VAR, RESETS_VAR, TRIES_VAR, AGAIN_VAR = range(5)


class PowerLostError(Exception):
    """The port took the power."""


class LockupError(Exception):
    """The toy jumped into nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ToyFactory:
    """Makes toys; `sectors` is how many the upgrade copies."""

    defects: frozenset[str] = frozenset()
    sectors: int = 2

    def __call__(self, target: Target, port: FlashPort, /) -> ToyMachine:
        return ToyMachine(port, self.defects, self.sectors)


@dataclass(slots=True)
class ToyMachine:
    """The machine: a program counter of steps, a few words of RAM, time in halfwords."""

    port: FlashPort
    defects: frozenset[str]
    sectors: int
    time: int = 0
    vtor: int = 0
    pc: int = ENTRY
    ram: list[int] = field(default_factory=lambda: [0] * 8)
    array: bytearray = field(default_factory=bytearray)
    log: list[str] = field(default_factory=list)
    resets: int = 0
    operation_pc: int = 0
    ranges: Sequence[tuple[int, int]] = ()
    power_ons: int = 0
    operations: int = 0
    reads: set[tuple[int, int]] = field(default_factory=set)
    _pausing: bool = False
    _traced: Callable[[int], None] | None = None

    def power_on(self, sectors: Sequence[bytes], *, ram_seed: int) -> None:
        self.array = bytearray(b"".join(sectors))
        self.ram = list(struct.unpack("<8I", seeded_bytes(ram_seed, 32, "toy ram")))
        self.ram[RESETS_VAR] = 0
        self.time = self.resets = 0
        self.log.clear()
        self.reads.clear()
        self.pc, self.vtor = ENTRY, 0
        self.power_ons += 1

    def reset(self) -> None:
        self.pc, self.vtor = ENTRY, 0
        self.resets += 1

    def pause(self) -> None:
        self._pausing = True

    def stop_at(self, ranges: Sequence[tuple[int, int]], markers: Sequence[int] = ()) -> None:
        self.ranges = ranges

    def read(self, address: int, size: int) -> bytes:
        if address >= BASE:
            return bytes(self.array[address - BASE : address - BASE + size])
        return struct.pack("<I", self.ram[(address - RAM) // 4])[:size]

    def output(self, role: str) -> bytes:
        raise EngineError(f"the toy has no UART '{role}'")

    def state_digest(self) -> bytes:
        return hashlib.blake2b(repr((self.pc, self.vtor, self.ram)).encode(), digest_size=16).digest()

    def take_read_ranges(self) -> list[tuple[int, int]]:
        reads, self.reads = sorted(self.reads), set()
        return reads

    def save(self) -> object:
        return (self.time, self.vtor, self.pc, tuple(self.ram), self.resets)

    def load(self, state: object, sectors: Sequence[bytes]) -> None:
        self.time, self.vtor, self.pc, ram, self.resets = state  # type: ignore[misc]
        self.ram = list(ram)
        self.array = bytearray(b"".join(sectors))

    def trace(self, on_instruction: Callable[[int], None] | None) -> None:
        self._traced = on_instruction

    def close(self) -> None:
        pass

    def run(self, budget: int) -> Stop:
        limit = self.time + budget
        while True:
            address = CODE + 4 * self.pc
            if any(start <= address < end for start, end in self.ranges):
                return self._stop(StopKind.ARRIVED)
            if self.time >= limit:
                return self._stop(StopKind.BUDGET)
            if self._traced is not None:
                self._traced(address)
            self.time += 4
            before = self.pc
            try:
                following = _step(self)
            except PowerLostError:
                return self._stop(StopKind.POWER_LOST)
            except LockupError:
                return self._stop(StopKind.LOCKUP, "HardFault in HardFault")
            if following == "reset":
                self.reset()
                self._pausing = False
                return self._stop(StopKind.RESET)
            if following == "fault":
                self.pc = HANDLER
                return Stop(kind=StopKind.FAULT, pc=address, time=self.time, detail="BusFault")
            assert isinstance(following, int)
            self.pc = following
            if self._pausing:
                self._pausing = False
                return self._stop(StopKind.PAUSED)
            if following == before and following in (ENTRY, HANDLER, HANG):
                return self._stop(StopKind.SPIN)

    def _stop(self, kind: StopKind, detail: str = "") -> Stop:
        return Stop(kind=kind, pc=CODE + 4 * self.pc, time=self.time, detail=detail)

    # -- for the program -------------------------------------------------------------------------------

    def word(self, offset: int) -> int:
        self.reads.add((offset, offset + 4))
        return int.from_bytes(self.array[offset : offset + 4], "little")

    def operate(self, operation: Operation) -> Status:
        self.operation_pc = CODE + 4 * self.pc
        self.operations += 1
        result = self.port.operate(operation)
        for offset, data in result.patches:
            self.array[offset : offset + len(data)] = data
        if result.status is None:
            raise PowerLostError
        return result.status

    def program(self, offset: int, value: int) -> Status:
        return self.operate(Program(offset=offset, data=value.to_bytes(4, "little")))


(
    DECIDE,
    NEXT_SECTOR,
    EARLY_PROGRESS,
    ERASE,
    COPY,
    LATE_PROGRESS,
    FINISH,
    VERIFY,
    HANDLER,
    HANG,
    BOOT_COUNT,
    EARLY_DONE,
    FLASH_ERROR,
    SETTLE,
) = range(1, 15)

SYMBOLS = {
    "entry": ENTRY,
    "decide": DECIDE,
    "next_sector": NEXT_SECTOR,
    "early_progress": EARLY_PROGRESS,
    "erase_sector": ERASE,
    "copy_word": COPY,
    "late_progress": LATE_PROGRESS,
    "finish": FINISH,
    "verify": VERIFY,
    "fault_handler": HANDLER,
    "hang": HANG,
    "count_boot": BOOT_COUNT,
    "early_done": EARLY_DONE,
    "flash_error": FLASH_ERROR,
    "settle": SETTLE,
    "app": APP,
}


def _step(m: ToyMachine) -> int | str:  # noqa: C901 - a program
    has = m.defects.__contains__
    ram = m.ram
    if m.pc == ENTRY:
        m.vtor = 0
        if has("spins-at-once"):
            return ENTRY
        if has("locks-up"):
            raise LockupError
        if has("faults"):
            return "fault"
        if has("does-nothing"):
            return APP
        if has("resets-for-ever"):
            return "reset"
        return BOOT_COUNT if has("counts-boots") else DECIDE
    if m.pc == BOOT_COUNT:
        for number in range(WORDS):
            if m.word(COUNT + 4 * number) == 0xFFFFFFFF:
                m.program(COUNT + 4 * number, 0)
                return DECIDE
        return DECIDE
    if m.pc == DECIDE:
        if has("dawdles"):
            # Another time, the same state.
            m.time += 4 * sum(m.word(INSTALLED + 4 * number) & 7 for number in range(WORDS))
        ram[SECTOR_VAR] = ram[WORD_VAR] = ram[TRIES_VAR] = ram[AGAIN_VAR] = 0
        if has("counts-damage") and m.word(FLAG + 4) not in (DONE, 0xFFFFFFFF):
            # Neither done nor not: it notes that at each boot, and leaves it at that.
            free = [at for at in range(COUNT, COUNT + SECTOR, 4) if m.word(at) == 0xFFFFFFFF]
            if free:
                m.program(free[0], 0)
            return VERIFY
        if m.word(FLAG) == REQUEST and m.word(FLAG + 4) != DONE:
            return EARLY_DONE if has("done-first") else NEXT_SECTOR
        return SETTLE
    if m.pc == SETTLE:
        # It may read as done only today: say it again.
        if not has("trusts-done") and m.word(FLAG) == REQUEST:
            m.program(FLAG + 4, DONE)
        return VERIFY
    if m.pc == EARLY_DONE:
        m.program(FLAG + 4, DONE)
        return NEXT_SECTOR
    if m.pc == NEXT_SECTOR:
        sector = ram[SECTOR_VAR]
        if sector >= m.sectors:
            if has("resets-at-end") and not ram[RESETS_VAR]:
                ram[RESETS_VAR] = 1
                return "reset"
            return FINISH
        if m.word(PROGRESS + 4 * sector) == MAGIC + sector and not ram[AGAIN_VAR]:
            ram[SECTOR_VAR] += 1
            return NEXT_SECTOR
        ram[WORD_VAR] = 0
        return EARLY_PROGRESS if has("progress-first") else ERASE
    if m.pc == EARLY_PROGRESS:
        m.program(PROGRESS + 4 * ram[SECTOR_VAR], MAGIC + ram[SECTOR_VAR])
        return ERASE
    if m.pc == ERASE:
        at = INSTALLED + SECTOR * ram[SECTOR_VAR]
        glance = 1 if has("glances") else WORDS if has("skips-blank") else 0
        blank = glance and all(m.word(at + 4 * i) == 0xFFFFFFFF for i in range(glance))
        if has("never-erases") or blank:
            return COPY
        status = m.operate(Erase(offset=at, length=SECTOR))
        return COPY if status is Status.OK else FLASH_ERROR
    if m.pc == COPY:
        at = SECTOR * ram[SECTOR_VAR] + 4 * ram[WORD_VAR]
        status = m.program(INSTALLED + at, m.word(STAGED + at))
        if status is not Status.OK:
            return FLASH_ERROR
        ram[WORD_VAR] += 1
        if ram[WORD_VAR] < WORDS:
            return COPY
        if not has("no-read-back"):
            base = SECTOR * ram[SECTOR_VAR]
            m.reads.update((start + base, start + base + SECTOR) for start in (INSTALLED, STAGED))
            if (
                m.array[INSTALLED + base : INSTALLED + base + SECTOR]
                != m.array[STAGED + base : STAGED + base + SECTOR]
            ):
                return FLASH_ERROR
        if has("progress-first"):
            ram[SECTOR_VAR] += 1
            return NEXT_SECTOR
        return LATE_PROGRESS
    if m.pc == LATE_PROGRESS:
        m.program(PROGRESS + 4 * ram[SECTOR_VAR], MAGIC + ram[SECTOR_VAR])
        ram[SECTOR_VAR] += 1
        return NEXT_SECTOR
    if m.pc == FLASH_ERROR:
        # Try the sector again, three times.
        ram[TRIES_VAR] += 1
        ram[WORD_VAR] = 0
        return ERASE if ram[TRIES_VAR] < 3 else HANG
    if m.pc == FINISH:
        if has("bypasses"):
            m.array[COUNT] = 0
            m.log.append("store past the controller")
        m.program(FLAG + 4, DONE)
        return VERIFY
    if m.pc == VERIFY:
        m.time += 20
        total = sum(m.word(INSTALLED + 4 * i) for i in range(m.sectors * WORDS - 1)) & 0xFFFFFFFF
        if total != m.word(INSTALLED + 4 * (m.sectors * WORDS - 1)) and not has("never-verifies"):
            ram[AGAIN_VAR] += 1
            ram[SECTOR_VAR] = 0
            return HANG if has("never-again") or ram[AGAIN_VAR] > 2 else NEXT_SECTOR
        m.vtor = BASE + INSTALLED
        return APP
    if m.pc == HANDLER:
        return HANDLER
    return HANG


def image(seed: int, sectors: int) -> bytes:
    """An installable image whose last word is the sum of the others."""
    body = seeded_bytes(seed, sectors * SECTOR - 4, "image")
    total = sum(struct.unpack(f"<{len(body) // 4}I", body)) & 0xFFFFFFFF
    return body + total.to_bytes(4, "little")


def settled(context: HookContext) -> str | None:
    """A hook that looks at the flash: DONE must have been said."""
    word = int.from_bytes(context.flash[FLAG + 4 : FLAG + 8], "little")
    return None if word == DONE else f"not done: {word:#x}"


def toy_target(
    *,
    sectors: int = 2,
    hooks: Mapping[str, Callable[[HookContext], str | None]] | None = None,
    rules: frozenset[str] = frozenset(),
    budget: int = 4000,
    clean_boots: int = 2,
    seed: int = 7,
    write_once: bool = False,
    mixed_is_fine: bool = False,
) -> Target:
    """A target whose upgrade copies so many sectors."""
    old, new = image(1, sectors), image(2, sectors)
    flash = FlashSettings(
        base=BASE,
        size=SECTOR * SECTORS,
        sector_size=SECTOR,
        write_unit=4,
        program_buffer=8,
        controller=Controller(kind="toy", base=0x5000),
        write_once=write_once,
    )
    board = Board(
        schema=1,
        name="toy",
        cpu=Cpu(core="cortex-m3", clock_hz=1_000_000, interrupts=1),
        memory={"ram": Memory(base=RAM, size=0x20, kind="ram")},
        flash=flash,
    )
    request = REQUEST.to_bytes(4, "little")
    app = AddressRange(start=CODE + 4 * APP, end=CODE + 4 * APP + 4)
    installed = BASE + INSTALLED

    def outcome(name: str, *placed: Placed) -> Outcome:
        return Outcome(name=name, pc=app, marker={}, vector_table=installed, flash=placed, memory={})

    outcomes = [
        outcome("new", Placed(address=installed, data=new, source="new.bin")),
        outcome("old", Placed(address=installed, data=old, source="old.bin")),
    ]
    if mixed_is_fine:
        outcomes.append(outcome("any"))
    elf = ElfImage(
        path=Path("toy.elf"),
        entry=CODE,
        segments=(Segment(address=CODE, data=b"toy"),),
        symbols={name: CODE + 4 * index for name, index in SYMBOLS.items()},
        sections={},
    )
    return Target(
        path=Path("toy.toml"),
        name="toy",
        board=board,
        elf=elf,
        placed=(
            Placed(address=BASE + FLAG, data=request, source="flag"),
            Placed(address=installed, data=old, source="old.bin"),
            Placed(address=BASE + STAGED, data=new, source="new.bin"),
        ),
        region_names={
            "flag": AddressRange(start=FLAG, end=FLAG + SECTOR),
            "installed": AddressRange(start=INSTALLED, end=INSTALLED + 6 * SECTOR),
            "progress": AddressRange(start=PROGRESS, end=PROGRESS + SECTOR),
            "staged": AddressRange(start=STAGED, end=STAGED + 6 * SECTOR),
        },
        boot_budget=budget,
        clean_boots=clean_boots,
        outcomes=outcomes,
        expected="new",
        hooks=dict(hooks or {}),
        rules=rules,
        state_of=None,
        seed=seed,
    )


class DyingFactory:
    """Makes toys here; those in a worker end the process when they have had so many power-ons."""

    def __init__(self, power_ons: int = 0) -> None:
        self._home = os.getpid()
        self._power_ons = power_ons

    def __call__(self, target, port, /):
        if os.getpid() == self._home:
            return ToyFactory()(target, port)
        return DyingToy(port, frozenset(), 2, dies_at=self._power_ons)


@dataclass(slots=True)
class DyingToy(ToyMachine):
    """Ends its process."""

    dies_at: int = 0

    def power_on(self, sectors: Sequence[bytes], *, ram_seed: int) -> None:
        if self.power_ons >= self.dies_at:
            os._exit(3)
        ToyMachine.power_on(self, sectors, ram_seed=ram_seed)
