"""Makes a release: manifest, encrypted modules, one atomic entry in the store."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fieldlink.errors import ConfigError, ManifestError
from fieldlink.fields import U32_MAX
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.layout import Layout, ModuleRegion
from fieldlink.manifest import (
    BOARD_LIMIT,
    Dependency,
    Manifest,
    Module,
    check_dependencies,
    digest,
    sign_manifest,
)
from fieldlink.messages import CURRENT_ENVELOPE_LIMIT
from fieldlink.release import ContentKey, encrypt_image
from fieldlink.store import ModuleRecord, ReleaseRecord, Store
from fieldlink.version import format_version, pack_version


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleImage:
    """A module to publish.

    `dependencies` maps module names to minimum versions, such as {"kernel": "1.1.0"}.
    """

    name: str
    version: str
    image: bytes = field(repr=False)
    dependencies: Mapping[str, str] = field(default_factory=dict)


def build_manifest(
    *, board: str, sequence: int, layout: Layout, images: Sequence[ModuleImage], key_id: bytes
) -> Manifest:
    """Manifest of a complete set. ConfigError for whatever does not fit the layout or the other modules."""
    if not 1 <= sequence <= U32_MAX:
        raise ConfigError(f"sequence {sequence}: expected 1..{U32_MAX}")
    if not 1 <= len(board.encode()) <= BOARD_LIMIT:
        raise ConfigError(f"board {board!r}: expected a name of 1..{BOARD_LIMIT} bytes")
    if layout.board is not None and layout.board != board:
        raise ConfigError(f"board {board!r}: the layout is for board {layout.board!r}")
    names = [image.name for image in images]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"module {name!r} is given more than once")
    missing = [module.name for module in layout.modules if module.name not in names]
    if missing:
        raise ConfigError(f"release lacks {', '.join(missing)}: a release is the complete set of the layout")
    modules = [_module(layout, layout.find(image.name), image) for image in images]
    manifest = Manifest(
        sequence=sequence,
        board=board,
        modules=tuple(sorted(modules, key=lambda module: module.id)),
        key_id=key_id,
    )
    try:
        check_dependencies(manifest)
        manifest.encode()
    except ManifestError as error:
        raise ConfigError(f"release {sequence}: {error}") from error
    return manifest


def _module(layout: Layout, region: ModuleRegion, image: ModuleImage) -> Module:
    size = len(image.image)
    if not 1 <= size <= region.region_size:
        raise ConfigError(
            f"module {image.name}: image of {size} bytes, its region takes 1..{region.region_size} bytes"
        )
    dependencies = (
        Dependency(module_id=layout.find(name).id, minimum_version=pack_version(version))
        for name, version in image.dependencies.items()
    )
    return Module(
        id=region.id,
        kind=region.kind,
        version=pack_version(image.version),
        region_offset=region.region_offset,
        region_size=region.region_size,
        image_size=size,
        digest=digest(image.image),
        dependencies=tuple(sorted(dependencies, key=lambda needed: needed.module_id)),
    )


def publish_release(
    store: Store,
    *,
    board: str,
    sequence: int,
    release_key: KeyPair,
    layout: Layout,
    images: Sequence[ModuleImage],
    now: float | None = None,
    content_key: ContentKey | None = None,
) -> ReleaseRecord:
    """Publishes a release, or changes nothing that a reader can see.

    Blobs are written first (each atomically, named by content); one database transaction then makes them
    a release. ConfigError for bad input, StoreError when the store cannot take it. `now`: seconds since
    1970. `content_key` is drawn; one that is given must not have encrypted anything else.
    """
    if release_key.use is not KeyUse.RELEASE:
        raise ConfigError(f"a {release_key.use.value} key cannot sign releases; use a release key")
    content_key = content_key or ContentKey.generate()
    manifest = build_manifest(
        board=board, sequence=sequence, layout=layout, images=images, key_id=content_key.key_id
    )
    envelope = sign_manifest(manifest, release_key.private)
    if len(envelope) > CURRENT_ENVELOPE_LIMIT:
        raise ConfigError(
            f"release {sequence}: the signed manifest has {len(envelope)} bytes, the wire takes "
            f"{CURRENT_ENVELOPE_LIMIT}: use fewer modules or dependencies"
        )
    newest = store.newest_sequence(board)
    if newest is not None and sequence <= newest:
        raise ConfigError(
            f"sequence {sequence} is not higher than {newest}, the newest release of board {board}; "
            f"devices refuse it: use at least {newest + 1}"
        )
    records = []
    for image in sorted(images, key=lambda image: layout.find(image.name).id):
        region = layout.find(image.name)
        blob = encrypt_image(image.image, module_id=region.id, sequence=sequence, content_key=content_key.key)
        records.append(
            ModuleRecord(
                module_id=region.id,
                name=image.name,
                version=pack_version(image.version),
                image_size=len(image.image),
                digest=digest(image.image),
                blob=store.blobs.put(blob),
            )
        )
    release = ReleaseRecord(
        board=board,
        sequence=sequence,
        envelope=envelope,
        content_key=content_key,
        modules=tuple(records),
        created_at=time.time() if now is None else now,
    )
    store.add_release(release)  # looks at the newest sequence again, inside its transaction
    return release


def describe_release(release: ReleaseRecord) -> dict[str, object]:
    """What people and machines may see of a release (never its content key)."""
    return {
        "board": release.board,
        "sequence": release.sequence,
        "created_at": release.created_at,
        "envelope_bytes": len(release.envelope),
        "modules": [
            {
                "id": module.module_id,
                "name": module.name,
                "version": format_version(module.version),
                "image_size": module.image_size,
                "digest": module.digest.hex(),
            }
            for module in release.modules
        ],
    }
