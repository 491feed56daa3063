"""The upgrade service for one session of one device (PROTOCOL.md, section 4). Sans-IO."""

from dataclasses import dataclass
from enum import IntEnum

from fieldlink.errors import ManifestError, StoreError
from fieldlink.manifest import Manifest, read_unverified
from fieldlink.messages import DATA_LIMIT, Check, Current, Data, Fetch, Refused
from fieldlink.release import blob_chunk, blob_size, chunk_count, wrap_key
from fieldlink.store import DeviceRecord, ModuleRecord, ReleaseRecord


class RefusedCode(IntEnum):
    """Why the server refuses."""

    NOT_WANTED = 1
    NO_SUCH_RELEASE = 2
    NO_SUCH_CHUNK = 3
    UNAVAILABLE = 4


class ReportCode(IntEnum):
    """What a device reports."""

    INSTALLING = 0
    RUNNING = 1
    SIGNATURE = 2
    ROLLBACK = 3
    BOARD_OR_REGION = 4
    CONTENT_KEY = 5
    CHUNK_AUTHENTICATION = 6
    DIGEST = 7
    DEPENDENCY = 8
    FLASH = 9
    DROPPED_BY_BOOT = 10


@dataclass(slots=True)
class _Stream:
    """A module on its way: what was sent so far."""

    module: ModuleRecord
    blob: bytes
    chunk: int
    offset: int = 0


class UpgradeSession:
    """Answers `check` and `fetch`, and cuts the wanted module into `data` messages."""

    def __init__(self, device: DeviceRecord) -> None:
        self._device = device
        self._release: ReleaseRecord | None = None
        self._wanted: frozenset[int] = frozenset()
        self._stream: _Stream | None = None

    @property
    def release(self) -> ReleaseRecord | None:
        """The release that the last `check` was answered with."""
        return self._release

    @property
    def wanted(self) -> tuple[int, ...]:
        """Modules of that release that the device lacks or has with another digest."""
        return tuple(sorted(self._wanted))

    def check(self, installed: Manifest | None, newest: ReleaseRecord | None) -> Current | Refused:
        """Answer to a `check`. `installed`: what the device has, None for nothing valid."""
        if newest is None:
            self._release, self._wanted, self._stream = None, frozenset(), None
            return Refused(module_id=0, code=RefusedCode.NO_SUCH_RELEASE)
        same = self._release is not None and self._release.sequence == newest.sequence
        if not same:
            self._stream = None
        self._release = newest
        self._wanted = frozenset(module.module_id for module in newest.modules if not _has(installed, module))
        wrapped = wrap_key(
            newest.content_key,
            wrap_public=self._device.wrap_public,
            device_id=self._device.device_id.encode("ascii"),
            sequence=newest.sequence,
        )
        return Current(envelope=newest.envelope, wrapped_key=wrapped)

    def fetch(self, fetch: Fetch) -> ModuleRecord | Refused:
        """Answer to a `fetch`: the module whose blob `start` needs, or a refusal. Ends the stream before."""
        self._stream = None
        if self._release is None or fetch.sequence != self._release.sequence:
            return Refused(module_id=fetch.module_id, code=RefusedCode.NO_SUCH_RELEASE)
        module = self._release.module(fetch.module_id)
        if module is None or fetch.first_chunk >= chunk_count(module.image_size):
            return Refused(module_id=fetch.module_id, code=RefusedCode.NO_SUCH_CHUNK)
        if fetch.module_id not in self._wanted:
            return Refused(module_id=fetch.module_id, code=RefusedCode.NOT_WANTED)
        return module

    def start(self, module: ModuleRecord, blob: bytes, first_chunk: int) -> None:
        """Begins to stream. StoreError when the blob cannot be that module's."""
        if len(blob) != blob_size(module.image_size):
            raise StoreError(
                f"store: blob of module {module.name} has {len(blob)} bytes, "
                f"expected {blob_size(module.image_size)}"
            )
        self._stream = _Stream(module=module, blob=blob, chunk=first_chunk)

    def next_data(self) -> Data | None:
        """The next piece of the running stream; None when there is none (any more)."""
        stream = self._stream
        if stream is None:
            return None
        sealed = blob_chunk(stream.blob, stream.module.image_size, stream.chunk)
        piece = sealed[stream.offset : stream.offset + DATA_LIMIT]
        data = Data(module_id=stream.module.module_id, chunk=stream.chunk, offset=stream.offset, data=piece)
        stream.offset += len(piece)
        if stream.offset == len(sealed):
            stream.chunk, stream.offset = stream.chunk + 1, 0
            if stream.chunk == chunk_count(stream.module.image_size):
                self._stream = None
        return data

    @property
    def streaming(self) -> bool:
        """Whether `next_data` has something."""
        return self._stream is not None


def installed_manifest(check: Check) -> Manifest | None:
    """The set that a device says it runs; None when that is not a manifest.

    Its signature does not matter here: the device is authenticated, and a lie only costs it a download.
    """
    try:
        return read_unverified(check.installed_envelope)
    except ManifestError:
        return None


def _has(installed: Manifest | None, module: ModuleRecord) -> bool:
    found = None if installed is None else installed.module(module.module_id)
    return found is not None and found.digest == module.digest
