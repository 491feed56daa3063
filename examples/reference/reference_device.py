"""The reference device that the targets of this folder sweep: keys, sets, oracles 1 to 3 of a recovery.

Keys come from fixed seeds: two runs sweep the same bytes, and a replay id is good for both.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.board import load_board
from brownout.errors import ImageError
from brownout.reference import Recovery, factory_image, read_set
from brownout.reference.oracles import check_counter, check_manifest, check_set
from brownout.target import Placed
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.layout import Layout, ModuleRegion
from fieldlink.manifest import ModuleKind, installed_manifest_region, sign_manifest
from fieldlink.provision import DeviceKeys, TrustedKeys, identity_blob
from fieldlink.publish import ModuleImage, build_manifest
from fieldlink.release import ContentKey

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import Board
    from brownout.target import HookContext

BOARD: Final = "mps2-an385"
BUILDS: Final = Path(__file__).resolve().parents[2] / "build" / "firmware"
SETS: Final = {"old": (1, "1.0.0"), "new": (2, "1.1.0")}
"""Security counter and version of what is installed and of what is to be."""
DEVICE_ID: Final = "sweep-1"


def _seed(name: str) -> bytes:
    return hashlib.sha256(f"brownout reference sweep: {name}".encode()).digest()


def key(use: KeyUse, name: str) -> KeyPair:
    """A key pair of the installation."""
    return KeyPair.from_private(use, _seed(name))


RELEASE_KEY: Final = key(KeyUse.RELEASE, "release")
SERVER_KEY: Final = key(KeyUse.SERVER, "server")
DEVICE_KEYS: Final = DeviceKeys(
    link=key(KeyUse.DEVICE, "link"), wrap=key(KeyUse.DEVICE, "wrap"), debug=key(KeyUse.DEVICE, "debug")
)
TRUSTED: Final = TrustedKeys(
    server=SERVER_KEY.public, release=RELEASE_KEY.public, fleet=key(KeyUse.FLEET, "fleet").public
)


def content_key(which: str) -> ContentKey:
    """What the modules of a set are encrypted with on their way."""
    return ContentKey(key=_seed(f"content of {which}"), key_id=bytes(16))


@functools.cache
def board() -> Board:
    """The board."""
    return load_board(BOARD)


@functools.cache
def layout() -> Layout:
    """Where the modules go."""
    regions = board().flash.regions
    modules = tuple(
        ModuleRegion(
            name=name,
            id=place.id,
            kind=ModuleKind(place.kind),
            region_offset=regions[place.region].offset,
            region_size=regions[place.region].size,
        )
        for name, place in sorted(board().modules.items(), key=lambda item: item[1].id)
    )
    return Layout(modules=modules, board=BOARD)


@functools.cache
def module(which: str, name: str) -> bytes:
    """Image of a module of a set. Raises ImageError."""
    path = BUILDS / SETS[which][1] / f"{name}.bin"
    try:
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror}); run `make firmware`") from error


def images(which: str) -> list[ModuleImage]:
    """The modules of a set."""
    version = SETS[which][1]
    return [ModuleImage(name=name, version=version, image=module(which, name)) for name in board().modules]


@functools.cache
def envelope(which: str) -> bytes:
    """The signed manifest of a set."""
    manifest = build_manifest(
        board=BOARD,
        sequence=SETS[which][0],
        layout=layout(),
        images=images(which),
        key_id=content_key(which).key_id,
    )
    return sign_manifest(manifest, RELEASE_KEY.private)


def installed(check_interval_ms: int | None = None) -> dict[str, bytes]:
    """What a factory puts into the regions of the flash: identity, and the old set."""
    regions = board().flash.regions
    factory = factory_image(
        board(),
        identity=identity_blob(
            device_id=DEVICE_ID, keys=DEVICE_KEYS, trusted=TRUSTED, check_interval_ms=check_interval_ms
        ),
        envelope=envelope("old"),
        modules={name: module("old", name) for name in board().modules},
    )
    return {
        name: factory[regions[name].offset : regions[name].end]
        for name in ("identity", "manifest", *(place.region for place in board().modules.values()))
    }


def placed(contents: Mapping[str, bytes]) -> list[Placed]:
    """Contents of regions as a target places them."""
    flash = board().flash
    return [
        Placed(address=flash.base + flash.regions[name].offset, data=data, source=f"the {name} region")
        for name, data in contents.items()
    ]


def manifests(_board: Board) -> Mapping[str, bytes]:
    """What the manifest region starts with, by set."""
    return {f"{name} manifest": installed_manifest_region(envelope(name)) for name in SETS}


def _recovery(context: HookContext) -> Recovery:
    return Recovery(
        board=context.target.board,
        image=context.flash,
        sets={name: envelope(name) for name in SETS},
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
