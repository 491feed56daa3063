"""The reference device with a staged set, and the states of its flag."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from reference_device import (
    SETS,
    board,
    counter_never_falls,
    envelope,
    installed,
    manifest_matches_and_flag_is_clear,
    manifests,
    module,
    placed,
    set_is_old_or_new,
)

from brownout.reference import FlagState, UpgradeFlag, read_flag
from brownout.reference.record_log import encode_record
from brownout.reference.sets import digest_of
from fieldlink.manifest import installed_manifest_region

if TYPE_CHECKING:
    from brownout.board import Board
    from brownout.target import Placed

__all__ = [
    "counter_never_falls",
    "device_with_a_staged_set",
    "flag_state",
    "manifest_matches_and_flag_is_clear",
    "manifests",
    "set_is_old_or_new",
]

REQUESTED_GENERATION: Final = 4


def device_with_a_staged_set(_board: Board) -> list[Placed]:
    """What lies in flash: the factory's set, the staged set, and the flag that asks for it."""
    contents = installed()
    contents["staged_manifest"] = installed_manifest_region(envelope("new"))
    for name, place in board().modules.items():
        contents[place.staged_region] = module("new", name)
    flag = UpgradeFlag(
        state=FlagState.REQUESTED,
        module_mask=sum(1 << place.id for place in board().modules.values()),
        floor=SETS["old"][0],
        manifest_digest=digest_of(envelope("new")),
    )
    contents["flag"] = encode_record(REQUESTED_GENERATION, flag.encode())
    return placed(contents)


def flag_state(flash: bytes) -> str:
    """State of the upgrade flag."""
    region = board().flash.regions["flag"]
    return read_flag(flash[region.offset : region.end]).state.name.lower()
