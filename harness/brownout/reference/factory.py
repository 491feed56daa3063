"""Flash images as a factory makes them: identity, installed manifest and modules, all else erased."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.errors import ImageError
from brownout.reference.identity import read_identity
from brownout.reference.sets import digest_of, open_manifest
from fieldlink.errors import FieldlinkError
from fieldlink.manifest import installed_manifest_region

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import Board


def factory_image(board: Board, *, identity: bytes, envelope: bytes, modules: Mapping[str, bytes]) -> bytes:
    """The whole flash array of a new device.

    Args:
        board: whose layout to use.
        identity: the identity blob (fieldlink provision).
        envelope: the signed manifest of the set.
        modules: images by module name; exactly those that the manifest names.

    Raises:
        ImageError: a module is missing, too large or not the one in the manifest; a wrong signature, board or
        region.
    """
    release_key = read_identity(identity).release_public_key
    manifest = open_manifest(envelope, release_key)
    if manifest.board != board.name:
        raise ImageError(f"manifest: is for board '{manifest.board}', expected '{board.name}'")
    flash = board.flash
    image = bytearray([flash.erased_value]) * flash.size
    unknown = set(modules) - set(board.modules)
    if unknown:
        raise ImageError(
            f"module '{min(unknown)}': not on board '{board.name}': has {', '.join(board.modules)}"
        )
    named = {module.id: module for module in manifest.modules}
    for name, place in board.modules.items():
        entry, data = named.pop(place.id, None), modules.get(name)
        if entry is None and data is None:
            continue
        if entry is None or data is None:
            lacks = "the manifest does not name it" if entry is None else "its image was not given"
            raise ImageError(f"module '{name}': {lacks}")
        region = flash.regions[place.region]
        if (entry.region_offset, entry.region_size) != (region.offset, region.size):
            raise ImageError(
                f"module '{name}': at {entry.region_offset:#x} in the manifest, {region.offset:#x} here"
            )
        if len(data) != entry.image_size or digest_of(data) != entry.digest:
            raise ImageError(f"module '{name}': the image is not the one that the manifest names")
        image[region.offset : region.offset + len(data)] = data
    if named:
        raise ImageError(f"manifest: names module {min(named)}, which board '{board.name}' does not have")
    _place(image, board, "identity", identity)
    try:
        _place(image, board, "manifest", installed_manifest_region(envelope))
    except FieldlinkError as error:
        raise ImageError(f"manifest: {error}") from error
    return bytes(image)


def _place(image: bytearray, board: Board, name: str, data: bytes) -> None:
    region = board.flash.regions.get(name)
    if region is None:
        raise ImageError(f"board '{board.name}': has no flash region '{name}' (reference layout)")
    if len(data) > region.size:
        raise ImageError(f"{name}: {len(data)} bytes, its region has {region.size}")
    image[region.offset : region.offset + len(data)] = data
