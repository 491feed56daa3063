"""The whole state of a flash model as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from brownout.flash.array import ArraySnapshot
    from brownout.flash.geometry import Geometry, Region
    from brownout.flash.operations import Violation


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Whole state of a model at one moment, without its seed and its log. It can be pickled."""

    geometry: Geometry
    array: ArraySnapshot
    powered: bool
    session: int
    sequence: int
    ordinal: int
    violations: tuple[Violation, ...]
    worn: tuple[Region, ...] = ()
