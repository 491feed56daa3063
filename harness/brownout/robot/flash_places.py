"""Places in a device's flash as suites name them: a region, or an offset in the array."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.errors import StateError
from brownout.files import read_file
from brownout.robot.words import near

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.engines import FlashController

_SHOWN: Final = 8


def offset_of(flash: FlashController, place: str) -> int:
    """Offset in bytes of a region, or the number that `place` is. Raises StateError."""
    if place in flash.regions:
        return flash.regions[place].offset
    try:
        offset = int(place, 0)
    except ValueError:
        known = ", ".join(flash.regions) or "none"
        hint = "; ".join(filter(None, (f"({known})", near(place, flash.regions))))
        raise StateError(f"flash '{place}': expected an offset or a region {hint}") from None
    size = flash.model.geometry.size
    if not 0 <= offset < size:
        raise StateError(f"flash '{place}': expected an offset below {size:#x}, the size of the flash")
    return offset


def bytes_at(flash: FlashController, place: str, count: int | None = None) -> bytes:
    """`count` bytes there; without a count a whole region. Raises StateError."""
    start, region, size = offset_of(flash, place), flash.regions.get(place), flash.model.geometry.size
    wanted = count if count is not None or region is None else region.size
    if wanted is None:
        raise StateError(f"flash '{place}': an offset needs a count of bytes")
    if not 0 < wanted <= size - start:
        raise StateError(
            f"flash '{place}': {wanted} bytes: expected 1 to {size - start} (the flash ends there)"
        )
    return flash.image()[start : start + wanted]


def check_holds(flash: FlashController, place: str, file: Path) -> None:
    """Raises AssertionError when the flash there does not start with the bytes of `file`.

    Raises BrownoutError for a file that cannot be read, or is empty: any flash would hold that.
    """
    wanted = read_file(file, "what the flash should hold")
    if not wanted:
        raise StateError(f"{file}: is empty: expected bytes to compare the flash with")
    check_reads(flash, place, wanted, f"differs from {file}")


def check_erased(flash: FlashController, place: str, count: int | None = None) -> None:
    """Raises AssertionError when a byte there is not as an erase leaves it."""
    erased = bytes([flash.model.geometry.erased_value])
    check_reads(flash, place, erased * len(bytes_at(flash, place, count)), "is not erased")


def check_reads(flash: FlashController, place: str, wanted: bytes, problem: str) -> None:
    """Raises AssertionError, which says `problem` and where, when the flash there does not start so."""
    found = bytes_at(flash, place, len(wanted))
    if found == wanted:
        return
    at = next(i for i, pair in enumerate(zip(found, wanted, strict=True)) if pair[0] != pair[1])
    shown, expected = found[at : at + _SHOWN].hex(" "), wanted[at : at + _SHOWN].hex(" ")
    raise AssertionError(f"flash {place}: {problem} at byte {at:#x}: {shown}, expected {expected}")
