"""The reference device with a staged set, oracles 1 to 3 of its recovery, and the states of its flag.

Keys come from fixed seeds: two runs sweep the same bytes, and a replay id is good for both.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.board import load_board
from brownout.errors import ImageError
from brownout.reference import (
    FlagState,
    Recovery,
    UpgradeFlag,
    factory_image,
    read_flag,
    read_set,
)
from brownout.reference.oracles import check_counter, check_manifest, check_set
from brownout.reference.record_log import encode_record
from brownout.reference.sets import digest_of
from brownout.target.model import Placed
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.layout import Layout, ModuleRegion
from fieldlink.manifest import ModuleKind, installed_manifest_region, sign_manifest
from fieldlink.provision import DeviceKeys, TrustedKeys, identity_blob
from fieldlink.publish import ModuleImage, build_manifest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import Board
    from brownout.target.model import HookContext

BOARD: Final = "mps2-an385"
BUILDS: Final = Path(__file__).resolve().parents[2] / "build" / "firmware"
SETS: Final = {"old": (1, "1.0.0"), "new": (2, "1.1.0")}
"""Security counter and version of what is installed and of what is staged."""
REQUESTED_GENERATION: Final = 4


def _key(use: KeyUse, name: str) -> KeyPair:
    return KeyPair.from_private(use, hashlib.sha256(f"brownout reference sweep: {name}".encode()).digest())


RELEASE_KEY: Final = _key(KeyUse.RELEASE, "release")


@functools.cache
def _module(version: str, name: str) -> bytes:
    path = BUILDS / version / f"{name}.bin"
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); run `make firmware`") from error


@functools.cache
def _envelope(which: str) -> bytes:
    board = _board()
    sequence, version = SETS[which]
    regions = tuple(
        ModuleRegion(
            name=name,
            id=place.id,
            kind=ModuleKind(place.kind),
            region_offset=board.flash.regions[place.region].offset,
            region_size=board.flash.regions[place.region].size,
        )
        for name, place in sorted(board.modules.items(), key=lambda item: item[1].id)
    )
    manifest = build_manifest(
        board=board.name,
        sequence=sequence,
        layout=Layout(modules=regions, board=board.name),
        images=[
            ModuleImage(name=name, version=version, image=_module(version, name)) for name in board.modules
        ],
        key_id=bytes(16),
    )
    return sign_manifest(manifest, RELEASE_KEY.private)


def _identity() -> bytes:
    keys = DeviceKeys(
        link=_key(KeyUse.DEVICE, "link"),
        wrap=_key(KeyUse.DEVICE, "wrap"),
        debug=_key(KeyUse.DEVICE, "debug"),
    )
    trusted = TrustedKeys(
        server=_key(KeyUse.SERVER, "server").public,
        release=RELEASE_KEY.public,
        fleet=_key(KeyUse.FLEET, "fleet").public,
    )
    return identity_blob(device_id="sweep-1", keys=keys, trusted=trusted)


def device_with_a_staged_set(board: Board) -> list[Placed]:
    """What lies in flash: the factory's set, the staged set, and the flag that asks for it."""
    regions, (_, old), (_, new) = board.flash.regions, SETS["old"], SETS["new"]
    factory = factory_image(
        board,
        identity=_identity(),
        envelope=_envelope("old"),
        modules={name: _module(old, name) for name in board.modules},
    )
    placed = {
        name: factory[regions[name].offset : regions[name].end]
        for name in ("identity", "manifest", *(place.region for place in board.modules.values()))
    }
    placed["staged_manifest"] = installed_manifest_region(_envelope("new"))
    for name, place in board.modules.items():
        placed[place.staged_region] = _module(new, name)
    flag = UpgradeFlag(
        state=FlagState.REQUESTED,
        module_mask=sum(1 << place.id for place in board.modules.values()),
        floor=SETS["old"][0],
        manifest_digest=digest_of(_envelope("new")),
    )
    placed["flag"] = encode_record(REQUESTED_GENERATION, flag.encode())
    return [
        Placed(address=board.flash.base + regions[name].offset, data=data, source=f"the {name} region")
        for name, data in placed.items()
    ]


def manifests(board: Board) -> Mapping[str, bytes]:
    """What the manifest region starts with, by set."""
    del board
    return {f"{name} manifest": installed_manifest_region(_envelope(name)) for name in SETS}


def _recovery(context: HookContext) -> Recovery:
    return Recovery(
        board=context.target.board,
        image=context.flash,
        sets={name: _envelope(name) for name in SETS},
        floor=read_set(context.target.board, context.before).manifest.sequence,
        release_public_key=RELEASE_KEY.public,
        # The sweep itself sees to the boot, the flash rules and the cuts (oracles 4 to 6).
        boot_time_s=0.0,
        boot_budget_s=0.0,
    )


def set_is_old_or_new(context: HookContext) -> str | None:
    """Oracle 1."""
    return "; ".join(map(str, check_set(_recovery(context)))) or None


def manifest_matches_and_flag_is_clear(context: HookContext) -> str | None:
    """Oracle 2."""
    return "; ".join(map(str, check_manifest(_recovery(context)))) or None


def counter_never_falls(context: HookContext) -> str | None:
    """Oracle 3."""
    return "; ".join(map(str, check_counter(_recovery(context)))) or None


def flag_state(flash: bytes) -> str:
    """State of the upgrade flag."""
    region = _board().flash.regions["flag"]
    return read_flag(flash[region.offset : region.end]).state.name.lower()


@functools.cache
def _board() -> Board:
    return load_board(BOARD)
