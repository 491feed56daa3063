"""What a good boot is: the outcomes of a target file, with names of regions, symbols and files looked up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.target.model import AddressRange, Outcome, Placed
from brownout.target.placing import words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.target.placing import Places
    from brownout.target.schema import FlashEntry, MemoryWordEntry, OutcomeEntry, RangeEntry, TargetFile

_WORD: Final = 4
_INSTRUCTION: Final = 2
_VECTOR_ALIGNMENT: Final = 128


def read_outcomes(places: Places, file: TargetFile, placed: Sequence[Placed]) -> tuple[Outcome, ...]:
    """The outcomes, checked.

    Raises:
        TargetError: none at all, two of one name or meaning, no way to arrive, addresses outside memory.
    """
    if not file.outcome:
        raise places.error("outcome", "missing: expected [[outcome]] tables that say what a good boot is")
    outcomes: list[Outcome] = []
    for index, entry in enumerate(file.outcome):
        outcome = _outcome(places, f"outcome.{index}", entry, placed)
        for other in outcomes:
            if other.name == outcome.name:
                raise places.error(
                    f"outcome.{index}.name", f"'{outcome.name}' is there twice: expected different names"
                )
            if _meaning(other) == _meaning(outcome):
                raise places.error(
                    f"outcome.{index}",
                    f"'{outcome.name}' asks for the same as '{other.name}': expected a difference",
                )
        outcomes.append(outcome)
    return tuple(outcomes)


def expected_outcome(places: Places, file: TargetFile, outcomes: Sequence[Outcome]) -> str:
    """Name of the outcome in which the run without a cut must end. Raises TargetError."""
    names = [outcome.name for outcome in outcomes]
    if file.expected is None:
        if len(names) == 1:
            return names[0]
        raise places.error(
            "expected", f"missing: expected the outcome without a cut, one of {', '.join(names)}"
        )
    if file.expected not in names:
        raise places.error("expected", f"no outcome '{file.expected}'; expected one of {', '.join(names)}")
    return file.expected


def _meaning(outcome: Outcome) -> tuple[object, ...]:
    return (
        outcome.pc,
        sorted(outcome.marker.items()),
        outcome.vector_table,
        sorted((item.address, item.data) for item in outcome.flash),
        sorted(outcome.memory.items()),
    )


def _outcome(places: Places, key: str, entry: OutcomeEntry, placed: Sequence[Placed]) -> Outcome:
    if not entry.name:
        raise places.error(f"{key}.name", 'is empty: expected a name such as "new"')
    if entry.pc is None and not entry.marker:
        raise places.error(key, "expected pc or marker: how is the sweep to see that the boot has arrived?")
    vector_table = entry.vector_table
    if vector_table is not None:
        if vector_table % _VECTOR_ALIGNMENT:
            raise places.error(
                f"{key}.vector_table", f"{vector_table:#x}: expected a multiple of {_VECTOR_ALIGNMENT} (VTOR)"
            )
        _check_memory(places, f"{key}.vector_table", vector_table, vector_table + _WORD)
    return Outcome(
        name=entry.name,
        pc=None if entry.pc is None else _range(places, f"{key}.pc", entry.pc),
        marker=_words_of_ram(places, f"{key}.marker", entry.marker),
        vector_table=vector_table,
        flash=tuple(
            _flash(places, f"{key}.flash.{index}", item, placed) for index, item in enumerate(entry.flash)
        ),
        memory=_words_of_ram(places, f"{key}.memory", entry.memory),
    )


def _range(places: Places, key: str, entry: RangeEntry) -> AddressRange:
    ways = [
        entry.region is not None,
        entry.symbol is not None,
        entry.start is not None or entry.end is not None,
    ]
    if sum(ways) != 1:
        raise places.error(key, "expected one of region = NAME, symbol = NAME, or start and end")
    if entry.region is not None:
        region, base = places.region(f"{key}.region", entry.region), places.board.flash.base
        return AddressRange(start=base + region.start, end=base + region.end)
    if entry.symbol is not None:
        address = places.symbol(f"{key}.symbol", entry.symbol)
        return AddressRange(start=address, end=address + _INSTRUCTION)
    if entry.start is None or entry.end is None or not entry.start < entry.end:
        raise places.error(key, "expected start and end, end being the first address after the range")
    _check_memory(places, key, entry.start, entry.end)
    return AddressRange(start=entry.start, end=entry.end)


def _check_memory(places: Places, key: str, start: int, end: int) -> None:
    board = places.board
    homes = [
        (board.flash.base, board.flash.end),
        *((memory.base, memory.end) for memory in board.memory.values()),
    ]
    if not any(first <= start and end <= last for first, last in homes):
        raise places.error(key, f"{start:#x}..{end - 1:#x} is not in one memory of board '{board.name}'")


def _words_of_ram(places: Places, key: str, entries: Sequence[MemoryWordEntry]) -> dict[int, int]:
    found: dict[int, int] = {}
    for index, entry in enumerate(entries):
        place = f"{key}.{index}"
        if (entry.address is None) == (entry.symbol is None):
            raise places.error(place, "expected address or symbol")
        address = (
            places.symbol(f"{place}.symbol", entry.symbol) if entry.symbol is not None else entry.address or 0
        )
        memories = [memory for memory in places.board.memory.values() if memory.kind == "ram"]
        if address % _WORD or not any(memory.base <= address < memory.end for memory in memories):
            known = ", ".join(f"{memory.base:#x}..{memory.end - 1:#x}" for memory in memories) or "none"
            raise places.error(place, f"{address:#x}: expected an aligned word of RAM ({known})")
        if address in found:
            raise places.error(place, f"{address:#x} is there twice: all words must hold at once")
        words(places, f"{place}.value", (entry.value,))
        found[address] = entry.value
    return found


def _flash(places: Places, key: str, entry: FlashEntry, placed: Sequence[Placed]) -> Placed:
    flash = places.board.flash
    if (entry.address is None) == (entry.region is None):
        raise places.error(key, "expected address or region")
    if [entry.file is not None, bool(entry.values), entry.unchanged].count(True) != 1:
        raise places.error(key, "expected one of file, values, or unchanged = true")
    region = None if entry.region is None else places.region(f"{key}.region", entry.region)
    address = flash.base + region.start if region is not None else entry.address or 0
    if entry.unchanged:
        if region is None:
            raise places.error(key, "unchanged needs a region: how many bytes are meant?")
        return Placed(address=address, data=_at_first(places, region, placed), source="as it was placed")
    if entry.file is not None:
        data, source = places.content(f"{key}.file", entry.file), entry.file
    else:
        data, source = words(places, f"{key}.values", entry.values), f"{len(entry.values)} word(s)"
    limit = flash.end if region is None else flash.base + region.end
    if address < flash.base or address + len(data) > limit:
        where = "the flash" if region is None else f"region '{entry.region}'"
        raise places.error(
            key,
            f"{source}: {address:#x}..{address + len(data) - 1:#x} sticks out of {where}, which ends at "
            f"{limit - 1:#x}",
        )
    return Placed(address=address, data=data, source=source)


def _at_first(places: Places, region: AddressRange, placed: Sequence[Placed]) -> bytes:
    """Content of a region before anything runs."""
    flash = places.board.flash
    block = bytearray([flash.erased_value]) * (region.end - region.start)
    for item in placed:
        start = item.address - flash.base - region.start
        low, high = max(0, start), min(len(block), start + len(item.data))
        if low < high:
            block[low:high] = item.data[low - start : high - start]
    return bytes(block)
