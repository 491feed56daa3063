"""The lab of a test: an upgrade server with releases, and devices. Loaded when a test asks for it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Final

from brownout.board import load_board
from brownout.engines.base import PowerState
from brownout.lab import FirmwareBuilds, Lab
from brownout.pytest_plugin.debugging import DebugSession
from brownout.pytest_plugin.devices import facts_of, live_engine
from fieldlink.gateway import CheckReceived

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from brownout.lab import Unit
    from brownout.pytest_plugin.keeping import Facts
    from brownout.pytest_plugin.options import Settings

DEVICE_ID: Final = "dev-1"
CLIENT: Final = "pytest"
_DEFAULT_BOARD: Final = "mps2-an385"
_CHECK_TIMEOUT_S: Final = 20.0


def make_lab(settings: Settings, folder: Path) -> Lab:
    """A server that offers release 1 of the reference firmware. Raises BrownoutError."""
    board = load_board(settings.board or _DEFAULT_BOARD)
    builds = FirmwareBuilds.find() if settings.firmware is None else FirmwareBuilds(root=settings.firmware)
    engine = live_engine(settings.engine, board)
    return Lab(folder, board=board.name, engine=engine, builds=builds, seed=settings.seed)


def unit_of(lab: Lab) -> Unit:
    """The lab's first device, made when there is none."""
    return lab.units[DEVICE_ID] if DEVICE_ID in lab.units else lab.add_unit(DEVICE_ID)


def open_debug_session(lab: Lab) -> DebugSession:
    """Boot the device unless it runs, and open a session with its app. Raises BrownoutError."""
    unit = unit_of(lab)
    if unit.device.engine.state is PowerState.OFF:
        unit.boot()
    # The server can open debug sessions once it knows what the device runs.
    lab.server.wait_for(CheckReceived, DEVICE_ID, timeout=_CHECK_TIMEOUT_S)
    return DebugSession(lab.add_debug_client(CLIENT, DEVICE_ID))


class KeptLab:
    """A lab of a test (keeping.Kept): a folder for each of its devices."""

    def __init__(self, lab: Lab, item: pytest.Item) -> None:
        self._lab = lab
        self._item = item

    @property
    def facts(self) -> Facts:
        """Of its devices, added up."""
        lab = self._lab
        return facts_of(lab.board, lab.engine, [unit.device for unit in lab.units.values()])

    @property
    def replays(self) -> tuple[str, ...]:
        """Replay ids of its devices."""
        return tuple(str(unit.device.replay) for unit in self._lab.units.values())

    @property
    def commands(self) -> tuple[str, ...]:
        """The test once more: a server takes part."""
        test = f"{self._item.path}::{self._item.nodeid.partition('::')[2]}"
        return (shlex.join(["pytest", test, "--brownout-seed", str(self._lab.seed)]),)

    def save(self, folder: Path) -> dict[Path, str]:
        """Write the evidence of each device."""
        self._lab.save_evidence(folder, command=self.commands[0])
        return {folder / device_id: self.commands[0] for device_id in self._lab.units}
