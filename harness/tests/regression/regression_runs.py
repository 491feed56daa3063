"""Runs of a made-up project with a history: what the report is made of."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from brownout.evidence import (
    Evidence,
    EvidenceCut,
    EvidenceKey,
    Lane,
    TimelineEvent,
    TimelineKind,
    dump_timeline,
    write_evidence,
)
from brownout.flash.operations import Phase, Status
from brownout.flash.oplog import LogRecord, OperationLog, RecordKind
from brownout.results.ids import new_run_id
from brownout.results.model import (
    Better,
    Case,
    EvidenceItem,
    Figure,
    FirmwareImage,
    Location,
    Result,
    Revision,
    Run,
    RunKind,
    Series,
)

if TYPE_CHECKING:
    from pathlib import Path

START = datetime(2026, 11, 1, 8, 0, tzinfo=UTC)
ROBOT = Series(project="acme", kind=RunKind.ROBOT, name="Suites", board="mps2-an385", engine="qemu")
SWEEP = Series(project="acme", kind=RunKind.SWEEP, name="swap", board="nrf52840-dk", engine="unicorn")
BENCH = Series(project="acme", kind=RunKind.BENCH, name="bench", board="mps2-an385", engine="qemu")


def sha(text: str) -> str:
    """A commit's SHA-1 that is the same in every test."""
    return hashlib.sha1(text.encode()).hexdigest()  # noqa: S324 - as git


@dataclass(slots=True, kw_only=True)
class History:
    """Makes runs one after another, an hour apart."""

    runs: list[Run] = field(default_factory=list)

    def add(self, series: Series = ROBOT, *, commit: str = "", branch: str = "main", **fields: object) -> Run:
        """A run of `series`; a commit of its own unless it is given."""
        number = len(self.runs)
        when = START + timedelta(hours=number)
        run = Run(
            id=new_run_id(when),
            series=series,
            started=when,
            duration_s=60.0,
            revision=Revision(commit=sha(commit or f"commit {number}"), branch=branch),
        )
        run = replace(run, **fields)  # type: ignore[arg-type]
        self.runs.append(run)
        return run

    def of(self, letters: str, name: str = "S1 Boots", series: Series = ROBOT) -> list[Run]:
        """A run for each letter: p passed, f failed, s skipped, - the case was not in it."""
        return [self.add(series, cases=cases_of(letter, name)) for letter in letters]


def cases_of(letter: str, name: str = "S1 Boots") -> list[Case]:
    results = {"p": Result.PASS, "f": Result.FAIL, "s": Result.SKIP}
    return [Case(name=name, result=results[letter])] if letter in results else []


def timeline() -> list[TimelineEvent]:
    """A download with a torn copy at its end, and the recovery."""
    found: list[TimelineEvent] = []
    now = 0.0

    def add(kind: TimelineKind, source: Lane, target: Lane, text: str) -> None:
        nonlocal now
        now += 0.013
        found.append(TimelineEvent(time_s=now, kind=kind, source=source, target=target, text=text))

    client, server, device, flash = Lane.CLIENT, Lane.SERVER, Lane.DEVICE, Lane.FLASH
    add(TimelineKind.MESSAGE, client, server, "publish release 2 (kernel, app, assets)")
    add(TimelineKind.POWER_ON, device, device, "power on, session 1")
    add(TimelineKind.NOTE, device, device, "boot: set seq=1 verified")
    for number in (1, 2):
        add(TimelineKind.MESSAGE, device, server, f"handshake {number}, 96 bytes")
        add(TimelineKind.MESSAGE, server, device, f"handshake {number} answer, 64 bytes")
    for chunk in range(40):
        add(TimelineKind.MESSAGE, device, server, f"fetch kernel chunk {chunk}")
        add(TimelineKind.MESSAGE, server, device, f"chunk {chunk}, 1024 bytes")
        add(TimelineKind.FLASH, device, flash, f"program 1024 bytes at {0x40000 + 1024 * chunk:#x} (staging)")
    add(TimelineKind.FLASH, device, flash, "program 16 bytes at 0x3f000 (flag): upgrade requested")
    add(TimelineKind.RESET, device, device, "reset by the firmware")
    add(TimelineKind.NOTE, device, device, "boot: upgrade 1 -> 2")
    for sector in range(3):
        add(TimelineKind.FLASH, device, flash, f"erase 4096 bytes at {0x10000 + 4096 * sector:#x} (kernel)")
        for page in range(16):
            add(TimelineKind.FLASH, device, flash, f"program 256 bytes at {0x10000 + 256 * page:#x} (kernel)")
    add(TimelineKind.POWER_CUT, device, flash, "kernel.program#90/torn in session 1 at operation 90")
    add(TimelineKind.POWER_ON, device, device, "power on, session 2")
    add(TimelineKind.NOTE, device, device, "boot: upgrade 1 -> 2 (again)")
    add(TimelineKind.NOTE, device, device, "boot: halted: kernel digest differs <script>alert(1)</script>")
    return found


