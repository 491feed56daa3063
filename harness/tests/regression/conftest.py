"""A store with runs of a made-up project (regression_runs.py)."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from brownout.results.store import ResultStore

sys.path.insert(0, str(Path(__file__).parent))

from regression_runs import History, acme

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def history() -> History:
    return History()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    with ResultStore.open(str(tmp_path / "results.db")) as opened:
        yield opened


@pytest.fixture
def acme_store(store: ResultStore, history: History, tmp_path: Path) -> ResultStore:
    """The project above, recorded."""
    for run in acme(history, tmp_path):
        store.add(run)
    return store
