"""Sets of modules in a flash image: a manifest and the modules that it names (firmware/SPEC.md section 6)."""

from __future__ import annotations

import hashlib
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.errors import ImageError
from fieldlink.errors import FieldlinkError
from fieldlink.manifest import Manifest, open_envelope, read_unverified

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import Board, Region
    from fieldlink.manifest import Module

_HEAD: Final = struct.Struct("<II")
_MAGIC: Final = 0x464E414D
_ENVELOPE_MAX: Final = 2040


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleState:
    """A module that a manifest names, and whether the region that it belongs to holds it."""

    name: str
    module: Module
    matches: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledSet:
    """A manifest in flash. `signed` is None when no key was given to check the signature with."""

    envelope: bytes
    manifest: Manifest
    signed: bool | None
    modules: tuple[ModuleState, ...]

    @property
    def complete(self) -> bool:
        """Whether each module is in its place."""
        return all(state.matches for state in self.modules)


def digest_of(data: bytes) -> bytes:
    """BLAKE2b-256."""
    return hashlib.blake2b(data, digest_size=32).digest()


def find_envelope(region: bytes) -> bytes:
    """The envelope in a manifest region. Raises ImageError when there is none."""
    magic, length = _HEAD.unpack_from(region)
    if magic != _MAGIC or not 1 <= length <= min(_ENVELOPE_MAX, len(region) - _HEAD.size):
        raise ImageError(f"manifest: starts with {region[:8].hex()}, expected 'MANF' and a length")
    return region[_HEAD.size : _HEAD.size + length]


def open_manifest(envelope: bytes, release_public_key: bytes | None) -> Manifest:
    """The manifest in `envelope`, its signature checked when a key is given. Raises ImageError."""
    try:
        if release_public_key is None:
            return read_unverified(envelope)
        return open_envelope(envelope, release_public_key)
    except FieldlinkError as error:
        raise ImageError(f"manifest: {error}") from error


def read_set(
    board: Board, image: bytes, *, staged: bool = False, release_public_key: bytes | None = None
) -> InstalledSet:
    """The installed (or staged) set of a flash image. Raises ImageError when its manifest cannot be read.

    A wrong signature is not an error here: `signed` says so.
    """
    regions = board.flash.regions
    name = "staged_manifest" if staged else "manifest"
    if name not in regions:
        raise ImageError(f"board '{board.name}': has no flash region '{name}': it has no reference layout")
    envelope = find_envelope(_bytes_of(image, regions[name]))
    manifest = open_manifest(envelope, None)
    signed = None
    if release_public_key is not None:
        try:
            open_manifest(envelope, release_public_key)
        except ImageError:
            signed = False
        else:
            signed = True
    by_id = {module.id: (key, module) for key, module in board.modules.items()}
    states = []
    for module in manifest.modules:
        key, placed = by_id.get(module.id, (f"module {module.id}", None))
        region = None
        if placed is not None:
            region = regions[placed.staged_region if staged else placed.region]
        states.append(ModuleState(name=key, module=module, matches=holds(image, region, module)))
    return InstalledSet(envelope=envelope, manifest=manifest, signed=signed, modules=tuple(states))


def holds(image: bytes, region: Region | None, module: Module) -> bool:
    """Whether `region` of `image` starts with what the manifest says of `module`."""
    if region is None or module.image_size > region.size:
        return False
    return digest_of(image[region.offset : region.offset + module.image_size]) == module.digest


def module_names(board: Board) -> Mapping[int, str]:
    """Names of the board's modules by id."""
    return {module.id: name for name, module in board.modules.items()}


def _bytes_of(image: bytes, region: Region) -> bytes:
    if region.end > len(image):
        raise ImageError(
            f"flash image: {len(image)} bytes, expected at least {region.end}: is it a whole array?"
        )
    return image[region.offset : region.end]
