"""`Library    brownout.robot.BrownoutLibrary`: devices, power cuts and sweeps in suites of your own."""

from __future__ import annotations

import importlib.metadata
from datetime import timedelta  # noqa: TC003 - Robot converts arguments by the annotations at run time
from pathlib import Path  # noqa: TC003 - as above
from typing import TYPE_CHECKING, Literal

from robot.api.deco import keyword, library

from brownout.errors import StateError
from brownout.flash import Phase  # noqa: TC001 - as above
from brownout.live.recovery import default_engine, recover
from brownout.power import Replay  # noqa: TC001 - as above
from brownout.robot.device_keywords import note_run
from brownout.robot.flash_keywords import FlashKeywords
from brownout.robot.output import file_name, output_folder, suite_folder, variable
from brownout.robot.runs import RecoveredSource, check_recovered, check_sweep, keep_sweep, sweep
from brownout.robot.words import CONVERTERS, CutOrFault, Engine, hint
from brownout.sweep.plan import ALL_TORN, FEW_TORN, PHASES, SweepPlan
from brownout.target import load_target

if TYPE_CHECKING:
    from brownout.live.recovery import Recovered
    from brownout.target import Target


@library(
    scope="SUITE",
    version=importlib.metadata.version("brownout"),
    converters=CONVERTERS,
    auto_keywords=False,
)
class BrownoutLibrary(FlashKeywords):
    """Cuts the power of an emulated board at any flash operation, and looks whether the device comes back.

    %TOC%

    = Two ways =

    *A whole upgrade* of a target file (docs/targets.md): `Recover After Power Cuts` does it with the cuts
    that a test names, on any engine, and says in which outcome the device comes up; `Sweep Power Cuts` does
    it with every cut, or a sample; `Replay Should Recover` does one again.

    *A device in real time*, step by step: `Start Device` or `Start Device From Target`, `Power On`,
    `Arm Power Cut`, `Wait For Power Cut`, `Console Should Show`, `Flash Should Hold`.

    = A suite =

    Of the sensor in docs/examples/settings-store, which converts its settings at its first start:

    | *** Settings ***
    | Library           brownout.robot.BrownoutLibrary
    | Suite Setup       Start Device With Its Flash
    | Test Setup        Restore Flash
    |
    | *** Variables ***
    | ${TARGET}         ${CURDIR}/target.toml
    |
    | *** Test Cases ***
    | Settings Are Converted
    |     Power On
    |     Console Should Show    sensor 4711: every 300 s
    |     ${magic}    Read Flash    settings_b    4
    |     Should Be Equal    ${magic}    ${{b"SET2"}}
    |     Flash Should Obey Its Rules
    |
    | Settings Survive A Power Cut
    |     Arm Power Cut    region=settings_b.program#1/torn
    |     Power On
    |     Wait For Power Cut    timeout=10 seconds
    |     Power Should Be    off
    |     Power On
    |     Console Should Show    every 300 s
    |     Console Should Not Contain    settings lost
    |
    | Settings Survive Two Cuts
    |     ${outcome}    Recover After Power Cuts    ${TARGET}    op=2/torn    op=1/after
    |     Should Be Equal    ${outcome}    converted
    |
    | Settings Survive Every Cut
    |     Sweep Power Cuts    ${TARGET}    points=all
    |
    | *** Keywords ***
    | Start Device With Its Flash
    |     Start Device From Target    ${TARGET}    engine=qemu
    |     Remember Flash

    = Evidence of failed tests =

    When a test fails, the library keeps what its devices did in
    ``${OUTPUT_DIR}/evidence/<suite>/<test>/<device>`` (or below ``${EVIDENCE_DIR}``), logs ``evidence:
    FOLDER`` as a warning, and shows replay id, command, last console lines and the flash in ``log.html``. The
    links are relative: the whole folder can be moved. That is the listener `brownout.robot.EvidenceListener`,
    which comes with the library.

    = Devices and suites =

    Each suite has devices of its own. A device that is started in a test, or in its setup, is stopped when
    the test ends; one that is started in the suite's setup is there for all its tests. Under ``pabot`` suites
    run side by side, each in a process of its own, and share nothing. Keywords that take ``device`` mean the
    only one when none is said.

    = Types =

    Robot converts arguments by their types, and says what it expected: see `Cut`, `CutOrFault`, `Replay`,
    `Engine`, `LiveEngine`, `Phase`. Times are Robot's: ``5 s``, ``1 minute``. An engine that cannot run a
    board, a missing file, a wrong region and the like fail with one line that says what was expected.
    """

    # -- targets -------------------------------------------------------------------------------------------

    @keyword(tags=["target"])
    def recover_after_power_cuts(
        self,
        target: Path,
        *cuts: CutOrFault,
        engine: Engine | None = None,
        seed: int | None = None,
        expect: str | None = None,
    ) -> str:
        """Does the upgrade of the ``target`` file with these cuts, one a power-on, then lets it recover.

        The device must come up in an outcome of the target file, do so again in its clean boots, and keep the
        rules of flash and hooks; with ``expect``, in the outcome of this name. Returns the outcome's name.
        Without cuts it is the upgrade alone. Without ``engine`` it is unicorn if that can run the target,
        else the first that can. A cut that does not fire is a failure.

        Examples:
        | ${outcome}    `Recover After Power Cuts`    ${CURDIR}/target.toml    op=12/torn/only_last_word
        | `Recover After Power Cuts`    ${CURDIR}/target.toml    op=12/torn    op=1/before    expect=new
        """
        loaded = load_target(target)
        if expect is not None:
            known = [outcome.name for outcome in loaded.outcomes]
            if expect not in known:
                raise StateError(f"expect '{expect}': {target} has no such outcome; {hint(expect, known)}")
        name = "" if engine is None else engine.value
        found = self._recovered(loaded, recover(loaded, [cut.event for cut in cuts], engine=name, seed=seed))
        if expect is not None and found != expect:
            raise AssertionError(f"{loaded.name}: it came up in '{found}', expected '{expect}'")
        return found

    @keyword(tags=["target"])
    def replay_should_recover(self, target: Path, replay: Replay) -> str:
        """Does the run with the ``replay`` id on the ``target`` file again; the device must be well after it.

        Returns the outcome, such as ``new``. The log tells boot by boot what happened.

        Example:
        | `Replay Should Recover`    ${CURDIR}/target.toml    swap:unicorn:1:op=117/torn/only_last_word
        """
        loaded = load_target(target)
        return self._recovered(loaded, recover(loaded, str(replay)))

    @keyword(tags=["target"])
    def sweep_power_cuts(
        self,
        target: Path,
        *phases: Phase,
        points: Literal["all"] | int = 20,
        engine: Engine | None = None,
        seed: int | None = None,
        depth: int = 1,
        all_torn: bool = False,
        jobs: int = 1,
        deadline: timedelta | None = None,
        max_findings: int | None = None,
    ) -> str:
        """Cuts the power at ``points`` operations of the upgrade, or at ``all``, and fails with the findings.

        The failure lists each group of findings with the command that does it again. JSON (for ``brownout
        results import``) and report are kept in ``${OUTPUT_DIR}/sweeps`` and linked in the log. ``phases``
        are ``before``, ``torn`` and ``after``; all of them when none is said. ``depth=2`` cuts the recoveries
        too. ``all_torn`` tears in fifteen ways instead of three. ``jobs`` are processes. A sweep that is not
        done at its ``deadline`` fails; it also stops after ``max_findings``. docs/sweep.md explains each.
        Returns what was done, in a line.

        Examples:
        | `Sweep Power Cuts`    ${CURDIR}/target.toml    points=all    jobs=2
        | `Sweep Power Cuts`    ${CURDIR}/target.toml    torn    after    points=5    engine=qemu
        """
        loaded = load_target(target)
        for name, number in (("points", points), ("jobs", jobs), ("max_findings", max_findings)):
            if isinstance(number, int) and number < 1:
                raise StateError(f"{name} {number}: expected a number of at least 1")
        if depth not in (1, 2):
            raise StateError(f"depth {depth}: expected 1 or 2")
        if deadline is not None and deadline.total_seconds() <= 0:
            raise StateError(f"deadline {deadline}: expected more than no time")
        wanted = {phase.value for phase in phases}
        plan = SweepPlan(
            seed=seed,
            engine=default_engine(loaded) if engine is None else engine.value,
            phases=tuple(phase for phase in PHASES if phase in wanted or not wanted),
            torn=ALL_TORN if all_torn else FEW_TORN,
            points=None if points == "all" else points,
            depth=depth,
            deadline_s=None if deadline is None else deadline.total_seconds(),
            max_findings=max_findings,
        )
        result = sweep(loaded, plan, jobs)
        note_run(engine=result.engine, board=result.board, seed=result.seed)
        keep_sweep(result, loaded, _sweep_folder())
        return check_sweep(result, loaded)

    # -- inside --------------------------------------------------------------------------------------------

    def _recovered(self, target: Target, recovered: Recovered) -> str:
        note_run(engine=recovered.engine, board=target.board.name, seed=recovered.seed)
        self.devices.keep(target.name, RecoveredSource(recovered), well=not recovered.failed)
        return check_recovered(recovered)


def _sweep_folder() -> Path:
    """A new folder for the running test; a test may sweep several times."""
    suite, test = variable("${SUITE NAME}") or "", variable("${TEST NAME}") or "setup"
    base = output_folder() / "sweeps" / suite_folder(suite) / file_name(test)
    folder, number = base, 2
    while folder.exists():
        folder, number = base.with_name(f"{base.name}-{number}"), number + 1
    return folder


__all__ = ["BrownoutLibrary"]
