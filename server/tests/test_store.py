"""Publishing is all or nothing, and damage is noticed."""

import os
import sqlite3
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from fieldlink import atomic
from fieldlink.errors import ConfigError, NotFoundError, StoreError
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import open_envelope
from fieldlink.publish import ModuleImage
from fieldlink.release import blob_chunk, open_chunk
from fieldlink.store import Store


def test_a_published_release_is_read_back_whole(fleet, make_images):
    published = fleet.publish(3)
    assert fleet.store.newest_release("test-board") == published
    manifest = open_envelope(published.envelope, fleet.release.public)
    assert [module.id for module in manifest.modules] == [1, 2, 3]
    kernel = published.modules[0]
    blob = fleet.store.read_blob(kernel.blob)
    chunk = open_chunk(
        blob_chunk(blob, kernel.image_size, 1),
        module_id=1,
        chunk=1,
        sequence=3,
        image_size=kernel.image_size,
        content_key=published.content_key.key,
    )
    assert chunk == make_images()[0].image[4096:8192]
    fleet.store.verify()


def test_the_newest_release_of_the_board_is_served(fleet):
    assert fleet.store.newest_release("test-board") is None
    fleet.publish(1)
    fleet.publish(5)
    assert fleet.store.newest_release("test-board").sequence == 5
    assert fleet.store.newest_release("other-board") is None
    assert [release.sequence for release in fleet.store.list_releases()] == [1, 5]


@pytest.mark.parametrize("sequence", [4, 5])
def test_a_sequence_that_is_not_higher_is_refused(fleet, sequence):
    fleet.publish(5)
    blobs = fleet.store.blobs.names()
    with pytest.raises(ConfigError, match="at least 6"):
        fleet.publish(sequence)
    assert fleet.store.blobs.names() == blobs


class Crash(BaseException):
    """A process that dies: nothing in the product catches it."""


def count_steps(fleet, monkeypatch, crash_at: int | None) -> int:
    """Publishes release 2 with a crash before the `crash_at`-th step on disk; returns the steps taken."""
    steps = 0

    def step(real):
        def wrapped(*args, **kwargs):
            nonlocal steps
            if steps == crash_at:
                raise Crash
            steps += 1
            return real(*args, **kwargs)

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", step(os.fsync))
        patch.setattr(Path, "replace", step(Path.replace))
        patch.setattr(Path, "mkdir", step(Path.mkdir))
        patch.setattr(fleet.store, "add_release", step(fleet.store.add_release))
        fleet.publish(2)
    return steps


def test_a_crash_at_any_step_leaves_no_release_or_the_whole_one(fleet, monkeypatch, tmp_path):
    fleet.publish(1)
    crash_at = 0
    while True:
        try:
            count_steps(fleet, monkeypatch, crash_at)
        except Crash:
            crash_at += 1
        else:
            break
        with Store.open(tmp_path / "store") as reopened:
            assert reopened.newest_release("test-board").sequence == 1
            reopened.verify()
        assert not list((tmp_path / "store").rglob("*.tmp"))
    assert crash_at >= 3 * 3 + 1  # three modules: flush, rename and flush each; then the transaction
    with Store.open(tmp_path / "store") as reopened:
        assert reopened.newest_release("test-board").sequence == 2
        reopened.verify()
        assert reopened.remove_orphans() > 0
        reopened.verify()


KILLED = """
    import os, sys
    from pathlib import Path
    import sqlalchemy as sa
    from fieldlink.keys import KeyPair, KeyUse
    from fieldlink.layout import load_layout
    from fieldlink.publish import ModuleImage, publish_release
    from fieldlink.store import Store

    root, layout, statement = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    store = Store.open(root, create=True)
    seen = 0

    @sa.event.listens_for(store._database._writer, "before_cursor_execute")
    def die(*_):
        global seen
        if seen == statement:
            os._exit(42)
        seen += 1

    @sa.event.listens_for(store._database._writer, "commit")
    def die_at_commit(_):
        if statement < 0:
            os._exit(42)

    publish_release(
        store, board="b", sequence=1, release_key=KeyPair.generate(KeyUse.RELEASE),
        layout=load_layout(layout), images=[ModuleImage(name=name, version="1.0.0", image=name.encode())
        for name in ("one", "two")], )
"""


