"""When the power goes: cuts as values, the trigger that decides at each flash operation, and waiting for it.

Counting: `op=N` counts operations from arming (armed before power-on: from power-on). A trigger never sees
operations from before it was armed.
"""

from __future__ import annotations

import re
import secrets
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias

from brownout.errors import CutNotFired, ReplayError, StateError
from brownout.flash import (
    Erase,
    FlashFault,
    Operation,
    Phase,
    Program,
    Region,
    Resolve,
    Torn,
    TornStyle,
    parse_torn,
    torn_text,
)
from brownout.flash.faults_styles import TORN_PATTERN

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.flash import FlashModel


class Condition(Protocol):
    """Something that can be said about an operation and the flash just before it."""

    def __call__(self, model: FlashModel, operation: Operation, /) -> bool:
        """Tell whether it holds.

        Called for each operation, before any of it is done; must not change anything.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationTrigger:
    """The `number`-th operation, from 1."""

    number: int

    def __str__(self) -> str:
        return f"op={self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionTrigger:
    """The `number`-th operation on the named flash region; `kind` "erase", "program", or "" for both."""

    region: str
    number: int = 1
    kind: str = ""

    def __str__(self) -> str:
        kind = f".{self.kind}" if self.kind else ""
        return f"region={self.region}{kind}#{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AtTrigger:
    """The `number`-th operation for which the named condition holds."""

    condition: str
    number: int = 1

    def __str__(self) -> str:
        return f"at={self.condition}#{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class AfterTrigger:
    """The `number`-th operation after the first one for which the named condition holds."""

    condition: str
    number: int = 1

    def __str__(self) -> str:
        return f"after={self.condition}#{self.number}"


Trigger: TypeAlias = OperationTrigger | RegionTrigger | AtTrigger | AfterTrigger


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """A power loss: at which operation, in which phase of it, and what a torn one leaves.

    `resolve` says how the power-on after it reads half-way bits, whichever cut left them.
    """

    trigger: Trigger
    phase: Phase = Phase.TORN
    torn: Torn = TornStyle.RANDOM
    resolve: Resolve = Resolve.RANDOM

    def __str__(self) -> str:
        torn = f"/{torn_text(self.torn)}" if self.phase is Phase.TORN else ""
        resolve = f"/{self.resolve.value}" if self.resolve is not Resolve.RANDOM else ""
        return f"{self.trigger}/{self.phase.value}{torn}{resolve}"


@dataclass(frozen=True, slots=True, kw_only=True)
class FlashFaultAt:
    """A fault of the flash at the `number`-th operation since power-on; the power stays."""

    number: int
    fault: FlashFault

    def __str__(self) -> str:
        return f"op={self.number}/{self.fault.value}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResetAt:
    """A reset of the processor at virtual `time` since power-on (halfwords of code); RAM and power stay."""

    time: int

    def __str__(self) -> str:
        return f"time={self.time}/reset"


Event: TypeAlias = Cut | FlashFaultAt | ResetAt
"""What happens to a device: a power loss, or a fault while the power stays."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FiredCut:
    """Where a cut fired: power session, number of the operation in all and in its session."""

    cut: Cut
    session: int
    sequence: int
    ordinal: int

    def __str__(self) -> str:
        return f"{self.cut}@{self.session}.{self.sequence}"


_CUT = re.compile(
    r"(?P<kind>op|region|at|after)=(?P<name>[a-z0-9_-]+)(?:\.(?P<filter>erase|program))?(?:#(?P<number>[0-9]+))?"
    r"/(?P<phase>before|torn|after)(?:/(?!ones$|zeros$)(?P<torn>" + TORN_PATTERN + r"))?"
    r"(?:/(?P<resolve>ones|zeros))?"
)
_FAULT = re.compile(
    rf"op=(?P<number>[1-9][0-9]*)/(?P<fault>{'|'.join(fault.value for fault in FlashFault)})|"
    r"time=(?P<time>[0-9]+)/reset"
)


