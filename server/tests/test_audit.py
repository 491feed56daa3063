"""The audit log: what was done to it behind our back is found, and named."""

import json
import sqlite3
from dataclasses import replace
from pathlib import Path

import pytest

from fieldlink import audit
from fieldlink.audit import AuditEntry, AuditEvent, Head, Traffic
from fieldlink.errors import AuditError, ConfigError, NotFoundError, StoreError
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.store import ClientRecord, Store

KEY = audit.mac_key(bytes(32))


def entry(number: int) -> AuditEntry:
    ended = number % 2 == 0
    return AuditEntry(
        time_ms=1_700_000_000_000 + number,
        event=AuditEvent.ENDED if ended else AuditEvent.OPENED,
        client="alice",
        device_id=f"dev-{number}",
        session_id=bytes([number]) * 16,
        permissions=5,
        token_serial=number,
        reason=0 if ended else None,
        ended_by="client" if ended else "",
        to_device=Traffic(frames=number, size=10 * number, digest=bytes([number]) * 32),
    )


@pytest.fixture
def store(tmp_path: Path):
    with Store.open(tmp_path / "store", create=True) as opened:
        for number in range(1, 8):
            opened.audit.append(entry(number), KEY)
        yield opened


@pytest.fixture
def change(tmp_path: Path):
    """Runs SQL behind the store's back."""

    def run(*statements: str) -> None:
        connection = sqlite3.connect(tmp_path / "store" / "fieldlink.db")
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()

    return run


def broken(store: Store, key: bytes | None = KEY) -> AuditError:
    with pytest.raises(AuditError) as caught:
        store.audit.verify(key)
    assert "\n" not in str(caught.value)
    return caught.value


def test_an_untouched_log_is_intact_and_reads_back(store):
    head = store.audit.verify(KEY)
    assert head.count == 7
    assert head == store.audit.head(KEY)
    assert [item.entry for item in store.audit.entries()] == [entry(number) for number in range(1, 8)]
    assert (store.root / "audit.head").stat().st_mode & 0o077 == 0
    assert store.audit.verify(None) == head


def test_an_empty_log_is_intact(tmp_path):
    with Store.open(tmp_path / "empty", create=True) as store:
        assert store.audit.verify(KEY) == Head(count=0, hash=audit.GENESIS)


CHANGES = {
    "time_ms": "time_ms + 1",
    "event": "'refused'",
    "client": "'mallory'",
    "device_id": "'dev-9'",
    "session_id": "X'00'",
    "permissions": "1",
    "token_serial": "99",
    "reason": "4",
    "ended_by": "'device'",
    "frames_to_device": "0",
    "bytes_to_device": "0",
    "digest_to_device": "X'00'",
    "frames_to_client": "1",
    "bytes_to_client": "1",
    "digest_to_client": "X'00'",
    "previous": "zeroblob(32)",
    "hash": "zeroblob(32)",
}


@pytest.mark.parametrize("column", CHANGES)
def test_every_edited_field_is_found(store, change, column):
    change(f"UPDATE audit SET {column} = {CHANGES[column]} WHERE sequence = 4")  # noqa: S608
    assert broken(store).entry == 4


@pytest.mark.parametrize(
    ("column", "value"),
    [("time_ms", "'x'"), ("client", "X'00'"), ("hash", "7"), ("session_id", "'x'"), ("reason", "'x'")],
)
def test_a_field_of_another_type_is_found(store, change, column, value):
    change(f"UPDATE audit SET {column} = {value} WHERE sequence = 4")  # noqa: S608
    assert broken(store).entry == 4


def test_there_is_a_change_for_every_column():
    from fieldlink.store.database import audit_entries

    assert set(CHANGES) == {column.name for column in audit_entries.c} - {"sequence"}


def test_a_deleted_entry_is_found(store, change):
    change("DELETE FROM audit WHERE sequence = 3")
    assert broken(store).entry == 3
    change("UPDATE audit SET sequence = sequence - 1 WHERE sequence > 3")
    assert broken(store).entry == 3


def test_a_deleted_first_entry_is_found(store, change):
    change("DELETE FROM audit WHERE sequence = 1")
    assert broken(store).entry == 1


def test_entries_that_changed_places_are_found(store, change):
    change(
        "UPDATE audit SET sequence = 100 WHERE sequence = 2",
        "UPDATE audit SET sequence = 2 WHERE sequence = 5",
        "UPDATE audit SET sequence = 5 WHERE sequence = 100",
    )
    assert broken(store).entry == 2


def test_an_inserted_entry_is_found(store, change):
    change(
        "UPDATE audit SET sequence = sequence + 100 WHERE sequence > 3",
        "INSERT INTO audit SELECT 4, time_ms, event, client, device_id, session_id, permissions,"
        " token_serial, reason, ended_by, frames_to_device, bytes_to_device, digest_to_device,"
        " frames_to_client, bytes_to_client, digest_to_client, previous, hash FROM audit WHERE sequence = 3",
        "UPDATE audit SET sequence = sequence - 99 WHERE sequence > 100",
    )
    assert broken(store).entry == 4


@pytest.mark.parametrize(("kept", "entry_number"), [(6, 7), (2, 3), (0, 1)])
def test_a_log_that_was_cut_is_found(store, change, kept, entry_number):
    change(f"DELETE FROM audit WHERE sequence > {kept}")  # noqa: S608
    error = broken(store)
    assert error.entry == entry_number
    assert "cut" in str(error)
    # What is appended afterwards does not cover it up.
    for number in range(8, 18):
        store.audit.append(entry(number), KEY)
    assert broken(store).entry is not None


