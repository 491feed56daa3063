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
