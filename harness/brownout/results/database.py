"""Transactions on the store's database: SQLite in a file, or PostgreSQL. Every failure is one line."""

from __future__ import annotations

import contextlib
import sqlite3
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa
from sqlalchemy import event

from brownout.errors import StoreError
from brownout.results import schema

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_WAIT_S: Final = 30.0
"""How long a writer waits for another one, in seconds; a large sweep is written in a few."""
_CONNECT_S: Final = 10
_POSTGRES_LOCK: Final = 0x62_72_6F_77_6E
"""Whoever writes holds this advisory lock: one writer at a time, as on SQLite."""
_WRITES: Final = "brownout_writes"


class Database:
    """The database of a store at `url`: a file's path, "sqlite:///FILE", or "postgresql://...".

    Raises StoreError for a URL that cannot be used.
    """

    def __init__(self, url: str) -> None:
        self._url = _parse(url)
        self._sqlite = self._url.get_backend_name() == "sqlite"
        arguments: Mapping[str, object] = (
            {"timeout": _WAIT_S} if self._sqlite else {"connect_timeout": _CONNECT_S}
        )
        try:
            self._engine = sa.create_engine(self._url, connect_args=dict(arguments))
        except ImportError as error:
            raise StoreError(
                f"store {self}: needs the driver '{error.name or error}': pip install 'brownout[postgres]'"
            ) from error
        except sa.exc.ArgumentError as error:
            raise StoreError(f"store {self}: cannot be used: {_first_line(error)}") from error
        if self._sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
        # Made after the listeners: it has those of the engine at this moment.
        self._writer = self._engine.execution_options(**{_WRITES: True})

    def __str__(self) -> str:
        if self._sqlite:
            return str(self._url.database)
        return self._url.set(drivername="postgresql").render_as_string(hide_password=True)

    @property
    def file(self) -> Path | None:
        """The file, on SQLite."""
        return Path(str(self._url.database)) if self._sqlite else None

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view. Raises StoreError."""
        with self._errors(), self._engine.begin() as connection:
            if not self._sqlite:
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction: all of it or nothing, and nobody else writes meanwhile. Raises StoreError."""
        with self._errors(), self._writer.begin() as connection:
            if not self._sqlite:
                connection.exec_driver_sql(f"SET LOCAL lock_timeout = {round(_WAIT_S * 1000)}")
                connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_POSTGRES_LOCK})")
            yield connection

    def prepare(self, *, create: bool) -> None:
        """Make the tables of a new store, or bring those of an older one up to date.

        Raises StoreError: there is no store and `create` is False, it is another thing's database, or one of
        a newer schema.
        """
        file = self.file
        if file is not None:
            self._check_file(file, create=create)
        with self.reading() as connection:
            version = self._version(connection, create=create)
        if version != schema.SCHEMA_VERSION:
            with self.writing() as connection:
                # Asked again: another process may have done it in the meantime.
                self._upgrade(connection, self._version(connection, create=create))

    def give_back(self) -> None:
        """Return to the system what a removal left free in the file. PostgreSQL does so by itself."""
        if self._sqlite:
            with self._errors(), self._engine.connect() as connection:
                raw = connection.connection.driver_connection
                if isinstance(raw, sqlite3.Connection):
                    # Outside of a transaction, where alone it works. execute() would free one page and stop.
                    raw.executescript("PRAGMA incremental_vacuum; PRAGMA wal_checkpoint(TRUNCATE);")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()

    def _check_file(self, file: Path, *, create: bool) -> None:
        if file.is_dir():
            raise StoreError(f"store {file}: is a folder, expected a file")
        if file.exists():
            return
        if not create:
            raise StoreError(f"store {file}: does not exist; 'brownout results import FILE' makes one")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"store {file}: its folder cannot be made ({error.strerror}): choose another with --store"
            ) from error

    def _version(self, connection: sa.Connection, *, create: bool) -> int | None:
        """Version of the schema; None when it has no tables and may get them."""
        names = sa.inspect(connection).get_table_names()
        if schema.schema_version.name in names:
            return connection.execute(sa.select(schema.schema_version.c.version)).scalar_one_or_none()
        if self._sqlite and names:
            raise StoreError(f"store {self}: is a database of something else (it has a table '{names[0]}')")
        if not create:
            raise StoreError(f"store {self}: has no results; 'brownout results import FILE' makes a store")
        return None

    def _upgrade(self, connection: sa.Connection, version: int | None) -> None:
        table = schema.schema_version
        if version is None:
            schema.metadata.create_all(connection)
            connection.execute(table.insert().values(version=schema.SCHEMA_VERSION))
            return
        if version > schema.SCHEMA_VERSION:
            raise StoreError(
                f"store {self}: has schema {version}, this brownout knows {schema.SCHEMA_VERSION}: "
                "use the newer brownout that made it, or another store"
            )
        for step in range(version, schema.SCHEMA_VERSION):
            if step not in schema.MIGRATIONS:
                raise StoreError(f"store {self}: has schema {version}, which no released brownout ever made")
            schema.MIGRATIONS[step](connection)
        connection.execute(table.update().values(version=schema.SCHEMA_VERSION))

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sa.exc.SQLAlchemyError, sqlite3.Error, OSError) as error:
            raise StoreError(f"store {self}: {_first_line(error)}") from error


def _parse(text: str) -> sa.URL:
    if "://" not in text:
        return sa.URL.create("sqlite", database=text)
    try:
        url = sa.make_url(text)
    except sa.exc.ArgumentError as error:
        raise StoreError("store: the URL cannot be read: expected postgresql://USER@HOST/NAME") from error
    backend = url.drivername.split("+")[0]
    if backend in ("postgres", "postgresql"):
        # SQLAlchemy 2.0 would take psycopg2 by default.
        return url.set(drivername="postgresql+psycopg" if "+" not in url.drivername else url.drivername)
    if backend != "sqlite":
        raise StoreError(
            f"store: '{backend}' is not supported: expected a file, sqlite:///FILE or postgresql://..."
        )
    if not url.database or url.database == ":memory:":
        raise StoreError("store: SQLite without a file forgets everything: expected sqlite:///FILE")
    return url


def _first_line(error: BaseException) -> str:
    origin = getattr(error, "orig", None) or error
    return (str(origin).strip().splitlines() or [type(origin).__name__])[0]


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event issues BEGIN, see below
    connection.execute("PRAGMA foreign_keys=ON")
    connection.execute("PRAGMA synchronous=FULL")
    if connection.execute("PRAGMA journal_mode").fetchone()[0] != "wal":
        # Only an empty file takes this, and only before WAL. Two processes may be here at once: one wins, and
        # both work in the mode that the file then has.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        with contextlib.suppress(sqlite3.OperationalError):
            connection.execute("PRAGMA journal_mode=WAL")


def _begin_sqlite(connection: sa.Connection) -> None:
    # A writer takes the lock at once: one that read first could not wait for another writer.
    writes = connection.get_execution_options().get(_WRITES, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")
