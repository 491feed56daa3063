"""One complete upgrade, watched from outside: at the flash controller and on the link.

The device's own clock is not used. Download and installation part at the operation that sets the upgrade
flag; the firmware waits for it while the moment is noted and the stacks are read.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.bench.stack_areas import app_stack, boot_stack, kernel_stacks, read_marks
from brownout.errors import StateError
from brownout.flash import Region
from brownout.power import AtTrigger, Cut
from brownout.reference import reference_conditions
from brownout.uplink import Direction
from fieldlink.gateway import CheckReceived

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from brownout.board import Board
    from brownout.flash import FlashModel, Operation
    from brownout.lab import FirmwareBuild, Lab, Unit

_TIMEOUT_S: Final = 60.0
_WATCH: Final = "bench-watch"


@dataclass(frozen=True, slots=True, kw_only=True)
class TimedOperation:
    """A flash operation and when the controller took it up, in seconds of time.monotonic()."""

    time_s: float
    operation: Operation


@dataclass(frozen=True, slots=True, kw_only=True)
class UpgradeRun:
    """What one upgrade showed.

    Args:
        download_s: from the device's check to the operation that sets the upgrade flag.
        install_s: from that operation to the first line of the new application.
        link_bytes: bytes that the modem gave to the device in `download_s`.
        copy: operations on the installed modules' regions, all of them boot's, in order.
        marks: bytes used of each stack.
        areas: bytes reserved for each stack.
    """

    download_s: float
    install_s: float
    link_bytes: int
    copy: tuple[TimedOperation, ...]
    marks: Mapping[str, int]
    areas: Mapping[str, int]


class UpgradeWatch:
    """The condition of a power cut that never comes: it is asked before every operation and only looks."""

    def __init__(self, board: Board, at_flag: Callable[[], None]) -> None:
        """`at_flag` is called when the upgrade flag is about to be set, while the firmware waits."""
        self.flag_reached_s: float | None = None
        self.flag_left_s: float | None = None
        self.copy: list[TimedOperation] = []
        self._at_flag = at_flag
        self._sets_flag = reference_conditions(board)["flag-requested"]
        regions = board.flash.regions
        self._installed = [
            Region(offset=regions[module.region].offset, size=regions[module.region].size)
            for module in board.modules.values()
        ]

    def __call__(self, model: FlashModel, operation: Operation, /) -> bool:
        """Look at the operation; never ask for a cut."""
        now = time.monotonic()
        if self.flag_reached_s is None and self._sets_flag(model, operation):
            self.flag_reached_s = now
            self._at_flag()
            self.flag_left_s = time.monotonic()
        elif any(region.touches(operation.offset, max(1, operation.length)) for region in self._installed):
            self.copy.append(TimedOperation(time_s=now, operation=operation))
        return False


class LinkMeter:
    """A tap on the modem that counts the bytes to the device."""

    def __init__(self) -> None:
        self._passed: list[tuple[float, int]] = []

    def __call__(self, direction: Direction, data: bytes, /) -> bytes:
        """Note and pass on."""
        if direction is Direction.DOWN:
            self._passed.append((time.monotonic(), len(data)))
        return data

    def bytes_between(self, start_s: float, end_s: float) -> int:
        """Bytes passed on between two times of time.monotonic()."""
        return sum(size for moment, size in self._passed if start_s <= moment <= end_s)


def run_upgrade(
    lab: Lab, unit: Unit, *, old: FirmwareBuild, new: FirmwareBuild, new_sequence: int
) -> UpgradeRun:
    """Restore the factory's flash, power on, wait until the new set runs and has told the server.

    `old` and `new` are the builds that the device runs before and after. Ends without power. Raises
    DeadlineError, EngineError, ViolationError.
    """
    server, device, board = lab.server, unit.device, lab.board
    before = (*kernel_stacks(old), app_stack(board, old))
    after = (
        boot_stack(old),
        *kernel_stacks(new),
        app_stack(board, new),
    )
    marks: dict[str, int] = {}
    watch = UpgradeWatch(board, lambda: read_marks(device.read_memory, before, marks))
    meter = LinkMeter()
    unit.restore()
    unit.modem.add_tap(meter)
    try:
        since = server.mark()
        device.flash.arm(Cut(trigger=AtTrigger(condition=_WATCH)), {_WATCH: watch})
        device.power_on()
        unit.wait_for_installed(new_sequence, _TIMEOUT_S)
        running_s = time.monotonic()
        server.wait_for(
            CheckReceived,
            unit.device_id,
            timeout=_TIMEOUT_S,
            since=since,
            where=lambda event: event.installed_sequence == new_sequence,
        )
        read_marks(device.read_memory, after, marks)
    finally:
        device.disarm_cut()
        unit.modem.remove_tap(meter)
        device.cut_power()
    device.flash.model.raise_for_violations()
    checked_s = next(
        moment
        for moment, event in server.timed_events(CheckReceived, unit.device_id, since=since)
        if event.wanted
    )
    if watch.flag_reached_s is None or watch.flag_left_s is None:
        raise StateError("upgrade: the new set runs, but nobody set the upgrade flag: is the watch armed?")
    return UpgradeRun(
        download_s=watch.flag_reached_s - checked_s,
        install_s=running_s - watch.flag_left_s,
        link_bytes=meter.bytes_between(checked_s, watch.flag_reached_s),
        copy=tuple(watch.copy),
        marks=marks,
        areas={area.name: area.size for area in after},
    )
