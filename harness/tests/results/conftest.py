"""Stores to test: a SQLite file, and a private PostgreSQL server where its programs are installed."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.results.store import ResultStore

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)
_START_S = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Cluster:
    """A PostgreSQL server on a socket in `folder`; nobody listens on a port."""

    programs: Path
    folder: Path

    def run(self, *command: str) -> None:
        """Run one of its programs: as its own user when this is root, whom the server refuses."""
        user = "postgres" if os.geteuid() == 0 else None
        done = subprocess.run(
            [str(self.programs / command[0]), *command[1:]],
            user=user,
            cwd="/",
            capture_output=True,
            text=True,
            timeout=_START_S,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr or done.stdout}")

    def url(self, database: str) -> str:
        """Of a database on this server."""
        return f"postgresql://brownout@/{database}?host={self.folder}"


def _programs() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    on_path = shutil.which("initdb")
    if found:
        return found[-1].parent
    return Path(on_path).parent if on_path else None


@pytest.fixture(scope="session")
def postgres() -> Iterator[Cluster]:
    programs = _programs()
    if programs is None:
        pytest.skip("needs the PostgreSQL server's programs (Debian: apt-get install postgresql)")
    pytest.importorskip("psycopg", reason="needs psycopg: pip install 'brownout[postgres]'")
    # A short path: that of a socket has 107 characters at most.
    folder = Path(tempfile.mkdtemp(prefix="brownout-pg-"))
    try:
        if os.geteuid() == 0:
            try:
                account = pwd.getpwnam("postgres")
            except KeyError:
                pytest.skip("runs as root, whom PostgreSQL refuses, and there is no user 'postgres'")
            os.chown(folder, account.pw_uid, account.pw_gid)
        cluster = Cluster(programs=programs, folder=folder)
        data = str(folder / "data")
        cluster.run("initdb", "-D", data, "-A", "trust", "-U", "brownout", "-E", "UTF8", "--no-sync")
        options = f"-k {folder} -c listen_addresses='' -c fsync=off -c max_connections=20"
        # Its output must not keep our pipe open.
        log = str(folder / "log")
        cluster.run("pg_ctl", "-D", data, "-w", "-t", str(_START_S), "-l", log, "-o", options, "start")
        try:
            yield cluster
        finally:
            cluster.run("pg_ctl", "-D", data, "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_NUMBERS = itertools.count(1)


@pytest.fixture(params=["sqlite", "postgres"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of a store that does not exist yet."""
    if request.param == "sqlite":
        return str(tmp_path / "results.db")
    cluster: Cluster = request.getfixturevalue("postgres")
    name = f"results{next(_NUMBERS)}"
    cluster.run("createdb", "-h", str(cluster.folder), "-U", "brownout", name)
    return cluster.url(name)


@pytest.fixture
def store(url: str) -> Iterator[ResultStore]:
    with ResultStore.open(url) as opened:
        yield opened