def parse_cut(text: str) -> Cut:
    """Read what str(Cut) writes: `op=17/torn/random`, `region=kernel.erase#3/before`, `at=flag-clear/after`.

    A torn style may be drawn another time (`random#2`), or be said bit by bit: `done=5.08` (of byte 5 only
    the bits 0x08), `done=all/left=5.08` (all but these), `half=` for unstable ones. A last `/ones` or
    `/zeros` says how the next power-on reads half-way bits. Raises ReplayError.
    """
    match = _CUT.fullmatch(text)
    if match is None:
        raise ReplayError(
            f"cut '{text}': expected op=N, region=NAME[.erase|.program]#K, at=NAME#K or after=NAME#K, "
            "then /before, /torn[/STYLE] or /after, then nothing, /ones or /zeros"
        )
    try:
        return Cut(
            trigger=_parse_trigger(match),
            phase=Phase(match["phase"]),
            torn=parse_torn(match["torn"]) if match["torn"] else TornStyle.RANDOM,
            resolve=Resolve(match["resolve"]) if match["resolve"] else Resolve.RANDOM,
        )
    except ValueError as error:
        styles = ", ".join(style.value for style in TornStyle)
        raise ReplayError(f"cut '{text}': {error}; torn styles: {styles}") from error


def parse_event(text: str) -> Event:
    """Read what str() of a cut or a fault writes: `op=17/dropped`, `time=4711/reset`, or a cut.

    Raises ReplayError.
    """
    match = _FAULT.fullmatch(text)
    if match is None:
        return parse_cut(text)
    if match["time"]:
        return ResetAt(time=int(match["time"]))
    return FlashFaultAt(number=int(match["number"]), fault=FlashFault(match["fault"]))


def _parse_trigger(match: re.Match[str]) -> Trigger:
    kind, name, number = match["kind"], match["name"], int(match["number"] or 1)
    if match["filter"] and kind != "region":
        raise ValueError(f".{match['filter']} goes with region= only")
    if kind == "op":
        trigger: Trigger = OperationTrigger(number=int(name))
        number = int(name)
    elif kind == "region":
        trigger = RegionTrigger(region=name, number=number, kind=match["filter"] or "")
    elif kind == "at":
        trigger = AtTrigger(condition=name, number=number)
    else:
        trigger = AfterTrigger(condition=name, number=number)
    if number < 1:
        raise ValueError("counting starts at 1")
    return trigger


class ArmedCut:
    """A cut that waits for its operation, then for the power to be off."""

    def __init__(self, cut: Cut, regions: Mapping[str, Region], conditions: Mapping[str, Condition]) -> None:
        self.cut = cut
        self._region = _lookup(cut, regions, conditions)
        self._condition = _condition(cut, conditions)
        self._count = 0
        self._holds = False
        self._seen = 0
        self._fired: FiredCut | None = None
        self._power_off = threading.Event()

    @property
    def fired(self) -> FiredCut | None:
        """Where it fired; None while it has not. It is set once the power is off."""
        return self._fired if self._power_off.is_set() else None

    def decide(self, model: FlashModel, operation: Operation) -> bool:
        """Tell whether the power goes at this operation. Called once for each operation, in order."""
        self._seen += 1
        if self._fired is not None or not self._matches(model, operation):
            return False
        self._count += 1
        if self._count < self.cut.trigger.number:
            return False
        self._fired = FiredCut(
            cut=self.cut,
            session=model.session,
            sequence=model.sequence + 1,
            ordinal=model.ordinal + 1,
        )
        return True

    def power_is_off(self) -> None:
        """Note that the power is off: who waits for the cut may go on."""
        self._power_off.set()

    def wait(self, timeout: float) -> FiredCut:
        """Wait until it has fired and the power is off; `timeout` in seconds.

        Raises CutNotFired: a run without its cut is an error, not a pass.
        """
        if not self._power_off.wait(timeout) or self._fired is None:
            raise CutNotFired(
                f"cut {self.cut}: did not fire within {timeout:g} s ({self._seen} flash operations seen, "
                f"{self._count} of {self.cut.trigger.number} matched): is the trigger ever reached?"
            )
        return self._fired

    def _matches(self, model: FlashModel, operation: Operation) -> bool:
        match self.cut.trigger:
            case OperationTrigger():
                return True
            case RegionTrigger(kind=kind):
                wanted = {"": (Erase, Program), "erase": (Erase,), "program": (Program,)}[kind]
                region = self._region
                return (
                    region is not None
                    and isinstance(operation, wanted)
                    and region.touches(operation.offset, max(1, operation.length))
                )
            case AtTrigger():
                return self._condition is not None and self._condition(model, operation)
            case AfterTrigger():
                if self._holds:
                    return True
                self._holds = self._condition is not None and self._condition(model, operation)
                return False


