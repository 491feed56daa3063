"""What the measurements share: a lab with one device, a release of known size, and complete upgrades."""

from __future__ import annotations

import contextlib
import time
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final, Self

from brownout.bench.upgrade_run import UpgradeRun, run_upgrade
from brownout.board import load_board
from brownout.flash import seeded_bytes
from brownout.lab import FirmwareBuild, FirmwareBuilds, Lab
from fieldlink.publish import ModuleImage

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from types import TracebackType

    from brownout.board import Board
    from brownout.flash import Snapshot
    from brownout.lab import Unit

FACTORY_VERSION: Final = "1.0.0"
UPGRADE_VERSION: Final = "1.1.0"
DEVICE: Final = "bench-1"
OLD, NEW = 1, 2
"""Sequences of the factory's set and of the one that devices upgrade to."""
LEAST_SIZES: Final[Mapping[str, int]] = {"kernel": 64 * 1024, "app": 32 * 1024, "assets": 16 * 1024}
"""Bytes that each module of the new set has at least."""
BOOT_LINE: Final = r"boot \d+\.\d+\.\d+\r\n"
_FEW: Final = 3
_TIMEOUT_S: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PlainBoot:
    """A power-on with nothing to install and no link. Seconds from power-on."""

    first_byte_s: float
    app_s: float


class Workbench:
    """Use it as a context manager. The lab starts when something first needs it."""

    def __init__(
        self,
        folder: Path,
        *,
        board: str,
        engine: str,
        seed: int,
        repeat: int,
        quick: bool,
        progress: Callable[[str], None],
    ) -> None:
        """`progress` is told what is being measured. Raises BuildError when the firmware is not built."""
        self.board: Final[Board] = load_board(board)
        self.new_sequence: Final = NEW
        self.repeat: Final = repeat
        self.quick: Final = quick
        self.seed: Final = seed
        self.builds: Final = FirmwareBuilds.find()
        self.factory_build: Final[FirmwareBuild] = self.builds.version(FACTORY_VERSION)
        self.upgrade_build: Final[FirmwareBuild] = self.builds.version(UPGRADE_VERSION)
        self.skipped: Final[dict[str, str]] = {}
        self._engine = engine
        self._folder = folder
        self._progress = progress
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def progress(self, what: str) -> None:
        """Say what is being measured."""
        self._progress(what)

    def skip(self, group: str, why: str) -> None:
        """A group that cannot be measured here, which is no error."""
        self.skipped[group] = why

    @property
    def few(self) -> int:
        """How often to measure what takes long and whose samples are medians already."""
        return min(self.repeat, _FEW)

    @cached_property
    def lab(self) -> Lab:
        """The lab; it offers the set NEW."""
        lab = self._stack.enter_context(
            Lab(self._folder, board=self.board.name, engine=self._engine, builds=self.builds, seed=self.seed)
        )
        lab.publish(NEW, self.new_images)
        return lab

    @cached_property
    def unit(self) -> Unit:
        """The device, with the factory's set."""
        return self.lab.add_unit(DEVICE, capture=False)

    @cached_property
    def debug_lab(self) -> Lab:
        """A lab of its own: nothing is published after the factory's set, so no download disturbs."""
        folder = self.subfolder("debug")
        return self._stack.enter_context(
            Lab(folder, board=self.board.name, engine=self._engine, builds=self.builds, seed=self.seed)
        )

    def subfolder(self, name: str) -> Path:
        """A new folder that is gone after the benchmark."""
        folder = self._folder / name
        folder.mkdir()
        return folder

    @cached_property
    def new_images(self) -> dict[str, ModuleImage]:
        """The built modules, filled up to their least size with seeded bytes that the firmware ignores."""
        images = {}
        for name, least in LEAST_SIZES.items():
            image = self.upgrade_build.image(name)
            filler = seeded_bytes(self.seed, max(0, least - len(image)), "bench", name)
            images[name] = ModuleImage(name=name, version=UPGRADE_VERSION, image=image + filler)
        return images

    @cached_property
    def upgrades(self) -> tuple[UpgradeRun, ...]:
        """Complete upgrades from the factory's set, without a cut; three groups use them."""
        runs = []
        for number in range(self.repeat):
            self._progress(f"upgrade {number + 1} of {self.repeat}")
            runs.append(
                run_upgrade(
                    self.lab,
                    self.unit,
                    old=self.factory_build,
                    new=self.upgrade_build,
                    new_sequence=self.new_sequence,
                )
            )
        return tuple(runs)

    @cached_property
    def staged(self) -> Snapshot:
        """The flash when all is staged and the upgrade flag was just set; without power."""
        self._progress("staging")
        self.unit.restore()
        self.unit.arm_cut("at=flag-requested#1/after")
        self.unit.device.power_on()
        self.unit.wait_for_cut(_TIMEOUT_S)
        return self.unit.device.snapshot()

    def plain_boot(self) -> PlainBoot:
        """Boot the factory's set with the link cut. The power is off before and after."""
        unit, console = self.unit, self.unit.device.console
        unit.restore()
        unit.link.connected = False
        started = time.monotonic()
        unit.device.power_on()
        unit.device.wait_for_line(BOOT_LINE)
        first = console.first_byte_s
        unit.wait_for_app()
        ended = time.monotonic()
        unit.device.cut_power()
        return PlainBoot(first_byte_s=(ended if first is None else first) - started, app_s=ended - started)
