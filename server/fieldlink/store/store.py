"""The store: releases, devices, and what was last heard of them."""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from fieldlink.errors import ConfigError, ManifestError, NotFoundError, StoreError
from fieldlink.manifest import read_unverified
from fieldlink.release import ContentKey
from fieldlink.store.audit_log import HEAD_NAME, AuditLog
from fieldlink.store.blobs import BlobStore
from fieldlink.store.clients import ClientTable
from fieldlink.store.database import Database, devices, modules, releases, sqlite_url
from fieldlink.store.records import DeviceRecord, DeviceState, ModuleRecord, ReleaseRecord

DATABASE_NAME = "fieldlink.db"

_STATE_COLUMNS = tuple(DeviceState.__dataclass_fields__)


class Store:
    """A directory with `blobs/` and, unless a database URL says otherwise, `fieldlink.db`.

    Safe for several threads and processes. Every failure is a StoreError; bad requests are ConfigErrors.
    """

    def __init__(self, root: Path, database: Database) -> None:
        self.root = root
        self.blobs = BlobStore(root / "blobs")
        self.clients = ClientTable(database)
        self.audit = AuditLog(database, root / HEAD_NAME)
        self._database = database

    @staticmethod
    def open(root: Path, *, create: bool = False, database_url: str | None = None) -> "Store":
        """Opens the store at `root`; with `create` makes it when it is not there."""
        path = root / DATABASE_NAME
        if create:
            try:
                root.mkdir(parents=True, exist_ok=True, mode=0o700)
                (root / "blobs").mkdir(exist_ok=True)
                if database_url is None and not path.exists():
                    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))  # it holds content keys
            except OSError as error:
                raise StoreError(f"store {root}: cannot be created: {error.strerror}") from error
        elif not root.is_dir() or (database_url is None and not path.is_file()):
            raise StoreError(f"store {root}: not there; `fieldlink provision` or `release publish` make one")
        database = Database(database_url or sqlite_url(path))
        try:
            if create:
                database.create()
            else:
                database.check()
        except BaseException:
            database.close()
            raise
        return Store(root, database)

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

    def __enter__(self) -> "Store":
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    # ---- releases

    def add_release(self, release: ReleaseRecord) -> None:
        """Makes a release visible, in one transaction. Its blobs must be there already.

        ConfigError when the board has a release with this sequence or a higher one.
        """
        try:
            self._insert_release(release)
        except sa.exc.IntegrityError as error:  # another server was faster; not on SQLite
            raise ConfigError(
                f"sequence {release.sequence} of board {release.board} was published meanwhile; "
                "use a higher one"
            ) from error

    def _insert_release(self, release: ReleaseRecord) -> None:
        with self._database.writing() as connection:
            newest = _newest_sequence(connection, release.board)
            if newest is not None and release.sequence <= newest:
                raise ConfigError(
                    f"sequence {release.sequence} is not higher than {newest}, the newest release of board "
                    f"{release.board}; devices refuse it: use at least {newest + 1}"
                )
            row = releases.insert().values(
                board=release.board,
                sequence=release.sequence,
                envelope=release.envelope,
                content_key=release.content_key.key,
                key_id=release.content_key.key_id,
                created_at=release.created_at,
            )
            (release_id,) = connection.execute(row).inserted_primary_key or (None,)
            rows = [{"release_id": release_id, **asdict(module)} for module in release.modules]
            connection.execute(modules.insert(), rows)

    def newest_sequence(self, board: str) -> int | None:
        """Sequence of the newest release of `board`; None when it has none."""
        with self._database.reading() as connection:
            return _newest_sequence(connection, board)

    def newest_release(self, board: str) -> ReleaseRecord | None:
        """The release of `board` with the highest sequence; None when there is none."""
        found = self._select_releases(
            sa.select(releases).where(releases.c.board == board).order_by(releases.c.sequence.desc()).limit(1)
        )
        return found[0] if found else None

    def list_releases(self) -> list[ReleaseRecord]:
        """All releases, by board and sequence."""
        return self._select_releases(sa.select(releases).order_by(releases.c.board, releases.c.sequence))

    def _select_releases(self, query: "sa.Select[Any]") -> list[ReleaseRecord]:
        with self._database.reading() as connection:
            return [_release(connection, row) for row in connection.execute(query)]

    def read_blob(self, name: str) -> bytes:
        """An encrypted module; see BlobStore.get."""
        return self.blobs.get(name)

    def verify(self) -> None:
        """StoreError for the first release whose envelope or blobs are missing or damaged."""
        for release in self.list_releases():
            try:
                read_unverified(release.envelope)
            except ManifestError as error:
                where = f"{release.board} release {release.sequence}"
                raise StoreError(f"store: {where} is damaged: {error}; publish a new release") from error
            for module in release.modules:
                try:
                    self.blobs.get(module.blob)
                except StoreError as error:
                    what = f"module {module.name} of {release.board} release {release.sequence}"
                    raise type(error)(f"{error} ({what})") from error

    def remove_orphans(self) -> int:
        """Removes blobs that no release uses (left by a publish that died) and returns how many.

        Not while another process publishes.
        """
        used = {module.blob for release in self.list_releases() for module in release.modules}
        orphans = self.blobs.names() - used
        for name in orphans:
            self.blobs.remove(name)
        return len(orphans)

    # ---- devices

    def add_device(self, device: DeviceRecord, *, replace: bool = False) -> None:
        """Registers a device. ConfigError when its id is taken (unless `replace`) or its key is another's."""
        fields = asdict(device)
        try:
            with self._database.writing() as connection:
                if replace:
                    connection.execute(devices.delete().where(devices.c.device_id == device.device_id))
                elif _device_row(connection, devices.c.device_id == device.device_id) is not None:
                    raise ConfigError(
                        f"device {device.device_id} is registered already; use another id or --replace"
                    )
                connection.execute(devices.insert().values(**fields))
        except sa.exc.IntegrityError as error:
            raise ConfigError(
                f"device {device.device_id}: its link key belongs to another device; make new keys"
            ) from error

    def device_by_key(self, link_public: bytes) -> DeviceRecord | None:
        """The device with this public link key."""
        with self._database.reading() as connection:
            row = _device_row(connection, devices.c.link_public == link_public)
        return None if row is None else _device(row)

    def device_by_id(self, device_id: str) -> DeviceRecord | None:
        """The device that is registered with this id."""
        with self._database.reading() as connection:
            row = _device_row(connection, devices.c.device_id == device_id)
        return None if row is None else _device(row)

    def list_devices(self) -> list[tuple[DeviceRecord, DeviceState]]:
        """All devices by id, with what was last heard of them."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(devices).order_by(devices.c.device_id)).all()
        return [(_device(row), _state(row)) for row in rows]

    def device_state(self, device_id: str) -> DeviceState:
        """What was last heard of a device. NotFoundError when it is not registered."""
        with self._database.reading() as connection:
            row = _device_row(connection, devices.c.device_id == device_id)
        if row is None:
            raise NotFoundError(f"device {device_id} is not registered; `fieldlink devices` lists them")
        return _state(row)

    def update_device(
        self,
        device_id: str,
        *,
        last_seen: float,
        boot_version: int | None = None,
        installed_sequence: int | None = None,
        report: tuple[int, int] | None = None,
        telemetry: tuple[int, bytes] | None = None,
        stream_bytes: tuple[int, int] = (0, 0),
    ) -> None:
        """Notes what was heard; None leaves a field as it is.

        `telemetry` is (messages to add, the last one), `stream_bytes` (bytes in, bytes out) to add.
        """
        values: dict[str, object] = {
            "last_seen": last_seen,
            "stream_bytes_in": devices.c.stream_bytes_in + stream_bytes[0],
            "stream_bytes_out": devices.c.stream_bytes_out + stream_bytes[1],
        }
        if boot_version is not None:
            values["boot_version"] = boot_version
        if installed_sequence is not None:
            values["installed_sequence"] = installed_sequence
        if report is not None:
            values["report_sequence"], values["report_code"] = report
        if telemetry is not None:
            values["telemetry_count"] = devices.c.telemetry_count + telemetry[0]
            values["telemetry_last"] = telemetry[1]
        with self._database.writing() as connection:
            connection.execute(devices.update().where(devices.c.device_id == device_id).values(values))


def _newest_sequence(connection: sa.Connection, board: str) -> int | None:
    query = sa.select(sa.func.max(releases.c.sequence)).where(releases.c.board == board)
    newest: int | None = connection.execute(query).scalar_one()
    return newest


def _release(connection: sa.Connection, row: "sa.Row[Any]") -> ReleaseRecord:
    query = sa.select(modules).where(modules.c.release_id == row.id).order_by(modules.c.module_id)
    found = tuple(
        ModuleRecord(
            module_id=module.module_id,
            name=module.name,
            version=module.version,
            image_size=module.image_size,
            digest=module.digest,
            blob=module.blob,
        )
        for module in connection.execute(query)
    )
    return ReleaseRecord(
        board=row.board,
        sequence=row.sequence,
        envelope=row.envelope,
        content_key=ContentKey(key=row.content_key, key_id=row.key_id),
        modules=found,
        created_at=row.created_at,
    )


def _device_row(connection: sa.Connection, condition: "sa.ColumnElement[bool]") -> "sa.Row[Any] | None":
    return connection.execute(sa.select(devices).where(condition)).one_or_none()


def _device(row: "sa.Row[Any]") -> DeviceRecord:
    return DeviceRecord(
        device_id=row.device_id,
        board=row.board,
        link_public=row.link_public,
        wrap_public=row.wrap_public,
        debug_public=row.debug_public,
    )


def _state(row: "sa.Row[Any]") -> DeviceState:
    return DeviceState(**{name: getattr(row, name) for name in _STATE_COLUMNS})
