"""The audit log of debug sessions as values: entries, their hash chain, and its head. No files, no database.

Entry `n` (counted from 1) has `hash = BLAKE2b-256(canonical CBOR of [fields of the entry in order, hash of
entry n-1])`; the first entry's predecessor is 32 zero bytes. The chain alone shows edits, deletions in the
middle and reordering. The *head* (count and hash of the last entry), kept apart from the entries, shows that
the end was cut off.

What it cannot show: who can write both the entries and the head can make a new, consistent log. With
`mac_key` (derived from the server's private key) the head carries a MAC, and that takes the server's key too.
"""

import hashlib
import hmac
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from enum import Enum
from typing import Final

from fieldlink import cbor
from fieldlink.errors import AuditError

HASH_SIZE: Final = 32
GENESIS: Final = bytes(HASH_SIZE)
"""What the first entry names as the hash before it."""

_MAC_CONTEXT: Final = b"fieldlink-audit1"


class AuditEvent(Enum):
    """What an entry records."""

    OPENED = "opened"
    REFUSED = "refused"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """What was relayed one way: E2E frames, their bytes, and the hash of `length (u32) | frame` of each."""

    frames: int = 0
    size: int = 0
    digest: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One event of a debug session.

    `time_ms`: milliseconds since 1970. `permissions` and `token_serial` as in the token (0 when it could
    not be read). `reason`: an EndReason; None for `OPENED`. `ended_by`: "client", "device", "server" or "".
    Traffic is that of the whole session, for `ENDED` only.
    """

    time_ms: int
    event: AuditEvent
    client: str
    device_id: str
    session_id: bytes
    permissions: int
    token_serial: int
    reason: int | None = None
    ended_by: str = ""
    to_device: Traffic = field(default_factory=Traffic)
    to_client: Traffic = field(default_factory=Traffic)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainedEntry:
    """An entry in its place. `sequence` counts from 1."""

    sequence: int
    entry: AuditEntry
    previous: bytes
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """How long the log is, and the hash of its last entry (GENESIS when it is empty)."""

    count: int
    hash: bytes


def _traffic(traffic: Traffic) -> list[object]:
    return [traffic.frames, traffic.size, traffic.digest]


def entry_hash(sequence: int, entry: AuditEntry, previous: bytes) -> bytes:
    """The hash that chains `entry` to the one before it."""
    content = [
        sequence,
        entry.time_ms,
        entry.event.value,
        entry.client,
        entry.device_id,
        entry.session_id,
        entry.permissions,
        entry.token_serial,
        entry.reason,
        entry.ended_by,
        _traffic(entry.to_device),
        _traffic(entry.to_client),
        previous,
    ]
    return hashlib.blake2b(cbor.dumps(content), digest_size=HASH_SIZE).digest()


def chain(entry: AuditEntry, last: Head) -> ChainedEntry:
    """`entry` as the one that follows `last`."""
    sequence = last.count + 1
    return ChainedEntry(
        sequence=sequence, entry=entry, previous=last.hash, hash=entry_hash(sequence, entry, last.hash)
    )


def verify(entries: Iterable[ChainedEntry], head: Head | None) -> Head:
    """The end of the log, when it is intact. AuditError names the first entry that is not.

    Entries after the head are taken: the server writes the head after the entry, and may be about to.
    """
    last = Head(count=0, hash=GENESIS)
    head_seen = head is not None and (head.count, head.hash) == (0, GENESIS)
    for item in entries:
        number = last.count + 1
        if item.sequence != number:
            raise AuditError(f"entry {number} is missing: entry {item.sequence} comes in its place", number)
        if item.previous != last.hash:
            raise AuditError(
                f"entry {number} does not follow entry {last.count}: hash of the one before differs", number
            )
        if item.hash != entry_hash(number, item.entry, item.previous):
            raise AuditError(f"entry {number} was changed: its hash differs", number)
        last = Head(count=number, hash=item.hash)
        if head is not None and head.count == number:
            if head.hash != item.hash:
                raise AuditError(
                    f"entry {number} is not the one that the head names: the log was rewritten", number
                )
            head_seen = True
    if head is None and last.count:
        raise AuditError("entry 1 cannot be trusted: the head of the log is missing", 1)
    if head is not None and not head_seen:
        raise AuditError(
            f"entry {last.count + 1} is missing: the log was cut, its head counts {head.count} entries",
            last.count + 1,
        )
    return last


def mac_key(server_private: bytes) -> bytes:
    """Key for the head's MAC, from the server's private key (32 bytes)."""
    return hashlib.blake2b(server_private, digest_size=HASH_SIZE, person=_MAC_CONTEXT).digest()


def _mac(head: Head, key: bytes) -> bytes:
    return hashlib.blake2b(cbor.dumps([head.count, head.hash]), digest_size=HASH_SIZE, key=key).digest()


def encode_head(head: Head, key: bytes | None) -> bytes:
    """Text of the head's file; with `key` it carries a MAC."""
    values: dict[str, object] = {"fieldlink-audit-head": 1, "count": head.count, "hash": head.hash.hex()}
    if key is not None:
        values["mac"] = _mac(head, key).hex()
    return (json.dumps(values) + "\n").encode()


def decode_head(text: bytes, key: bytes | None) -> Head:
    """Head in its file's text; with `key` its MAC must fit. AuditError when something is wrong."""
    try:
        values = json.loads(text)
        version, count, digest = (
            values["fieldlink-audit-head"],
            values["count"],
            bytes.fromhex(values["hash"]),
        )
        mac = bytes.fromhex(values.get("mac", ""))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise AuditError("the head of the log cannot be understood: it was damaged or changed") from error
    if version != 1 or type(count) is not int or count < 0 or len(digest) != HASH_SIZE:
        raise AuditError("the head of the log cannot be understood: it was damaged or changed")
    head = Head(count=count, hash=digest)
    if key is not None and not hmac.compare_digest(mac, _mac(head, key)):
        raise AuditError("the head of the log was not written with this server key: it was changed")
    return head


def entry_to_dict(item: ChainedEntry) -> dict[str, object]:
    """JSON-ready form; bytes are hex."""
    values: dict[str, object] = {"sequence": item.sequence, "hash": item.hash.hex()}
    for each in fields(item.entry):
        value = getattr(item.entry, each.name)
        if isinstance(value, Traffic):
            value = {"frames": value.frames, "bytes": value.size, "digest": value.digest.hex()}
        elif isinstance(value, AuditEvent):
            value = value.value
        values[each.name] = value.hex() if isinstance(value, bytes) else value
    return values
