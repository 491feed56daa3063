"""Keywords for a device in real time: make it, its power, its console."""

from __future__ import annotations

import dataclasses
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from robot.api import logger
from robot.api.deco import keyword
from robot.libraries.BuiltIn import BuiltIn, RobotNotRunningError

from brownout.board import Region, load_board, load_board_file
from brownout.device import Device
from brownout.engines.base import PowerState  # noqa: TC001 - Robot converts arguments by the annotations
from brownout.errors import StateError
from brownout.files import read_file
from brownout.flash import Phase
from brownout.power import Cut, OperationTrigger
from brownout.reference import reference_conditions
from brownout.robot.devices import Devices
from brownout.robot.listener import EvidenceListener
from brownout.robot.words import LiveEngine
from brownout.target import load_target
from brownout.uplink import parse_address

if TYPE_CHECKING:
    from brownout.board import Board, RenodeScript
    from brownout.flash import Snapshot
    from brownout.target import Target

_TIMEOUT: Final = timedelta(seconds=30)
_RUNS_ON_SHOWN: Final = 8
_RUNS_ON: dict[str, dict[str, None]] = {}
"""What the top suite's metadata say."""


def note_run(*, engine: str, board: str, seed: int) -> None:
    """Have output.xml say what the suites ran on; several are separated by commas."""
    for name, value in (("Engine", engine), ("Board", board), ("Seed", str(seed))):
        known = _RUNS_ON.setdefault(name, {})
        if value in known:
            continue
        known[value] = None
        # Sorted: the order in which tests ran says nothing.
        text = ", ".join(sorted(known)) if len(known) <= _RUNS_ON_SHOWN else "several"
        try:
            BuiltIn().set_suite_metadata(name, text, top=True)
        except RobotNotRunningError:
            return


