"""Makes the runner of the mutants importable, and builds the example and its defects."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from brownout.errors import BuildError
from brownout.lab import FirmwareBuilds
from brownout.target import Target, load_target

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "examples"
sys.path.insert(0, str(EXAMPLES))

BUILD_TIMEOUT_S = 120


@pytest.fixture(scope="session")
def swap_file() -> Path:
    """The nRF52840 example's target file, its firmware built."""
    folder = EXAMPLES / "nrf52840-swap"
    command = [
        "make",
        "--no-print-directory",
        "-C",
        str(folder),
        f"BIN={Path(sys.executable).absolute().parent}",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False)
    if done.returncode != 0:
        raise BuildError(f"{folder}: does not build: {done.stderr.strip() or done.stdout.strip()}")
    return folder / "target.toml"


@pytest.fixture(scope="session")
def swap(swap_file: Path) -> Target:
    return load_target(swap_file)


@pytest.fixture(scope="session")
def reference_file() -> Path:
    """The reference firmware's target file. BuildError when there is no build: `make test` makes it."""
    for version in ("1.0.0", "1.1.0"):
        FirmwareBuilds(root=ROOT / "build" / "firmware").version(version)
    return EXAMPLES / "reference" / "target.toml"


@pytest.fixture(scope="session")
def reference(reference_file: Path) -> Target:
    return load_target(reference_file)


@pytest.fixture(scope="session")
def small_swap(tmp_path_factory: pytest.TempPathFactory) -> Target:
    """The nRF52840 example with images of half a page, as the mutants are swept."""
    from sweep_mutants import build

    return load_target(build(None, tmp_path_factory.mktemp("small")))
