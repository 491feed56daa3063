"""The audit log on disk: entries in the database, the chain's head in a file beside it."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fieldlink import audit
from fieldlink.atomic import PRIVATE_MODE, write_file
from fieldlink.audit import AuditEntry, AuditEvent, ChainedEntry, Head, Traffic
from fieldlink.errors import AuditError, StoreError
from fieldlink.store.database import Database, audit_entries

HEAD_NAME = "audit.head"
_HEAD_LIMIT = 4096
_ROWS_AT_A_TIME = 500
_EMPTY = Head(count=0, hash=audit.GENESIS)

_log = logging.getLogger("fieldlink.store.audit")


class AuditLog:
    """Appends and verifies. An entry is there completely, in one transaction, or not at all.

    The head is written after its entry, so after a crash it may lag behind; it never runs ahead. A head
    that does not fit the entries is evidence and is left alone.
    """

    def __init__(self, database: Database, head_path: Path) -> None:
        self._database = database
        self._head_path = head_path

    def append(self, entry: AuditEntry, mac_key: bytes | None = None) -> ChainedEntry:
        """Adds an entry at the end and moves the head there. StoreError when that cannot be done.

        With `mac_key` (see `audit.mac_key`) the head is authenticated.
        """
        try:
            with self._database.writing() as connection:
                last = _last(connection)
                if last.count == 0 and not self._head_path.exists():
                    self._write_head(_EMPTY, mac_key)
                item = audit.chain(entry, last)
                connection.execute(audit_entries.insert().values(_to_row(item)))
        except sa.exc.IntegrityError as error:  # another server was faster; not on SQLite
            raise StoreError(
                "store: audit log: another server appended at the same time; try again"
            ) from error
        self._advance_head(item, mac_key)
        return item

    def _advance_head(self, item: ChainedEntry, mac_key: bytes | None) -> None:
        try:
            head = self.head(mac_key)
        except AuditError as error:
            _log.error("audit log: %s; the head stays as it is", error)
            return
        if head is None or not self._head_fits(head):
            _log.error("audit log: the head does not fit the entries; `fieldlink audit verify` says where")
            return
        self._write_head(Head(count=item.sequence, hash=item.hash), mac_key)

    def _head_fits(self, head: Head) -> bool:
        if head.count == 0:
            return head.hash == audit.GENESIS
        query = sa.select(audit_entries.c.hash).where(audit_entries.c.sequence == head.count)
        with self._database.reading() as connection:
            return connection.execute(query).scalar_one_or_none() == head.hash

    def _write_head(self, head: Head, mac_key: bytes | None) -> None:
        try:
            write_file(self._head_path, audit.encode_head(head, mac_key), mode=PRIVATE_MODE)
        except OSError as error:
            raise StoreError(f"store: cannot write {self._head_path}: {error.strerror}") from error

    def head(self, mac_key: bytes | None = None) -> Head | None:
        """The head; None when there is none. AuditError when it is damaged or its MAC does not fit."""
        try:
            with self._head_path.open("rb") as stream:
                text = stream.read(_HEAD_LIMIT)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StoreError(f"store: cannot read {self._head_path}: {error.strerror}") from error
        return audit.decode_head(text, mac_key)

    def entries(self) -> list[ChainedEntry]:
        """The whole log, oldest first. AuditError for an entry that cannot be understood."""
        return list(self._entries())

    def _entries(self) -> Iterator[ChainedEntry]:
        query = sa.select(audit_entries).order_by(audit_entries.c.sequence)
        count = 0
        with self._database.reading() as connection:
            try:
                for row in connection.execute(query).yield_per(_ROWS_AT_A_TIME):
                    item = _from_row(row)
                    count += 1
                    yield item
            except (TypeError, ValueError) as error:  # a value of another type than the column's
                number = _first_unreadable(connection, count)
                raise AuditError(f"entry {number} was changed: it cannot be understood", number) from error

    def verify(self, mac_key: bytes | None = None) -> Head:
        """The end of the log when it is intact; AuditError names the first entry that is not."""
        head = self.head(mac_key)  # first: entries that come later are after the head
        return audit.verify(self._entries(), head)


def _last(connection: sa.Connection) -> Head:
    query = sa.select(audit_entries.c.sequence, audit_entries.c.hash)
    row = connection.execute(query.order_by(audit_entries.c.sequence.desc()).limit(1)).one_or_none()
    return _EMPTY if row is None else Head(count=row.sequence, hash=row.hash)


def _to_row(item: ChainedEntry) -> dict[str, object]:
    entry = item.entry
    return {
        "sequence": item.sequence,
        "time_ms": entry.time_ms,
        "event": entry.event.value,
        "client": entry.client,
        "device_id": entry.device_id,
        "session_id": entry.session_id,
        "permissions": entry.permissions,
        "token_serial": entry.token_serial,
        "reason": entry.reason,
        "ended_by": entry.ended_by,
        "frames_to_device": entry.to_device.frames,
        "bytes_to_device": entry.to_device.size,
        "digest_to_device": entry.to_device.digest,
        "frames_to_client": entry.to_client.frames,
        "bytes_to_client": entry.to_client.size,
        "digest_to_client": entry.to_client.digest,
        "previous": item.previous,
        "hash": item.hash,
    }


def _first_unreadable(connection: sa.Connection, good: int) -> int:
    """Number of the entry after the `good` ones that fails; rows are converted several at a time."""
    for number in range(good + 1, good + _ROWS_AT_A_TIME + 1):
        query = sa.select(audit_entries).order_by(audit_entries.c.sequence).offset(number - 1).limit(1)
        try:
            _check_types(connection.execute(query).one())
        except (TypeError, ValueError, sa.exc.NoResultFound):
            return number
    return good + 1


_INTEGERS = frozenset(column.name for column in audit_entries.c if isinstance(column.type, sa.Integer))
_TEXTS = frozenset(column.name for column in audit_entries.c if isinstance(column.type, sa.String))


def _check_types(row: "sa.Row[Any]") -> None:
    """TypeError for a value that the column cannot hold; SQLite takes any."""
    for name, value in row._mapping.items():  # noqa: SLF001 (that is its public name)
        expected = int if name in _INTEGERS else str if name in _TEXTS else bytes
        if not isinstance(value, expected) and not (name == "reason" and value is None):
            raise TypeError(f"{name} is no {expected.__name__}")


def _from_row(row: "sa.Row[Any]") -> ChainedEntry:
    _check_types(row)
    try:
        event = AuditEvent(row.event)
    except ValueError as error:
        raise AuditError(
            f"entry {row.sequence} was changed: unknown event {row.event!r:.40}", row.sequence
        ) from error
    entry = AuditEntry(
        time_ms=row.time_ms,
        event=event,
        client=row.client,
        device_id=row.device_id,
        session_id=row.session_id,
        permissions=row.permissions,
        token_serial=row.token_serial,
        reason=row.reason,
        ended_by=row.ended_by,
        to_device=Traffic(frames=row.frames_to_device, size=row.bytes_to_device, digest=row.digest_to_device),
        to_client=Traffic(frames=row.frames_to_client, size=row.bytes_to_client, digest=row.digest_to_client),
    )
    return ChainedEntry(sequence=row.sequence, entry=entry, previous=row.previous, hash=row.hash)