class DeviceKeywords:
    """Devices on an emulator. BrownoutLibrary has these keywords."""

    def __init__(self) -> None:
        self.devices: Final = Devices()
        self.ROBOT_LIBRARY_LISTENER: Final = EvidenceListener(self.devices)
        self._remembered: dict[str, Snapshot] = {}

    # -- making one ----------------------------------------------------------------------------------------

    @keyword(tags=["device"])
    def start_device(
        self,
        board: str,
        elf: Path,
        *,
        engine: LiveEngine = LiveEngine.QEMU,
        seed: int | None = None,
        device: str = "device",
    ) -> None:
        """Makes a device of a board and an ELF file. It has no power yet; its flash is all erased.

        Started in a test it is there until the test ends, in a suite's setup until the suite ends.
        ``board`` is the name of a board (``brownout board list``), or the path of a ``board.toml`` of yours.
        ``seed`` decides everything random; without one it is drawn, and is part of the replay id.
        ``device`` is its name, for suites that have several.

        Example:
        | `Start Device`    mps2-an385    ${CURDIR}/build/boot.elf    engine=qemu    seed=1
        | `Load Flash`    ${CURDIR}/build/app.bin    0x20000
        | `Power On`
        """
        loaded = load_board_file(Path(board)) if board.endswith(".toml") else load_board(board)
        self._start(device, loaded, elf, engine, seed)

    @keyword(tags=["device"])
    def start_device_from_target(
        self,
        target: Path,
        *,
        engine: LiveEngine = LiveEngine.QEMU,
        seed: int | None = None,
        device: str = "device",
    ) -> None:
        """Makes a device of a target file (docs/targets.md): board, ELF, and what lies in flash at first.

        It has no power yet, and lives as long as one of `Start Device`. The regions of the target file may be
        named in cuts and places. Without ``seed`` it is the target file's.

        Example:
        | `Start Device From Target`    ${CURDIR}/target.toml    engine=renode
        | `Arm Power Cut`    region=slot0.program#3/torn
        | `Power On`
        | `Wait For Power Cut`
        """
        loaded = load_target(target)
        if loaded.elf is None:
            raise StateError(f"{target}: has no elf: expected one; a device starts from it")
        if loaded.live is not None:
            raise StateError(f"{target}: has [live]: use Recover After Power Cuts or Sweep Power Cuts")
        board = _with_regions(loaded)
        used = loaded.seed if seed is None else seed
        made = self._start(device, board, loaded.elf.path, engine, used, loaded.renode)
        for piece in loaded.placed:
            if board.flash.base <= piece.address < board.flash.end:
                made.load(piece.data, piece.address - board.flash.base)

    @keyword(tags=["device"])
    def stop_device(self, *, device: str | None = None) -> None:
        """Takes the power and removes the device. If the test fails, its evidence is kept all the same.

        At the end of a test, what was started in it is stopped anyway; at the end of a suite, what is left.

        Example:
        | [Teardown]    `Stop Device`
        """
        self._remembered.pop(self.devices.stop(device), None)

    @keyword(tags=["device"])
    def stop_all_devices(self) -> None:
        """Stops every device of the suite; for a teardown. Nothing happens when there is none.

        Example:
        | Suite Teardown    `Stop All Devices`
        """
        self._remembered.clear()
        self.devices.stop_all()

    @keyword(tags=["device"])
    def connect_uplink(self, server: str, *, device: str | None = None) -> None:
        """Connects the uplink UART with a ``server``, HOST:PORT; what it carries becomes evidence.

        Once for a device, before it gets power.

        Example:
        | `Connect Uplink`    127.0.0.1:7000
        """
        self.devices.get(device).attach_uplink(parse_address(server), capture=True)

    # -- power ---------------------------------------------------------------------------------------------

    @keyword(tags=["power"])
    def power_on(self, *, device: str | None = None) -> None:
        """Gives power and does not wait for the firmware.

        Example:
        | `Power On`
        | `Console Should Show`    app: ready
        """
        self.devices.get(device).power_on()

    @keyword(tags=["power"])
    def cut_power(self, *, device: str | None = None) -> None:
        """Takes the power now, wherever the firmware is. Nothing happens when it is off.

        Example:
        | `Cut Power`
        """
        self.devices.get(device).cut_power()

    @keyword(tags=["power"])
    def power_should_be(self, state: PowerState, *, device: str | None = None) -> None:
        """Fails unless the power is ``on`` or ``off``, as ``state`` says.

        Example:
        | `Power Should Be`    off
        """
        found = self.devices.get(device).engine.state
        if found is not state:
            raise AssertionError(f"the power is {found.value}, expected {state.value}")

    @keyword(tags=["power"])
    def arm_power_cut(self, cut: Cut, *, device: str | None = None) -> None:
        """Arms a power cut, such as ``op=12/torn`` or ``region=slot0.program#3/before`` (docs/power-cuts.md).

        Before `Power On` it counts operations from the power-on, else from now on.

        Example:
        | `Arm Power Cut`    region=slot0.erase#1/after
        | `Power On`
        | `Wait For Power Cut`
        """
        self.devices.get(device).arm_cut(cut)

    @keyword(tags=["power"])
    def arm_power_cut_at_operation(
        self, operation: int, phase: Phase = Phase.TORN, *, device: str | None = None
    ) -> None:
        """Arms a cut ``before``, in (``torn``) or ``after`` the flash operation with this number.

        Example:
        | `Arm Power Cut At Operation`    12    before
        """
        if operation < 1:
            raise StateError(f"operation {operation}: expected 1 or more; counting starts at 1")
        cut = Cut(trigger=OperationTrigger(number=operation), phase=phase)
        self.devices.get(device).arm_cut(cut)

    @keyword(tags=["power"])
    def wait_for_power_cut(self, timeout: timedelta = _TIMEOUT, *, device: str | None = None) -> str:
        """Waits until the armed cut has fired and the power is off; a cut that does not fire is a failure.

        The time is the host's. Returns what happened, in words.

        Example:
        | ${what}    `Wait For Power Cut`    timeout=1 minute
        """
        found = self.devices.get(device)
        if not found.replay.cuts:
            raise StateError("no power cut is armed: use Arm Power Cut first")
        fired = found.wait_for_cut(_seconds(timeout))
        text = f"{fired.cut} fired at operation {fired.ordinal} of power session {fired.session}"
        logger.info(text)
        return text

    @keyword(tags=["power"])
    def power_on_and_lose_it(
        self, cut: Cut, timeout: timedelta = _TIMEOUT, *, device: str | None = None
    ) -> str:
        """Arms a cut, gives power and waits for the cut: three keywords in one. Returns what happened.

        Example:
        | `Power On And Lose It`    op=12/torn
        """
        self.arm_power_cut(cut, device=device)
        self.power_on(device=device)
        text: str = self.wait_for_power_cut(timeout, device=device)
        return text

    # -- console -------------------------------------------------------------------------------------------

    @keyword(tags=["console"])
    def console_should_show(
        self, pattern: str, timeout: timedelta = _TIMEOUT, *, device: str | None = None
    ) -> str:
        """Waits for text like the regular expression ``pattern`` on the console; returns what matched.

        Text that was matched before, or came before the last power-on, does not count.

        Example:
        | ${line}    `Console Should Show`    app: version \\\\d+    timeout=5 s
        """
        try:
            re.compile(pattern)
        except re.error as error:
            raise StateError(f"pattern '{pattern}': {error}: expected a regular expression") from error
        match = self.devices.get(device).wait_for_line(pattern, _seconds(timeout))
        found = str(match[0])
        logger.info(f"console: {found}")
        return found

    @keyword(tags=["console"])
    def console_should_not_contain(self, text: str, *, device: str | None = None) -> None:
        """Fails when the console has ever shown ``text``, in all power sessions.

        Example:
        | `Console Should Not Contain`    panic
        """
        lines = self.devices.get(device).console.text().split("\n")
        found = next((line for line in lines if text in line), None)
        if found is not None:
            raise AssertionError(f"console: expected no '{text}', found '{found}'")

    @keyword(tags=["console"])
    def send_to_console(self, text: str, *, device: str | None = None) -> None:
        """Sends a line of ``text`` and a line feed to the device.

        Example:
        | `Send To Console`    reboot
        """
        self.devices.get(device).console.spawn.sendline(text)

    # -- what was done -------------------------------------------------------------------------------------

    @keyword(tags=["evidence"])
    def get_replay_id(self, *, device: str | None = None) -> str:
        """What it takes to do this again: board, engine, seed and the cuts so far.

        Example:
        | ${id}    `Get Replay Id`
        """
        return str(self.devices.get(device).replay)

    @keyword(tags=["evidence"])
    def save_evidence(self, folder: Path, *, device: str | None = None) -> None:
        """Writes console, flash, its operations and replay id into ``folder``, whether or not the test fails.

        Of a failed test it is done without this keyword (see `Evidence of failed tests`).

        Example:
        | `Save Evidence`    ${OUTPUT_DIR}/upgrade
        """
        self.devices.get(device).save_evidence(folder)

    # -- inside --------------------------------------------------------------------------------------------

    def _start(
        self,
        name: str,
        board: Board,
        elf: Path,
        engine: LiveEngine,
        seed: int | None,
        script: RenodeScript | None = None,
    ) -> Device:
        read_file(elf, "an ELF file")

        def make() -> Device:
            return Device(
                board,
                elf,
                engine=engine.value,
                seed=seed,
                conditions=reference_conditions(board),
                renode_script=script,
            )

        device = self.devices.start(name, make)
        note_run(engine=engine.value, board=board.name, seed=device.seed)
        logger.info(f"device '{name}': {device.replay}")
        return device


def _seconds(timeout: timedelta) -> float:
    if timeout.total_seconds() <= 0:
        raise StateError(f"timeout {timeout.total_seconds():g} s: expected more than no time, such as 10 s")
    return timeout.total_seconds()


def _with_regions(target: Target) -> Board:
    """The target's board, with the regions of the target file."""
    board = target.board
    regions = {
        name: Region(offset=area.start, size=area.end - area.start)
        for name, area in target.region_names.items()
    }
    return dataclasses.replace(board, flash=dataclasses.replace(board.flash, regions=regions))
