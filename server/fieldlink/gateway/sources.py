"""What a gateway needs from outside. The store has both; tests and other back ends can wrap or replace it.

All methods may block (they are called in threads) and raise StoreError.
"""

from typing import Protocol

from fieldlink.audit import AuditEntry
from fieldlink.store import ClientRecord, DeviceRecord, ReleaseRecord


class ReleaseSource(Protocol):
    """Releases and their encrypted modules."""

    def newest_release(self, board: str) -> ReleaseRecord | None:
        """What devices of `board` should run; None when nothing is published."""
        ...

    def read_blob(self, name: str) -> bytes:
        """The encrypted module that a release names."""
        ...


class DeviceRegistry(Protocol):
    """Known devices, and where to note what was heard of them."""

    def device_by_key(self, link_public: bytes) -> DeviceRecord | None:
        """The device with this link key; None for a stranger."""
        ...

    def device_by_id(self, device_id: str) -> DeviceRecord | None:
        """The device with this id; None when there is none."""
        ...

    def update_device(
        self,
        device_id: str,
        *,
        last_seen: float,
        boot_version: int | None = None,
        installed_sequence: int | None = None,
        report: tuple[int, int] | None = None,
        telemetry: tuple[int, bytes] | None = None,
        stream_bytes: tuple[int, int] = (0, 0),
    ) -> None:
        """Notes what was heard; see Store.update_device."""
        ...


class ClientRegistry(Protocol):
    """Known debug clients."""

    def by_key(self, link_public: bytes) -> ClientRecord | None:
        """The client with this link key; None for a stranger."""
        ...


class AuditSink(Protocol):
    """Where debug sessions are recorded."""

    def append(self, entry: AuditEntry, mac_key: bytes | None = None) -> object:
        """Keeps an entry; see AuditLog.append."""
        ...
