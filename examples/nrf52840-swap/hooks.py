"""What must hold of the nRF52840 example besides a good boot, and the states of its journal."""

# ruff: noqa: S101 - the asserts are what the hooks are for

from __future__ import annotations

import hashlib
import struct
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from brownout.target.model import HookContext

PRIMARY: Final = 0x10000
SECONDARY: Final = 0x20000
JOURNAL: Final = 0x31000
JOURNAL_SIZE: Final = 0x3000
SLOT_SIZE: Final = 0x10000
HEADER_SIZE: Final = 256
IMAGE_MAGIC: Final = 0x474D4945
RECORD_MAGIC: Final = 0x4E4A0000
STATES: Final = {1: "idle", 2: "requested", 3: "swapping", 4: "testing", 5: "reverting"}
_RECORD: Final = struct.Struct("<4I8sII")
_BODY_SIZE: Final = _RECORD.size - 8
"""What the CRC covers: all but itself and the seal."""
_IMAGE: Final = struct.Struct("<4I16s32s")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """An entry of the journal (common/journal.h)."""

    state: str
    generation: int
    step: int
    counter: int
    image: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a slot's header says, of an image whose digest is right."""

    version: int
    counter: int
    digest: bytes


def current_entry(flash: bytes) -> Entry | None:
    """The valid entry with the highest generation."""
    best: Entry | None = None
    journal = flash[JOURNAL : JOURNAL + JOURNAL_SIZE]
    for index, record in enumerate(_RECORD.iter_unpack(journal)):
        if record[0] & ~0xFF != RECORD_MAGIC:
            continue
        magic, generation, progress, counter, image, crc, _ = record
        start = index * _RECORD.size
        state = STATES.get(magic & 0xFF)
        if state is None or crc != zlib.crc32(journal[start : start + _BODY_SIZE]):
            continue
        if best is None or generation > best.generation:
            best = Entry(
                state=state, generation=generation, step=progress & 0xFFFF, counter=counter, image=image
            )
    return best


def image_in(flash: bytes, slot: int) -> Image | None:
    """The image in a slot; None when there is none or its digest is wrong."""
    magic, size, version, counter, _, digest = _IMAGE.unpack_from(flash, slot)
    if magic != IMAGE_MAGIC or size > SLOT_SIZE - HEADER_SIZE:
        return None
    payload = flash[slot + HEADER_SIZE : slot + HEADER_SIZE + size]
    if hashlib.blake2b(payload, digest_size=32).digest() != digest:
        return None
    return Image(version=version, counter=counter, digest=digest)


def both_images_are_whole(context: HookContext) -> None:
    """The slots hold the two images that they held before, in one order or the other."""
    wanted = [image_in(context.before, slot) for slot in (PRIMARY, SECONDARY)]
    found = [image_in(context.flash, slot) for slot in (PRIMARY, SECONDARY)]
    for name, image in zip(("primary", "secondary"), found, strict=True):
        assert image is not None, f"the {name} slot holds no whole image"
    assert found in (wanted, wanted[::-1]), "the slots do not hold the two images any more"


def journal_is_at_rest(context: HookContext) -> None:
    """The journal is idle, and has dealt with the update."""
    entry, update = current_entry(context.flash), image_in(context.before, SECONDARY)
    assert entry is not None, "the journal has no entry"
    assert entry.state == "idle", f"the journal is {entry.state}, expected idle"
    assert update is not None
    assert entry.image == update.digest[: len(entry.image)], "the journal names another image than the update"


def counter_fits(context: HookContext) -> None:
    """The security counter never falls, and rises when the new image has confirmed itself, not before."""
    before, after = current_entry(context.before), current_entry(context.flash)
    running = image_in(context.flash, PRIMARY)
    assert before is not None
    assert after is not None, "the journal has no entry, so no counter"
    assert running is not None, "the primary slot holds no whole image"
    assert after.counter >= before.counter, f"the counter fell from {before.counter} to {after.counter}"
    assert after.counter == running.counter, (
        f"the counter is {after.counter}, that of the image that runs is {running.counter}"
    )


def journal_state(flash: bytes) -> str:
    """Name of the state that the journal is in."""
    entry = current_entry(flash)
    return "no entry" if entry is None else entry.state