@pytest.mark.parametrize("statement", [-1, 0, 1, 2, 3])
def test_a_process_killed_inside_the_transaction_leaves_nothing(tmp_path, statement):
    layout = tmp_path / "layout.toml"
    layout.write_text(
        "[modules.one]\nid = 1\nkind = 1\nregion_offset = 0\nregion_size = 64\n"
        "[modules.two]\nid = 2\nkind = 3\nregion_offset = 64\nregion_size = 64\n"
    )
    root = tmp_path / "killed"
    command = [sys.executable, "-c", textwrap.dedent(KILLED), str(root), str(layout), str(statement)]
    result = subprocess.run(command, capture_output=True, timeout=60, check=False, text=True)
    assert result.returncode == 42, result.stderr
    with Store.open(root) as store:
        assert store.list_releases() == []
        assert store.remove_orphans() == 2


def test_two_publishers_of_one_sequence_cannot_both_win(fleet, tmp_path):
    results: list[str] = []

    def publish() -> None:
        with Store.open(tmp_path / "store") as store:
            try:
                replace(fleet, store=store).publish(1)
                results.append("won")
            except ConfigError:
                results.append("refused")

    threads = [threading.Thread(target=publish) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(results) == ["refused"] * 5 + ["won"]
    assert len(fleet.store.list_releases()) == 1
    fleet.store.verify()


def test_the_transaction_itself_refuses_a_sequence_that_is_not_higher(fleet):
    """Two publishers may both have looked before either wrote."""
    release = fleet.publish(5)
    for sequence in (4, 5):
        with pytest.raises(ConfigError, match="at least 6"):
            fleet.store.add_release(replace(release, sequence=sequence))
    assert len(fleet.store.list_releases()) == 1


def test_a_damaged_blob_is_noticed(fleet):
    module = fleet.publish(1).modules[1]
    path = fleet.store.blobs.path(module.blob)
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(StoreError, match="damaged"):
        fleet.store.read_blob(module.blob)
    with pytest.raises(StoreError, match=r"module app of test-board release 1") as caught:
        fleet.store.verify()
    assert "\n" not in str(caught.value)
    path.unlink()
    with pytest.raises(NotFoundError, match="missing"):
        fleet.store.verify()


def test_putting_a_blob_mends_a_damaged_file(fleet):
    name = fleet.store.blobs.put(b"content")
    fleet.store.blobs.path(name).write_bytes(b"damaged")
    assert fleet.store.blobs.put(b"content") == name
    assert fleet.store.blobs.get(name) == b"content"


def test_a_damaged_envelope_is_noticed(fleet, tmp_path):
    fleet.publish(1)
    connection = sqlite3.connect(tmp_path / "store" / "fieldlink.db")
    connection.execute("UPDATE releases SET envelope = X'00'")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="release 1 is damaged"):
        fleet.store.verify()


@pytest.mark.parametrize("content", [b"", b"this is not a database, not at all" * 100])
def test_a_damaged_database_is_one_line(tmp_path, content):
    root = tmp_path / "store"
    Store.open(root, create=True).close()
    for path in root.glob("fieldlink.db*"):
        path.write_bytes(content)
    with pytest.raises(StoreError) as caught:
        Store.open(root)
    assert "\n" not in str(caught.value)
    assert "fieldlink.db" in str(caught.value)


