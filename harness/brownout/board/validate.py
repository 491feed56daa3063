"""Checks that the parts of a board fit together.

A problem is one line that starts with the key it is about.
"""

from __future__ import annotations

import re
from itertools import combinations
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from brownout.board.model import Board, FlashSettings, Memory, Region

REFERENCE = "reference"
"""Kind of the reference flash controller."""

COMMAND_BLOCK_SIZE = 0x130
"""Bytes of the reference controller's command block (firmware/SPEC.md section 10)."""

_ADDRESS_LIMIT = 1 << 32
_BUFFER_SIZE = 256
_ERASED_VALUE = 0xFF
_COUNTED_PROGRAMS = 254
_MPU_MINIMUM = 32
_CORES = ("cortex-m0", "cortex-m0plus", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33")


def board_problems(board: Board) -> tuple[str, ...]:
    """All problems of `board`, none when it is sound."""
    checks: tuple[Callable[[Board], Iterator[str]], ...] = (
        _names,
        _cpu,
        _memory,
        _flash,
        _regions,
        _controller,
        _peripherals,
        _address_overlaps,
        _uarts,
        _modules,
        _qemu,
        _renode,
    )
    return tuple(problem for check in checks for problem in check(board))


def _power_of_two(value: int) -> bool:
    return value > 0 and value & (value - 1) == 0


def _names(board: Board) -> Iterator[str]:
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", board.name):
        yield f"name: '{board.name}' is not 1 to 32 of a-z, 0-9 and '-'"
    tables: tuple[tuple[str, Iterable[str]], ...] = (
        ("memory", board.memory),
        ("flash.regions", board.flash.regions),
        ("uart", board.uart),
        ("modules", board.modules),
        ("peripheral", board.peripheral),
    )
    for table, names in tables:
        for name in names:
            if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
                yield f"{table}.{name}: a name is a-z, then a-z, 0-9 and '_' (it becomes a C macro)"


def _cpu(board: Board) -> Iterator[str]:
    if board.cpu.core not in _CORES:
        yield f"cpu.core: '{board.cpu.core}' is not one of {', '.join(_CORES)}"
    if board.cpu.clock_hz <= 0:
        yield f"cpu.clock_hz: {board.cpu.clock_hz} is not a positive frequency"
    if not 1 <= board.cpu.interrupts <= 496:  # ARMv7-M's limit
        yield f"cpu.interrupts: {board.cpu.interrupts} is not in 1..496"
    if board.cpu.mpu_regions not in (0, 4, 8, 16):
        yield f"cpu.mpu_regions: {board.cpu.mpu_regions} is not 0, 4, 8 or 16"


def _memory(board: Board) -> Iterator[str]:
    for name, memory in board.memory.items():
        yield from _range(f"memory.{name}", memory.base, memory.size, unit=4)
    if board.cpu.mpu_regions:
        for name in ("app_code", "app_data"):
            if name in board.memory:
                yield from _mpu_region(name, board.memory[name])


def _mpu_region(name: str, memory: Memory) -> Iterator[str]:
    if not _power_of_two(memory.size) or memory.size < _MPU_MINIMUM:
        yield f"memory.{name}.size: {memory.size:#x} is not a power of two >= 32, as an MPU region must be"
    elif memory.base % memory.size:
        yield f"memory.{name}.base: {memory.base:#x} is not aligned to the size {memory.size:#x} (MPU region)"


def _range(key: str, base: int, size: int, *, unit: int) -> Iterator[str]:
    if size <= 0 or size % unit:
        yield f"{key}.size: {size:#x} is not a positive multiple of {unit}"
    if base < 0 or base % unit:
        yield f"{key}.base: {base:#x} is not a multiple of {unit}"
    if base >= 0 and size > 0 and base + size > _ADDRESS_LIMIT:
        yield f"{key}: ends at {base + size:#x}, after the 32-bit address space"


def _flash(board: Board) -> Iterator[str]:
    flash = board.flash
    if bool(flash.sector_size) == bool(flash.sectors):
        yield "flash.sector_size: give it for equal sectors or sectors = [[count, size], ...], one of both"
        return
    sizes = (
        *((("sector_size", flash.sector_size),) if flash.sector_size else ()),
        ("write_unit", flash.write_unit),
        ("program_buffer", flash.program_buffer),
    )
    wrong = [
        f"flash.{key}: {value} is not a power of two" for key, value in sizes if not _power_of_two(value)
    ]
    wrong += _sector_runs(flash)
    yield from wrong
    if wrong:
        return
    smallest = min(size for _, size in flash.sectors) if flash.sectors else flash.sector_size
    yield from _range("flash", flash.base, flash.size, unit=smallest)
    if flash.program_buffer < flash.write_unit or flash.program_buffer > smallest:
        yield (
            f"flash.program_buffer: {flash.program_buffer} is not between write_unit ({flash.write_unit}) "
            f"and sector_size ({smallest})"
        )
    if flash.controller.kind == REFERENCE and flash.program_buffer > _BUFFER_SIZE:
        yield f"flash.program_buffer: {flash.program_buffer} is over the controller's {_BUFFER_SIZE} bytes"
    if flash.erased_value != _ERASED_VALUE:
        yield f"flash.erased_value: {flash.erased_value:#x} is not 0xff, the only value that is modelled"
    if not 0 <= flash.max_programs <= _COUNTED_PROGRAMS:
        yield f"flash.max_programs: {flash.max_programs} is not in 0 (no limit)..{_COUNTED_PROGRAMS}"


def _sector_runs(flash: FlashSettings) -> list[str]:
    """What is wrong with flash.sectors."""
    if not flash.sectors:
        return []
    for number, run in enumerate(flash.sectors):
        key = f"flash.sectors.{number}"
        if len(run) != 2:
            return [f"{key}: has {len(run)} numbers, expected [count, size]"]
        if run[0] < 1 or not _power_of_two(run[1]):
            return [f"{key}: [{run[0]}, {run[1]}] is not a positive count and a power of two"]
    total = sum(count * size for count, size in flash.sectors)
    if total != flash.size:
        return [f"flash.sectors: add up to {total:#x} bytes, expected flash.size {flash.size:#x}"]
    return []


def _controller(board: Board) -> Iterator[str]:
    controller = board.flash.controller
    key = "flash.controller"
    if controller.kind == REFERENCE:
        for name, value in (("command_block", controller.command_block), ("doorbell", controller.doorbell)):
            if not value:
                yield f"{key}.{name}: missing; expected an address"
            elif value % 4:
                yield f"{key}.{name}: {value:#x} is not a multiple of 4"
        return
    if not controller.base:
        yield f"{key}.base: missing; expected the address of the registers of '{controller.kind}'"
        return
    yield from _range(key, controller.base, controller.size, unit=4)
    yield from _irq(f"{key}.irq", controller.irq, board)


def _peripherals(board: Board) -> Iterator[str]:
    for name, peripheral in board.peripheral.items():
        key = f"peripheral.{name}"
        yield from _range(key, peripheral.base, peripheral.size, unit=4)
        yield from _irq(f"{key}.irq", peripheral.irq, board)


def _irq(key: str, irq: int | None, board: Board) -> Iterator[str]:
    if irq is not None and not 0 <= irq < board.cpu.interrupts:
        yield f"{key}: {irq} is not in 0..{board.cpu.interrupts - 1}"


def _regions(board: Board) -> Iterator[str]:
    flash = board.flash
    if _sector_runs(flash) or not (flash.sectors or flash.sector_size > 0):
        return
    for name, region in flash.regions.items():
        key = f"flash.regions.{name}"
        if flash.sectors:
            yield from _region_of_unequal(key, region, flash)
        else:
            if region.offset < 0 or region.offset % flash.sector_size:
                size = flash.sector_size
                yield f"{key}.offset: {region.offset:#x} is not a multiple of sector_size {size:#x}"
            if region.size <= 0 or region.size % flash.sector_size:
                yield f"{key}.size: {region.size:#x} is not a positive multiple of {flash.sector_size:#x}"
        if region.end > flash.size:
            yield f"{key}: ends at {region.end:#x}, outside the array of {flash.size:#x} bytes"
    spans = {f"flash.regions.{name}": (region.offset, region.end) for name, region in flash.regions.items()}
    yield from _overlaps(spans)


def _region_of_unequal(key: str, region: Region, flash: FlashSettings) -> Iterator[str]:
    starts = {0}
    for count, size in flash.sectors:
        first = max(starts)
        starts.update(range(first + size, first + count * size + 1, size))
    if region.offset not in starts:
        yield f"{key}.offset: {region.offset:#x} is not where a sector of flash.sectors starts"
    if region.size <= 0 or (region.end not in starts and region.end <= flash.size):
        yield f"{key}.size: {region.size:#x} does not end where a sector of flash.sectors ends"


def _overlaps(spans: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    for (one, (start, end)), (other, (other_start, other_end)) in combinations(spans.items(), 2):
        low, high = max(start, other_start), min(end, other_end)
        if low < high:
            yield f"{other}: overlaps {one} at {low:#x}..{high - 1:#x}"


def _address_overlaps(board: Board) -> Iterator[str]:
    spans = {f"memory.{name}": (memory.base, memory.end) for name, memory in board.memory.items()}
    spans["flash"] = (board.flash.base, board.flash.end)
    controller = board.flash.controller
    if controller.kind == REFERENCE:
        block = controller.command_block
        spans["flash.controller.command_block"] = (block, block + COMMAND_BLOCK_SIZE)
    else:
        spans["flash.controller"] = (controller.base, controller.end)
    for name, peripheral in board.peripheral.items():
        spans[f"peripheral.{name}"] = (peripheral.base, peripheral.end)
    # The reference controller's doorbell may be a register of a peripheral: a UART's data register.
    yield from _overlaps(spans)
    if controller.kind == REFERENCE:
        doorbell = (controller.doorbell, controller.doorbell + 4)
        others = {key: span for key, span in spans.items() if not key.startswith("peripheral.")}
        for key, span in others.items():
            yield from _overlaps({key: span, "flash.controller.doorbell": doorbell})


def _uarts(board: Board) -> Iterator[str]:
    seen: dict[tuple[str, int], str] = {}
    for name, uart in board.uart.items():
        values = (("base", uart.base), ("index", uart.index), ("irq", uart.rx_irq), ("irq", uart.tx_irq))
        for kind, value in values:
            owner = seen.setdefault((kind, value), name)
            if owner != name:
                yield f"uart.{name}: {kind} {value:#x} is already taken by uart.{owner}"
        if uart.index < 0:
            yield f"uart.{name}.index: {uart.index} is negative"
        for key, irq in (("rx_irq", uart.rx_irq), ("tx_irq", uart.tx_irq)):
            if not 0 <= irq < board.cpu.interrupts:
                yield f"uart.{name}.{key}: {irq} is not in 0..{board.cpu.interrupts - 1}"


def _modules(board: Board) -> Iterator[str]:
    seen: dict[int, str] = {}
    regions = board.flash.regions
    for name, module in board.modules.items():
        owner = seen.setdefault(module.id, name)
        if owner != name:
            yield f"modules.{name}.id: {module.id} is already taken by modules.{owner}"
        if not 1 <= module.id <= 31:  # a bit in a 32-bit mask; 0 is the boot ROM
            yield f"modules.{name}.id: {module.id} is not in 1..31"
        if module.kind not in (1, 2, 3):
            yield f"modules.{name}.kind: {module.kind} is not 1 (in place), 2 (copied to RAM) or 3 (data)"
        for key, region in (("region", module.region), ("staged_region", module.staged_region)):
            if region not in regions:
                yield f"modules.{name}.{key}: no flash region '{region}'; known: {', '.join(regions)}"
        if module.region in regions and module.staged_region in regions:
            yield from _staging(name, board.flash, module.region, module.staged_region)


def _staging(name: str, flash: FlashSettings, region: str, staged: str) -> Iterator[str]:
    if region == staged:
        yield f"modules.{name}.staged_region: is the installed region '{region}' itself"
    elif flash.regions[region].size != flash.regions[staged].size:
        yield (
            f"modules.{name}.staged_region: '{staged}' has {flash.regions[staged].size:#x} bytes, "
            f"'{region}' has {flash.regions[region].size:#x}"
        )


def _qemu(board: Board) -> Iterator[str]:
    qemu = board.engine.qemu
    if qemu is None:
        return
    if board.flash.controller.kind != REFERENCE:
        yield f"engine.qemu: runs flash controller '{REFERENCE}' only, not '{board.flash.controller.kind}'"
        return
    end = qemu.backend_base + qemu.backend_size
    inside = (
        ("flash", board.flash.base, board.flash.end),
        (
            "flash.controller.command_block",
            board.flash.controller.command_block,
            board.flash.controller.command_block + COMMAND_BLOCK_SIZE,
        ),
    )
    for key, first, last in inside:
        if first < qemu.backend_base or last > end:
            yield f"{key}: {first:#x}..{last - 1:#x} is outside engine.qemu's backend_base..+backend_size"
    if "console" not in board.uart:
        yield "uart.console: missing; the harness reads the device's console from it"
    if "doorbell" not in board.uart:
        yield "uart.doorbell: missing; QEMU's flash controller is started through it"
    elif board.uart["doorbell"].base != board.flash.controller.doorbell:
        yield (
            f"flash.controller.doorbell: is {board.flash.controller.doorbell:#x}, expected the data "
            f"register of uart.doorbell at {board.uart['doorbell'].base:#x}"
        )


def _renode(board: Board) -> Iterator[str]:
    renode = board.engine.renode
    if renode is None:
        return
    if board.flash.controller.kind != REFERENCE:
        kind = board.flash.controller.kind
        yield f"engine.renode: runs flash controller '{REFERENCE}' only, not '{kind}'"
    if not re.fullmatch(r"[A-Za-z]\w*(\.[A-Za-z]\w*)+", renode.uart):
        yield f"engine.renode.uart: '{renode.uart}' is not a class of Renode, such as UART.CMSDK_APB_UART"
    if not 1 <= renode.mips <= 1000:
        yield f"engine.renode.mips: {renode.mips} is not in 1..1000"
