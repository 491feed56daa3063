"""Debug clients that the server knows."""

from typing import Any

import sqlalchemy as sa

from fieldlink.errors import ConfigError, NotFoundError
from fieldlink.store.database import Database, clients
from fieldlink.store.records import ClientRecord


class ClientTable:
    """Clients by name and by link key. Every failure is a StoreError; bad requests are ConfigErrors."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, client: ClientRecord) -> None:
        """Registers a client. ConfigError when its name is taken or one of its keys is another's."""
        try:
            with self._database.writing() as connection:
                if _row(connection, clients.c.name == client.name) is not None:
                    raise ConfigError(
                        f"client {client.name} is registered already; use another name or remove it first"
                    )
                connection.execute(
                    clients.insert().values(
                        name=client.name, link_public=client.link_public, e2e_public=client.e2e_public
                    )
                )
        except sa.exc.IntegrityError as error:
            raise ConfigError(
                f"client {client.name}: its link key belongs to another client; make new keys"
            ) from error

    def remove(self, name: str) -> None:
        """Forgets a client. NotFoundError when there is none of this name."""
        with self._database.writing() as connection:
            removed = connection.execute(clients.delete().where(clients.c.name == name)).rowcount
        if not removed:
            raise NotFoundError(f"client {name} is not registered; `fieldlink client list` lists them")

    def by_key(self, link_public: bytes) -> ClientRecord | None:
        """The client with this public link key."""
        with self._database.reading() as connection:
            row = _row(connection, clients.c.link_public == link_public)
        return None if row is None else _client(row)

    def list(self) -> list[ClientRecord]:
        """All clients by name."""
        with self._database.reading() as connection:
            rows = connection.execute(sa.select(clients).order_by(clients.c.name)).all()
        return [_client(row) for row in rows]


def _row(connection: sa.Connection, condition: "sa.ColumnElement[bool]") -> "sa.Row[Any] | None":
    return connection.execute(sa.select(clients).where(condition)).one_or_none()


def _client(row: "sa.Row[Any]") -> ClientRecord:
    return ClientRecord(name=row.name, link_public=row.link_public, e2e_public=row.e2e_public)
