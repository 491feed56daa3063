"""A run again, from its replay id: the same bytes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import ReplayError
from brownout.power import parse_replay
from brownout.sweep.live import BootReport, run_live
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.trace import check_alone
from brownout.sweep.unicorn_machine import unicorn_machine

if TYPE_CHECKING:
    from brownout.sweep.machine import MachineFactory
    from brownout.sweep.tracing import Tracer
    from brownout.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport:
    """What came of a replay. `flash` is the whole array at the end, `flash_digest` its BLAKE2b-128 in hex."""

    replay: str
    verdict: str
    failed: bool
    detail: str
    place: str
    boots: tuple[BootReport, ...]
    flash: bytes
    flash_digest: str
    machine_log: tuple[str, ...]


def replay(
    target: Target,
    text: str,
    *,
    tracer: Tracer | None = None,
    factory: MachineFactory = unicorn_machine,
) -> ReplayReport:
    """Do a run of a sweep again, from the first power-on, nothing derived.

    Args:
        target: as it was swept.
        text: the replay id.
        tracer: told what happens, boot by boot.
        factory: makes the machine.

    Raises:
        ReplayError: no replay id, or one of another target or engine.
        SweepError: the machine does not go on.
    """
    wanted = parse_replay(text)
    if wanted.board != target.name:
        raise ReplayError(f"replay id '{text}': is for target '{wanted.board}', this one is '{target.name}'")
    if wanted.engine != "unicorn":
        raise ReplayError(f"replay id '{text}': engine '{wanted.engine}': a sweep replays on unicorn")
    check_alone(target)
    runtime = Runtime(Setup(target=target, seed=wanted.seed, factory=factory))
    try:
        run = run_live(runtime, wanted.cuts, tracer=tracer)
        assessment = run.assessment
        return ReplayReport(
            replay=str(wanted),
            verdict=assessment.verdict,
            failed=assessment.failed,
            detail=assessment.detail,
            place=runtime.places.symbol(assessment.pc) if assessment.pc else "",
            boots=run.boots,
            flash=run.flash,
            flash_digest=hashlib.blake2b(run.flash, digest_size=16).hexdigest(),
            machine_log=tuple(runtime.booter.log),
        )
    finally:
        runtime.close()
