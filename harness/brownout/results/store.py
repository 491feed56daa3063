"""Where runs are recorded: one store for all projects, boards and engines.

A run is added whole or not at all, and never changed after that.
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import zlib
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Final, Self, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from brownout.errors import StoreError
from brownout.results import rows, schema
from brownout.results.database import Database
from brownout.results.model import Case, EvidenceItem, Run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from types import TracebackType

    from brownout.results.model import RunKind, RunSummary, Series

STORE_VARIABLE: Final = "BROWNOUT_RESULTS"
DEFAULT_STORE: Final = ".brownout/results.db"
EVIDENCE_LIMIT: Final = 64 << 20
"""Bytes of one item of evidence; a larger one is left out, and its case says so."""
_Value = TypeVar("_Value")
_COMPRESSION: Final = 6
_ROWS: Final = 500
"""Runs a statement; SQLite takes a limited number of parameters."""


class ResultStore:
    """A store of results. Every failure is a StoreError of one line.

    Several processes may have the same store open and add runs: the second writer waits for the first.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    @classmethod
    def open(cls, url: str | None = None, *, create: bool = True) -> ResultStore:
        """The store at `url`: a file's path, "sqlite:///FILE", or "postgresql://USER@HOST/NAME".

        None is $BROWNOUT_RESULTS, else .brownout/results.db below the current folder. A store that is not
        there is made, unless `create` is False; one of an older schema is brought up to date.

        Raises StoreError: no store, no access, a newer schema, a missing driver.
        """
        database = Database(url or os.environ.get(STORE_VARIABLE) or DEFAULT_STORE)
        try:
            database.prepare(create=create)
        except BaseException:
            database.close()
            raise
        return cls(database)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __str__(self) -> str:
        return str(self._database)

    def close(self) -> None:
        """Close all connections."""
        self._database.close()

    # -- recording -----------------------------------------------------------------------------------------

    def add(self, run: Run, *, digest: str = "") -> None:
        """Record a run: all of it or nothing.

        `digest` is the SHA-256 of the file that it was imported from. Raises StoreError, also when a run with
        this id, or of this file, is recorded already.
        """
        twice = [name for name, count in Counter(case.name for case in run.cases).items() if count > 1]
        if twice:
            raise StoreError(
                f"store {self}: run {run.id}: expected one case of each name, two are '{twice[0]}'"
            )
        kept = [_without_large(case) for case in run.cases]
        run = dataclasses.replace(run, cases=kept)
        # Before the transaction: nobody waits for the compression.
        items = [
            (position, number, item, hashlib.sha256(item.data).hexdigest())
            for position, case in enumerate(run.cases)
            for number, item in enumerate(case.evidence)
        ]
        contents = {name: item.data for _, _, item, name in items}
        packed = {name: zlib.compress(data, _COMPRESSION) for name, data in contents.items()}
        with self._database.writing() as connection:
            self._refuse_known(connection, run, digest)
            made = connection.execute(schema.runs.insert().values(rows.run_values(run, digest)))
            primary = made.inserted_primary_key
            if primary is None:
                raise StoreError(f"store {self}: gave the run no key")
            key = int(primary[0])
            _insert(connection, schema.firmware, key, map(rows.firmware_values, run.firmware))
            _insert(connection, schema.cases, key, map(rows.case_values, run.cases))
            _insert(connection, schema.figures, key, map(rows.figure_values, run.figures))
            _insert(connection, schema.cuts, key, map(rows.cut_values, run.cuts))
            self._insert_blobs(connection, contents, packed)
            if items:
                connection.execute(
                    schema.evidence.insert(),
                    [
                        {
                            "run": key,
                            "case_position": position,
                            "position": number,
                            "path": rows.clean(item.path),
                            "key": rows.clean(item.key),
                            "media_type": rows.clean(item.media_type),
                            "blob": name,
                        }
                        for position, number, item, name in items
                    ],
                )

    def imported(self, kind: RunKind, digest: str) -> str | None:
        """Id of the run that was imported from the file with this SHA-256, None when none was."""
        runs = schema.runs
        with self._database.reading() as connection:
            return connection.execute(
                sa.select(runs.c.id).where(runs.c.kind == kind.value, runs.c.digest == digest)
            ).scalar_one_or_none()

    def _refuse_known(self, connection: sa.Connection, run: Run, digest: str) -> None:
        runs = schema.runs
        same = runs.c.id == run.id
        if digest:
            same |= (runs.c.kind == run.series.kind.value) & (runs.c.digest == digest)
        known = connection.execute(sa.select(runs.c.id).where(same)).scalar()
        if known is not None:
            raise StoreError(f"store {self}: run {known} is recorded already")

    def _insert_blobs(
        self, connection: sa.Connection, contents: Mapping[str, bytes], packed: Mapping[str, bytes]
    ) -> None:
        """Contents that are not there yet."""
        insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
        statement = insert(schema.blobs).on_conflict_do_nothing()
        for name, data in packed.items():  # one by one: they may be large
            connection.execute(statement, {"sha256": name, "size": len(contents[name]), "data": data})

    # -- reading -------------------------------------------------------------------------------------------

    def runs(
        self,
        *,
        project: str | None = None,
        kind: RunKind | None = None,
        name: str | None = None,
        board: str | None = None,
        engine: str | None = None,
        commit: str | None = None,
        branch: str | None = None,
        limit: int | None = None,
    ) -> list[RunSummary]:
        """Runs that fit, newest first. `commit` may be the first digits of one."""
        runs = schema.runs
        wanted = {"project": project, "kind": kind, "name": name, "board": board, "engine": engine}
        select = sa.select(runs).order_by(runs.c.started_us.desc(), runs.c.id.desc()).limit(limit)
        for column, value in {**wanted, "branch": branch}.items():
            if value is not None:
                select = select.where(runs.c[column] == str(value))
        if commit is not None:
            select = select.where(runs.c.commit_sha.startswith(commit.lower(), autoescape=True))
        with self._database.reading() as connection:
            return [rows.summary_of(row) for row in connection.execute(select).mappings()]

    def load(self, run_id: str, *, evidence: bool = False) -> Run:
        """A run by its id, or by the beginning or the end of it. Without `evidence` no case has any.

        Raises StoreError: no such run, or several.
        """
        with self._database.reading() as connection:
            row = self._find(connection, run_id)
            (run,) = self._complete(connection, [row], cuts=True, evidence=evidence)
            return run

    def evidence(self, run_id: str, case_name: str) -> tuple[EvidenceItem, ...]:
        """What was kept of a case. Raises StoreError: no such run or case."""
        cases = schema.cases
        with self._database.reading() as connection:
            row = self._find(connection, run_id)
            position = connection.execute(
                sa.select(cases.c.position).where(
                    cases.c.run == row["key"], cases.c.name == rows.clean(case_name)
                )
            ).scalar_one_or_none()
            if position is None:
                raise StoreError(f"store {self}: run {row['id']} has no case '{case_name}'")
            found = self._evidence_of(connection, [row["key"]], position)
            return tuple(found[row["key"], position])

    def evidence_names(self, run_id: str) -> Mapping[str, Sequence[tuple[str, int]]]:
        """Names and sizes in bytes of what was kept, by case; a case of which nothing was is not there."""
        cases, evidence, blobs = schema.cases, schema.evidence, schema.blobs
        with self._database.reading() as connection:
            key = self._find(connection, run_id)["key"]
            select = (
                sa.select(cases.c.name, evidence.c.path, blobs.c.size)
                .join_from(
                    evidence,
                    cases,
                    (cases.c.run == evidence.c.run) & (cases.c.position == evidence.c.case_position),
                )
                .join(blobs, blobs.c.sha256 == evidence.c.blob)
                .where(evidence.c.run == key)
                .order_by(evidence.c.case_position, evidence.c.position)
            )
            found: defaultdict[str, list[tuple[str, int]]] = defaultdict(list)
            for name, path, size in connection.execute(select):
                found[name].append((path, size))
        return dict(found)

    def history(self, series: Series, *, limit: int = 50) -> list[Run]:
        """The last runs of a series, newest first, without evidence and cuts."""
        runs = schema.runs
        select = sa.select(runs).order_by(runs.c.started_us.desc(), runs.c.id.desc()).limit(limit)
        for column, value in rows.series_values(series).items():
            select = select.where(runs.c[column] == value)
        with self._database.reading() as connection:
            found = connection.execute(select).mappings().all()
            return self._complete(connection, found, cuts=False, evidence=False)

    def _find(self, connection: sa.Connection, run_id: str) -> sa.RowMapping:
        runs = schema.runs
        wanted = run_id.lower()
        part = runs.c.id.startswith(wanted, autoescape=True) | runs.c.id.endswith(wanted, autoescape=True)
        select = sa.select(runs).where(part).order_by(runs.c.started_us.desc()).limit(10)
        found = connection.execute(select).mappings().all() if wanted else []
        exact = [row for row in found if row["id"] == wanted]
        if exact:
            return exact[0]
        if not found:
            raise StoreError(f"store {self}: has no run '{run_id}': 'brownout results list' shows them")
        if len(found) > 1:
            names = ", ".join(row["id"] for row in found[:3])
            raise StoreError(f"store {self}: '{run_id}' fits several runs: {names}: give more of the id")
        return found[0]

    def _complete(
        self, connection: sa.Connection, found: Sequence[sa.RowMapping], *, cuts: bool, evidence: bool
    ) -> list[Run]:
        """The runs of these rows, with what belongs to them."""
        keys = [row["key"] for row in found]
        images = _by_run(connection, schema.firmware, keys, rows.image_of)
        figures = _by_run(connection, schema.figures, keys, rows.figure_of)
        outcomes = _by_run(connection, schema.cuts, keys if cuts else [], rows.cut_of)
        items = self._evidence_of(connection, keys if evidence else [])
        cases = _by_run(
            connection,
            schema.cases,
            keys,
            lambda row: rows.case_of(row, tuple(items[row["run"], row["position"]])),
        )
        return [
            rows.run_of(
                row,
                firmware=tuple(images[row["key"]]),
                cases=tuple(cases[row["key"]]),
                cuts=tuple(outcomes[row["key"]]),
                figures=tuple(figures[row["key"]]),
            )
            for row in found
        ]

    def _evidence_of(
        self, connection: sa.Connection, keys: Sequence[int], position: int | None = None
    ) -> defaultdict[tuple[int, int], list[EvidenceItem]]:
        """Evidence by run and position of the case; of one position only, when there is one."""
        evidence, blobs = schema.evidence, schema.blobs
        select = (
            sa.select(evidence, blobs.c.data)
            .join(blobs, blobs.c.sha256 == evidence.c.blob)
            .where(evidence.c.run.in_(keys))
            .order_by(evidence.c.run, evidence.c.case_position, evidence.c.position)
        )
        if position is not None:
            select = select.where(evidence.c.case_position == position)
        found: defaultdict[tuple[int, int], list[EvidenceItem]] = defaultdict(list)
        unpacked: dict[str, bytes] = {}
        for row in connection.execute(select).mappings() if keys else ():
            name = row["blob"]
            if name not in unpacked:
                try:
                    unpacked[name] = zlib.decompress(row["data"])
                except zlib.error as error:
                    raise StoreError(f"store {self}: evidence {name[:12]} is damaged ({error})") from error
            found[row["run"], row["case_position"]].append(
                EvidenceItem(
                    path=row["path"], key=row["key"], media_type=row["media_type"], data=unpacked[name]
                )
            )
        return found

    # -- removing ------------------------------------------------------------------------------------------

    def remove(self, run_ids: Iterable[str]) -> int:
        """Remove the runs with these ids, and evidence that no other run has; returns how many there were."""
        runs, blobs, evidence = schema.runs, schema.blobs, schema.evidence
        wanted = list(run_ids)
        removed = 0
        with self._database.writing() as connection:
            for start in range(0, len(wanted), _ROWS):
                ids = wanted[start : start + _ROWS]
                removed += connection.execute(runs.delete().where(runs.c.id.in_(ids))).rowcount
            used = sa.exists().where(evidence.c.blob == blobs.c.sha256)
            connection.execute(blobs.delete().where(~used))
        self._database.give_back()
        return removed

    def prune(
        self, *, keep: int | None = None, older_than: datetime | None = None, dry_run: bool = False
    ) -> list[RunSummary]:
        """Remove all but the newest `keep` runs of each series, or all that began before `older_than`.

        Returns what was removed, or, with `dry_run`, what would be. With both, a run goes when both say so.
        """
        seen: Counter[Series] = Counter()
        gone = []
        for run in self.runs():
            seen[run.series] += 1
            spare = keep is None or seen[run.series] > keep
            old = older_than is None or run.started < older_than
            if spare and old and not (keep is None and older_than is None):
                gone.append(run)
        if gone and not dry_run:
            self.remove(run.id for run in gone)
        return gone


