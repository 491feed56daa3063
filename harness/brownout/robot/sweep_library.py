"""Keywords of the suites that `brownout sweep --emit-robot` writes."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Robot converts arguments by the annotations at run time

from robot.api.deco import keyword, library

from brownout.live.recovery import recover
from brownout.robot.device_keywords import note_run
from brownout.robot.runs import check_recovered
from brownout.target import load_target


@library(scope="GLOBAL", auto_keywords=False)
class SweepLibrary:
    """Does findings of ``brownout sweep`` again: what the suites import that ``--emit-robot`` writes.

    `brownout.robot.BrownoutLibrary` has this keyword and more, for suites of your own.
    """

    @keyword
    def replay_should_recover(self, target: Path, replay: str) -> str:
        """Does the cut with the ``replay`` id on the ``target`` file again; the device must be well after it.

        Returns the outcome, such as ``new``. The log tells boot by boot what happened.

        Example:
        | `Replay Should Recover`    ${CURDIR}/target.toml    swap:unicorn:1:op=117/torn/only_last_word
        """
        loaded = load_target(target)
        recovered = recover(loaded, replay)
        note_run(engine=recovered.engine, board=loaded.board.name, seed=recovered.seed)
        return check_recovered(recovered)
