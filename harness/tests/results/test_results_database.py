"""What can be wrong with a store is told in one line; an older one is brought up to date."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import sqlalchemy as sa
from results_helpers import a_case, a_run

from brownout.errors import StoreError
from brownout.results import database, schema
from brownout.results.model import CutOutcome, EvidenceItem
from brownout.results.store import ResultStore

CHILD_S = 60


def set_version(store: ResultStore, version: int) -> None:
    with store._database.writing() as connection:
        connection.execute(schema.schema_version.update().values(version=version))


def one_line(error: pytest.ExceptionInfo[StoreError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_a_store_of_a_newer_schema_is_left_alone(store, url):
    set_version(store, 2)
    with pytest.raises(StoreError) as caught:
        ResultStore.open(url)
    text = one_line(caught)
    assert "has schema 2, this brownout knows 1" in text
    set_version(store, 1)
    ResultStore.open(url).close()


def test_a_store_of_an_older_schema_gets_what_is_missing(store, url, monkeypatch):
    run = a_run(cases=(a_case(),))
    store.add(run)
    store.close()
    seen = []

    def add_column(connection: sa.Connection) -> None:
        seen.append(1)
        connection.exec_driver_sql("ALTER TABLE results_runs ADD COLUMN weather TEXT")

    monkeypatch.setattr(schema, "SCHEMA_VERSION", 2)
    monkeypatch.setattr(schema, "MIGRATIONS", {1: add_column})
    for _ in range(2):
        with ResultStore.open(url, create=False) as newer:
            assert newer.load(run.id) == run
            with newer._database.reading() as connection:
                assert connection.exec_driver_sql("SELECT weather FROM results_runs").scalar() is None
    assert seen == [1]


def test_a_failed_migration_leaves_the_old_store(store, url, monkeypatch):
    def fail(connection: sa.Connection) -> None:
        connection.exec_driver_sql("ALTER TABLE results_runs ADD COLUMN weather TEXT")
        connection.exec_driver_sql("ALTER TABLE nothing ADD COLUMN weather TEXT")

    with monkeypatch.context() as patch:
        patch.setattr(schema, "SCHEMA_VERSION", 2)
        patch.setattr(schema, "MIGRATIONS", {1: fail})
        with pytest.raises(StoreError, match="nothing"):
            ResultStore.open(url)
    with ResultStore.open(url) as again, again._database.reading() as connection:
        columns = {column["name"] for column in sa.inspect(connection).get_columns("results_runs")}
        assert "weather" not in columns


def test_a_version_that_nobody_made_is_refused(store, url):
    set_version(store, 0)
    with pytest.raises(StoreError, match="has schema 0, which no released brownout ever made"):
        ResultStore.open(url)


def test_reading_makes_no_store(url, tmp_path):
    with pytest.raises(StoreError, match="'brownout results import FILE' makes"):
        ResultStore.open(url, create=False)
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_no_store(tmp_path):
    other = tmp_path / "other.db"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE devices (id TEXT)")
    connection.close()
    text = tmp_path / "text.db"
    text.write_text("no database at all, but long enough to be one" * 100)
    for path, why in (
        (other, "is a database of something else .it has a table 'devices'"),
        (text, "file is not a database"),
        (tmp_path, "is a folder, expected a file"),
        (text / "below.db", "its folder cannot be made|Not a directory"),
    ):
        with pytest.raises(StoreError, match=why) as caught:
            ResultStore.open(str(path))
        assert str(path) in one_line(caught)
    assert text.read_text().startswith("no database")
    with sqlite3.connect(other) as connection:
        assert connection.execute("SELECT name FROM sqlite_master").fetchall() == [("devices",)]
    connection.close()


@pytest.mark.parametrize(
    ("url", "why"),
    [
        (
            "mysql://me@host/results",
            "'mysql' is not supported: expected a file, sqlite:///FILE or",
        ),
        ("sqlite://", "SQLite without a file forgets everything"),
        ("sqlite:///:memory:", "SQLite without a file forgets everything"),
        ("://", "the URL cannot be read"),
        ("postgresql+nothing://host/results", "cannot be used"),
    ],
)
def test_urls_that_cannot_be_used(url, why):
    with pytest.raises(StoreError, match=why) as caught:
        ResultStore.open(url)
    one_line(caught)


def test_a_server_that_does_not_answer_is_one_line_without_the_password(tmp_path):
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'brownout[postgres]'")
    with pytest.raises(StoreError) as caught:
        ResultStore.open(f"postgresql://me:secret@/results?host={tmp_path}")
    text = one_line(caught)
    assert "secret" not in text
    assert "me:***@" in text
    assert str(tmp_path) in text


def test_a_missing_driver_is_one_line(tmp_path):
    code = (
        "import sys\n"
        "sys.modules['psycopg'] = None\n"
        "from brownout.errors import StoreError\n"
        "from brownout.results.store import ResultStore\n"
        "try:\n"
        "    ResultStore.open('postgresql://host/results')\n"
        "except StoreError as error:\n"
        "    print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=CHILD_S, check=True
    )
    assert done.stdout == (
        "store postgresql://host/results: needs the driver 'psycopg': pip install 'brownout[postgres]'\n"
    )


def test_the_place_of_a_store_comes_from_the_environment_and_has_a_default(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BROWNOUT_RESULTS", raising=False)
    ResultStore.open().close()
    assert (tmp_path / ".brownout" / "results.db").is_file()
    monkeypatch.setenv("BROWNOUT_RESULTS", str(tmp_path / "deep" / "other.db"))
    ResultStore.open().close()
    assert (tmp_path / "deep" / "other.db").is_file()
    ResultStore.open(f"sqlite:///{tmp_path}/third.db").close()
    assert (tmp_path / "third.db").is_file()


def test_the_file_shrinks_when_runs_are_removed(tmp_path):
    path = tmp_path / "results.db"
    item = EvidenceItem(path="a", key="", media_type="", data=os.urandom(1 << 20))
    run, kept = a_run(cases=(a_case(evidence=(item,)),)), a_run(1)
    with ResultStore.open(str(path)) as store:
        store.add(run)
        store.add(kept)
    assert path.stat().st_size > 1 << 20
    with ResultStore.open(str(path)) as store:
        store.remove([run.id])
        assert sum(file.stat().st_size for file in tmp_path.iterdir()) < 1 << 19
        assert [found.id for found in store.runs()] == [kept.id]


# -- several processes -------------------------------------------------------------------------------------

WRITER = """
import sys
from results_helpers import a_case, a_run
from brownout.results.model import CutOutcome
from brownout.results.store import ResultStore

url, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
cuts = tuple(CutOutcome(operation=n, phase="after", variant="", verdict="old") for n in range(500))
print("ready", flush=True)
sys.stdin.readline()
with ResultStore.open(url) as store:
    for number in range(count):
        store.add(a_run(number, cases=(a_case(f"{name}.{number}"),), cuts=cuts))
"""

STOPPED = """
import sys
import sqlalchemy as sa
from sqlalchemy import event
from results_helpers import a_case, a_run
from brownout.results.model import CutOutcome, EvidenceItem
from brownout.results.store import ResultStore

url, statement = sys.argv[1], int(sys.argv[2])
item = EvidenceItem(path="a", key="", media_type="", data=bytes(1 << 20))
cuts = tuple(CutOutcome(operation=n, phase="after", variant="", verdict="old") for n in range(2000))
store = ResultStore.open(url)
seen = 0

def stop(connection, cursor, text, parameters, context, many):
    global seen
    if text.startswith("INSERT"):
        seen += 1
    if seen > statement:
        print("stopped", flush=True)
        sys.stdin.readline()

event.listen(sa.engine.Engine, "before_cursor_execute", stop)
event.listen(sa.engine.Engine, "commit", lambda connection: stop(None, None, "INSERT", None, None, False))
store.add(a_run(7, cases=(a_case(evidence=(item,)),), cuts=cuts))
print("written", flush=True)
"""


def start(code: str, *arguments: str) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, (str(Path(__file__).parent), os.environ.get("PYTHONPATH"))))
    environment = {**os.environ, "PYTHONPATH": path}
    return subprocess.Popen(
        [sys.executable, "-c", code, *arguments],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_one_writes_at_a_time_and_nobody_waits_for_ever(url, monkeypatch):
    monkeypatch.setattr(database, "_WAIT_S", 0.2)
    run = a_run()
    with ResultStore.open(url) as store, ResultStore.open(url) as other:
        with other._database.writing():
            # Readers do not wait.
            assert store.runs() == []
            with pytest.raises(StoreError, match="lock"):
                store.add(run)
        store.add(run)
        assert [found.id for found in other.runs()] == [run.id]


def test_two_processes_write_at_the_same_time(url):
    writers = [start(WRITER, url, name, "8") for name in ("one", "two")]
    try:
        for writer in writers:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("\n")
            writer.stdin.flush()
        for writer in writers:
            _, errors = writer.communicate(timeout=CHILD_S)
            assert writer.returncode == 0, errors
    finally:
        for writer in writers:
            writer.kill()
            writer.communicate()
    with ResultStore.open(url, create=False) as store:
        names = [store.load(run.id).cases[0].name for run in store.runs()]
        assert sorted(names) == sorted(f"{name}.{number}" for name in ("one", "two") for number in range(8))
        assert {run.cuts for run in store.runs()} == {500}


# Inserts of a run with one case: run, case, cuts, blob, evidence; then the commit.
@pytest.mark.parametrize("statement", [1, 3, 5])
def test_a_killed_writer_loses_nothing_that_is_recorded(url, statement):
    item = EvidenceItem(path="a", key="", media_type="", data=b"kept")
    cut = CutOutcome(operation=1, phase="after", variant="", verdict="old")
    before = [a_run(day, cases=(a_case(evidence=(item,)),), cuts=(cut,)) for day in range(3)]
    with ResultStore.open(url) as store:
        for run in before:
            store.add(run)
    writer = start(STOPPED, url, str(statement))
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "stopped\n", writer.stderr
        writer.kill()
    finally:
        writer.kill()
        writer.communicate(timeout=CHILD_S)
    started = time.monotonic()
    with ResultStore.open(url, create=False) as store:
        assert [store.load(run.id, evidence=True) for run in before] == before
        assert len(store.runs()) == 3
        store.add(a_run(8))
        assert len(store.runs()) == 4
        if store._database.file is not None:
            with sqlite3.connect(store._database.file) as connection:
                assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            connection.close()
    # Nobody waits for the lock of the dead.
    assert time.monotonic() - started < 20
