"""Firmware images: what is read from them, and one clear line for each way in which one can be wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.elf import load_elf
from brownout.errors import ElfError

if TYPE_CHECKING:
    from pathlib import Path

MACHINE_OFFSET = 18


def test_segments_symbols_and_sizes(probe_elf: Path) -> None:
    image = load_elf(probe_elf)
    assert image.segments[0].address == 0
    assert image.symbol("noinit_words") == 0x20000000
    assert image.sections[".vectors"] == 64
    assert image.sections[".noinit"] == 16
    flat = image.flat(0, 0x10000, "rom")
    assert flat[:4] == (0x2000C000).to_bytes(4, "little")
    assert len(flat) == image.segments[-1].end


def test_a_symbol_that_is_not_there(probe_elf: Path) -> None:
    with pytest.raises(ElfError, match=r"probe\.elf: has no symbol 'nothing'"):
        load_elf(probe_elf).symbol("nothing")


def test_a_segment_outside_its_region(probe_elf: Path) -> None:
    image = load_elf(probe_elf)
    with pytest.raises(ElfError, match=r"segment 0x0\.\.0x\w+ is outside memory\.tiny \(0x0\.\.0xff\)"):
        image.flat(0, 0x100, "memory.tiny")
    with pytest.raises(ElfError, match="is outside elsewhere"):
        image.flat(0x1000, 0x10000, "elsewhere")


def damage(
    source: Path, target: Path, *, keep: int | None = None, change: dict[int, int] | None = None
) -> Path:
    data = bytearray(source.read_bytes()[:keep])
    for offset, value in (change or {}).items():
        data[offset] = value
    target.write_bytes(data)
    return target


@pytest.mark.parametrize("keep", [5, 40, 60, 200, -100])
def test_a_truncated_file(probe_elf: Path, tmp_path: Path, keep: int) -> None:
    with pytest.raises(ElfError, match=r"cut\.elf: is truncated") as caught:
        load_elf(damage(probe_elf, tmp_path / "cut.elf", keep=keep))
    assert "\n" not in str(caught.value)


def test_other_wrong_files(probe_elf: Path, tmp_path: Path) -> None:
    with pytest.raises(ElfError, match=r"gone\.elf: cannot be read \(No such file"):
        load_elf(tmp_path / "gone.elf")
    text = tmp_path / "text.elf"
    text.write_text("hello")
    with pytest.raises(ElfError, match="is not an ELF file \\(starts with 68656c6c\\)"):
        load_elf(text)
    text.write_bytes(b"")
    with pytest.raises(ElfError, match="starts with nothing"):
        load_elf(text)
    with pytest.raises(ElfError, match=r"is for EM_386, 32 bit, little-endian; expected EM_ARM"):
        load_elf(damage(probe_elf, tmp_path / "x86.elf", change={MACHINE_OFFSET: 3}))
