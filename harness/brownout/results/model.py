"""A run and what it found, as values: what importers make, the store keeps and the report compares.

Times are aware datetimes in UTC; durations in seconds of the host.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import datetime


class RunKind(enum.StrEnum):
    """Who made a run."""

    ROBOT = "robot"
    SWEEP = "sweep"
    BENCH = "bench"
    MUTANTS = "mutants"
    PYTEST = "pytest"


class Result(enum.StrEnum):
    """What came of a case."""

    PASS = "pass"  # noqa: S105 - no password
    FAIL = "fail"
    SKIP = "skip"


class Better(enum.StrEnum):
    """Which way a figure should go."""

    LOWER = "lower"
    HIGHER = "higher"
    NEITHER = ""
    """A change is worth a look, and neither good nor bad, such as a number of flash operations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """Runs that can be compared with each other.

    `name` is that of the top suite, of the target, or "bench"; `board` and `engine` may be "" (a run on none,
    or on several).
    """

    project: str
    kind: RunKind
    name: str
    board: str
    engine: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Revision:
    """Where the sources were. `commit` is the git SHA-1 ("" outside of git), `branch` "" when detached.

    `dirty`: tracked files differed from the commit.
    """

    commit: str = ""
    branch: str = ""
    dirty: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class FirmwareImage:
    """An image that a run used: `name` such as "1.0.0/boot.elf", `sha256` in hex, sizes in bytes.

    `sections` is what takes room on the device by name (text, rodata, data, bss), empty for a plain binary.
    """

    name: str
    sha256: str
    size: int
    sections: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Location:
    """A place in sources: `file` as the run named it, `line` from 1 (0: unknown), `symbol` or ""."""

    file: str
    line: int = 0
    symbol: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceItem:
    """A file that was kept of a failure.

    `key` is that of brownout.evidence.EvidenceKey ("uart", "flash", "timeline"), or "" for a file of another
    sort; `path` within the case's evidence, such as "device-1/uart.log".
    """

    path: str
    key: str
    media_type: str
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One thing that passes or fails: a Robot or pytest test, a mutant, a group of findings, a whole sweep.

    `name` stays the same from run to run: that is how cases are compared. `message` is one line or more;
    `replay` the replay id or ""; `command` what a person pastes into a shell to do it again, or "".
    `detail` holds what else a person wants to read: trail of a finding, keyword that failed.
    `flash_operations` is how many the case's devices made, None when nobody counted.
    """

    name: str
    result: Result
    duration_s: float | None = None
    message: str = ""
    detail: str = ""
    tags: Sequence[str] = ()
    replay: str = ""
    command: str = ""
    location: Location | None = None
    flash_operations: int | None = None
    evidence: Sequence[EvidenceItem] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOutcome:
    """One requested cut or fault of a sweep: fields as in brownout.sweep.result.PointResult."""

    operation: int
    phase: str
    variant: str
    verdict: str
    finding: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """Something measured: a time, a rate, a size of an image, a count of flash operations.

    `value` is the headline of `samples` (which may be empty). `noisy`: depends on the machine and its load,
    such as a time; a size or a count does not.
    """

    name: str
    title: str
    unit: str
    value: float
    better: Better
    noisy: bool
    samples: Sequence[float] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Everything about one run.

    `id` is made by new_run_id(): it sorts by time. `source` names what it was imported from. `complete` is
    False for a run that was stopped: what it does not have says nothing.
    """

    id: str
    series: Series
    started: datetime
    duration_s: float
    revision: Revision
    engine_version: str = ""
    seed: int | None = None
    firmware: Sequence[FirmwareImage] = ()
    complete: bool = True
    command: str = ""
    source: str = ""
    cases: Sequence[Case] = ()
    cuts: Sequence[CutOutcome] = ()
    figures: Sequence[Figure] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RunSummary:
    """A run without what it found, and how many cases there are of each result."""

    id: str
    series: Series
    started: datetime
    duration_s: float
    revision: Revision
    complete: bool
    passed: int
    failed: int
    skipped: int
    cuts: int
    figures: int
