"""Says a target back: the memory map, what lies where, what counts as a good boot, what is checked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from brownout.board import Board
    from brownout.target.model import AddressRange, Outcome, Placed, Target

_KIB: Final = 1024
_SHOWN_PIECES: Final = 24


def explain(target: Target) -> str:
    """The target in words, several lines."""
    return "\n".join(
        (
            *_head(target),
            "",
            "Memory",
            *_memory(target.board),
            "",
            "What lies there before the first power-on (all else is erased)",
            *_placed(target),
            "",
            "A boot is good when it ends in" + (" one of" if len(target.outcomes) > 1 else ""),
            *(line for outcome in target.outcomes for line in _outcome(target, outcome)),
            "",
            "After each cut",
            *_checks(target),
            *_live(target),
            *_renode(target),
        )
    )


def as_document(target: Target) -> dict[str, object]:
    """The target as JSON values; contents of flash as sizes only."""
    flash = target.board.flash
    return {
        "path": str(target.path),
        "name": target.name,
        "board": target.board.name,
        "core": target.board.cpu.core,
        "elf": None if target.elf is None else str(target.elf.path),
        "vector_table": target.vector_table,
        "flash": {
            "base": flash.base,
            "size": flash.size,
            "sectors": [list(run) for run in target.board.flash.sector_runs],
        },
        "placed": [_place_document(item) for item in target.placed],
        "regions": {
            name: {"offset": region.start, "size": region.end - region.start}
            for name, region in target.region_names.items()
        },
        "boot_budget": target.boot_budget,
        "clean_boots": target.clean_boots,
        "expected": target.expected,
        "outcomes": [
            {
                "name": outcome.name,
                "pc": None if outcome.pc is None else [outcome.pc.start, outcome.pc.end],
                "marker": {f"{address:#x}": value for address, value in outcome.marker.items()},
                "vector_table": outcome.vector_table,
                "flash": [_place_document(item) for item in outcome.flash],
                "memory": {f"{address:#x}": value for address, value in outcome.memory.items()},
            }
            for outcome in target.outcomes
        ],
        "rules": sorted(target.rules),
        "hooks": list(target.hooks),
        "state_hook": target.state_of is not None,
        "renode": _renode_document(target),
        "live": None
        if target.live is None
        else {"surroundings": target.live.name, "states": sorted(target.live.states)},
        "seed": target.seed,
    }


def size_text(size: int) -> str:
    """A size as a person writes it: 48 KiB, 300 bytes."""
    return f"{size // _KIB} KiB" if size % _KIB == 0 and size else f"{size} bytes"


def _place_document(item: Placed) -> dict[str, object]:
    return {"address": item.address, "size": len(item.data), "source": item.source}


def _span(start: int, end: int) -> str:
    return f"{start:#010x}..{end - 1:#010x}"


def _head(target: Target) -> Iterator[str]:
    board = target.board
    yield f"{target.name}: {target.path}"
    clock = f"{board.cpu.clock_hz / 1e6:g} MHz"
    yield f"runs on {board.name} ({board.cpu.core}, {clock}): {board.description or 'no description'}"
    elf = (
        "none, images only"
        if target.elf is None
        else f"{target.elf.path} ({len(target.elf.symbols)} symbols)"
    )
    yield f"bootloader {elf}"
    if target.vector_table is not None:
        yield f"starts with the vector table at {target.vector_table:#010x}"


def _memory(board: Board) -> Iterator[str]:
    flash = board.flash
    rows: list[tuple[int, int, str, str]] = [
        (memory.base, memory.end, memory.kind, name) for name, memory in board.memory.items()
    ]
    sectors = " + ".join(f"{count} x {size_text(size)}" for count, size in board.flash.sector_runs)
    once = ", each word once" if flash.write_once else ""
    rows.append(
        (flash.base, flash.end, "flash", f"sectors {sectors}; written in units of {flash.write_unit}{once}")
    )
    for start, end, kind, text in sorted(rows):
        yield f"  {_span(start, end)}  {size_text(end - start):>10}  {kind:<5}  {text}"


def _placed(target: Target) -> Iterator[str]:
    ordered = sorted(target.placed, key=lambda item: item.address)
    for item in ordered[:_SHOWN_PIECES]:
        names = _regions_of(target, item)
        where = f"  in {names}" if names else ""
        span = _span(item.address, item.address + len(item.data))
        yield f"  {span}  {len(item.data):>8} B  {item.source}{where}"
    if len(ordered) > _SHOWN_PIECES:
        yield f"  and {len(ordered) - _SHOWN_PIECES} more"
    for name, region in sorted(target.region_names.items(), key=lambda entry: entry[1].start):
        yield f"  {_span_of(target, region)}  {size_text(region.end - region.start):>10}  region {name}"


def _span_of(target: Target, region: AddressRange) -> str:
    base = target.board.flash.base
    return _span(base + region.start, base + region.end)


def _regions_of(target: Target, item: Placed) -> str:
    start = item.address - target.board.flash.base
    end = start + len(item.data)
    names = [
        name for name, region in target.region_names.items() if region.start < end and start < region.end
    ]
    return ", ".join(names) if len(names) <= 3 else f"{len(names)} regions"


def _outcome(target: Target, outcome: Outcome) -> Iterator[str]:
    yield f"  {outcome.name}" + (
        "   (expected when nothing is cut)" if outcome.name == target.expected else ""
    )
    arrivals: list[str] = []
    if outcome.pc is not None:
        arrivals.append(f"the processor is about to run code in {_span(outcome.pc.start, outcome.pc.end)}")
    if outcome.marker:
        arrivals.append(f"the firmware has stored {_words(outcome.marker)}")
    yield f"    it arrives when {' or '.join(arrivals)}"
    if outcome.vector_table is not None:
        yield f"    then VTOR is {outcome.vector_table:#010x}"
    if outcome.memory:
        yield f"    then RAM reads {_words(outcome.memory)}"
    for item in outcome.flash:
        yield f"    then flash {_span(item.address, item.address + len(item.data))} reads as {item.source}"


def _words(words: Mapping[int, int]) -> str:
    return ", ".join(f"{value:#010x} at {address:#010x}" for address, value in words.items())


def _renode(target: Target) -> Iterator[str]:
    script = target.renode
    if script is None:
        return
    yield ""
    yield "On Renode"
    yield f"  it runs on the machine of {script.path}"
    yield f"  whose flash is '{script.flash}', doorbell '{script.doorbell}', core '{script.cpu}'"
    for role, name in script.uarts.items():
        yield f"  the {role} is '{name}'"
    yield "  whether the machine has these shows when it is run: brownout crosscheck"


def _renode_document(target: Target) -> dict[str, object] | None:
    script = target.renode
    if script is None:
        return None
    return {
        "script": str(script.path),
        "flash": script.flash,
        "doorbell": script.doorbell,
        "cpu": script.cpu,
        "uarts": dict(script.uarts),
    }


def _live(target: Target) -> Iterator[str]:
    live = target.live
    if live is None:
        return
    yield ""
    yield "The board does not run alone"
    yield f"  it is connected to what '{live.name}' of the hooks makes: swept on engine qemu, in real time"
    yield "  a boot has arrived when that says so as well"
    if live.states:
        yield f"  cut in the states {', '.join(sorted(live.states))} only"


def _checks(target: Target) -> Iterator[str]:
    yield f"  a boot must arrive within {target.boot_budget:,} halfwords of executed code"
    if target.clean_boots > 1:
        yield f"  {target.clean_boots} boots in a row must end in the same outcome and leave the flash alone"
    if target.rules:
        yield f"  the flash rules must hold: {', '.join(sorted(target.rules))}"
    if target.hooks:
        yield f"  hooks must hold: {', '.join(target.hooks)}"
    yield "  states of the upgrade protocol " + (
        "come from a hook"
        if target.state_of is not None
        else "are not read: [hooks] state would show them in the report"
    )
