"""Tables and the engine. SQLite by default; any URL that SQLAlchemy knows is accepted."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event

from fieldlink.errors import StoreError

SCHEMA_VERSION = 2
"""2 added clients and audit; opening a store of version 1 adds these tables."""
_EXTENDABLE_VERSIONS = (1,)
BUSY_TIMEOUT_S = 10

metadata = sa.MetaData()

schema_table = sa.Table("schema_version", metadata, sa.Column("version", sa.Integer, primary_key=True))

releases = sa.Table(
    "releases",
    metadata,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("board", sa.String(32), nullable=False),
    sa.Column("sequence", sa.BigInteger, nullable=False),
    sa.Column("envelope", sa.LargeBinary, nullable=False),
    sa.Column("content_key", sa.LargeBinary, nullable=False),
    sa.Column("key_id", sa.LargeBinary, nullable=False),
    sa.Column("created_at", sa.Float, nullable=False),
    sa.UniqueConstraint("board", "sequence"),
)

modules = sa.Table(
    "modules",
    metadata,
    sa.Column("release_id", sa.ForeignKey("releases.id"), primary_key=True),
    sa.Column("module_id", sa.BigInteger, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("version", sa.BigInteger, nullable=False),
    sa.Column("image_size", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.LargeBinary, nullable=False),
    sa.Column("blob", sa.String(64), nullable=False),
)

devices = sa.Table(
    "devices",
    metadata,
    sa.Column("device_id", sa.String(16), primary_key=True),
    sa.Column("board", sa.String(32), nullable=False),
    sa.Column("link_public", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("wrap_public", sa.LargeBinary(32), nullable=False),
    sa.Column("debug_public", sa.LargeBinary(32), nullable=False),
    sa.Column("last_seen", sa.Float),
    sa.Column("boot_version", sa.BigInteger),
    sa.Column("installed_sequence", sa.BigInteger),
    sa.Column("report_sequence", sa.BigInteger),
    sa.Column("report_code", sa.BigInteger),
    sa.Column("telemetry_count", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("telemetry_last", sa.LargeBinary),
    sa.Column("stream_bytes_in", sa.BigInteger, nullable=False, server_default="0"),
    sa.Column("stream_bytes_out", sa.BigInteger, nullable=False, server_default="0"),
)


clients = sa.Table(
    "clients",
    metadata,
    sa.Column("name", sa.String(32), primary_key=True),
    sa.Column("link_public", sa.LargeBinary(32), nullable=False, unique=True),
    sa.Column("e2e_public", sa.LargeBinary(32), nullable=False),
)

audit_entries = sa.Table(
    "audit",
    metadata,
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("time_ms", sa.BigInteger, nullable=False),
    sa.Column("event", sa.String(16), nullable=False),
    sa.Column("client", sa.String(32), nullable=False),
    sa.Column("device_id", sa.String(16), nullable=False),
    sa.Column("session_id", sa.LargeBinary, nullable=False),
    sa.Column("permissions", sa.BigInteger, nullable=False),
    sa.Column("token_serial", sa.BigInteger, nullable=False),
    sa.Column("reason", sa.BigInteger),
    sa.Column("ended_by", sa.String(8), nullable=False),
    sa.Column("frames_to_device", sa.BigInteger, nullable=False),
    sa.Column("bytes_to_device", sa.BigInteger, nullable=False),
    sa.Column("digest_to_device", sa.LargeBinary, nullable=False),
    sa.Column("frames_to_client", sa.BigInteger, nullable=False),
    sa.Column("bytes_to_client", sa.BigInteger, nullable=False),
    sa.Column("digest_to_client", sa.LargeBinary, nullable=False),
    sa.Column("previous", sa.LargeBinary, nullable=False),
    sa.Column("hash", sa.LargeBinary, nullable=False),
)


def sqlite_url(path: Path) -> str:
    """URL of a SQLite file."""
    return sa.URL.create("sqlite", database=str(path)).render_as_string(hide_password=False)


class Database:
    """Transactions on one database. Every failure is a StoreError of one line."""

    def __init__(self, url: str) -> None:
        try:
            self._url = sa.make_url(url)
            sqlite = self._url.get_backend_name() == "sqlite"
            arguments = {"timeout": BUSY_TIMEOUT_S} if sqlite else {}
            self._engine = sa.create_engine(self._url, connect_args=arguments)
        except (sa.exc.ArgumentError, sa.exc.NoSuchModuleError, ImportError) as error:
            raise StoreError(f"store: database URL cannot be used: {_first_line(error)}") from error
        self._writer = self._engine.execution_options(fieldlink_write=True)
        if sqlite:
            event.listen(self._engine, "connect", _configure_sqlite)
            event.listen(self._engine, "begin", _begin_sqlite)
            # Engine.execution_options() makes a sibling that inherits the listeners added before it only.
            self._writer = self._engine.execution_options(fieldlink_write=True)

    def __str__(self) -> str:
        return self._url.render_as_string(hide_password=True)

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """A consistent view."""
        with self._errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """A transaction: all of it or nothing. On SQLite the only writer from its first statement on."""
        with self._errors(), self._writer.begin() as connection:
            yield connection

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.IntegrityError:
            raise
        except sa.exc.SQLAlchemyError as error:
            raise StoreError(f"store: database {self}: {_first_line(error)}") from error
        except (sqlite3.Error, OSError) as error:  # while connecting
            raise StoreError(f"store: database {self}: {_first_line(error)}") from error

    def create(self) -> None:
        """Creates the tables that are missing. StoreError when another version of the tool made them."""
        with self.writing() as connection:
            metadata.create_all(connection)
            version = connection.execute(sa.select(schema_table.c.version)).scalar_one_or_none()
            if version is None:
                connection.execute(schema_table.insert().values(version=SCHEMA_VERSION))
        self.check()

    def check(self) -> None:
        """StoreError unless the database has this version's tables; an older version's are extended."""
        with self.reading() as connection:
            version = connection.execute(sa.select(schema_table.c.version)).scalar_one_or_none()
        if version in _EXTENDABLE_VERSIONS:
            version = self._extend()
        if version != SCHEMA_VERSION:
            raise StoreError(
                f"store: database {self}: schema version {version}, expected {SCHEMA_VERSION}; "
                "use the fieldlink version that made it"
            )

    def _extend(self) -> int:
        with self.writing() as connection:
            metadata.create_all(connection)
            connection.execute(schema_table.update().values(version=SCHEMA_VERSION))
        return SCHEMA_VERSION

    def close(self) -> None:
        """Closes all connections."""
        self._engine.dispose()


def _first_line(error: BaseException) -> str:
    origin = getattr(error, "orig", None) or error
    return (str(origin).splitlines() or [type(origin).__name__])[0]


def _configure_sqlite(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # SQLAlchemy's begin event issues BEGIN, see below
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA foreign_keys=ON")


def _begin_sqlite(connection: sa.Connection) -> None:
    # Taking the write lock at once keeps "read the newest sequence, then insert" free of races.
    write = connection.get_execution_options().get("fieldlink_write", False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")
