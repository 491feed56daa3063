"""Fixtures for the harness's tests: the board, the probe firmware, devices that are always closed."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from brownout.board import Board, load_board
from brownout.device import Device
from brownout.engines.renode import find_renode
from brownout.errors import EngineError
from brownout.reference import reference_conditions

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCES = Path(__file__).parent / "firmware"
_EXAMPLE = Path(__file__).resolve().parents[2] / "docs" / "examples" / "settings-store"
_BUILD_TIMEOUT_S = 120
GCC = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-std=c11", "-Os", "-nostdlib", "-ffreestanding"]
WARNINGS = ["-Wall", "-Wextra", "-Werror", "-Wconversion", "-Wmissing-prototypes", "-Wl,--fatal-warnings"]


class ProbeFactory(Protocol):
    """Makes a device with the probe firmware, without power."""

    def __call__(self, *, seed: int = 1) -> Device: ...


def link_probe(output: Path, script: str) -> Path:
    """Build the probe firmware with the text of a linker script."""
    linker = output.with_suffix(".ld")
    linker.write_text(script)
    subprocess.run(
        [*GCC, *WARNINGS, "-T", str(linker), str(SOURCES / "probe.c"), "-o", str(output)], check=True
    )
    return output


@pytest.fixture(scope="session")
def board() -> Board:
    return load_board("mps2-an385")


@pytest.fixture(scope="session")
def probe_script() -> str:
    return (SOURCES / "probe.ld").read_text()


@pytest.fixture(scope="session")
def probe_elf(tmp_path_factory: pytest.TempPathFactory, probe_script: str) -> Path:
    return link_probe(tmp_path_factory.mktemp("probe") / "probe.elf", probe_script)


@pytest.fixture(scope="session")
def renode() -> str:
    """Path of Renode; who asks for it is skipped where there is none, and the summary says how many were.

    With BROWNOUT_REQUIRE_RENODE in the environment, as in CI, they fail instead.
    """
    try:
        return find_renode()
    except EngineError as error:
        if os.environ.get("BROWNOUT_REQUIRE_RENODE"):
            pytest.fail(f"BROWNOUT_REQUIRE_RENODE is set: {error}")
        pytest.skip(f"needs Renode: {error}")


@pytest.fixture
def engine_name() -> str:
    """What the probe runs on; modules whose tests hold for every engine override it."""
    return "qemu"


@pytest.fixture
def probe(board: Board, probe_elf: Path, engine_name: str) -> Iterator[ProbeFactory]:
    devices: list[Device] = []

    def make(*, seed: int = 1) -> Device:
        device = Device(
            board, probe_elf, engine=engine_name, seed=seed, conditions=reference_conditions(board)
        )
        devices.append(device)
        return device

    yield make
    for device in devices:
        device.close()


def _build_example(folder: Path, *, bad: bool = False) -> Path:
    """The example in a folder of its own, built; the folder."""
    shutil.copytree(
        _EXAMPLE, folder, ignore=shutil.ignore_patterns("build", "brownout-artifacts", "__pycache__")
    )
    done = subprocess.run(
        ["make", "-C", str(folder), *(["BAD=1"] if bad else [])],
        capture_output=True,
        text=True,
        timeout=_BUILD_TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="session")
def good_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build_example(tmp_path_factory.mktemp("good") / "settings-store")


@pytest.fixture(scope="session")
def bad_example(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return _build_example(tmp_path_factory.mktemp("bad") / "settings-store", bad=True)
