"""Tables of the store, and how a store of an older schema becomes one of this.

Names start with `results_`: on PostgreSQL the database may hold other things too. Mappings and lists are JSON
text. Strings that git, users or firmware chose have no limit of length.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

SCHEMA_VERSION: Final = 1

MIGRATIONS: Final[Mapping[int, Callable[[sa.Connection], None]]] = {}
"""From a version to the one after it. There is only version 1 yet: whoever makes 2 adds an entry 1."""

metadata = sa.MetaData()

schema_version = sa.Table(
    "results_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
)

runs = sa.Table(
    "results_runs",
    metadata,
    sa.Column("key", sa.Integer, primary_key=True),
    sa.Column("id", sa.String(40), nullable=False, unique=True),
    sa.Column("project", sa.Text, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("board", sa.Text, nullable=False),
    sa.Column("engine", sa.Text, nullable=False),
    sa.Column("started_us", sa.BigInteger, nullable=False, index=True),
    sa.Column("duration_s", sa.Float(53), nullable=False),
    sa.Column("commit_sha", sa.Text, nullable=False, index=True),
    sa.Column("branch", sa.Text, nullable=False),
    sa.Column("dirty", sa.Boolean, nullable=False),
    sa.Column("engine_version", sa.Text, nullable=False),
    # A seed may have more than 64 bits.
    sa.Column("seed", sa.Text),
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    sa.Column("source", sa.Text, nullable=False),
    # SHA-256 of the file that it was imported from; NULL when it was from none.
    sa.Column("digest", sa.String(64)),
    # How much there is, so that a list of runs need not count.
    sa.Column("passed", sa.Integer, nullable=False),
    sa.Column("failed", sa.Integer, nullable=False),
    sa.Column("skipped", sa.Integer, nullable=False),
    sa.Column("cuts", sa.Integer, nullable=False),
    sa.Column("figures", sa.Integer, nullable=False),
    sa.UniqueConstraint("kind", "digest"),
)

firmware = sa.Table(
    "results_firmware",
    metadata,
    sa.Column("run", sa.ForeignKey(runs.c.key, ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("size", sa.BigInteger, nullable=False),
    sa.Column("sections", sa.Text, nullable=False),
)

cases = sa.Table(
    "results_cases",
    metadata,
    sa.Column("run", sa.ForeignKey(runs.c.key, ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("result", sa.String(8), nullable=False),
    sa.Column("duration_s", sa.Float(53)),
    sa.Column("message", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sa.Column("tags", sa.Text, nullable=False),
    sa.Column("replay", sa.Text, nullable=False),
    sa.Column("command", sa.Text, nullable=False),
    # Place in sources: all three NULL when there is none.
    sa.Column("file", sa.Text),
    sa.Column("line", sa.Integer),
    sa.Column("symbol", sa.Text),
    sa.Column("flash_operations", sa.BigInteger),
)

cuts = sa.Table(
    "results_cuts",
    metadata,
    sa.Column("run", sa.ForeignKey(runs.c.key, ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("operation", sa.Integer, nullable=False),
    sa.Column("phase", sa.Text, nullable=False),
    sa.Column("variant", sa.Text, nullable=False),
    sa.Column("verdict", sa.Text, nullable=False),
    sa.Column("finding", sa.Text, nullable=False),
    sqlite_with_rowid=False,
)

figures = sa.Table(
    "results_figures",
    metadata,
    sa.Column("run", sa.ForeignKey(runs.c.key, ondelete="CASCADE"), primary_key=True),
    sa.Column("position", sa.Integer, primary_key=True),
    sa.Column("name", sa.Text, nullable=False),
    sa.Column("title", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("value", sa.Float(53), nullable=False),
    sa.Column("better", sa.String(8), nullable=False),
    sa.Column("noisy", sa.Boolean, nullable=False),
    sa.Column("samples", sa.Text, nullable=False),
)

blobs = sa.Table(
    "results_blobs",
    metadata,
    sa.Column("sha256", sa.String(64), primary_key=True),
    sa.Column("size", sa.BigInteger, nullable=False),
    # zlib
    sa.Column("data", sa.LargeBinary, nullable=False),
)

evidence = sa.Table(
    "results_evidence",
    metadata,
    sa.Column("run", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("case_position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("position", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("path", sa.Text, nullable=False),
    sa.Column("key", sa.Text, nullable=False),
    sa.Column("media_type", sa.Text, nullable=False),
    sa.Column("blob", sa.ForeignKey(blobs.c.sha256), nullable=False, index=True),
    sa.ForeignKeyConstraint(
        ["run", "case_position"], ["results_cases.run", "results_cases.position"], ondelete="CASCADE"
    ),
)
