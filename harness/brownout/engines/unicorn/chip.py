"""The chip without its peripherals: core, memories, system control space, joined in one Uc."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from unicorn import UC_HOOK_MEM_WRITE
from unicorn.unicorn_py3.unicorn import UcError

from brownout.engines.unicorn.bus import WINDOWS
from brownout.engines.unicorn.core import MODELS, XPSR_THUMB, Core
from brownout.engines.unicorn.counter import RUNNING, BlockCounter, add_access_hook
from brownout.engines.unicorn.exceptions import Exceptions
from brownout.engines.unicorn.memory import PAGE, Area, Digest, FlashArea
from brownout.engines.unicorn.stops import Stops
from brownout.engines.unicorn.system import DWT_BASE, DWT_END, SCS_BASE, SCS_END, SystemControl
from brownout.engines.unicorn.traps import Trap, Traps
from brownout.errors import EngineError
from brownout.flash import seeded_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brownout.board import Board
    from brownout.engines.unicorn.bus import Fabric
    from brownout.flash import Geometry

_NOWHERE: Final = 1 << 32
"""Outside of the address space: Unicorn is stopped by hooks alone. Code may branch to any address in it."""
_BRANCH_SELF: Final = 0xE7FE
_BRANCH_IF_MASK, _BRANCH_IF_SELF = 0xF0FF, 0xD0FE
_BLANK: Final = b"\xff"


class Chip:
    """Everything that executes code."""

    def __init__(
        self,
        board: Board,
        geometry: Geometry,
        *,
        vector_table: int,
        native: bool | None,
        fabric: Fabric,
        request_reset: Callable[[], None],
        log: Callable[[str], None],
        store: Callable[[int, int, int], None],
    ) -> None:
        """`store` (offset, size, value) takes stores into the array. Raises EngineError."""
        if board.cpu.core not in MODELS:
            known = ", ".join(MODELS)
            raise EngineError(f"board '{board.name}': cpu.core '{board.cpu.core}' is not one of {known}")
        self._board = board
        self._fabric = fabric
        self._on_array_store = store
        self.core: Final = Core(MODELS[board.cpu.core], load=self.read, store=self.store)
        uc = self.core.uc
        self.counter: Final = BlockCounter(uc, native=native)
        self.system: Final = SystemControl(
            self.core.model,
            interrupts=board.cpu.interrupts,
            mpu_regions=board.cpu.mpu_regions,
            vector_table=vector_table,
            now=lambda: self.counter.time,
            masks=self.core.masks,
            exception=lambda: self.core.exception,
            request_reset=request_reset,
            log=log,
        )
        self.exceptions: Final = Exceptions(self.core, self.system, self.read)
        sizes = [geometry.sector(number).size for number in range(geometry.sector_count)]
        self.flash: Final = FlashArea(uc, self.counter, board.flash.base, sizes)
        self._ram = {
            name: Area(uc, self.counter, memory.base, memory.size, writable=True)
            for name, memory in board.memory.items()
            if memory.kind == "ram"
        }
        self._extra: list[Area] = []
        self._rom: list[Area] = []
        self._areas: list[Area] = [self.flash, *self._ram.values()]
        self.ram_digest: Final = Digest(tuple(self._ram.values()))
        self.traps: Final = Traps(self.core, self.exceptions, self.read, self._judge_store)
        self.stops: Final = Stops(uc, self.counter)
        self._garbage: tuple[int, dict[str, bytes]] | None = None
        self._after_arrival = False

    # -- building --------------------------------------------------------------------------------------

    def add_ram(self, address: int, size: int) -> memoryview:
        """RAM beside the board's, which is no part of save_ram()."""
        area = Area(self.core.uc, self.counter, address, size, writable=True)
        self._extra.append(area)
        self._areas.append(area)
        return memoryview(area.map)

    def connect(self, rom: Sequence[tuple[int, bytes]], *, precise: tuple[int, int]) -> None:
        """Map ROM with its contents, and the bus.

        `precise`: first and last address of registers whose stores must know their own PC. Raises
        EngineError.
        """
        self._map_rom(rom)
        self._fabric.map(SCS_BASE, SCS_END - SCS_BASE, self.system.read, self.system.write)
        self._fabric.map(
            DWT_BASE,
            DWT_END - DWT_BASE,
            lambda offset, _size: self.system.read_dwt(offset),
            lambda offset, _size, value: self.system.write_dwt(offset, value),
        )
        for start, end in (*WINDOWS, *self._fabric.outside()):
            self.core.uc.mmio_map(
                start, end - start, self._fabric.reader(start), None, self._fabric.writer(start), None
            )
        add_access_hook(self.core.uc, UC_HOOK_MEM_WRITE, *precise, native=self.counter.native)
        self.counter.watch_reads()

    def _map_rom(self, rom: Sequence[tuple[int, bytes]]) -> None:
        spans = [(memory.base, memory.end) for memory in self._board.memory.values() if memory.kind == "rom"]
        for address, data in rom:
            if not any(start <= address and address + len(data) <= end for start, end in spans):
                spans.append((address - address % PAGE, -(-(address + len(data)) // PAGE) * PAGE))
        for start, end in _merged(spans):
            for area in self._areas:
                if start < area.end and area.base < end:
                    raise EngineError(
                        f"ROM at {start:#x}..{end - 1:#x}: overlaps the memory at {area.base:#x}; "
                        "give ROM contents outside of RAM and flash only"
                    )
            made = Area(self.core.uc, self.counter, start, end - start, writable=False)
            made.map[: end - start] = _BLANK * (end - start)
            self._rom.append(made)
        self._areas += self._rom
        for address, data in rom:
            area = self._area(address)
            area.map[address - area.base : address - area.base + len(data)] = data

    # -- memory ----------------------------------------------------------------------------------------

    def read(self, address: int, size: int) -> bytes:
        """Memory. Raises LookupError."""
        area = self._area(address)
        if area is self.flash:
            self.counter.touch(address, min(address + size, area.end))
        if address + size <= area.end:
            return area.read(address, size)
        return area.read(address, area.end - address) + self.read(area.end, size - (area.end - address))

    def take_read_ranges(self) -> tuple[tuple[int, int], ...]:
        """Parts (start, end) of the array that were read since the last call."""
        return self.counter.take_touched(self.flash.base, self.flash.end)

    def store(self, address: int, data: bytes) -> None:
        """Change RAM. Raises LookupError."""
        area = self._area(address)
        if area is self.flash or area in self._rom:
            raise LookupError(f"{address:#010x} is not RAM")
        part = data[: area.end - address]
        if len(part) < len(data):
            self.store(area.end, data[len(part) :])
        area.write(address, part)

    def fill_ram(self, seed: int) -> None:
        """Put seeded garbage into all RAM of the board: the same at every power-on with this seed."""
        if self._garbage is None or self._garbage[0] != seed:
            self._garbage = (
                seed,
                {name: seeded_bytes(seed, area.size, "ram", name) for name, area in self._ram.items()},
            )
        for name, area in self._ram.items():
            area.write(area.base, self._garbage[1][name])

    def save_ram(self) -> tuple[bytes, ...]:
        """Contents of all RAM of the board."""
        return tuple(area.read(area.base, area.size) for area in self._ram.values())

    def load_ram(self, contents: Sequence[bytes]) -> None:
        """Go back to save_ram()."""
        for area, content in zip(self._ram.values(), contents, strict=True):
            area.write(area.base, content)

    def _area(self, address: int) -> Area:
        for area in self._areas:
            if area.base <= address < area.end:
                return area
        raise LookupError(f"no memory at {address:#010x}")

    # -- running ---------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin at the reset vector. One that cannot be executed locks the core up."""
        table = self.system.vtor
        self._after_arrival = False
        try:
            stack, entry = self.read(table, 4), int.from_bytes(self.read(table + 4, 4), "little")
        except LookupError:
            self.core.reset(0, 0)
            self.exceptions.lockup = f"no memory at the vector table {table:#010x}"
            return
        self.core.reset(int.from_bytes(stack, "little"), entry & ~1)
        if not entry & 1:
            self.exceptions.lockup = f"reset vector {entry:#010x} at {table + 4:#010x} is not Thumb code"

    def execute(self) -> Trap:
        """Execute code until something happens."""
        core = self.core
        pc = core.pc
        self.traps.clear()
        self.stops.set_out(pc, after_arrival=self._after_arrival)
        error = 0
        try:
            core.uc.emu_start(pc | bool(core.xpsr & XPSR_THUMB), _NOWHERE)
        except UcError as raised:
            error = raised.errno
        self._after_arrival = self.stops.arrived
        return self.traps.classify(error, stopped=self._after_arrival or self.counter.stopped != RUNNING)

    def branches_to_itself(self) -> bool:
        """Whether the next instruction is a branch, conditional or not, to itself."""
        opcode = int.from_bytes(self.read(self.core.pc, 2), "little")
        return opcode == _BRANCH_SELF or opcode & _BRANCH_IF_MASK == _BRANCH_IF_SELF

    def close(self) -> None:
        """Let go of Unicorn; the memories go when nobody looks at them any more."""
        self.core.release()

    def _judge_store(self, address: int, size: int, value: int) -> bool:
        """A store to memory that is not writable; False: not to the array."""
        if address not in self.flash:
            return False
        if address % size == 0:  # Unicorn cuts others into bytes, and comes again with each
            self._on_array_store(address - self.flash.base, size, value)
        return True


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


__all__ = ["Chip"]
