"""What lies in flash and ROM at first: every byte from where, and that nothing overlaps or sticks out."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.errors import TargetError
from brownout.target.hooks import HookFile, hook_files, hook_images
from brownout.target.images import has_addresses, read_blocks
from brownout.target.model import AddressRange, Placed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from brownout.board import Board
    from brownout.elf import ElfImage
    from brownout.target.schema import ImageEntry, TargetFile, WordEntry

HOOK_PREFIX: Final = "hook:"
"""`file = "hook:NAME"` means what the hook function `files` made under NAME."""

_WORD: Final = 4
_WORD_LIMIT: Final = 1 << 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """What the keys of one target file refer to: its folder, board, regions, symbols, files made by hooks."""

    path: Path
    board: Board
    regions: Mapping[str, AddressRange]
    own_regions: frozenset[str]
    """Names of the regions that the target file defines; the others are the board's."""
    elf: ElfImage | None
    made: Mapping[str, bytes]

    def error(self, key: str, message: str) -> TargetError:
        """A TargetError that names the file and the key."""
        return TargetError(f"{self.path}: {key}: {message}")

    def file(self, key: str, name: str) -> Path:
        """A file by its name in the target file. Raises TargetError when there is none."""
        path = self.path.parent / Path(name).expanduser()
        if not path.is_file():
            kind = "is a folder" if path.is_dir() else "there is no such file"
            raise self.error(
                key, f"{path}: {kind}: expected a file, by its path from the target file's folder"
            )
        return path

    def content(self, key: str, name: str) -> bytes:
        """Bytes of a raw file, or of one that a hook made."""
        if name.startswith(HOOK_PREFIX):
            wanted = name.removeprefix(HOOK_PREFIX)
            if wanted not in self.made:
                known = ", ".join(self.made) or "no file (hooks.files is not set)"
                raise self.error(key, f"no hook made '{wanted}'; made were: {known}")
            return self.made[wanted]
        path = self.file(key, name)
        content = path.read_bytes()
        if not content or has_addresses(path, content):
            raise self.error(key, f"{path}: is empty, hex or ELF: expected a raw binary")
        return content

    def region(self, key: str, name: str) -> AddressRange:
        """A region as offsets in the array. Raises TargetError."""
        if name not in self.regions:
            known = ", ".join(self.regions) or "none: add [regions.NAME]"
            raise self.error(key, f"no region '{name}'; known: {known}")
        return self.regions[name]

    def symbol(self, key: str, name: str) -> int:
        """Address of a symbol of the ELF file, without the Thumb bit. Raises TargetError."""
        if self.elf is None:
            raise self.error(key, f"'{name}': there is no elf to look it up in: give an address")
        if name not in self.elf.symbols:
            raise self.error(
                key, f"{self.elf.path} has no symbol '{name}': is it static, inlined or stripped?"
            )
        return self.elf.symbols[name] & ~1


def place_all(places: Places, file: TargetFile, hooks: HookFile | None) -> tuple[Placed, ...]:
    """Everything that lies in flash and ROM at first, checked.

    Raises:
        TargetError, ElfError: no such file, outside flash and ROM, larger than its region, overlaps.
    """
    found: list[tuple[str, Placed]] = []
    if places.elf is not None:
        source = f"{places.elf.path.name} (elf)"
        found += [
            ("elf", Placed(address=segment.address, data=segment.data, source=source))
            for segment in places.elf.segments
        ]
    for index, image in enumerate(file.image):
        found += [(f"image.{index}", placed) for placed in _image(places, f"image.{index}", image)]
    for index, word in enumerate(file.word):
        found.append((f"word.{index}", _words(places, f"word.{index}", word)))
    if hooks is not None and file.hooks is not None and file.hooks.images is not None:
        try:
            made = hook_images(hooks, file.hooks.images, places.board)
        except TargetError as error:
            raise places.error("hooks.images", str(error)) from error
        found += [("hooks.images", placed) for placed in made]
    if not found:
        raise places.error("elf", "missing, and there is no [[image]]: expected a bootloader to run")
    for key, placed in found:
        _check_inside(places, key, placed)
    _check_overlaps(places, found)
    return tuple(placed for _, placed in found)


