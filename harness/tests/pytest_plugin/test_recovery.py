"""brownout.live.recovery: one run with cuts, the same way from every engine."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import pytest

from brownout.errors import EngineError, ReplayError, SweepError
from brownout.flash import OperationLog
from brownout.live.kept import save_evidence
from brownout.live.recovery import default_engine, plan_cuts, recover
from brownout.power import parse_cut
from brownout.sweep import ALL_TORN, SweepPlan, replay, run_sweep

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.target import HookContext, Target


def test_plan_is_that_of_the_sweep(good: Target) -> None:
    swept = run_sweep(good, SweepPlan(points=3, torn=ALL_TORN, live=0, seed=4))
    planned = plan_cuts(good, points=3, torn=ALL_TORN, seed=4)
    assert [(cut.operation, cut.phase, cut.variant) for cut in planned] == [
        (point.operation, point.phase, point.variant) for point in swept.points
    ]


def test_recovery_is_that_of_the_replay(bad: Target) -> None:
    for planned in plan_cuts(bad, points=2):
        found = recover(bad, [planned.event])
        known = replay(bad, found.replay)
        assert (found.verdict, found.failed, found.detail) == (known.verdict, known.failed, known.detail)
        assert found.flash == known.flash
        assert found.story == tuple(map(str, known.boots))
        assert recover(bad, found.replay) == found


def test_log_is_that_which_hooks_see(good: Target) -> None:
    seen: list[OperationLog] = []

    def look(context: HookContext) -> str | None:
        seen.append(OperationLog(list(context.log)))
        return None

    watched = dataclasses.replace(good, hooks={"look": look})
    found = recover(watched, ["op=4/torn/random", "op=2/torn/only_last_word"])
    assert list(seen[0]) == list(found.log)
    assert [str(record.cut) for record in found.operations if record.cut is not None] == ["Phase.TORN"] * 2


def test_engines_agree(good: Target) -> None:
    unicorn, qemu = (recover(good, ["op=3/torn/random"], engine=name) for name in ("unicorn", "qemu"))
    assert (unicorn.verdict, unicorn.failed) == (qemu.verdict, qemu.failed) == ("converted", False)
    assert unicorn.flash == qemu.flash
    assert unicorn.flash_before == qemu.flash_before
    assert [record.digest for record in unicorn.operations] == [record.digest for record in qemu.operations]


@pytest.mark.parametrize("engine", ["unicorn", "qemu"])
def test_cut_that_does_not_fire_is_a_failure(engine: str, good: Target) -> None:
    found = recover(good, ["op=99/before"], engine=engine)
    assert (found.verdict, found.failed) == ("not-fired", True)
    with pytest.raises(AssertionError, match=r"not-fired: .*\n?.*"):
        found.raise_for_failure()


def test_plan_in_real_time_has_the_same_operations(good: Target) -> None:
    live = plan_cuts(good, points=99, engine="qemu")
    assert [str(cut) for cut in live] == [str(cut) for cut in plan_cuts(good)]
    # The one erase and one of the programs: a sample has some of every kind, drawn from the seed.
    drawn = [plan_cuts(good, points=2, phases=["after"], engine="qemu", seed=seed) for seed in (1, 2)]
    assert [[cut.operation for cut in cuts] for cuts in drawn] == [[1, 5], [1, 7]]


def test_failure_tells_the_whole_story(bad: Target) -> None:
    with pytest.raises(AssertionError) as caught:
        recover(bad, [parse_cut("op=3/after")]).raise_for_failure()
    lines = str(caught.value).splitlines()
    assert lines[0].startswith("loop: sleeps for ever at ")
    assert lines[1].startswith("boot 1, op=3/after: power lost")
    assert lines[-1] == f"again: brownout sweep {bad.path} --replay settings-store:unicorn:1:op=3/after"


def test_wrong_requests_are_one_line(good: Target, tmp_path: Path) -> None:
    assert default_engine(good) == "unicorn"
    with pytest.raises(EngineError, match=r"engine 'unicron': not known; did you mean 'unicorn'\?"):
        recover(good, [], engine="unicron")
    engines = dataclasses.replace(good.board.engine, unicorn=None)
    other = dataclasses.replace(good, board=dataclasses.replace(good.board, engine=engines))
    with pytest.raises(EngineError, match="Unicorn does not run it"):
        recover(other, [], engine="unicorn")
    assert default_engine(other) == "qemu"
    with pytest.raises(ReplayError, match="is for target 'other', expected 'settings-store'"):
        recover(good, "other:unicorn:1:op=1/after")
    with pytest.raises(ReplayError, match="is for seed '1', expected '2'"):
        recover(good, "settings-store:unicorn:1:op=1/after", seed=2)
    with pytest.raises(ReplayError, match="cut 'op=1': expected"):
        recover(good, ["op=1"])
    with pytest.raises(SweepError, match="phases: 'tron' is not known"):
        plan_cuts(good, phases=["tron"])
    with pytest.raises(SweepError, match="the run without a cut has operations 1-7"):
        plan_cuts(good, operations=[(8, None)])
    save_evidence(recover(good, ["op=1/after"]), tmp_path / "kept")
    assert (tmp_path / "kept" / "flash-before.bin").stat().st_size == good.board.flash.size
