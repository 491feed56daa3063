"""A sweep's result made up from a seed: an MCUboot-like swap of two slots, with or without findings."""

from __future__ import annotations

import random
from collections import Counter
from typing import Protocol

import pytest

from brownout.sweep.result import (
    DepthSummary,
    Finding,
    FindingGroup,
    LiveCheck,
    OperationInfo,
    PointResult,
    SweepResult,
)

SECTOR = 0x1000
BOOT, SLOT0, SLOT1, TRAILER = 0x0, 0xC000, 0x82000, 0xF7000
STYLES = ("random", "one_bit", "only_last_word")


class ResultFactory(Protocol):
    """Makes results; `operations` flash operations, `findings` of them go wrong when torn."""

    def __call__(self, *, operations: int = 300, findings: int = 0, depth: int = 1) -> SweepResult: ...


@pytest.fixture
def make_result() -> ResultFactory:
    return synthetic_result


def synthetic_result(*, operations: int = 300, findings: int = 0, depth: int = 1) -> SweepResult:
    draw = random.Random(operations * 31 + findings)
    ops = [_operation(number, operations) for number in range(1, operations + 1)]
    bad = set(draw.sample(range(operations // 3, operations), min(findings, operations // 2)))
    points, found = [], []
    for info in ops:
        for phase, variant in (("before", ""), *(("torn", style) for style in STYLES), ("after", "")):
            wrong = info.number - 1 in bad and phase == "torn" and variant != "random"
            verdict = (
                draw.choice(("brick", "brick", "disagree", "wrong-flash"))
                if wrong
                else _good(info, operations)
            )
            name = f"F{len(found) + 1}" if wrong else ""
            cut = f"op={info.number}/{phase}" + (f"/{variant}" if variant else "")
            if wrong:
                found.append(_finding(name, verdict, cut, info))
            points.append(
                PointResult(
                    operation=info.number,
                    phase=phase,
                    variant=variant,
                    verdict=verdict,
                    finding=name,
                    same_as=f"nrf-boot:unicorn:1:op={info.number - 1}/after"
                    if phase == "before" and info.number > 1
                    else "",
                    recovery_time=0 if verdict == "brick" else draw.randrange(10**5, 10**7),
                )
            )
    coverage: dict[str, Counter[str]] = {}
    by_number = {info.number: info for info in ops}
    for point in points:
        coverage.setdefault(by_number[point.operation].state, Counter())[point.phase] += 1
    failed = len(found)
    depths = [
        DepthSummary(
            depth=1, requested=len(points), fired=len(points), distinct=len(points) * 2 // 3, failed=failed
        )
    ]
    if depth == 2:
        depths.append(DepthSummary(depth=2, requested=5000, fired=5000, distinct=800, failed=0))
    return SweepResult(
        format="brownout-sweep",
        version=1,
        target="nrf-boot",
        board="board",
        engine="unicorn",
        seed=1,
        phases=("before", "torn", "after"),
        faults=(),
        duration_s=12.5,
        points_per_s=len(points) / 12.5,
        clean_outcome="new",
        clean_time=8_123_456,
        array_base=0,
        array_size=0x100000,
        sector_sizes=((256, SECTOR),),
        regions={
            "boot": (BOOT, 0xC000),
            "slot0": (SLOT0, 0x76000),
            "slot1": (SLOT1, 0x75000),
            "settings": (TRAILER, 0x9000),
        },
        operations=ops,
        points=points,
        depths=depths,
        findings=found,
        groups=_groups(found),
        coverage=coverage,
        live=[LiveCheck(engine="qemu", sampled=20, same=20, different=())] if operations else [],
        machine_log=[
            "read of 0x40000000 (no peripheral): 0x0",
            "write to 0x40000578 = 0x1 ignored </script><b>",
        ],
    )


def _operation(number: int, total: int) -> OperationInfo:
    at = (number - 1) / max(1, total)
    if number % 24 == 1:
        kind, length = "erase", SECTOR
        offset = (SLOT0 if number % 48 == 1 else SLOT1) + int(at * 60) * SECTOR
    elif number % 24 == 2:
        kind, length, offset = "program", 16, TRAILER + int(at * 200) * 16
    else:
        kind, length = "program", 256
        offset = (SLOT0 if number % 48 < 24 else SLOT1) + int(at * 60) * SECTOR + (number % 16) * 256
    region = "settings" if offset >= TRAILER else "slot1" if offset >= SLOT1 else "slot0"
    state = ("idle", "swap-requested", "copying", "confirming")[min(3, int(at * 4))]
    symbol = f"{'erase_sector' if kind == 'erase' else 'copy_sector'}+{hex(number % 7 * 4)}"
    return OperationInfo(
        number=number,
        kind=kind,
        offset=offset,
        length=length,
        pc=0x2000 + number % 64 * 2,
        symbol=symbol,
        region=region,
        state=state,
        boot=1 if at < 0.9 else 2,
    )


def _good(info: OperationInfo, total: int) -> str:
    return "old" if info.number < total // 3 else "new"


def _finding(name: str, verdict: str, cut: str, info: OperationInfo) -> Finding:
    where = f"{info.symbol} in {info.region}, {info.kind} {info.offset:#x}+{info.length}"
    return Finding(
        id=name,
        group=f"G-{verdict}-{info.region}",
        verdict=verdict,
        detail="HardFault in verify_header+0x12: the image header reads 0x00000000, expected 0x96f3b83d",
        replay=f"nrf-boot:unicorn:1:{cut}",
        shrunk=f"nrf-boot:unicorn:1:op={info.number}/torn/one_bit",
        cuts=(cut,),
        operations=(info.number,),
        where=(where,),
        trail=(
            f"boot 1: power lost in operation {info.number} ({where})",
            "boot 2: HardFault at verify_header+0x12 after 12,034 halfwords, no flash operation",
        ),
    )


def _groups(found: list[Finding]) -> list[FindingGroup]:
    members: dict[str, list[Finding]] = {}
    for finding in found:
        members.setdefault(finding.group, []).append(finding)
    return [
        FindingGroup(
            id=key,
            title=f"{group[0].verdict} after a torn {group[0].where[0].partition(',')[0]}",
            verdict=group[0].verdict,
            count=len(group),
            example=group[0].id,
            operations=sorted({number for finding in group for number in finding.operations}),
        )
        for key, group in members.items()
    ]
