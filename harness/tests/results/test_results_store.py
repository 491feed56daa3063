"""The store keeps a run as it was, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import dataclasses
import time
from datetime import timedelta

import pytest
import sqlalchemy as sa
from results_helpers import BEGIN, SERIES, a_case, a_run

from brownout.errors import StoreError
from brownout.results import schema
from brownout.results import store as store_module
from brownout.results.model import (
    Better,
    Case,
    CutOutcome,
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
from brownout.results.store import ResultStore

FLASH = bytes(1 << 16)


def item(path: str, data: bytes, key: str = "") -> EvidenceItem:
    return EvidenceItem(path=path, key=key, media_type="application/octet-stream", data=data)


def everything() -> Run:
    """A run in which every field says something."""
    return Run(
        id="20261120-083000123-aaaaaa",
        series=SERIES,
        started=BEGIN,
        duration_s=12.345678901,
        revision=Revision(commit="a1" * 20, branch="topic/ü", dirty=True),
        engine_version="QEMU 7.2.22",
        seed=2**80,
        firmware=(
            FirmwareImage(name="boot.elf", sha256="ab" * 32, size=7, sections={"text": 5, "bss": 2}),
            FirmwareImage(name="app.bin", sha256="cd" * 32, size=9),
        ),
        complete=False,
        command="robot robot/suites",
        source="build/output.xml",
        cases=(
            Case(
                name="Suite.Fails",
                result=Result.FAIL,
                duration_s=0.1,
                message="one\ntwo",
                detail="Boot Device",
                tags=("smoke", "qemu"),
                replay="mps2-an385:qemu:1:op=7/before",
                command="robot --test '*Fails' robot/suites",
                location=Location(file="robot/a.robot", line=7, symbol="main+0x2"),
                flash_operations=513,
                evidence=(item("dev-1/flash.bin", FLASH, "flash"), item("dev-1/note", b"\x00\xff")),
            ),
            Case(name="Suite.Passes", result=Result.PASS),
            Case(name="Suite.Skipped", result=Result.SKIP, location=Location(file="", symbol="f")),
        ),
        cuts=(
            CutOutcome(operation=2, phase="torn", variant="random", verdict="brick", finding="F1"),
            CutOutcome(operation=1, phase="before", variant="", verdict="old"),
        ),
        figures=(
            Figure(
                name="size",
                title="size of it",
                unit="B",
                value=3.0,
                better=Better.LOWER,
                noisy=False,
                samples=(3.0, 3.25),
            ),
            Figure(name="ops", title="operations", unit="op", value=0.1, better=Better.NEITHER, noisy=True),
        ),
    )


def test_a_run_comes_back_as_it_was(store):
    run = everything()
    store.add(run)
    assert store.load(run.id, evidence=True) == run


def test_evidence_is_left_where_it_is_unless_it_is_asked_for(store):
    run = everything()
    store.add(run)
    assert all(case.evidence == () for case in store.load(run.id).cases)
    assert store.evidence(run.id, "Suite.Fails") == run.cases[0].evidence
    assert store.evidence(run.id, "Suite.Passes") == ()
    assert store.evidence_names(run.id) == {
        "Suite.Fails": [("dev-1/flash.bin", len(FLASH)), ("dev-1/note", 2)]
    }
    with pytest.raises(StoreError, match=r"has no case 'Suite\.Other'"):
        store.evidence(run.id, "Suite.Other")


def test_text_that_a_database_cannot_hold_is_kept_readable(store):
    case = a_case("Suite.\x00Odd \udcff", Result.FAIL, message="before\x00after")
    store.add(a_run(cases=(case,)))
    (kept,) = store.load(store.runs()[0].id).cases
    assert kept.message == "before\ufffdafter"
    assert kept.name == "Suite.\ufffdOdd ?"


def test_runs_are_listed_newest_first_with_their_numbers(store):
    for day in (1, 3, 2):
        cases = tuple(a_case(f"Suite.{number}", Result.FAIL) for number in range(day))
        store.add(a_run(day, cases=(*cases, a_case("Suite.ok"), a_case("Suite.not", Result.SKIP))))
    found = store.runs()
    assert [run.failed for run in found] == [3, 2, 1]
    assert {(run.passed, run.skipped, run.cuts, run.figures) for run in found} == {(1, 1, 0, 0)}
    assert [run.failed for run in store.runs(limit=2)] == [3, 2]
    assert found[0].started == BEGIN + timedelta(days=3)


def test_runs_are_chosen_by_series_and_revision(store):
    other = Series(project="demo", kind=RunKind.SWEEP, name="boot", board="nrf", engine="unicorn")
    store.add(a_run(1, revision=Revision(commit="abc" + "0" * 37, branch="main")))
    store.add(a_run(2, series=other, revision=Revision(commit="abd" + "0" * 37, branch="topic")))

    def days(**wanted):
        return [(run.started - BEGIN).days for run in store.runs(**wanted)]

    assert days() == [2, 1]
    assert days(kind=RunKind.SWEEP) == days(name="boot") == days(board="nrf") == days(engine="unicorn") == [2]
    assert days(project="demo") == days(commit="ab") == [2, 1]
    assert days(commit="abc") == days(commit="ABC0") == days(branch="main") == [1]
    assert days(project="dem") == days(commit="_bc") == days(branch="mai") == []


def test_history_is_of_one_series_without_evidence_and_cuts(store):
    run = everything()
    store.add(run)
    store.add(a_run(1, cases=(a_case(),)))
    store.add(a_run(2, series=dataclasses.replace(SERIES, engine="renode")))
    history = store.history(SERIES)
    assert [(found.started - BEGIN).days for found in history] == [1, 0]
    bare = [dataclasses.replace(case, evidence=()) for case in run.cases]
    assert history[1] == dataclasses.replace(run, cases=tuple(bare), cuts=())
    assert [found.id for found in store.history(SERIES, limit=1)] == [history[0].id]


def test_a_run_is_found_by_the_beginning_and_the_end_of_its_id(store):
    first, second = a_run(1), a_run(2)
    store.add(first)
    store.add(second)
    assert store.load(first.id[:12]).id == first.id
    assert store.load(second.id[-6:].upper()).id == second.id
    with pytest.raises(StoreError, match="fits several runs"):
        store.load("2026")
    for unknown in ("2025", "", "%"):
        with pytest.raises(StoreError, match="has no run"):
            store.load(unknown)


def test_nothing_of_a_refused_run_is_kept(store):
    run = everything()
    store.add(run)
    again = dataclasses.replace(a_run(1, cases=(a_case(),)), id=run.id)
    with pytest.raises(StoreError, match=f"run {run.id} is recorded already"):
        store.add(again)
    with pytest.raises(StoreError, match=r"two are 'Suite\.One'"):
        store.add(a_run(2, cases=(a_case(), a_case())))
    assert [found.id for found in store.runs()] == [run.id]
    assert store.load(run.id, evidence=True) == run


def test_a_file_is_recorded_once_for_each_kind(store):
    run = a_run(1)
    store.add(run, digest="d1")
    assert store.imported(RunKind.ROBOT, "d1") == run.id
    assert store.imported(RunKind.SWEEP, "d1") is None
    with pytest.raises(StoreError, match=f"run {run.id} is recorded already"):
        store.add(a_run(2), digest="d1")
    store.add(a_run(3, series=dataclasses.replace(SERIES, kind=RunKind.SWEEP)), digest="d1")
    store.add(a_run(4))
    store.add(a_run(5))
    assert len(store.runs()) == 4


def test_evidence_that_is_too_large_is_left_out_and_told(store, monkeypatch):
    monkeypatch.setattr(store_module, "EVIDENCE_LIMIT", 10)
    case = a_case(result=Result.FAIL, evidence=(item("small", b"x" * 10), item("large", b"x" * 11)))
    store.add(a_run(cases=(case,)))
    (kept,) = store.load(store.runs()[0].id, evidence=True).cases
    assert [found.path for found in kept.evidence] == ["small"]
    assert kept.detail == "not kept: large (11 bytes, the limit is 10)"


def blob_count(store: ResultStore) -> int:
    with store._database.reading() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM results_blobs").scalar_one())


def row_count(store: ResultStore) -> int:
    with store._database.reading() as connection:
        return sum(
            int(connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one())
            for table in schema.metadata.sorted_tables
            if table is not schema.schema_version
        )


def test_the_same_flash_image_is_kept_once_and_goes_with_its_last_run(store):
    runs = []
    for day in range(3):
        own = item("uart.log", b"line %d" % day)
        runs.append(a_run(day, cases=(a_case(evidence=(item("a", FLASH), item("b", FLASH), own)),)))
        store.add(runs[-1])
    assert blob_count(store) == 4
    assert store.remove([runs[0].id]) == 1
    assert blob_count(store) == 3
    assert store.load(runs[2].id, evidence=True) == runs[2]
    assert store.remove([run.id for run in runs]) == 2
    assert row_count(store) == 0


def test_removing_takes_everything_of_a_run_and_nothing_of_others(store):
    run, other = everything(), dataclasses.replace(everything(), id="20261120-083000123-bbbbbb")
    store.add(run)
    before = row_count(store)
    store.add(other)
    store.remove([other.id, "unknown"])
    assert row_count(store) == before
    assert store.load(run.id, evidence=True) == run


def test_prune_keeps_the_newest_of_each_series(store):
    other = dataclasses.replace(SERIES, engine="renode")
    for day in range(4):
        store.add(a_run(day))
        store.add(a_run(day + 0.5, series=other))
    would = store.prune(keep=3, dry_run=True)
    assert {(run.series.engine, run.started) for run in would} == {
        ("qemu", BEGIN),
        ("renode", BEGIN + timedelta(days=0.5)),
    }
    assert len(store.runs()) == 8
    assert store.prune(keep=3) == would
    assert len(store.runs()) == 6
    assert store.prune() == []


def test_prune_by_age_and_by_both(store):
    for day in range(4):
        store.add(a_run(day))
    assert store.prune(keep=3, older_than=BEGIN) == []
    assert [run.started for run in store.prune(keep=3, older_than=BEGIN + timedelta(days=9))] == [BEGIN]
    assert len(store.prune(older_than=BEGIN + timedelta(days=3))) == 2
    assert [run.started for run in store.runs()] == [BEGIN + timedelta(days=3)]


def test_a_large_sweep_is_added_in_seconds(store):
    cuts = tuple(
        CutOutcome(operation=number, phase="torn", variant="random", verdict="old")
        for number in range(60_000)
    )
    started = time.monotonic()
    store.add(a_run(cuts=cuts))
    # 1 to 3 s on an idle machine.
    assert time.monotonic() - started < 30
    (run,) = store.runs()
    assert run.cuts == 60_000
    assert store.load(run.id).cuts == cuts


def test_what_one_store_adds_another_sees(store, url):
    with ResultStore.open(url, create=False) as other:
        store.add(a_run())
        assert len(other.runs()) == 1
