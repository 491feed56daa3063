"""What a sweep found, as values: what the JSON holds and the HTML report draws.

Addresses in bytes, times in seconds unless said otherwise; virtual time counts halfwords of code executed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

FORMAT: Final = "brownout-sweep"
VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationInfo:
    """One flash operation of the traced clean run.

    `number` counts from 1; `kind` is "program", "erase" or "bad command"; `offset` and `length` are in the
    array; `pc` is that of the store that started it, `symbol` its place ("copy_sector+0x1c", "" if unknown);
    `region` by name or ""; `state` of the upgrade protocol before it, or ""; `boot` numbers the power-on or
    reset it happened in.
    """

    number: int
    kind: str
    offset: int
    length: int
    pc: int
    symbol: str
    region: str
    state: str
    boot: int


@dataclass(frozen=True, slots=True, kw_only=True)
class PointResult:
    """One requested cut or fault at depth 1 and what came of it.

    `phase` is "before", "torn", "after", or the name of a fault; `variant` the torn style or "" (of a reset:
    its virtual time). `verdict` is the name of the outcome ("old", "new") or of the failure ("brick", "loop",
    "disagree", "wrong-flash", "rule", "hook", "not-fired"). `finding` is the id of its finding, or "".
    `same_as` is the replay id whose flash image was the same and that ran instead, or "".
    """

    operation: int
    phase: str
    variant: str
    verdict: str
    finding: str
    same_as: str
    recovery_time: int
    """Virtual time from power-on to arrival; 0 when it never arrived."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DepthSummary:
    """Numbers of one depth of cuts."""

    depth: int
    requested: int
    fired: int
    distinct: int
    """Recoveries that were run; the rest had flash images that were recovered already."""
    failed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A cut or fault, or a pair of them, after which the device is not well.

    `replay` reproduces it byte for byte; `shrunk` is the smallest one found that fails alike (fewest cuts,
    fewest torn bits). `where` has a symbolised position for each cut. `trail` tells in words what happened,
    boot by boot.
    """

    id: str
    group: str
    verdict: str
    detail: str
    replay: str
    shrunk: str
    cuts: Sequence[str]
    operations: Sequence[int]
    where: Sequence[str]
    trail: Sequence[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingGroup:
    """Findings that are alike: same verdict, same code, same region."""

    id: str
    title: str
    verdict: str
    count: int
    example: str
    """Id of the finding to look at first."""
    operations: Sequence[int]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveCheck:
    """Cuts that were also run live on an engine, and how many of the flash images were the same.

    `problem` says why the engine did not do the rest of them, "" when it did them all.
    """

    engine: str
    sampled: int
    same: int
    different: Sequence[str]
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """Everything about one sweep."""

    format: str
    version: int
    target: str
    board: str
    engine: str
    seed: int
    phases: Sequence[str]
    faults: Sequence[str]
    duration_s: float
    points_per_s: float
    clean_outcome: str
    clean_time: int
    """Virtual time of the clean run."""
    array_base: int
    array_size: int
    sector_sizes: Sequence[tuple[int, int]]
    """(count, bytes) runs of erase sectors."""
    regions: Mapping[str, tuple[int, int]]
    """Name -> (offset, size)."""
    operations: Sequence[OperationInfo]
    points: Sequence[PointResult]
    depths: Sequence[DepthSummary]
    findings: Sequence[Finding]
    groups: Sequence[FindingGroup]
    coverage: Mapping[str, Mapping[str, int]]
    """State of the upgrade protocol -> phase -> cuts that hit it."""
    live: Sequence[LiveCheck]
    machine_log: Sequence[str]
    """Unknown peripherals and the like, each once."""
    complete: bool = True
    """Everything that was asked for was done. If not, no findings means nothing."""
    stopped: str = ""
    """Why it is not complete: "interrupted", "deadline", "error" or "max-findings"."""


def coverage_of(hits: Iterable[tuple[str, str]]) -> dict[str, dict[str, int]]:
    """State of the upgrade protocol -> phase -> cuts; `hits` has (state, phase) of each, "" is no state."""
    found: dict[str, dict[str, int]] = {}
    for state, phase in hits:
        if state:
            phases = found.setdefault(state, {})
            phases[phase] = phases.get(phase, 0) + 1
    return found
