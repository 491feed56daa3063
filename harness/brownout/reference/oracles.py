"""What must hold after every recovery: the numbered oracles.

Each function returns findings, none when all is well.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from brownout.errors import ImageError, ViolationError
from brownout.reference.flag import FlagState, read_flag
from brownout.reference.sets import holds, open_manifest, read_set

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from brownout.board import Board
    from brownout.flash import Violation
    from brownout.power import ArmedCut


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A broken oracle: its number and what was found, in one line."""

    oracle: int
    message: str

    def __str__(self) -> str:
        return f"oracle {self.oracle}: {self.message}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """What is known of a device after a recovery.

    Args:
        board: whose layout to use.
        image: the whole flash array.
        sets: the envelopes that may be installed, by a name for messages, such as {"old": ..., "new": ...}.
        release_public_key: checks the installed manifest's signature when given.
        floor: security counter before the run.
        boot_time_s: seconds from power-on to the application; None when it was never reached.
        boot_budget_s: the most that this may take.
        violations: what the flash model recorded.
        cuts: cuts that were armed.
        power_losses: power sessions that ended without being asked to since the last requested cut.
    """

    board: Board
    image: bytes
    sets: Mapping[str, bytes]
    floor: int
    boot_time_s: float | None
    boot_budget_s: float
    release_public_key: bytes | None = None
    violations: Sequence[Violation] = ()
    cuts: Sequence[ArmedCut] = field(default=())
    power_losses: int = 0


def check_recovery(recovery: Recovery) -> tuple[Finding, ...]:
    """Findings of all oracles, in order."""
    return (
        *check_set(recovery),
        *check_manifest(recovery),
        *check_counter(recovery),
        *check_boot(recovery),
        *check_flash_rules(recovery),
        *check_cuts(recovery),
    )


def raise_for_findings(findings: Sequence[Finding]) -> None:
    """Raise ViolationError with all findings in one line, if there are any."""
    if findings:
        raise ViolationError("; ".join(str(finding) for finding in findings))


def check_set(recovery: Recovery) -> tuple[Finding, ...]:
    """Oracle 1: the modules in place are exactly those of one of the sets, never a mix."""
    regions, modules = recovery.board.flash.regions, recovery.board.modules
    verdicts = {}
    for name, envelope in recovery.sets.items():
        entries = open_manifest(envelope, None).modules
        by_id = {entry.id: entry for entry in entries}
        wrong = [
            key
            for key, place in modules.items()
            if place.id in by_id and not holds(recovery.image, regions[place.region], by_id[place.id])
        ]
        if not wrong:
            return ()
        verdicts[name] = wrong
    detail = "; ".join(f"not {name}: {', '.join(wrong)} differ" for name, wrong in verdicts.items())
    return (Finding(oracle=1, message=f"the installed modules are a mix or damaged ({detail})"),)


def check_manifest(recovery: Recovery) -> tuple[Finding, ...]:
    """Oracle 2: the installed manifest is one of the sets', signed, matches the flash; the flag is clear."""
    board, image = recovery.board, recovery.image
    findings = []
    try:
        installed = read_set(board, image, release_public_key=recovery.release_public_key)
    except ImageError as error:
        findings.append(Finding(oracle=2, message=f"the installed manifest cannot be read: {error}"))
    else:
        if installed.signed is False:
            findings.append(Finding(oracle=2, message="the installed manifest's signature is wrong"))
        if installed.envelope not in recovery.sets.values():
            findings.append(
                Finding(
                    oracle=2,
                    message=f"the installed manifest (sequence {installed.manifest.sequence}) is none of "
                    f"{', '.join(recovery.sets)}",
                )
            )
        wrong = [state.name for state in installed.modules if not state.matches]
        if wrong:
            findings.append(Finding(oracle=2, message=f"the manifest does not match {', '.join(wrong)}"))
    flag_region = board.flash.regions["flag"]
    flag = read_flag(image[flag_region.offset : flag_region.end])
    if flag.state is not FlagState.CLEAR:
        findings.append(Finding(oracle=2, message=f"the upgrade flag is {flag.state.name}, expected CLEAR"))
    return tuple(findings)


def check_counter(recovery: Recovery) -> tuple[Finding, ...]:
    """Oracle 3: the security counter is not below `floor`."""
    try:
        sequence = read_set(recovery.board, recovery.image).manifest.sequence
    except ImageError as error:
        return (Finding(oracle=3, message=f"no security counter: {error}"),)
    if sequence < recovery.floor:
        return (Finding(oracle=3, message=f"the security counter fell from {recovery.floor} to {sequence}"),)
    return ()


def check_boot(recovery: Recovery) -> tuple[Finding, ...]:
    """Oracle 4: the application was reached within the budget, without another power loss."""
    findings = []
    if recovery.power_losses:
        findings.append(
            Finding(
                oracle=4, message=f"the power was lost {recovery.power_losses} time(s) more than requested"
            )
        )
    if recovery.boot_time_s is None:
        findings.append(Finding(oracle=4, message="the application was never reached"))
    elif recovery.boot_time_s > recovery.boot_budget_s:
        findings.append(
            Finding(
                oracle=4,
                message=f"the application took {recovery.boot_time_s:.2f} s, the budget is "
                f"{recovery.boot_budget_s:g} s",
            )
        )
    return tuple(findings)


def check_flash_rules(recovery: Recovery) -> tuple[Finding, ...]:
    """Oracle 5: no store bypassed the controller, no rule of the flash was broken."""
    return tuple(Finding(oracle=5, message=str(violation)) for violation in recovery.violations)


def check_cuts(recovery: Recovery) -> tuple[Finding, ...]:
    """Oracle 6: each requested cut fired."""
    return tuple(
        Finding(oracle=6, message=f"the cut {armed.cut} never fired")
        for armed in recovery.cuts
        if armed.fired is None
    )
