"""One engine's answer to a power cut, the same way from each: the flash after it and after the recovery."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol, Self

from brownout.engines.factory import ENGINES, TITLES
from brownout.errors import CutNotFired, EngineError, SweepError
from brownout.live.sessions import LiveTarget
from brownout.live.sweep import judge
from brownout.sweep.assess import NOT_FIRED
from brownout.sweep.live import run_live
from brownout.sweep.live_engines import live_problem
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.unicorn_machine import unicorn_machine

if TYPE_CHECKING:
    from types import TracebackType

    from brownout.flash import Operation
    from brownout.power import Cut
    from brownout.target import Target

RUNNERS: Final = ("unicorn", *ENGINES)
"""Engines that make_runner() knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """A cut, the recovery and the clean boots. The arrays are None when the cut did not fire.

    `arrived` says whether the recovery did; if not, `after_recovery` depends on when it was given up.
    """

    verdict: str
    detail: str
    after_cut: bytes | None
    after_recovery: bytes | None
    arrived: bool


class Runner(Protocol):
    """A target on an engine, from the first power-on for each run. Use it as a context manager."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def clean(self) -> tuple[Operation, ...]:
        """Flash operations of the run without a cut. Raises SweepError when it does not end as expected."""

    def run(self, cut: Cut) -> Run:
        """Make a cut and let the device recover. Raises EngineError, SweepError."""


def runner_problem(target: Target, engine: str) -> str:
    """Why `engine`, of RUNNERS, cannot run `target` on this machine, "" when it can."""
    if engine != "unicorn":
        return live_problem(target, engine)
    board = target.board
    if board.engine.unicorn is None:
        return f"board '{board.name}': Unicorn does not run it (no [engine.unicorn] in its board.toml)"
    if target.live is not None:
        return f"{target.path}: live: engine unicorn runs a board alone"
    return ""


def make_runner(target: Target, engine: str, *, seed: int) -> Runner:
    """A runner on `engine`. Raises EngineError when it cannot run the target, SweepError."""
    if engine not in RUNNERS:
        raise EngineError(f"engine '{engine}': not known; expected one of {', '.join(RUNNERS)}")
    problem = runner_problem(target, engine)
    if problem:
        raise EngineError(problem)
    if engine == "unicorn":
        return _UnicornRunner(target, seed=seed)
    return _LiveRunner(target, engine, seed=seed)


class _UnicornRunner:
    def __init__(self, target: Target, *, seed: int) -> None:
        self._runtime = Runtime(Setup(target=target, seed=seed, factory=unicorn_machine))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._runtime.close()

    def clean(self) -> tuple[Operation, ...]:
        return tuple(traced.done.operation for traced in self._runtime.trace(faults=False).operations)

    def run(self, cut: Cut) -> Run:
        run = run_live(self._runtime, (cut,))
        verdict, detail = run.assessment.verdict, run.assessment.detail
        if verdict == NOT_FIRED:
            return _not_fired(detail)
        return Run(
            verdict=verdict,
            detail=detail,
            after_cut=run.flashes[0],
            after_recovery=run.flashes[1],
            arrived=bool(run.boots[1].outcome),
        )


class _LiveRunner:
    def __init__(self, target: Target, engine: str, *, seed: int) -> None:
        self._engine = engine
        self._live = LiveTarget(target, seed=seed, engine=engine)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.__exit__(kind, error, trace)

    def clean(self) -> tuple[Operation, ...]:
        target = self._live.target
        verdict = judge(self._live, self._live.run())
        if verdict.failed or verdict.name != target.expected:
            raise SweepError(
                f"{target.name} on {TITLES[self._engine]}: without a cut it ends in '{verdict.name}'"
                f"{f' ({verdict.detail})' if verdict.detail else ''}, expected '{target.expected}'"
            )
        return tuple(record.operation() for record in self._live.model.log.operations(1))

    def run(self, cut: Cut) -> Run:
        try:
            sessions = self._live.run((cut,))
        except CutNotFired as error:
            return _not_fired(str(error))
        verdict = judge(self._live, sessions)
        return Run(
            verdict=verdict.name,
            detail=verdict.detail,
            after_cut=sessions[0].flash,
            after_recovery=sessions[1].flash,
            arrived=bool(sessions[1].outcome),
        )


def _not_fired(detail: str) -> Run:
    return Run(verdict=NOT_FIRED, detail=detail, after_cut=None, after_recovery=None, arrived=False)


__all__ = ["RUNNERS", "Run", "Runner", "make_runner", "runner_problem"]