def test_a_store_that_is_not_there_is_not_made_by_reading(tmp_path):
    with pytest.raises(StoreError, match="not there"):
        Store.open(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_another_schema_version_is_refused(tmp_path):
    Store.open(tmp_path / "store", create=True).close()
    connection = sqlite3.connect(tmp_path / "store" / "fieldlink.db")
    connection.execute("UPDATE schema_version SET version = 99")
    connection.commit()
    connection.close()
    with pytest.raises(StoreError, match="schema version 99"):
        Store.open(tmp_path / "store", create=True)


def test_the_database_is_in_wal_mode_and_private(fleet, tmp_path):
    path = tmp_path / "store" / "fieldlink.db"
    assert path.stat().st_mode & 0o077 == 0
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    connection.close()


def test_publishing_checks_the_set(fleet, make_images, layout):
    good = make_images()

    def change(index: int, **fields: object) -> list[ModuleImage]:
        return [replace(item, **fields) if at == index else item for at, item in enumerate(good)]

    cases = [
        (good[:2], "lacks assets"),
        ([*good, good[0]], "more than once"),
        (change(0, image=bytes(0x20001)), "its region takes"),
        (change(0, image=b""), "its region takes"),
        (change(0, version="1.0"), "MAJOR"),
        (change(1, dependencies={"kernel": "1.0.1"}), "needs module 1 in version 1.0.1"),
        (change(1, dependencies={"kernal": "1.0.0"}), "not in the layout"),
        (change(1, name="apps"), "lacks app"),
    ]
    for images, message in cases:
        with pytest.raises(ConfigError, match=message):
            fleet.publish(1, images)
    for sequence in (0, -1, 2**32):
        with pytest.raises(ConfigError, match="sequence"):
            fleet.publish(sequence)
    assert fleet.store.list_releases() == []
    assert fleet.store.blobs.names() == set()
    fleet.publish(1, change(1, dependencies={"kernel": "1.0.0"}))


def test_only_a_release_key_signs(fleet):
    with pytest.raises(ConfigError, match="fleet key cannot sign"):
        replace(fleet, release=KeyPair.generate(KeyUse.FLEET)).publish(1)


def test_devices_are_found_by_key_and_remember_what_was_heard(fleet):
    device = fleet.provision("dev-1")
    assert fleet.store.device_by_key(device.record.link_public) == device.record
    assert fleet.store.device_by_key(bytes(32)) is None
    fleet.store.update_device("dev-1", last_seen=5.0, report=(2, 1), telemetry=(3, b"last"))
    fleet.store.update_device("dev-1", last_seen=6.0, telemetry=(2, b"newer"), stream_bytes=(10, 20))
    state = fleet.store.device_state("dev-1")
    assert (state.last_seen, state.report_sequence, state.report_code) == (6.0, 2, 1)
    assert (state.telemetry_count, state.telemetry_last) == (5, b"newer")
    assert (state.stream_bytes_in, state.stream_bytes_out) == (10, 20)
    with pytest.raises(NotFoundError):
        fleet.store.device_state("dev-2")


def test_a_device_is_registered_once(fleet):
    fleet.provision("dev-1")
    with pytest.raises(ConfigError, match="registered already"):
        fleet.provision("dev-1")


@pytest.mark.parametrize("device_id", ["", "x" * 17, "-dash", "sp ace", "ümlaut", "a/b"])
def test_bad_device_ids_are_refused(fleet, device_id):
    with pytest.raises(ConfigError, match="device id"):
        fleet.provision(device_id)


def test_files_are_whole_or_absent(tmp_path, monkeypatch):
    target = tmp_path / "file"
    target.write_bytes(b"old")

    def fail(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", fail)
        with pytest.raises(OSError, match="No space"):
            atomic.write_file(target, b"new")
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]
    with pytest.raises(FileExistsError):
        atomic.write_file(target, b"new", replace=False)
    os.link(target, tmp_path / "reader")  # like somebody who has the old file open
    atomic.write_file(target, b"new")
    assert target.read_bytes() == b"new"
    assert (tmp_path / "reader").read_bytes() == b"old"