def _lookup(cut: Cut, regions: Mapping[str, Region], conditions: Mapping[str, Condition]) -> Region | None:
    match cut.trigger:
        case RegionTrigger(region=name) if name not in regions:
            raise StateError(f"cut {cut}: no flash region '{name}'; known: {', '.join(regions)}")
        case RegionTrigger(region=name):
            return regions[name]
        case AtTrigger(condition=name) | AfterTrigger(condition=name) if name not in conditions:
            known = ", ".join(conditions) or "none"
            raise StateError(f"cut {cut}: no condition '{name}'; known: {known}")
    return None


def _condition(cut: Cut, conditions: Mapping[str, Condition]) -> Condition | None:
    match cut.trigger:
        case AtTrigger(condition=name) | AfterTrigger(condition=name):
            return conditions[name]
    return None


class CutGate:
    """Asked before each flash operation. Holds at most one armed cut; one thread asks, others arm."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._armed: ArmedCut | None = None

    @property
    def armed(self) -> ArmedCut | None:
        """The cut that waits for its operation."""
        return self._armed

    def arm(self, cut: ArmedCut) -> None:
        """Arm `cut`. Raises StateError when another one is waiting."""
        with self._lock:
            if self._armed is not None:
                raise StateError(f"cut {cut.cut}: {self._armed.cut} is armed already; disarm it first")
            self._armed = cut

    def disarm(self) -> ArmedCut | None:
        """Take the waiting cut back; None when there was none."""
        with self._lock:
            armed, self._armed = self._armed, None
            return armed

    def decide(self, model: FlashModel, operation: Operation) -> ArmedCut | None:
        """The cut that fires at this operation; it is no longer armed then."""
        with self._lock:
            if self._armed is None or not self._armed.decide(model, operation):
                return None
            armed, self._armed = self._armed, None
            return armed


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """All that is needed to do a run again: the same board, engine, seed and cuts give the same bytes.

    A sweep has the target's name in place of the board's, and faults among the cuts.
    """

    board: str
    engine: str
    seed: int
    cuts: tuple[Event, ...] = ()

    @property
    def power_cuts(self) -> tuple[Cut, ...]:
        """The cuts. Raises ReplayError when there are faults among them: only a sweep can replay those."""
        for cut in self.cuts:
            if not isinstance(cut, Cut):
                raise ReplayError(f"replay id {self}: '{cut}' is a fault; replay it with brownout sweep")
        return tuple(cut for cut in self.cuts if isinstance(cut, Cut))

    @staticmethod
    def new_seed() -> int:
        """A seed for a run that nobody has asked to repeat."""
        return secrets.randbits(32)

    def __str__(self) -> str:
        return ":".join((self.board, self.engine, str(self.seed), *map(str, self.cuts)))


def parse_replay(text: str) -> Replay:
    """Read what str(Replay) writes: `BOARD:ENGINE:SEED[:CUT...]`. Raises ReplayError."""
    parts = text.strip().split(":")
    if len(parts) < 3 or not parts[0] or not parts[1] or not re.fullmatch(r"-?[0-9]+", parts[2]):
        raise ReplayError(f"replay id '{text}': expected BOARD:ENGINE:SEED[:CUT...], the seed in decimal")
    return Replay(
        board=parts[0],
        engine=parts[1],
        seed=int(parts[2]),
        cuts=tuple(parse_event(part) for part in parts[3:]),
    )
