"""Targets of tests, and the power cuts that a sweep makes of one. Loaded when a test asks for it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from brownout.engines.version import engine_version
from brownout.errors import SweepError
from brownout.live.kept import save_evidence
from brownout.live.recovery import check_engine, plan_cuts
from brownout.power import parse_cut
from brownout.pytest_plugin.keeping import Facts
from brownout.sweep.plan import ALL_TORN, FEW_TORN
from brownout.target import load_target

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.live.recovery import PlannedCut
    from brownout.pytest_plugin.options import SweepSettings
    from brownout.pytest_plugin.power_cuts import PowerCut
    from brownout.target import Target


@functools.cache
def target_at(path: Path) -> Target:
    """The target file, loaded once a process. Raises BrownoutError."""
    return load_target(path)


@functools.cache
def planned_cuts(sweep: SweepSettings) -> tuple[PlannedCut, ...] | str:
    """The cuts of a sweep, the same in every process; or why there are none: it fails without a cut.

    Raises BrownoutError for what the target file or the test asks for and cannot be.
    """
    target = target_at(sweep.target)
    check_engine(target, sweep.engine)
    try:
        return plan_cuts(
            target,
            points=sweep.points,
            phases=sweep.phases,
            torn=FEW_TORN if sweep.torn == "default" else ALL_TORN,
            operations=sweep.operations,
            engine=sweep.engine,
            seed=sweep.seed,
        )
    except SweepError as error:
        return str(error)


def cut_id(cut: PlannedCut) -> str:
    """What stands in the test's name: the cut's text without "=", which pytest's -k does not take."""
    return str(cut).replace("=", "")


def check_cuts(cuts: tuple[str, ...]) -> None:
    """Raises ReplayError for text that is no cut."""
    for cut in cuts:
        parse_cut(cut)


class KeptRecovery:
    """What the recoveries of a power cut left (keeping.Kept)."""

    def __init__(self, power_cut: PowerCut) -> None:
        self._power_cut = power_cut

    @property
    def facts(self) -> Facts:
        """Of the recoveries that were done."""
        done = self._power_cut.recoveries
        engine = done[0].engine if done else self._power_cut.engine
        return Facts(
            board=self._power_cut.target.board.name,
            engine=engine,
            engine_version=engine_version(engine),
            flash_operations=sum(len(one.operations) for one in done),
        )

    @property
    def replays(self) -> tuple[str, ...]:
        """Those of the recoveries that were done."""
        return tuple(dict.fromkeys(done.replay for done in self._power_cut.recoveries))

    @property
    def commands(self) -> tuple[str, ...]:
        """A sweep's replay for each."""
        return tuple(dict.fromkeys(done.command for done in self._power_cut.recoveries))

    def save(self, folder: Path) -> dict[Path, str]:
        """Write the evidence of each recovery: a test does one, as a rule."""
        saved: dict[Path, str] = {}
        for number, done in enumerate(self._power_cut.recoveries, 1):
            place = folder / (f"{done.target.name}-{number}" if number > 1 else done.target.name)
            save_evidence(done, place)
            saved[place] = done.command
        return saved
