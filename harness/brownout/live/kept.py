"""What is kept of an upgrade with cuts that did not end well."""

from __future__ import annotations

import dataclasses
import hashlib
from itertools import zip_longest
from typing import TYPE_CHECKING, Final

from brownout.engines.version import engine_version
from brownout.evidence import Evidence, EvidenceCut, EvidenceKey, dump_timeline, write_evidence
from brownout.flash import OperationLog
from brownout.live.recovery import recover
from brownout.live.retold import retell
from brownout.power import Cut
from brownout.sweep.commands import replay_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brownout.live.recovery import Recovered
    from brownout.sweep.result import SweepResult
    from brownout.target import Target

KEPT_GROUPS: Final = 10
"""Groups of findings whose example is done again for its evidence: each takes seconds."""


def keep_findings(
    target: Target,
    result: SweepResult,
    folder: Path,
    *,
    file: str,
    told: Callable[[int, int], None] | None = None,
) -> int:
    """Do the example of each group of findings again and write its evidence into `folder`/GROUP.

    The shrunk cut is done where there is one. `file` names the target file in the command that does it again;
    `told` hears how many of how many are done. Returns how many groups were kept: the first KEPT_GROUPS, the
    largest ones first.

    Raises:
        EvidenceError: the folder cannot be written.
        SweepError, EngineError: the run cannot be done again.
    """
    findings = {finding.id: finding for finding in result.findings}
    groups = sorted(result.groups, key=lambda group: (-group.count, group.id))
    kept = [group for group in groups if group.example in findings][:KEPT_GROUPS]
    for done, group in enumerate(kept, 1):
        example = findings[group.example]
        again = recover(target, example.shrunk or example.replay, engine=result.engine)
        command = replay_command(file, again.replay)
        save_evidence(dataclasses.replace(again, command=command), folder / group.id)
        if told is not None:
            told(done, len(kept))
    return len(kept)


def save_evidence(recovered: Recovered, folder: Path) -> None:
    """Write what is needed to see what happened into `folder` (brownout.evidence).

    Raises BrownoutError when it cannot be written.
    """
    board = recovered.target.board
    elf = recovered.target.elf
    evidence = Evidence(
        subject=recovered.target.name,
        board=board.name,
        engine=recovered.engine,
        engine_version=engine_version(recovered.engine),
        seed=recovered.seed,
        replay=recovered.replay,
        command=recovered.command,
        base=board.flash.base,
        size=board.flash.size,
        erased_value=board.flash.erased_value,
        sectors=board.flash.sector_runs,
        regions={
            name: (area.start, area.end - area.start) for name, area in recovered.target.region_names.items()
        },
        firmware={} if elf is None else {elf.path.name: hashlib.sha256(elf.path.read_bytes()).hexdigest()},
        cuts=_cuts(recovered),
        verdict=recovered.verdict,
        detail=recovered.detail,
    )
    story = "".join(f"{line}\n" for line in (f"replay {recovered.replay}", *str(recovered).split("\n")))
    operations = "".join(f"{line}\n" for line in OperationLog(recovered.log).dump_lines())
    files = {
        EvidenceKey.FLASH: recovered.flash,
        EvidenceKey.FLASH_BEFORE: recovered.flash_before,
        EvidenceKey.OPERATIONS: operations.encode(),
        EvidenceKey.REPLAY: story.encode(),
    }
    if recovered.engine == "unicorn":
        again = retell(recovered.target, recovered.cuts, seed=recovered.seed)
        files[EvidenceKey.TIMELINE] = dump_timeline(again.timeline).encode()
        files[EvidenceKey.TRACE] = again.trace.encode()
        if again.uart:
            files[EvidenceKey.UART] = again.uart.encode()
    write_evidence(folder, evidence, files)


def _cuts(recovered: Recovered) -> tuple[EvidenceCut, ...]:
    """Each cut with where it fired, as the log tells."""
    fired = [record for record in recovered.log if record.cut is not None]
    cuts = [event for event in recovered.cuts if isinstance(event, Cut)]
    return tuple(
        EvidenceCut(cut=str(cut))
        if record is None
        else EvidenceCut(cut=str(cut), session=record.session, operation=record.ordinal)
        for cut, record in zip_longest(cuts, fired[: len(cuts)])
    )


__all__ = ["KEPT_GROUPS", "keep_findings", "save_evidence"]
