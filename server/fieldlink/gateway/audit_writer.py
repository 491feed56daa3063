"""Appends audit entries in a thread, one after the other, in the order in which they came."""

import asyncio
import logging

from fieldlink.audit import AuditEntry
from fieldlink.errors import FieldlinkError
from fieldlink.gateway.sources import AuditSink
from fieldlink.gateway.threads import in_thread

_log = logging.getLogger("fieldlink.gateway.audit")


class AuditWriter:
    """Belongs to one event loop. What it cannot write is logged."""

    def __init__(self, sink: AuditSink, *, mac_key: bytes | None, timeout_s: float) -> None:
        self._sink = sink
        self._mac_key = mac_key
        self._timeout_s = timeout_s
        self._queue: asyncio.Queue[tuple[AuditEntry, asyncio.Future[bool]] | None] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins to write."""
        self._task = asyncio.create_task(self._run(), name="fieldlink-audit")

    def put(self, entry: AuditEntry) -> "asyncio.Future[bool]":
        """Queues an entry. The result says whether it was written; it may be ignored."""
        written: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((entry, written))
        return written

    async def close(self) -> None:
        """Returns when everything that was queued is written."""
        if self._task is not None:
            self._queue.put_nowait(None)
            await self._task
            self._task = None

    async def _run(self) -> None:
        while (item := await self._queue.get()) is not None:
            entry, written = item
            try:
                await in_thread(self._timeout_s, self._sink.append, entry, self._mac_key)
            except FieldlinkError as error:
                _log.error("audit entry (%s, %s) is lost: %s", entry.event.value, entry.device_id, error)
                result = False
            else:
                result = True
            if not written.done():
                written.set_result(result)
