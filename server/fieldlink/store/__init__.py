"""What the server keeps: encrypted modules as content-addressed files, everything else in a database."""

from fieldlink.store.audit_log import AuditLog
from fieldlink.store.blobs import BlobStore
from fieldlink.store.clients import ClientTable
from fieldlink.store.records import ClientRecord, DeviceRecord, DeviceState, ModuleRecord, ReleaseRecord
from fieldlink.store.store import Store

__all__ = [
    "AuditLog",
    "BlobStore",
    "ClientRecord",
    "ClientTable",
    "DeviceRecord",
    "DeviceState",
    "ModuleRecord",
    "ReleaseRecord",
    "Store",
]