def test_an_entry_that_was_changed_together_with_its_own_hash_is_found(store, change):
    """Its hash is right, but the entry after it still names the one that was there."""
    item = store.audit.entries()[3]
    forged = audit.entry_hash(4, replace(item.entry, client="mallory"), item.previous)
    change(f"UPDATE audit SET client = 'mallory', hash = X'{forged.hex()}' WHERE sequence = 4")  # noqa: S608
    assert broken(store).entry == 5


def test_a_rewritten_log_does_not_fit_the_head(store, change):
    """Somebody changes an entry and makes all hashes after it anew."""
    last = Head(count=0, hash=audit.GENESIS)
    for item in store.audit.entries():
        changed = replace(item.entry, client="mallory") if item.sequence == 4 else item.entry
        forged = audit.chain(changed, last)
        last = Head(count=forged.sequence, hash=forged.hash)
        values = f"client = '{changed.client}', previous = X'{forged.previous.hex()}'"
        values += f", hash = X'{forged.hash.hex()}'"
        change(f"UPDATE audit SET {values} WHERE sequence = {item.sequence}")  # noqa: S608
    assert broken(store).entry == 7
    # With a new head too, only the server's key tells.
    (store.root / "audit.head").write_bytes(audit.encode_head(last, audit.mac_key(b"x" * 32)))
    assert store.audit.verify(None) == last
    assert "server key" in str(broken(store))


@pytest.mark.parametrize(
    "text", [b"", b"{}", b"[]", b"\xff", b"[" * 4000, b'{"fieldlink-audit-head": 1, "count": -1, "hash": ""}']
)
def test_a_damaged_head_is_found(store, text):
    (store.root / "audit.head").write_bytes(text)
    assert "head" in str(broken(store))
    store.audit.append(entry(8), KEY)  # the log goes on, the evidence stays
    assert (store.root / "audit.head").read_bytes() == text


def test_a_missing_head_is_found(store):
    (store.root / "audit.head").unlink()
    assert "head" in str(broken(store))
    store.audit.append(entry(8), KEY)
    assert "head" in str(broken(store))


def test_a_head_that_lags_behind_is_what_a_crash_leaves(store):
    old = (store.root / "audit.head").read_bytes()
    store.audit.append(entry(8), KEY)
    (store.root / "audit.head").write_bytes(old)
    assert store.audit.verify(KEY).count == 8
    store.audit.append(entry(9), KEY)
    assert store.audit.head(KEY).count == 9


def test_a_crash_inside_the_append_leaves_no_entry(store, monkeypatch):
    import sqlalchemy as sa

    engine = store._database._writer

    def crash(*_: object) -> None:
        raise RuntimeError("killed")

    sa.event.listen(engine, "commit", crash)
    with pytest.raises(RuntimeError):
        store.audit.append(entry(8), KEY)
    sa.event.remove(engine, "commit", crash)
    assert store.audit.verify(KEY).count == 7


def test_appending_from_two_sides_makes_one_chain(store, tmp_path):
    import threading

    def append() -> None:
        with Store.open(tmp_path / "store") as other:
            for number in range(8, 14):
                other.audit.append(entry(number), KEY)

    threads = [threading.Thread(target=append) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert store.audit.verify(KEY).count == 7 + 3 * 6


def test_a_store_that_cannot_keep_the_head_says_so(store, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("fieldlink.store.audit_log.write_file", fail)
    with pytest.raises(StoreError, match="No space"):
        store.audit.append(entry(8), KEY)


# ---- the store around it


def client(name: str = "alice", link: bytes = b"l" * 32, e2e: bytes = b"e" * 32) -> ClientRecord:
    return ClientRecord(name=name, link_public=link, e2e_public=e2e)


def test_clients_are_found_by_key(store):
    store.clients.add(client())
    store.clients.add(client("bob", b"b" * 32))
    assert store.clients.by_key(b"l" * 32) == client()
    assert store.clients.by_key(b"x" * 32) is None
    assert [item.name for item in store.clients.list()] == ["alice", "bob"]
    with pytest.raises(ConfigError, match="registered already"):
        store.clients.add(client(link=b"n" * 32))
    with pytest.raises(ConfigError, match="another client"):
        store.clients.add(client("carol"))
    store.clients.remove("alice")
    assert store.clients.by_key(b"l" * 32) is None
    with pytest.raises(NotFoundError, match="alice"):
        store.clients.remove("alice")


def test_a_store_of_the_version_before_is_extended(tmp_path, fleet, change):
    """As issue 2 left it: no clients, no audit, schema version 1."""
    fleet.publish(1)
    device = fleet.provision("dev-1").record
    fleet.store.close()
    change("DROP TABLE clients", "DROP TABLE audit", "UPDATE schema_version SET version = 1")
    with Store.open(tmp_path / "store") as store:
        assert store.device_by_id("dev-1") == device
        assert store.device_by_id("dev-2") is None
        store.verify()
        store.clients.add(client())
        store.audit.append(entry(1))
    with Store.open(tmp_path / "store") as store:
        assert store.clients.by_key(b"l" * 32) == client()
        assert store.audit.verify().count == 1


def test_the_mac_key_is_the_servers_own():
    one, two = KeyPair.generate(KeyUse.SERVER), KeyPair.generate(KeyUse.SERVER)
    head = Head(count=1, hash=b"h" * 32)
    text = audit.encode_head(head, audit.mac_key(one.private))
    assert audit.decode_head(text, audit.mac_key(one.private)) == head
    with pytest.raises(AuditError):
        audit.decode_head(text, audit.mac_key(two.private))
    changed = json.loads(text) | {"count": 2}
    with pytest.raises(AuditError):
        audit.decode_head(json.dumps(changed).encode(), audit.mac_key(one.private))
