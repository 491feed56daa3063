"""What the server keeps: encrypted modules as content-addressed files, everything else in a database."""

from fieldlink.store.blobs import BlobStore
from fieldlink.store.records import DeviceRecord, DeviceState, ModuleRecord, ReleaseRecord
from fieldlink.store.store import Store

__all__ = ["BlobStore", "DeviceRecord", "DeviceState", "ModuleRecord", "ReleaseRecord", "Store"]