def _insert(
    connection: sa.Connection, table: sa.Table, key: int, values: Iterable[Mapping[str, object]]
) -> None:
    """Rows that belong to the run with this key, in their order."""
    content = [{"run": key, "position": number, **row} for number, row in enumerate(values)]
    if content:
        connection.execute(table.insert(), content)


def _by_run(
    connection: sa.Connection,
    table: sa.Table,
    keys: Sequence[int],
    convert: Callable[[sa.RowMapping], _Value],
) -> defaultdict[int, list[_Value]]:
    found: defaultdict[int, list[_Value]] = defaultdict(list)
    for start in range(0, len(keys), _ROWS):
        select = (
            sa.select(table)
            .where(table.c.run.in_(keys[start : start + _ROWS]))
            .order_by(table.c.run, table.c.position)
        )
        for row in connection.execute(select).mappings():
            found[row["run"]].append(convert(row))
    return found


def _without_large(case: Case) -> Case:
    """The case without evidence that is too large to keep; its detail says which."""
    large = [item for item in case.evidence if len(item.data) > EVIDENCE_LIMIT]
    if not large:
        return case
    notes = [
        f"not kept: {item.path} ({len(item.data)} bytes, the limit is {EVIDENCE_LIMIT})" for item in large
    ]
    return dataclasses.replace(
        case,
        detail="\n".join([*([case.detail] if case.detail else []), *notes]),
        evidence=tuple(item for item in case.evidence if len(item.data) <= EVIDENCE_LIMIT),
    )