def evidence_files(folder: Path) -> list[EvidenceItem]:
    """What a failed device leaves, as the lab writes it."""
    size, sector = 0x60000, 4096
    random_bytes = random.Random(7)
    before = bytearray(b"\xff" * size)
    before[0x0:0x8000] = random_bytes.randbytes(0x8000)
    before[0x10000:0x1C000] = random_bytes.randbytes(0xC000)
    before[0x3F000:0x3F010] = bytes(16)
    after = bytearray(before)
    after[0x10000:0x12000] = random_bytes.randbytes(0x2000)
    after[0x12000:0x13000] = random_bytes.randbytes(0x1000)
    after[0x3F000:0x40000] = b"\xff" * sector
    after[0x40000:0x4A000] = random_bytes.randbytes(0xA000)
    log = OperationLog()
    for number in range(1, 90):
        log.append(
            LogRecord(
                kind=RecordKind.PROGRAM,
                sequence=number,
                session=1,
                ordinal=number,
                offset=0x40000 + 512 * number,
                length=512,
                status=Status.OK,
            )
        )
    log.append(
        LogRecord(
            kind=RecordKind.PROGRAM,
            sequence=90,
            session=1,
            ordinal=90,
            offset=0x12100,
            length=256,
            cut=Phase.TORN,
        )
    )
    evidence = Evidence(
        subject="dev-1",
        board="mps2-an385",
        engine="qemu",
        seed=7,
        replay="mps2-an385:qemu:7:kernel.program#90/torn",
        command="brownout run --boot build/boot.elf --flash flash-before.bin --replay "
        "'mps2-an385:qemu:7:kernel.program#90/torn'",
        base=0,
        size=size,
        sectors=[(size // sector, sector)],
        regions={
            "boot": (0, 0x10000),
            "kernel": (0x10000, 0x10000),
            "app": (0x20000, 0x1F000),
            "flag": (0x3F000, 0x1000),
            "staging": (0x40000, 0x20000),
        },
        cuts=[EvidenceCut(cut="kernel.program#90/torn", session=1, operation=90, time_s=2.5)],
        verdict="brick",
        detail="boot halted",
    )
    uart = "".join(f"[{number / 10:8.3f}] boot: line {number}\r\n" for number in range(80))
    uart += "[   9.000] boot: halted: kernel digest differs <img src=x onerror=alert(2)> \x1b[31m\x00\r\n"
    trace = "".join(
        f"boot 2  {0x5A0 + 2 * step:#010x}  flash_program+{2 * step:#x}  str r0, [r1]\n"
        for step in range(300)
    )
    write_evidence(
        folder,
        evidence,
        {
            EvidenceKey.UART: uart.encode(),
            EvidenceKey.FLASH_BEFORE: bytes(before),
            EvidenceKey.FLASH: bytes(after),
            EvidenceKey.OPERATIONS: "\n".join(log.dump_lines()).encode(),
            EvidenceKey.TIMELINE: dump_timeline(timeline()).encode(),
            EvidenceKey.TRACE: trace.encode(),
            EvidenceKey.PROCESSOR: b"8 samples:\n  8x pc 0x000005a0 spin+0x2 (boot.c:7)\n",
            EvidenceKey.ENGINE: b"qemu-system-arm 7.2\n",
        },
    )
    names = json.loads((folder / "evidence.json").read_text())["files"]
    keys = {name: key for key, name in names.items()}
    return [
        EvidenceItem(
            path=f"dev-1/{path.name}",
            key=keys.get(path.name, ""),
            media_type="application/octet-stream",
            data=path.read_bytes(),
        )
        for path in sorted(folder.iterdir())
    ]


def image(name: str, content: str, size: int) -> FirmwareImage:
    return FirmwareImage(
        name=name,
        sha256=hashlib.sha256(content.encode()).hexdigest(),
        size=size,
        sections={"text": size - 128, "data": 128},
    )


def figure(
    name: str, value: float, *, noisy: bool = True, better: Better = Better.LOWER, unit: str = "s"
) -> Figure:
    return Figure(name=name, title=name.replace("_", " "), unit=unit, value=value, better=better, noisy=noisy)


NASTY = "<script>window.hacked = 1</script>\x00\x1b[2J ]]> & \"'"
"""What a device may print."""
HALTED = (
    "ViolationError: dev-1: expected text like 'boot: set seq=2 verified', "
    f"found 'boot: halted: kernel digest differs'\n{NASTY}"
)


def acme(history: History, folder: Path) -> list[Run]:
    """Seven revisions of a project: one case broke, one was fixed, one is flaky, one still fails."""
    noise = random.Random(3)
    items = evidence_files(folder / "evidence")
    for number in range(7):
        commit = f"acme {number}"
        broken, last = number >= 5, number == 6
        images = [image("1.0.0/boot.elf", f"boot {number >= 5}", 9_000 + (412 if broken else 0))]
        history.add(
            ROBOT,
            commit=commit,
            firmware=images,
            engine_version="7.2",
            cases=[
                Case(
                    name="S2.4 A Torn Copy Of The Kernel Is Repeated",
                    result=Result.FAIL if broken else Result.PASS,
                    duration_s=4.1 + noise.random() / 10 + (4 if last else 0),
                    message=HALTED if broken else "",
                    detail="keyword Recover failed in robot/suites/upgrade/s2_4.robot" if broken else "",
                    tags=["power-loss", "upgrade"],
                    replay="mps2-an385:qemu:7:kernel.program#90/torn" if broken else "",
                    location=Location(file="robot/suites/upgrade/s2_4.robot", line=17),
                    flash_operations=1402 + (96 if broken else 0),
                    evidence=items if last else (),
                ),
                Case(
                    name="S1.5 GDB Stops At A Breakpoint",
                    result=Result.FAIL if number in (1, 4) else Result.PASS,
                    duration_s=2.0,
                    message="DeadlineError: no stop within 5 s" if number in (1, 4) else "",
                    tags=["debug"],
                ),
                Case(
                    name="S3.1 A Stale Manifest Is Refused",
                    result=Result.FAIL,
                    duration_s=1.0,
                    message="AssertionError: 'accepted' != 'refused'",
                    tags=["upgrade"],
                ),
                Case(
                    name="S1.1 The Server Answers",
                    result=Result.FAIL if number < 5 else Result.PASS,
                    message="ConnectionRefusedError" if number < 5 else "",
                    tags=["smoke"],
                ),
                Case(name="S1.2 The Board Boots", result=Result.PASS, duration_s=1.0, tags=["smoke"]),
            ],
        )
        history.add(
            BENCH,
            commit=commit,
            figures=[
                figure("boot_time", 1.2 + noise.random() / 50 + (0.4 if last else 0)),
                figure("reads_per_second", 900 + noise.random(), better=Better.HIGHER, unit="reads/s"),
                figure("assets_size", 4096 - (512 if last else 0), noisy=False, unit="bytes"),
            ],
        )
    finding = Case(
        name="brick after torn program in slot0",
        result=Result.FAIL,
        message="brick: faulted at boot 2: hard fault in nvmc_page_erase",
        detail="boot 1: cut\nboot 2: hard fault",
        command="brownout sweep target.toml --replay swap:unicorn:1:op=117/torn/only_last_word",
        replay="swap:unicorn:1:op=117/torn/only_last_word",
        location=Location(file="", line=0, symbol="nvmc_page_erase"),
        tags=["brick"],
    )
    whole = Case(name="sweep", result=Result.PASS)
    history.add(SWEEP, commit="acme 5", cases=[whole])
    history.add(SWEEP, commit="acme 6", cases=[replace(whole, result=Result.FAIL), finding])
    return history.runs


def nothing(_: str) -> str | None:
    """A resolver outside of git."""
    return None


Resolver = Callable[[str], str | None]
Runs = Sequence[Run]
