"""Fixtures for the host tests of storage and boot."""

import sys
from pathlib import Path

import pytest

# The helpers beside this file are plain modules; pytest's importlib mode does not make them importable.
sys.path.insert(0, str(Path(__file__).parent))

from storage_build import HostBuild
from storage_world import OLD, World


@pytest.fixture(scope="session")
def host_build(tmp_path_factory: pytest.TempPathFactory) -> HostBuild:
    """The compiled library."""
    build = HostBuild(tmp_path_factory.mktemp("host_build"))
    build.prepare()
    return build


@pytest.fixture
def world() -> World:
    """The old set installed, nothing staged."""
    fresh = World()
    fresh.install(OLD)
    return fresh
