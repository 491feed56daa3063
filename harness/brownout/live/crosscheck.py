"""The same power cuts on several engines: they must leave the same flash, byte for byte, and end alike.

Every engine runs the target's own binary and asks the same flash model. What differs is an engine's bug, or
firmware that depends on time or on what the engines emulate differently.
"""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from brownout.errors import SweepError
from brownout.flash import BadCommand, seeded_bytes
from brownout.live.runners import RUNNERS, Run, make_runner, runner_problem
from brownout.power import Replay
from brownout.sweep.assess import BRICK, LOOP, NOT_FIRED
from brownout.sweep.places import Places
from brownout.sweep.plan import SweepPlan
from brownout.sweep.points import cuts_of, kind_name
from brownout.sweep.trace import check_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from brownout.flash import Operation
    from brownout.live.runners import Runner
    from brownout.power import Cut
    from brownout.target import Target

FORMAT: Final = "brownout-crosscheck"
VERSION: Final = 1
DEFAULT_POINTS: Final = 10
_ALL: Final = SweepPlan()


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What came of a cut on one engine; the arrays as BLAKE2b-128 in hex, "" when the cut did not fire."""

    engine: str
    replay: str
    verdict: str
    detail: str
    after_cut: str
    after_recovery: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What two engines do not agree on.

    `what` is "clean run", "fired", "flash after the cut", "flash after the recovery" or "verdict"; `offset`
    is the first byte of the array that differs, None where it is not about bytes.
    """

    what: str
    engines: tuple[str, str]
    offset: int | None
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedCut:
    """One cut on every engine. `where` says which operation it hit, in words."""

    cut: str
    where: str
    seen: Sequence[Seen]
    differences: Sequence[Difference]


@dataclass(frozen=True, slots=True, kw_only=True)
class Crosscheck:
    """All of it.

    `left_out` says for each engine that was not used why. `clean` compares the runs without a cut;
    `operations` counts the flash operations of the run without a cut on the first engine.
    """

    format: str
    version: int
    target: str
    board: str
    seed: int
    engines: Sequence[str]
    left_out: Mapping[str, str]
    operations: int
    duration_s: float
    clean: Sequence[Difference]
    cuts: Sequence[CheckedCut]

    @property
    def same(self) -> int:
        """Cuts without a difference."""
        return sum(not cut.differences for cut in self.cuts)

    @property
    def agrees(self) -> bool:
        """Whether there was no difference at all."""
        return not self.clean and self.same == len(self.cuts)


class Progress(Protocol):
    """Told how far it is."""

    def __call__(self, done: int, total: int, rate: float, /) -> None:
        """So many of so many cuts are done on all engines, so many a second."""


