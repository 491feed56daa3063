"""Keywords of the upgrade suites: a lab, its releases and devices, and what a device says and holds."""

from __future__ import annotations

import threading
import time
from pathlib import Path

from robot.api import logger
from robot.api.deco import keyword, library

from brownout.errors import StateError, ViolationError
from brownout.flash import Snapshot
from brownout.reference import FlagState
from fieldlink.gateway import (
    CheckReceived,
    DeviceOnline,
    HandshakeRejected,
    ReportCode,
    ReportReceived,
)
from lab_keywords import HOLDER, rerun_command

DEVICE = "dev-1"
TIMEOUT_S = 40.0
LOG_PATIENCE_S = 5.0


@library(scope="SUITE", auto_keywords=False)
class UpgradeLibrary:
    """One lab a suite (or a test, when the test setup starts it). Times are seconds.

    Keywords that take a ``device`` mean ``dev-1`` when none is given.
    """

    def __init__(self) -> None:
        self._staged: Snapshot | None = None

    # -- lab -----------------------------------------------------------------------------------------------

    @keyword
    def start_lab(self, engine: str = "qemu", seed: int | None = None) -> None:
        """Starts a server that offers the factory set (release 1, all modules 1.0.0)."""
        self._staged = None
        HOLDER.start(engine, seed)

    @keyword
    def stop_lab(self) -> None:
        """Takes devices and server down. Safe to call when nothing runs."""
        HOLDER.stop()

    @keyword
    def keep_evidence(self, folder: Path) -> None:
        """Writes UART log, flash images, operation log, timeline and replay id of every device."""
        HOLDER.lab.save_evidence(folder, command=rerun_command(HOLDER.lab))
        logger.warn(f"evidence: {folder}")

    @keyword
    def restart_server(self) -> None:
        """Stops the server, which drops every connection, and starts it on the same port."""
        server = HOLDER.lab.server
        server.stop()
        server.start()

    @keyword
    def add_device(self, device: str = DEVICE, check_interval_ms: int = 400) -> None:
        """Provisions a device with the factory set; it has no power yet."""
        HOLDER.lab.add_unit(device, check_interval_ms=check_interval_ms)

    # -- releases ------------------------------------------------------------------------------------------

    @keyword
    def publish_release(
        self, sequence: int, kernel: str = "1.0.0", app: str = "1.0.0", assets: str = "1.0.0"
    ) -> None:
        """Publishes a complete set, each module in the given version; events before it do not count."""
        HOLDER.mark = HOLDER.lab.server.mark()
        HOLDER.lab.publish(sequence, {"kernel": kernel, "app": app, "assets": assets})

    # -- power ---------------------------------------------------------------------------------------------

    @keyword
    def boot_device(self, device: str = DEVICE) -> float:
        """Gives power and waits for the application; returns how long that took."""
        return HOLDER.unit(device).boot()

    @keyword
    def cut_power(self, device: str = DEVICE) -> None:
        """Takes the power now."""
        HOLDER.unit(device).device.cut_power()

    @keyword
    def power_on_device(self, device: str = DEVICE) -> None:
        """Gives power and does not wait."""
        HOLDER.unit(device).device.power_on()

    @keyword
    def restore_factory_flash(self, device: str = DEVICE) -> None:
        """Takes the power and puts the flash back to how the factory made it."""
        HOLDER.unit(device).restore()

    @keyword
    def arm_power_cut(self, cut: str, device: str = DEVICE) -> None:
        """Arms a power cut such as ``region=app.program#3/torn``; see docs/power-cuts.md."""
        HOLDER.unit(device).arm_cut(cut)

    @keyword
    def wait_for_power_cut(self, device: str = DEVICE, timeout: float = TIMEOUT_S) -> None:
        """Waits until the armed cut has fired and the power is off. A cut that never fires fails the test."""
        fired = HOLDER.unit(device).wait_for_cut(timeout)
        logger.info(f"cut fired: {fired}")

    @keyword
    def recover_device(self, device: str = DEVICE, old: int = 1, new: int = 2) -> int:
        """Gives power without a link, waits for the application and checks every oracle.

        The installed set must be release ``old`` or release ``new`` as a whole. Returns which one it is.
        """
        unit = HOLDER.unit(device)
        state = unit.recover(HOLDER.lab.envelopes(old=old, new=new), floor=old)
        if state.installed is None:
            raise ViolationError("no installed manifest after the recovery")
        return state.installed.manifest.sequence

    @keyword
    def oracles_should_hold(self, device: str = DEVICE, old: int = 1, new: int = 2) -> None:
        """Checks every oracle of a running device."""
        unit = HOLDER.unit(device)
        unit.check_oracles(HOLDER.lab.envelopes(old=old, new=new), floor=old, boot_time_s=0.0)

    # -- the staged set, for cuts in boot ------------------------------------------------------------------

    @keyword
    def stage_release(self, device: str = DEVICE) -> None:
        """Lets the device download the newest release and takes the power when the flag has just been set.

        Leaves the staged flash as the state that 'Restore Staged Flash' comes back to.
        """
        unit = HOLDER.unit(device)
        unit.restore()
        unit.arm_cut("at=flag-requested#1/after")
        unit.device.power_on()
        unit.wait_for_cut(TIMEOUT_S)
        self._staged = unit.device.snapshot()

    @keyword
    def restore_staged_flash(self, device: str = DEVICE, seed: int | None = None) -> None:
        """Takes the power and goes back to the flash of 'Stage Release': all staged, the flag just set."""
        if self._staged is None:
            raise StateError("nothing is staged: use 'Stage Release' in the suite setup")
        HOLDER.unit(device).restore(self._staged, seed=seed)

    @keyword
    def cut_power_while_booting(self, *cuts: str, device: str = DEVICE) -> None:
        """Gives power once for each cut and loses it there, without recovering in between."""
        unit = HOLDER.unit(device)
        unit.link.connected = False
        for cut in cuts:
            logger.info(f"cut fired: {unit.cut_while_booting(cut)}")

    # -- what the device does ------------------------------------------------------------------------------

    @keyword
    def device_should_install_release(
        self, sequence: int, device: str = DEVICE, timeout: float = TIMEOUT_S
    ) -> None:
        """Waits until the release is installed and its application runs, then checks every oracle."""
        unit = HOLDER.unit(device)
        unit.wait_for_installed(sequence, timeout)
        self._oracles_with_new(unit.device_id, sequence)

    @keyword
    def device_should_reach_release(
        self, sequence: int, device: str = DEVICE, timeout: float = TIMEOUT_S
    ) -> None:
        """Waits until the device tells the server that it runs the release, then checks every oracle."""
        server = HOLDER.lab.server
        server.wait_for(
            CheckReceived,
            device,
            timeout=timeout,
            since=server.mark(),
            where=lambda event: event.installed_sequence == sequence,
        )
        self._oracles_with_new(device, sequence)

    @keyword
    def device_should_still_run_release(self, sequence: int, device: str = DEVICE) -> None:
        """The same, said of a release that was running before."""
        self.device_should_reach_release(sequence, device)

    @keyword
    def installed_release_should_be(self, sequence: int, device: str = DEVICE) -> None:
        """The security counter of the manifest in flash."""
        found = HOLDER.unit(device).installed_sequence()
        if found != sequence:
            raise ViolationError(f"installed release: expected {sequence}, found {found}")

    @keyword
    def upgrade_flag_should_be(self, state: str, device: str = DEVICE) -> None:
        """``CLEAR``, ``REQUESTED`` or ``COPYING``."""
        found = HOLDER.unit(device).state().flag.state
        if found is not FlagState[state]:
            raise ViolationError(f"upgrade flag: expected {state}, found {found.name}")

    @keyword
    def installed_manifest_should_name_modules(self, *modules: str, device: str = DEVICE) -> None:
        """The manifest in flash names exactly these modules, and each region holds what the manifest says."""
        installed = HOLDER.unit(device).state().installed
        if installed is None:
            raise ViolationError("no installed manifest")
        found = {state.name: state.matches for state in installed.modules}
        if found != dict.fromkeys(modules, True):
            raise ViolationError(f"modules in the manifest: expected {', '.join(modules)}, found {found}")

    @keyword
    def console_log_should_contain(self, text: str, device: str = DEVICE) -> None:
        """The console has shown a line with this text at some time, or does so within five seconds."""
        deadline, pause = time.monotonic() + LOG_PATIENCE_S, threading.Event()
        while not self._console_lines(text, device):
            if time.monotonic() > deadline:
                raise ViolationError(f"console: expected a line with '{text}', found none")
            pause.wait(0.02)

    @keyword
    def console_log_should_not_contain(self, text: str, device: str = DEVICE) -> None:
        """The console has never shown a line with this text."""
        if found := self._console_lines(text, device):
            raise ViolationError(f"console: expected no line with '{text}', found '{found[0]}'")

    @keyword
    def console_should_show(self, pattern: str, device: str = DEVICE, timeout: float = TIMEOUT_S) -> str:
        """Waits for text like the regular expression on the console; returns what matched."""
        return str(HOLDER.unit(device).device.wait_for_line(pattern, timeout)[0])

    @keyword
    def boot_should_say(self, pattern: str, device: str = DEVICE, timeout: float = TIMEOUT_S) -> None:
        """Waits for a line of boot like the regular expression; fails when boot ends without saying so."""
        end = r"(?P<end>boot: starting kernel|boot: halted: [^\r\n]+)\r\n"
        unit = HOLDER.unit(device)
        found = unit.device.wait_for_line(rf"(?P<wanted>boot: (?:{pattern})\r\n)|{end}", timeout)
        if found["wanted"] is None:
            raise ViolationError(f"boot: expected it to say '{pattern}', found '{found['end']}'")

    @keyword
    def device_should_be_online(self, device: str = DEVICE, timeout: float = TIMEOUT_S) -> None:
        """The device has proved itself to the server since the last release was published."""
        HOLDER.lab.server.wait_for(DeviceOnline, device, timeout=timeout, since=HOLDER.mark)

    @keyword
    def device_should_not_be_online(self, device: str = DEVICE) -> None:
        """The device has had no session with the server."""
        if HOLDER.lab.server.events(DeviceOnline, device):
            raise ViolationError(f"{device}: expected no session, it was online")

    @keyword
    def server_should_reject_handshake(self, timeout: float = TIMEOUT_S) -> str:
        """A handshake got no answer; returns why."""
        return HOLDER.lab.server.wait_for(HandshakeRejected, None, timeout=timeout).reason

    @keyword
    def device_should_report(self, code: ReportCode, device: str = DEVICE, timeout: float = TIMEOUT_S) -> int:
        """Waits for a report with this code since the last release was published; returns its sequence.

        A device that refuses for another reason, or installs what it should refuse, fails the test at once.
        """
        # Boot drops only what the kernel has asked it to install.
        dropped = code is ReportCode.DROPPED_BY_BOOT
        passing = {ReportCode.RUNNING} | ({ReportCode.INSTALLING} if dropped else set())
        event = HOLDER.lab.server.wait_for(
            ReportReceived,
            device,
            timeout=timeout,
            since=HOLDER.mark,
            where=lambda e: e.code == code or e.code not in passing,
        )
        if event.code != code:
            found = ReportCode(event.code).name if event.code in set(ReportCode) else event.code
            raise ViolationError(f"{device}: expected the report {code.name}, found {found}")
        return event.sequence

    @keyword
    def device_should_check_times(self, count: int, device: str = DEVICE) -> float:
        """Waits for so many manifest checks from now on; returns the seconds from the first to the last.

        They are the device's seconds: an emulator's time may stand still and catch up.
        """
        server, clock = HOLDER.lab.server, HOLDER.unit(device).device.engine.clock
        since = server.mark()
        server.wait_for(CheckReceived, device, timeout=TIMEOUT_S, since=since)
        first = clock()
        server.wait_for(CheckReceived, device, timeout=TIMEOUT_S, since=since, count=count)
        return clock() - first

    # -- inside --------------------------------------------------------------------------------------------

    def _console_lines(self, text: str, device: str) -> list[str]:
        return [line.text for line in HOLDER.unit(device).device.console.lines() if text in line.text]

    def _oracles_with_new(self, device: str, sequence: int) -> None:
        envelopes = HOLDER.lab.envelopes(installed=sequence)
        HOLDER.unit(device).check_oracles(envelopes, floor=sequence, boot_time_s=0.0)
