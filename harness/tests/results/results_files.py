"""Files of results, written by what writes them in the product."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from typing import TYPE_CHECKING

from brownout.bench.report import as_document
from brownout.bench.runner import BenchOptions, BenchReport
from brownout.bench.samples import Measurement, judge
from brownout.evidence import Evidence, EvidenceKey, write_evidence
from brownout.report import render_json
from brownout.results.importers import ImportOptions, import_file
from brownout.sweep.result import (
    DepthSummary,
    Finding,
    FindingGroup,
    LiveCheck,
    OperationInfo,
    PointResult,
    SweepResult,
)

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.results.model import Run

PROCESS_S = 60
OPLOG = b"""{"format": "brownout-oplog", "version": 1}
{"kind": "load", "sequence": 0, "session": 0, "ordinal": 0, "offset": 0, "length": 4, "data": "00000000"}
{"kind": "power_on", "sequence": 0, "session": 1, "ordinal": 0, "offset": 0, "length": 0}
{"kind": "erase", "sequence": 1, "session": 1, "ordinal": 1, "offset": 0, "length": 4096}
{"kind": "program", "sequence": 2, "session": 1, "ordinal": 2, "offset": 0, "length": 4, "data": "00000000"}
"""


def imported(path: Path, **options: object) -> Run:
    """The run of a file of project "demo"."""
    return import_file(path, dataclasses.replace(ImportOptions(project="demo"), **options)).run


def evidence(**fields: object) -> Evidence:
    told = Evidence(
        subject="dev-1",
        board="mps2-an385",
        engine="qemu",
        base=0,
        size=4096,
        sectors=((1, 4096),),
        regions={},
    )
    return dataclasses.replace(told, **fields)


def write_device(folder: Path, **fields: object) -> None:
    """Evidence of one device, as a test keeps it."""
    files = {EvidenceKey.UART: b"boot: hello\n", EvidenceKey.OPERATIONS: OPLOG}
    write_evidence(folder, evidence(**fields), files)


def finding(number: int, group: str, operation: int, **fields: object) -> Finding:
    cut = f"op={operation}/torn/random"
    found = Finding(
        id=f"F{number}",
        group=group,
        verdict="brick",
        detail=f"HardFault: read of 0x0557500{number}",
        replay=f"boot:unicorn:1:{cut}",
        shrunk=f"boot:unicorn:1:op={operation}/before",
        cuts=(cut,),
        operations=(operation,),
        where=("copy_sector+0x1c: program at 0x31008 (journal)",),
        trail=(f"boot 1: {cut}", "boot 2: branches to itself"),
    )
    return dataclasses.replace(found, **fields)


def group(number: int, title: str, example: str, operation: int) -> FindingGroup:
    return FindingGroup(
        id=f"{number:08x}", title=title, verdict="brick", count=2, example=example, operations=(operation,)
    )


def a_sweep(*, pc: int = 0x1000, **fields: object) -> SweepResult:
    """A sweep of two operations without findings."""
    result = SweepResult(
        format="brownout-sweep",
        version=1,
        target="boot",
        board="nrf52840-dk",
        engine="unicorn",
        seed=7,
        phases=("before", "torn"),
        faults=(),
        duration_s=12.5,
        points_per_s=0.32,
        clean_outcome="new",
        clean_time=8_000,
        array_base=0,
        array_size=8192,
        sector_sizes=((2, 4096),),
        regions={"journal": (0, 8192)},
        operations=[
            OperationInfo(
                number=number,
                kind="program",
                offset=4 * number,
                length=4,
                pc=pc,
                symbol="copy_sector+0x1c",
                region="journal",
                state="",
                boot=1,
            )
            for number in (1, 2)
        ],
        points=[
            PointResult(
                operation=operation,
                phase=phase,
                variant="random" if phase == "torn" else "",
                verdict="new",
                finding="",
                same_as="",
                recovery_time=100,
            )
            for operation in (1, 2)
            for phase in ("before", "torn")
        ],
        depths=[DepthSummary(depth=1, requested=4, fired=4, distinct=3, failed=0)],
        findings=[],
        groups=[],
        coverage={},
        live=[LiveCheck(engine="qemu", sampled=2, same=2, different=())],
        machine_log=["read of 0x40000000 (no peripheral): 0x0"],
    )
    return dataclasses.replace(result, **fields)


def failing_sweep(**fields: object) -> SweepResult:
    """The same with three groups; the first two differ by an address only."""
    title = "brick: torn, program of journal in copy_sector: HardFault: read of {} at 0x000005b8 (erase+0x24)"
    groups = [
        group(1, title.format("0x05575001"), "F1", 1),
        group(2, title.format("0x05575002"), "F2", 2),
        group(3, "loop: cut, erase of journal: CFSR 0x00008200, HFSR 0x40000000", "F3", 2),
    ]
    findings = [finding(number, groups[number - 1].id, min(number, 2)) for number in (1, 2, 3)]
    return a_sweep(**{"findings": findings, "groups": groups, **fields})


def write_sweep(path: Path, result: SweepResult) -> Path:
    path.write_text(render_json(result))
    return path


def bench_document() -> dict[str, object]:
    """A bench with some figures."""
    measured = {
        "power-on.app": (50.0, 52.0, 51.0),
        "upgrade.link-rate": (1000.0, 1001.5),
        "size.boot-flash": (20608.0,),
        "doorbell.operations": (513.0, 513.0),
        "stack.interrupt": (112.0, 104.0),
        "relay.memory": (27642.875,),
        "debug.read-ratio": (0.67,),
        "cut-and-recover.ratio": (2.5, 2.5),
    }
    results = tuple(judge(Measurement(name=name, samples=samples)) for name, samples in measured.items())
    return as_document(
        BenchReport(
            options=BenchOptions(),
            machine={"cores": 2},
            duration_s=9.5,
            results=results,
            skipped={"renode": "needs Renode"},
        )
    )


def run_python(*arguments: str, folder: Path) -> int:
    """Run a module; returns its exit code."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=PROCESS_S,
        check=False,
    )
    return done.returncode
