"""The download of the reference device: sampled cuts at a real server, and an oracle that can fail."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import download_mutants
import pytest
from mutant_patches import read_all

from brownout.cli import main
from brownout.flash import LogRecord, OperationLog, Phase, RecordKind, Status, TornStyle
from brownout.live import sweep_live
from brownout.reference.record_log import encode_record
from brownout.reference.sets import digest_of
from brownout.sweep import SweepPlan
from brownout.sweep.plan import TornVariant
from brownout.target import HookContext, Target, load_target
from brownout.target.hooks import InvariantHook

if TYPE_CHECKING:
    from pathlib import Path

KERNEL, APP = 1, 2
STAGED_KERNEL, STAGED_APP, PROGRESS = 0x120000, 0x140000, 0x3000
CHUNK = 0x1000
STATES = {
    "idle",
    "manifest staged",
    "downloading kernel",
    "downloading app",
    "downloading assets",
    "downloaded",
}


@pytest.fixture(scope="module")
def download_file(reference_file: Path) -> Path:
    return reference_file.with_name("download.toml")


@pytest.fixture(scope="module")
def download(download_file: Path) -> Target:
    return load_target(download_file)


@pytest.mark.emulator
@pytest.mark.xdist_group("download")
def test_sampled_cuts_of_the_download_are_survived(download: Target) -> None:
    plan = SweepPlan(engine="qemu", points=4, phases=("torn",), torn=(TornVariant(torn=TornStyle.RANDOM),))
    result = sweep_live(download, plan)
    assert not result.findings, result.findings
    assert not result.machine_log
    assert (result.depths[0].requested, result.depths[0].fired) == (4, 4)
    assert {point.verdict for point in result.points} == {"new"}
    assert set(result.coverage) <= STATES
    assert {operation.state for operation in result.operations} == {
        *STATES,
        "requested",
        "copying",
        "installed",
    }
    cut = {
        (item.region, item.kind)
        for item in result.operations
        for point in result.points
        if point.operation == item.number
    }
    assert len(cut) == 4


@pytest.mark.emulator
@pytest.mark.xdist_group("download")
def test_replay_says_what_it_cut(download_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replay = "reference-download:qemu:1:op=30/after"
    with pytest.raises(SystemExit) as ended:
        main(["sweep", str(download_file), "--replay", replay])
    said = capsys.readouterr()
    assert ended.value.code == 0, said
    assert "boot 1: op=30/after hit program at 0x" in said.out
    assert "verdict new" in said.out


def test_target_says_what_it_is_connected_to(download_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["target", "check", str(download_file)])
    assert ended.value.code == 0
    assert "connected to what 'UpgradeServer' of the hooks makes" in capsys.readouterr().out


# -- the oracle of the resumed download --------------------------------------------------------------------


class Run:
    """The log of a run: session 1 counts three chunks of the kernel and is cut; session 2 recovers."""

    def __init__(self, target: Target) -> None:
        hook = target.hooks["download_resumes"]
        assert isinstance(hook, InvariantHook)
        self.target, self.hook = target, hook
        self.records: list[LogRecord] = []
        self.fetches: list[tuple[int, int, int]] = []

    def program(
        self, offset: int, data: bytes = b"\0" * 4, *, session: int = 1, cut: Phase | None = None
    ) -> None:
        self.records.append(
            LogRecord(
                kind=RecordKind.PROGRAM,
                sequence=len(self.records) + 1,
                session=session,
                ordinal=len(self.records) + 1,
                offset=offset,
                length=len(data),
                data=data,
                status=None if cut else Status.OK,
                cut=cut,
            )
        )

    def progress(self, kernel: int, app: int = 0, *, session: int = 1, cut: Phase | None = None) -> None:
        envelope = self.hook.file.function("envelope")("new")
        assert isinstance(envelope, bytes)
        counts = b"".join(count.to_bytes(4, "little") for count in (0, kernel, app, 0))
        generation = len(self.records) + 1
        at = PROGRESS + 64 * len(self.records)
        self.program(at, encode_record(generation, digest_of(envelope) + counts), session=session, cut=cut)

    def verdict(self) -> str | None:
        base, fetched = self.hook.file.function("UpgradeServer"), self.hook.file.function("Fetched")
        server = type(
            "Server",
            (base,),
            {
                "fetched": lambda _: [
                    fetched(session=session, module_id=module, first_chunk=chunk)
                    for session, module, chunk in self.fetches
                ]
            },
        )(self.target)
        return self.hook(
            HookContext(
                target=self.target,
                flash=b"",
                before=b"",
                log=OperationLog(self.records),
                outcomes=(),
                surroundings=server,
            )
        )


@pytest.fixture
def run(download: Target) -> Run:
    run = Run(download)
    run.progress(2)
    run.progress(3)
    return run


def test_going_on_at_the_first_missing_chunk_is_right(run: Run) -> None:
    run.fetches.append((1, KERNEL, 0))
    run.program(STAGED_KERNEL + 3 * CHUNK, cut=Phase.TORN)
    run.fetches.append((2, KERNEL, 3))
    run.program(STAGED_KERNEL + 3 * CHUNK, session=2)
    assert run.verdict() is None


def test_a_chunk_that_is_fetched_again_is_told(run: Run) -> None:
    run.program(STAGED_KERNEL + 3 * CHUNK, cut=Phase.TORN)
    run.fetches.append((2, KERNEL, 2))
    assert (
        run.verdict() == "module 1 was fetched again from chunk 2 in boot 2, although 3 chunks were complete"
    )


def test_a_chunk_that_is_written_again_is_told(run: Run) -> None:
    run.program(STAGED_KERNEL + 3 * CHUNK, cut=Phase.TORN)
    run.program(STAGED_KERNEL + 2 * CHUNK + 256, session=2)
    assert run.verdict() == "staged kernel: program at 0x122100 in boot 2, although 3 chunks were complete"


@pytest.mark.parametrize(
    ("phase", "counts"), [(Phase.BEFORE, False), (Phase.TORN, False), (Phase.AFTER, True)]
)
def test_a_progress_record_that_was_cut_counts_when_it_is_whole(run: Run, phase: Phase, counts: bool) -> None:
    run.progress(4, cut=phase)
    run.fetches.append((2, KERNEL, 3))
    assert (run.verdict() is not None) == counts


def test_each_module_has_its_own_count(run: Run) -> None:
    run.progress(12, 1)
    run.program(STAGED_APP + CHUNK, cut=Phase.BEFORE)
    run.fetches.append((2, APP, 0))
    assert (
        run.verdict() == "module 2 was fetched again from chunk 0 in boot 2, although 1 chunks were complete"
    )


# -- bad input ---------------------------------------------------------------------------------------------


@pytest.mark.emulator
@pytest.mark.xdist_group("download")
def test_a_server_that_cannot_start_is_one_line(download_file: Path, tmp_path: Path) -> None:
    """The store wants a folder in TMPDIR."""
    (tmp_path / "taken").write_text("")
    program = """
import sys, tempfile
from brownout.cli import main
tempfile.tempdir = sys.argv[1]
main(["sweep", sys.argv[2]])
"""
    command = [sys.executable, "-c", program, str(tmp_path / "taken"), str(download_file)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2, done
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1
    assert "download.toml: live.surroundings: UpgradeServer: NotADirectoryError" in done.stderr


# -- the defects that `make mutants` sweeps ----------------------------------------------------------------


def test_each_defect_is_a_patch() -> None:
    assert {mutant.name for mutant in read_all()} > set(download_mutants.DEFECTS) - {
        download_mutants.BASELINE
    }


def test_only_the_right_finding_counts() -> None:
    again = "hook: download_resumes: module 1 was fetched again from chunk 0 in boot 2"
    name = "resume-from-first-chunk"
    assert download_mutants.judge(name, ["loop: it has not arrived", again]).as_expected
    assert not download_mutants.judge(name, ["loop: it has not arrived"]).as_expected
    assert not download_mutants.judge(name, []).as_expected
    assert download_mutants.judge(download_mutants.BASELINE, []).as_expected
    assert not download_mutants.judge(download_mutants.BASELINE, [again]).as_expected
