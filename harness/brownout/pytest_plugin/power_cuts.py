"""Power cuts of a test: those that a marker arms on its device, and those that a sweep makes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

if TYPE_CHECKING:
    from brownout.device import Device
    from brownout.live.recovery import PlannedCut, Recovered
    from brownout.power import ArmedCut
    from brownout.pytest_plugin.options import SweepSettings
    from brownout.target import Target


class PowerCut:
    """One cut of a target's upgrade: what the fixture `power_cut` gives. str() is the cut's text."""

    def __init__(self, planned: PlannedCut, target: Target, sweep: SweepSettings) -> None:
        self._planned: Final = planned
        self._sweep: Final = sweep
        self._target: Final = target
        self.engine: Final = sweep.engine
        """What was asked for; "" leaves it to recover()."""
        self._seed = sweep.seed
        self.recoveries: Final[list[Recovered]] = []
        """What recover() returned so far."""

    def __str__(self) -> str:
        return str(self._planned)

    @property
    def operation(self) -> int:
        """The flash operation that is cut, from 1, of the run without a cut."""
        return self._planned.operation

    @property
    def phase(self) -> str:
        """ "before", "torn" or "after"."""
        return self._planned.phase

    @property
    def target(self) -> Target:
        """What is cut."""
        return self._target

    def recover(self, *more: str, check: bool = True) -> Recovered:
        """Do the upgrade with this cut, from the first power-on, and let the device recover.

        Args:
            more: cuts of the recovery, such as "op=3/torn".
            check: fail when the device is not well after it; False leaves that to the test, but a cut that
                did not fire fails always.

        Raises:
            AssertionError: the device is not well; with what happened, boot by boot, and the command that
                does it again.
            BrownoutError: it cannot be run.
        """
        __tracebackhide__ = True
        from brownout.live.recovery import recover

        recovered = recover(self._target, [self._planned.event, *more], engine=self.engine, seed=self._seed)
        self.recoveries.append(recovered)
        if check or recovered.verdict == "not-fired":
            recovered.raise_for_failure()
        return recovered

    def raise_for_unused(self) -> None:
        """Fails a test that never cut anything."""
        if not self.recoveries:
            pytest.fail("power_cut: recover() was not called: nothing was cut", pytrace=False)


class CutSchedule:
    """Cuts that wait for their power-on: one is armed at each, when the one before it has fired."""

    def __init__(self, device: Device, cuts: tuple[str, ...]) -> None:
        self._device = device
        self._waiting = list(cuts)
        self._armed: list[ArmedCut] = []

    def attach(self) -> None:
        """From now on, each power-on of the device arms what is due."""
        self._device.before_power_on.append(self._arm)

    def _arm(self) -> None:
        if self._waiting and (not self._armed or self._armed[-1].fired is not None):
            self._armed.append(self._device.arm_cut(self._waiting.pop(0)))

    def raise_for_missing(self) -> None:
        """Fails the test when a cut has not fired."""
        missing = [str(armed.cut) for armed in self._armed if armed.fired is None]
        for cut in missing:
            pytest.fail(
                f"power_cut: {cut} did not fire: is it ever reached? {self._device.replay}", pytrace=False
            )
        if self._waiting:
            pytest.fail(
                f"power_cut: {self._waiting[0]} was not armed: the device was not given power again after "
                "the cut before it",
                pytrace=False,
            )
