"""A device of a lab: its board on an engine, its identity, its factory flash, the checks after a recovery."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from brownout.errors import DeadlineError, StateError, ViolationError
from brownout.reference import Recovery, check_recovery, raise_for_findings, read_state

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from brownout.device import Device
    from brownout.flash import Snapshot
    from brownout.power import ArmedCut, Cut, FiredCut
    from brownout.reference import DeviceState
    from brownout.uplink import Direction, Modem
    from fieldlink.provision import ProvisionedDevice

BOOT_BUDGET_S: Final = 20.0
"""From power-on to the application. Generous: machines are shared, and a hang is what it finds."""
APP_LINE: Final = r"app (\d+\.\d+\.\d+)\r\n"
_HALT: Final = "boot: halted: "
"""Nothing comes after this line, so nobody needs to wait for more."""


class LinkSwitch:
    """A tap on the modem: while it is off nothing passes, as with the cable pulled."""

    def __init__(self) -> None:
        self.connected = True

    def __call__(self, direction: Direction, data: bytes, /) -> bytes:
        """Pass on `data`, or nothing."""
        del direction
        return data if self.connected else b""


class Unit:
    """One device. Made by Lab.add_unit(), which also closes it."""

    def __init__(
        self,
        device: Device,
        modem: Modem,
        *,
        provisioned: ProvisionedDevice,
        factory: bytes,
        release_public_key: bytes,
    ) -> None:
        self.device: Final = device
        self.modem: Final = modem
        self.provisioned: Final = provisioned
        self.link: Final = LinkSwitch()
        self._release_public_key = release_public_key
        self._cuts: list[ArmedCut] = []
        modem.add_tap(self.link)
        device.load(factory)
        self.factory: Final[Snapshot] = device.snapshot()

    @property
    def device_id(self) -> str:
        """Its id, as provisioned."""
        return self.provisioned.record.device_id

    # -- power ---------------------------------------------------------------------------------------------

    def restore(self, snapshot: Snapshot | None = None, *, seed: int | None = None) -> None:
        """Take the power and go back to `snapshot`, by default the factory's; the link is connected again."""
        self.device.restore(self.factory if snapshot is None else snapshot, seed=seed)
        self._cuts.clear()
        self.link.connected = True

    def boot(self, timeout: float = BOOT_BUDGET_S) -> float:
        """Give power and wait for the application; returns the seconds that took. Raises DeadlineError."""
        started = time.monotonic()
        self.device.power_on()
        self.wait_for_app(timeout)
        return time.monotonic() - started

    def wait_for_app(self, timeout: float = BOOT_BUDGET_S) -> str:
        """Wait for the application's first line; returns the version it prints.

        Raises DeadlineError, and ViolationError when boot gives up instead.
        """
        return str(self._wait_or_halt(APP_LINE, timeout)[1])

    def arm_cut(self, cut: Cut | str) -> None:
        """Arm a power cut; it must fire before the next recover()."""
        self._cuts.append(self.device.arm_cut(cut))

    def wait_for_cut(self, timeout: float = BOOT_BUDGET_S) -> FiredCut:
        """Wait until the cut has fired and the power is off. Raises CutNotFired."""
        return self.device.wait_for_cut(timeout)

    def cut_while_booting(self, cut: Cut | str, timeout: float = BOOT_BUDGET_S) -> FiredCut:
        """Arm `cut`, give power, wait until it fired."""
        self.arm_cut(cut)
        self.device.power_on()
        return self.wait_for_cut(timeout)

    def recover(self, sets: Mapping[str, bytes], *, floor: int) -> DeviceState:
        """Give power without a link, wait for the application, check all oracles.

        `sets`: the envelopes that may be installed, by name; `floor`: security counter before the run. Raises
        ViolationError with every finding.
        """
        self.link.connected = False
        started = time.monotonic()
        self.device.power_on()
        boot_time: float | None = None
        try:
            self.wait_for_app()
            boot_time = time.monotonic() - started
        except (DeadlineError, ViolationError):
            pass  # oracle 4 says so, with what else is wrong
        # A reset that nobody asked for is a power loss more.
        self.check_oracles(sets, floor=floor, boot_time_s=boot_time, power_losses=self.device.engine.resets)
        return self.state()

    def check_oracles(
        self, sets: Mapping[str, bytes], *, floor: int, boot_time_s: float | None, power_losses: int = 0
    ) -> None:
        """Check all oracles of the running device. Raises ViolationError with every finding."""
        flash = self.device.flash
        violations = flash.checkpoint()
        findings = check_recovery(
            Recovery(
                board=self.device.board,
                image=flash.image(),
                sets=sets,
                release_public_key=self._release_public_key,
                floor=floor,
                boot_time_s=boot_time_s,
                boot_budget_s=BOOT_BUDGET_S,
                violations=violations,
                cuts=tuple(self._cuts),
                power_losses=power_losses,
            )
        )
        raise_for_findings(findings)

    # -- what it holds -------------------------------------------------------------------------------------

    def state(self) -> DeviceState:
        """What its flash says now."""
        image = self.device.flash.image()
        return read_state(self.device.board, image, release_public_key=self._release_public_key)

    def installed_sequence(self) -> int:
        """Security counter of the installed manifest. Raises StateError when there is none."""
        state = self.state()
        if state.installed is None:
            raise StateError(f"{self.device_id}: no installed manifest: {'; '.join(state.problems)}")
        return state.installed.manifest.sequence

    def wait_for_installed(self, sequence: int, timeout: float) -> None:
        """Wait until the set of this sequence is installed, the flag is clear and its application runs.

        Raises DeadlineError with the last lines of the console, ViolationError when boot gives up instead.
        """
        self._wait_or_halt(rf"boot: set seq={sequence} verified", timeout)
        self.wait_for_app()

    def _wait_or_halt(self, pattern: str, timeout: float) -> re.Match[str]:
        found = self.device.wait_for_line(rf"{pattern}|{_HALT}[^\r\n]+\r\n", timeout)
        text = str(found[0])
        if text.startswith(_HALT):
            raise ViolationError(f"{self.device_id}: expected text like '{pattern}', found '{text.strip()}'")
        return found
