"""Keywords for Robot Framework suites of your own: `Library    brownout.robot.SweepLibrary`."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 - Robot converts arguments by the annotations at run time

from robot.api import logger
from robot.api.deco import keyword, library

from brownout.engines.factory import ENGINES
from brownout.live import replay_live
from brownout.power import parse_replay
from brownout.sweep.replay import replay as replay_run
from brownout.target import load_target


@library(scope="GLOBAL", auto_keywords=False)
class SweepLibrary:
    """Does findings of `brownout sweep` again."""

    @keyword
    def replay_should_recover(self, target: Path, replay: str) -> str:
        """Does the cut with the ``replay`` id on the ``target`` file again; the device must be well after it.

        Returns the outcome, such as ``new``. The log tells boot by boot what happened.
        """
        loaded = load_target(target)
        if parse_replay(replay).engine in ENGINES:
            live, story = replay_live(loaded, replay)
            verdict, detail, failed = live.name, live.detail, live.failed
        else:
            report = replay_run(loaded, replay)
            story = tuple(map(str, report.boots))
            verdict, detail, failed = report.verdict, report.detail, report.failed
        logger.info("\n".join(story))
        if failed:
            again = f"brownout sweep {target} --replay {replay}"
            raise AssertionError("\n".join([f"{verdict}: {detail}", *story, again]))
        return verdict
