"""Values that the store keeps."""

from dataclasses import dataclass, field

from fieldlink.release import ContentKey


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRecord:
    """A module of a release. `blob`: hex name of its encrypted blob; `digest`: 32 bytes, of its image."""

    module_id: int
    name: str
    version: int
    image_size: int
    digest: bytes
    blob: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ReleaseRecord:
    """A published release. `created_at`: seconds since 1970."""

    board: str
    sequence: int
    envelope: bytes
    content_key: ContentKey
    modules: tuple[ModuleRecord, ...]
    created_at: float

    def module(self, module_id: int) -> ModuleRecord | None:
        """The module with this id."""
        return next((module for module in self.modules if module.module_id == module_id), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceRecord:
    """What provisioning knows of a device: its public keys (32 bytes each)."""

    device_id: str
    board: str
    link_public: bytes
    wrap_public: bytes
    debug_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientRecord:
    """A debug client: its public P2P (link) key and its public E2E key, which tokens name (32 bytes each)."""

    name: str
    link_public: bytes
    e2e_public: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """What the server has last heard of a device; None: nothing yet. Times are seconds since 1970."""

    last_seen: float | None = None
    boot_version: int | None = None
    installed_sequence: int | None = None
    report_sequence: int | None = None
    report_code: int | None = None
    telemetry_count: int = 0
    telemetry_last: bytes | None = field(default=None, repr=False)
    stream_bytes_in: int = 0
    stream_bytes_out: int = 0
