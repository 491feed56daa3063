"""Manifests: what a set of modules consists of (server/cddl/manifest.cddl), and how one lies in flash."""

import hashlib
import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from fieldlink import cbor, cose
from fieldlink.errors import ManifestError, RemoteProtocolError
from fieldlink.fields import as_array, as_bytes, as_constant, as_text, as_u32
from fieldlink.version import format_version

MANIFEST_VERSION: Final = 1
MODULES_LIMIT: Final = 4
DEPENDENCIES_LIMIT: Final = 4
DIGEST_SIZE: Final = 32
KEY_ID_SIZE: Final = 16
BOARD_LIMIT: Final = 32
REGION_MAGIC: Final = 0x464E414D
REGION_ENVELOPE_LIMIT: Final = 2040


class ModuleKind(IntEnum):
    """What a module is."""

    XIP = 1
    RAM = 2
    DATA = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Dependency:
    """A module of the same set that must have at least this (packed) version."""

    module_id: int
    minimum_version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Module:
    """One module: where it goes and what it must hash to.

    Offsets and sizes in bytes, `digest` is BLAKE2b-256.
    """

    id: int
    kind: ModuleKind
    version: int
    region_offset: int
    region_size: int
    image_size: int
    digest: bytes
    dependencies: tuple[Dependency, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """A complete set of modules for one board. `sequence` is the security counter."""

    sequence: int
    board: str
    modules: tuple[Module, ...]
    key_id: bytes

    def module(self, module_id: int) -> Module | None:
        """The module with this id."""
        return next((module for module in self.modules if module.id == module_id), None)

    def encode(self) -> bytes:
        """Deterministic CBOR. ManifestError when something is out of bounds or inconsistent."""
        payload = cbor.dumps(
            {
                1: MANIFEST_VERSION,
                2: self.sequence,
                3: self.board,
                4: [_module_to_map(module) for module in self.modules],
                5: self.key_id,
            }
        )
        decode(payload)  # the same checks as for what others made
        return payload


def digest(data: bytes) -> bytes:
    """BLAKE2b-256."""
    return hashlib.blake2b(data, digest_size=DIGEST_SIZE).digest()


def _module_to_map(module: Module) -> dict[int, object]:
    return {
        1: module.id,
        2: int(module.kind),
        3: module.version,
        4: module.region_offset,
        5: module.region_size,
        6: module.image_size,
        7: module.digest,
        8: [[needed.module_id, needed.minimum_version] for needed in module.dependencies],
    }


def _as_map(value: object, name: str, keys: range) -> dict[object, object]:
    if not isinstance(value, dict) or set(value) != set(keys):
        raise RemoteProtocolError(f"{name}: expected a map with keys {keys.start}..{keys.stop - 1}")
    return value


def _as_list(value: object, name: str, low: int, high: int) -> list[object]:
    if not isinstance(value, list) or not low <= len(value) <= high:
        raise RemoteProtocolError(f"{name}: expected {low}..{high} entries")
    return value


def _module_from_map(value: object) -> Module:
    fields = _as_map(value, "module", range(1, 9))
    module_id = as_u32(fields[1], "module id")
    name = f"module {module_id}"
    kind = as_u32(fields[2], f"{name} kind")
    if kind not in tuple(ModuleKind):
        raise RemoteProtocolError(f"{name}: unknown kind {kind}")
    dependencies = []
    for entry in _as_list(fields[8], f"{name} dependencies", 0, DEPENDENCIES_LIMIT):
        needed, minimum = as_array(entry, f"{name} dependency", 2)
        dependencies.append(
            Dependency(
                module_id=as_u32(needed, "dependency id"), minimum_version=as_u32(minimum, "minimum version")
            )
        )
    module = Module(
        id=module_id,
        kind=ModuleKind(kind),
        version=as_u32(fields[3], f"{name} version"),
        region_offset=as_u32(fields[4], f"{name} region"),
        region_size=as_u32(fields[5], f"{name} region size"),
        image_size=as_u32(fields[6], f"{name} image size"),
        digest=as_bytes(fields[7], f"{name} digest", DIGEST_SIZE, DIGEST_SIZE),
        dependencies=tuple(dependencies),
    )
    if not 1 <= module.image_size <= module.region_size:
        raise RemoteProtocolError(
            f"{name}: image of {module.image_size} bytes in a region of {module.region_size}"
        )
    return module


def decode(payload: bytes) -> Manifest:
    """Manifest in an envelope's payload. ManifestError when it is malformed or names a module twice."""
    try:
        fields = _as_map(cbor.loads(payload), "manifest", range(1, 6))
        as_constant(fields[1], "manifest version", MANIFEST_VERSION)
        entries = _as_list(fields[4], "modules", 1, MODULES_LIMIT)
        manifest = Manifest(
            sequence=as_u32(fields[2], "sequence"),
            board=as_text(fields[3], "board", 1, BOARD_LIMIT),
            modules=tuple(_module_from_map(entry) for entry in entries),
            key_id=as_bytes(fields[5], "key id", KEY_ID_SIZE, KEY_ID_SIZE),
        )
    except RemoteProtocolError as error:
        raise ManifestError(f"manifest: {error}") from error
    ids = [module.id for module in manifest.modules]
    if ids != sorted(set(ids)):
        raise ManifestError(f"manifest: module ids {ids} are not in ascending order without repetition")
    return manifest


def check_dependencies(manifest: Manifest) -> None:
    """ManifestError for the first dependency that the set itself does not meet."""
    for module in manifest.modules:
        for needed in module.dependencies:
            found = manifest.module(needed.module_id)
            if found is None or found.version < needed.minimum_version:
                has = "no such module" if found is None else format_version(found.version)
                raise ManifestError(
                    f"module {module.id} needs module {needed.module_id} in version "
                    f"{format_version(needed.minimum_version)} or newer, the set has {has}"
                )


def sign_manifest(manifest: Manifest, release_private_key: bytes) -> bytes:
    """Signed envelope of `manifest`."""
    return cose.sign(manifest.encode(), release_private_key)


def read_unverified(envelope: bytes) -> Manifest:
    """Manifest in `envelope` without a look at the signature: only for what a device says of itself."""
    return decode(cose.parse(envelope).payload)


def open_envelope(envelope: bytes, release_public_key: bytes) -> Manifest:
    """Manifest in `envelope`. ManifestError unless the signature holds."""
    sign1 = cose.parse(envelope)
    sign1.verify(release_public_key)
    return decode(sign1.payload)


def installed_manifest_region(envelope: bytes) -> bytes:
    """First bytes of a manifest region that holds `envelope` (firmware/SPEC.md, section 6)."""
    if not 1 <= len(envelope) <= REGION_ENVELOPE_LIMIT:
        raise ManifestError(f"envelope of {len(envelope)} bytes, expected 1..{REGION_ENVELOPE_LIMIT}")
    return struct.pack("<II", REGION_MAGIC, len(envelope)) + envelope
