"""Regions and sizes."""

from __future__ import annotations

from typing import Any

import pytest

from brownout.errors import BrownoutError, GeometryError
from brownout.flash import Geometry, Region

SIZES: dict[str, Any] = {"size": 0x4000, "sector_size": 0x1000, "write_unit": 4, "program_buffer": 256}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 0}, "size is 0"),
        ({"size": 0x4800}, "multiple of sector_size"),
        ({"sector_size": 0x80}, "multiple of program_buffer"),
        ({"write_unit": 3}, "multiple of write_unit"),
        ({"write_unit": -4}, "at least 1"),
        ({"erased_value": 0}, "only 0xff"),
    ],
)
def test_sizes_that_do_not_fit_are_named(change: dict[str, int], words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        Geometry(**{**SIZES, **change})


def test_sectors_of_a_region() -> None:
    geometry = Geometry(**SIZES)
    assert geometry.sector_count == 4
    assert geometry.sector(3) == Region(offset=0x3000, size=0x1000)
    assert geometry.sectors_of(Region(offset=0xFFF, size=2)) == range(2)
    assert geometry.sectors_of(Region(offset=0x1000, size=0x1000)) == range(1, 2)
    for call in (
        lambda: geometry.sector(4),
        lambda: geometry.sector(-1),
        lambda: geometry.sectors_of(Region(offset=0x3000, size=0x1001)),
    ):
        with pytest.raises(BrownoutError):
            call()


UNEQUAL: dict[str, Any] = {
    "size": 0x20000,
    "sectors": ((4, 0x4000), (1, 0x10000)),
    "write_unit": 1,
    "program_buffer": 8,
}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"size": 0x24000}, r"sectors add up to 131072 bytes: expected size \(147456\)"),
        ({"sector_size": 0x4000}, "expected 0 beside sectors"),
        ({"sectors": ((4, 0x4000), (0, 0x10000))}, "expected a count and a size of 1 or more"),
        ({"sectors": ((4, 0x7FFC), (4, 4))}, "sectors size is 32764: expected a multiple of program_buffer"),
        ({"max_programs": 255}, r"max_programs is 255: expected 0\.\.254"),
    ],
)
def test_unequal_sectors_that_do_not_fit_are_named(change: dict[str, Any], words: str) -> None:
    with pytest.raises(GeometryError, match=words):
        Geometry(**{**UNEQUAL, **change})


def test_unequal_sectors_are_found() -> None:
    geometry = Geometry(**UNEQUAL)
    assert geometry.sector_count == 5
    assert [geometry.sector(index) for index in (0, 3, 4)] == [
        Region(offset=0, size=0x4000),
        Region(offset=0xC000, size=0x4000),
        Region(offset=0x10000, size=0x10000),
    ]
    offsets = (0, 0x3FFF, 0x4000, 0xFFFF, 0x10000, 0x1FFFF)
    assert [geometry.sector_index(offset) for offset in offsets] == [0, 0, 1, 3, 4, 4]
    assert geometry.sectors_of(Region(offset=0x3FFF, size=0xC002)) == range(5)
    assert geometry == Geometry(**UNEQUAL)
    assert geometry != Geometry(**{**UNEQUAL, "sectors": ((8, 0x4000),)})
    for call in (lambda: geometry.sector(5), lambda: geometry.sectors_of(Region(offset=0x1FFFF, size=2))):
        with pytest.raises(GeometryError):
            call()


def test_regions_know_what_they_share() -> None:
    region = Region(offset=0x10, size=0x10)
    assert region.end == 0x20
    assert region.contains(0x10, 0x10)
    assert not region.contains(0x10, 0x11)
    assert region.touches(0x1F)
    assert not region.touches(0x20)
    assert not region.touches(0xF)
    assert region.touches(0xF, 2)
    assert not region.touches(0x18, 0)
    assert region.overlaps(Region(offset=0, size=0x11))
    assert not region.overlaps(Region(offset=0, size=0x10))


@pytest.mark.parametrize(("offset", "size"), [(-1, 4), (0, 0), (0, -4)])
def test_an_impossible_region_is_refused(offset: int, size: int) -> None:
    with pytest.raises(GeometryError, match="expected an offset"):
        Region(offset=offset, size=size)
