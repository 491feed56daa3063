"""What keywords take besides text and numbers: Robot converts by these, and names them in errors."""

from __future__ import annotations

import difflib
import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from brownout.errors import ReplayError
from brownout.flash import Phase
from brownout.power import Cut, Replay, parse_cut, parse_event, parse_replay

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from brownout.power import Event


class LiveEngine(enum.Enum):
    """An emulator that runs a device in real time."""

    QEMU = "qemu"
    RENODE = "renode"


class Engine(enum.Enum):
    """What runs a target: ``unicorn`` in this process, the others in real time."""

    UNICORN = "unicorn"
    QEMU = "qemu"
    RENODE = "renode"


def hint(name: str, known: Iterable[str]) -> str:
    """``did you mean 'NAME'?`` when a known name is near, else all of them, for the end of an error."""
    names = list(known)
    return near(name, names) or f"expected one of {', '.join(names) or 'none'}"


def near(name: str, known: Iterable[str]) -> str:
    """``did you mean 'NAME'?`` when a known name is near, else nothing."""
    found = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean '{found[0]}'?" if found else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOrFault:
    """What happens to a device in a run: a power cut, or a fault while the power stays."""

    event: Event


def _cut(text: str) -> Cut:
    """When the power goes, such as ``op=12/torn`` or ``region=slot0.program#3/before``."""
    try:
        return parse_cut(text)
    except ReplayError as error:
        raise ValueError(str(error)) from error


def _cut_or_fault(text: str) -> CutOrFault:
    """A power cut, such as ``op=12/torn``, or a fault, such as ``op=12/dropped`` (docs/sweep.md)."""
    try:
        return CutOrFault(event=parse_event(text))
    except ReplayError as error:
        raise ValueError(_misspelt(text, ("engine", "seed", "expect")) or str(error)) from error


def _phase(text: str) -> Phase:
    """When in a flash operation the power goes: ``before`` it, in it (``torn``), or ``after`` it."""
    try:
        return Phase(text.lower())
    except ValueError:
        raise ValueError(
            _misspelt(text, _SWEEP_OPTIONS)
            or f"phase '{text}': {hint(text.lower(), [phase.value for phase in Phase])}"
        ) from None


def _misspelt(text: str, options: Iterable[str]) -> str:
    """What to say when Robot took a misspelt ``option=value`` for one of many values, else nothing."""
    found = difflib.get_close_matches(text.partition("=")[0], list(options), n=1)
    return f"'{text}': did you mean '{found[0]}=...'?" if "=" in text and found else ""


def _replay(text: str) -> Replay:
    """A replay id, as reports show it: ``TARGET:ENGINE:SEED[:CUT...]``."""
    try:
        return parse_replay(text)
    except ReplayError as error:
        raise ValueError(str(error)) from error


_SWEEP_OPTIONS: Final = (
    "points",
    "engine",
    "seed",
    "depth",
    "all_torn",
    "jobs",
    "deadline",
    "max_findings",
)
CONVERTERS: Final[dict[type, Callable[[Any], Any] | Callable[[Any, Any], Any]]] = {
    Cut: _cut,
    CutOrFault: _cut_or_fault,
    Phase: _phase,
    Replay: _replay,
}
