"""Keeps the evidence of failed tests, and shows it in their log."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from robot.api import logger

from brownout.engines.tally import TALLY
from brownout.errors import BrownoutError
from brownout.evidence import MANIFEST
from brownout.robot.attachment import attachment
from brownout.robot.devices import all_sources, forget_all
from brownout.robot.output import evidence_folder, file_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from robot import result, running

    from brownout.robot.devices import Devices, Source


_MARK: Final = "evidence: "
"""What importers of output.xml look for."""
_KEPT: Final[set[Path]] = set()
"""What a listener has shown."""
_SETUPS: Final[dict[Path, Path]] = {}
"""Folder of a suite whose setup failed -> evidence of its first test."""
_COUNTED: Final = [0]
"""Flash operations of this process that were told or belong to no test."""


class EvidenceListener:
    """Saves the evidence of every device of a failed test and shows it in log.html.

    Of every test it tells how many flash operations it took, which `brownout results import` records.

    BrownoutLibrary brings it along. `--listener brownout.robot.EvidenceListener` is for suites whose devices
    come from other libraries: those that brownout.robot.watch() makes known, and those that keep their
    evidence themselves (brownout.device.Device) and log ``evidence: FOLDER`` as a warning, with a folder for
    each device in it. The folders are ``${OUTPUT_DIR}/evidence/<suite>/<test>/<device>``, or below
    ``${EVIDENCE_DIR}``.
    """

    ROBOT_LISTENER_API_VERSION: Final = 3

    def __init__(self, devices: Devices | None = None) -> None:
        self._devices = devices
        self._told: list[Path] = []

    def start_test(self, data: running.TestCase, result: result.TestCase) -> None:
        """Nothing is kept yet: what an earlier run has left would tell of another failure."""
        del data
        self._told.clear()
        _take_operations()
        for manifest in _folder_of(result).glob(f"*/{MANIFEST}"):
            shutil.rmtree(manifest.parent, ignore_errors=True)

    def log_message(self, message: result.Message) -> None:
        """Note which folders others have saved evidence in."""
        text = str(message.message)
        folder = Path(text.removeprefix(_MARK))
        if message.level == "WARN" and text.startswith(_MARK):
            self._told.append(folder)

    def end_test(self, data: running.TestCase, result: result.TestCase) -> None:
        """Save and show, then forget: whichever listener is first does it."""
        del data
        told, self._told = self._told, []
        operations = _take_operations()
        if operations:
            logger.info(f"flash operations: {operations}")
        if self._devices is None:
            for folder in (folder for folder in told if folder not in _KEPT):
                for manifest in sorted(folder.glob(f"*/{MANIFEST}")):
                    _show(manifest.parent.name, manifest.parent)
        try:
            sources = all_sources()
            if result.failed and sources:
                _keep_once(result, sources)
        finally:
            forget_all()

    def close(self) -> None:
        """The library goes out of scope, after the suite's teardown."""
        if self._devices is not None:
            self._devices.close()


def _take_operations() -> int:
    """Flash operations since the last call: whichever listener is first tells them."""
    now = TALLY.count
    count, _COUNTED[0] = now - _COUNTED[0], now
    return count


def _folder_of(test: result.TestCase) -> Path:
    return evidence_folder("" if test.parent is None else test.parent.full_name, test.name)


def _keep_once(test: result.TestCase, sources: Mapping[str, Source]) -> None:
    """Save and show. A suite whose setup failed has one evidence, not one for each test that did not run."""
    folder, suite = _folder_of(test), test.parent
    setup_failed = suite is not None and suite.has_setup and suite.setup.failed
    if setup_failed and folder.parent in _SETUPS:
        logger.warn(f"{_MARK}{_SETUPS[folder.parent]}")
        return
    _keep(folder, sources)
    if setup_failed and folder in _KEPT:
        _SETUPS[folder.parent] = folder


def _keep(folder: Path, sources: Mapping[str, Source]) -> None:
    saved = {}
    for name, source in sources.items():
        try:
            source.save_evidence(folder / file_name(name))
            saved[name] = folder / file_name(name)
        except (BrownoutError, OSError) as error:
            logger.warn(f"{name}: no evidence is kept: {_line(error)}")
    if saved:
        _KEPT.add(folder)
        logger.warn(f"{_MARK}{folder}")
    for name, place in saved.items():
        _show(name, place)


def _show(name: str, folder: Path) -> None:
    try:
        logger.info(attachment(name, folder), html=True)
    except (BrownoutError, OSError) as error:
        logger.warn(f"{name}: its evidence cannot be shown: {_line(error)}")


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