def made_files(path: Path, file: TargetFile, hooks: HookFile | None, board: Board) -> Mapping[str, bytes]:
    """What the hook function `files` makes, by name. Raises TargetError."""
    if hooks is None or file.hooks is None or file.hooks.files is None:
        return {}
    try:
        return hook_files(hooks, file.hooks.files, board)
    except TargetError as error:
        raise TargetError(f"{path}: hooks.files: {error}") from error


def _image(places: Places, key: str, entry: ImageEntry) -> Iterator[Placed]:
    if entry.address is not None and entry.region is not None:
        raise places.error(key, "has address and region: expected one of them")
    address = entry.address
    if entry.region is not None:
        address = places.board.flash.base + places.region(f"{key}.region", entry.region).start
    if entry.file.startswith(HOOK_PREFIX):
        content = places.content(f"{key}.file", entry.file)
        if address is None:
            raise places.error(key, "bytes that a hook made know no address: expected address or region")
        blocks: tuple[tuple[int, bytes], ...] = ((address, content),)
        source = entry.file
    else:
        path = places.file(f"{key}.file", entry.file)
        try:
            blocks = read_blocks(path, address)
        except TargetError as error:
            raise places.error(f"{key}.file", str(error)) from error
        source = path.name
    for start, data in blocks:
        _check_fits(places, key, Placed(address=start, data=data, source=source), entry.region)
        yield Placed(address=start, data=data, source=source)


def _check_fits(places: Places, key: str, placed: Placed, region: str | None) -> None:
    """An image ends in the region that it was put in, else in the largest one around its start.

    The target's own regions count before the board's; an image of the whole array may span them all.
    """
    flash = places.board.flash
    start = placed.address - flash.base
    around = [name for name, part in places.regions.items() if part.start <= start < part.end]
    if region is None:
        if len(placed.data) == flash.size or not around:
            return
        candidates = [name for name in around if name in places.own_regions] or around
        region = max(candidates, key=lambda name: places.regions[name].end)
    room = places.regions[region].end - start
    if len(placed.data) > room:
        raise places.error(
            key,
            f"{placed.source} has {len(placed.data)} bytes, region '{region}' has room for {room} from "
            f"{placed.address:#x} on: the image is too large for its slot",
        )


def _words(places: Places, key: str, entry: WordEntry) -> Placed:
    if (entry.value is None) == (not entry.values):
        raise places.error(key, "expected value (one word) or values (an array of words)")
    if entry.address % _WORD:
        raise places.error(f"{key}.address", f"{entry.address:#x}: expected a multiple of {_WORD}")
    values = entry.values if entry.value is None else (entry.value,)
    data = words(places, key, values)
    return Placed(address=entry.address, data=data, source=f"{key} ({len(values)} word(s))")


def words(places: Places, key: str, values: tuple[int, ...]) -> bytes:
    """Little-endian 32-bit words. Raises TargetError for a value that is none."""
    for value in values:
        if not 0 <= value < _WORD_LIMIT:
            raise places.error(key, f"{value:#x}: expected a value of 32 bits")
    return b"".join(value.to_bytes(_WORD, "little") for value in values)


def _check_inside(places: Places, key: str, placed: Placed) -> None:
    board = places.board
    end = placed.address + len(placed.data)
    homes = [("flash", board.flash.base, board.flash.end)]
    homes += [
        (name, memory.base, memory.end) for name, memory in board.memory.items() if memory.kind != "ram"
    ]
    if any(start <= placed.address and end <= stop for _, start, stop in homes):
        return
    ram = [
        name
        for name, memory in board.memory.items()
        if memory.kind == "ram" and memory.base <= placed.address < memory.end
    ]
    where = f"is in RAM ({ram[0]}), which is empty at power-on" if ram else "is not in flash or ROM"
    known = ", ".join(f"{name} {start:#x}..{stop - 1:#x}" for name, start, stop in homes)
    raise places.error(
        key, f"{placed.source}: {placed.address:#x}..{end - 1:#x} {where}; expected in {known}"
    )


def _check_overlaps(places: Places, found: list[tuple[str, Placed]]) -> None:
    ordered = sorted(found, key=lambda item: item[1].address)
    for (_, one), (key, other) in pairwise(ordered):
        end = one.address + len(one.data)
        if other.address < end:
            last = min(end, other.address + len(other.data)) - 1
            raise places.error(
                key,
                f"{other.source} overlaps {one.source} at {other.address:#x}..{last:#x}: expected no overlap",
            )