def choose_engines(target: Target, named: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """(engines to use, why each of the others is left out). Those named must be there; () takes what is.

    Raises SweepError: a name twice, fewer than two engines. What is named and missing is found when it is
    made.
    """
    if len(set(named)) != len(named):
        raise SweepError(f"engines: {','.join(named)}: expected each once")
    problems = {} if named else {engine: runner_problem(target, engine) for engine in RUNNERS}
    left_out = {engine: problem for engine, problem in problems.items() if problem}
    engines = tuple(named) or tuple(engine for engine in RUNNERS if engine not in left_out)
    if len(engines) < 2:
        why = "".join(f"; {problem}" for problem in left_out.values())
        raise SweepError(
            f"engines: {','.join(engines) or 'none'}: expected at least two of {','.join(RUNNERS)}{why}"
        )
    return engines, left_out


def crosscheck(
    target: Target,
    engines: Sequence[str] = (),
    *,
    points: int = DEFAULT_POINTS,
    seed: int | None = None,
    progress: Progress | None = None,
) -> Crosscheck:
    """Make `points` cuts on each of `engines`; () takes all that can run the target here.

    Raises:
        SweepError: too few engines, or a target that is not well without a cut.
        EngineError: an engine cannot run the target, is not there, or failed.
    """
    check_names(target)
    seed = target.seed if seed is None else seed
    started = time.monotonic()
    engines, left_out = choose_engines(target, engines)
    with contextlib.ExitStack() as stack:
        runners = {engine: stack.enter_context(make_runner(target, engine, seed=seed)) for engine in engines}
        clean = {engine: runner.clean() for engine, runner in runners.items()}
        operations = clean[engines[0]]
        chosen = chosen_cuts(operations, points, seed)
        began = time.monotonic()
        checker, cuts = _Checker(target, runners, seed), []
        for number, cut in chosen:
            cuts.append(checker.check(cut, operations[number - 1]))
            if progress is not None:
                progress(len(cuts), len(chosen), len(cuts) / max(1e-9, time.monotonic() - began))
        return Crosscheck(
            format=FORMAT,
            version=VERSION,
            target=target.name,
            board=target.board.name,
            seed=seed,
            engines=engines,
            left_out=left_out,
            operations=len(operations),
            duration_s=time.monotonic() - started,
            clean=tuple(_clean_differences(checker, clean)),
            cuts=cuts,
        )


def chosen_cuts(operations: Sequence[Operation], points: int, seed: int) -> list[tuple[int, Cut]]:
    """(number of the operation, cut), in that order: as many of each phase as of the others, by the seed.

    Fewer than `points` when there are not so many.
    """
    numbers = [at for at, item in enumerate(operations, 1) if not isinstance(item, BadCommand)]
    ways = _ways()
    chosen: list[tuple[int, Cut]] = []
    for rank, way in enumerate(ways):
        ranked = sorted(numbers, key=lambda at: seeded_bytes(seed, 8, "crosscheck", rank, at))
        share = points // len(ways) + (rank < points % len(ways))
        chosen += [(at, list(cuts_of(at, _ALL))[way][2]) for at in ranked[:share]]
    return sorted(chosen, key=lambda item: item[0])


def _ways() -> list[int]:
    """Indices into the cuts of an operation: one of each phase first, so that few points have all phases."""
    phases = [phase for phase, _, _ in cuts_of(1, _ALL)]
    firsts = [phases.index(phase) for phase in dict.fromkeys(phases)]
    return firsts + [way for way in range(len(phases)) if way not in firsts]


class _Checker:
    def __init__(self, target: Target, runners: Mapping[str, Runner], seed: int) -> None:
        self._target = target
        self._runners = runners
        self._seed = seed
        self._places = Places(target)

    def check(self, cut: Cut, operation: Operation) -> CheckedCut:
        runs = {engine: runner.run(cut) for engine, runner in self._runners.items()}
        return CheckedCut(
            cut=str(cut),
            where=self.where(operation),
            seen=[self._seen(engine, cut, run) for engine, run in runs.items()],
            differences=list(_differences(runs)),
        )

    def where(self, operation: Operation) -> str:
        region = self._places.region(operation.offset)
        return f"{kind_name(operation)} at {operation.offset:#x}{f' ({region})' if region else ''}"

    def _seen(self, engine: str, cut: Cut, run: Run) -> Seen:
        return Seen(
            engine=engine,
            replay=str(Replay(board=self._target.name, engine=engine, seed=self._seed, cuts=(cut,))),
            verdict=run.verdict,
            detail=run.detail,
            after_cut=_digest(run.after_cut),
            after_recovery=_digest(run.after_recovery),
        )


def _clean_differences(checker: _Checker, clean: Mapping[str, tuple[Operation, ...]]) -> Iterator[Difference]:
    """Operation N must be the same one on each engine, or a cut there compares two things."""
    first, *others = clean
    for other in others:
        wanted, found = clean[first], clean[other]
        if wanted == found:
            continue
        number = next(
            (at for at, (one, two) in enumerate(zip(wanted, found, strict=False), 1) if one != two),
            min(len(wanted), len(found)) + 1,
        )
        said = [checker.where(run[number - 1]) if number <= len(run) else "none" for run in (wanted, found)]
        if said[0] == said[1]:
            said = [f"{text}, other data" for text in said]
        yield Difference(
            what="clean run",
            engines=(first, other),
            offset=None,
            text=f"operation {number} without a cut: {said[0]} on {first}, {said[1]} on {other}",
        )


def _differences(runs: Mapping[str, Run]) -> Iterator[Difference]:
    """Of each engine from the first. A cut that fired nowhere is a difference too: nothing was compared."""
    first, *others = runs
    one = runs[first]
    for other in others:
        two = runs[other]
        pair = (first, other)
        if NOT_FIRED in (one.verdict, two.verdict):
            said = "; ".join(f"{engine}: {runs[engine].detail or 'it fired'}" for engine in pair)
            yield Difference(what="fired", engines=pair, offset=None, text=said)
            continue
        found = _bytes_difference("flash after the cut", pair, one.after_cut, two.after_cut)
        if found is not None:
            yield found
        if _kind(one.verdict) != _kind(two.verdict):
            said = f"{_verdict(one)} on {first}, {_verdict(two)} on {other}"
            yield Difference(what="verdict", engines=pair, offset=None, text=said)
        # Where the device never arrives, the array is what it was when the engine's patience ended.
        if one.arrived and two.arrived:
            found = _bytes_difference(
                "flash after the recovery", pair, one.after_recovery, two.after_recovery
            )
            if found is not None:
                yield found


def _bytes_difference(
    what: str, engines: tuple[str, str], one: bytes | None, two: bytes | None
) -> Difference | None:
    if one == two or one is None or two is None:
        return None
    offset = _first_difference(one, two)
    count = sum(a != b for a, b in zip(one[offset:], two[offset:], strict=True))
    return Difference(
        what=what,
        engines=engines,
        offset=offset,
        text=f"first at offset {offset:#x}: {one[offset]:#04x} on {engines[0]}, {two[offset]:#04x} on "
        f"{engines[1]}; {count} byte(s) differ",
    )


def _first_difference(one: bytes, two: bytes) -> int:
    """First index at which arrays of the same length, which are not equal, differ."""
    low, high = 0, len(one)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if one[low:middle] != two[low:middle] else (middle, high)
    return low


def _kind(verdict: str) -> str:
    """An engine in real time does not tell a crash from a loop: both never arrive."""
    return LOOP if verdict == BRICK else verdict


def _verdict(run: Run) -> str:
    return f"'{run.verdict}'{f' ({run.detail})' if run.detail else ''}"


def _digest(data: bytes | None) -> str:
    return "" if data is None else hashlib.blake2b(data, digest_size=16).hexdigest()


__all__ = [
    "DEFAULT_POINTS",
    "FORMAT",
    "VERSION",
    "CheckedCut",
    "Crosscheck",
    "Difference",
    "Seen",
    "choose_engines",
    "chosen_cuts",
    "crosscheck",
]
