"""Workers: a Dask cluster that loses one, worker processes that end when the sweep does."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from sweep_toy import DyingFactory, ToyFactory, toy_target

from brownout.errors import SweepError
from brownout.sweep import SweepPlan, SweepResult, cluster_executor, local_executor, run_sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HERE = Path(__file__).parent
BAD = ToyFactory(defects=frozenset({"skips-blank", "trusts-done", "never-again"}))
PLAN = SweepPlan(depth=2, faults=("dropped",), live=0)
DEADLINE_S = 60.0


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, f"not within {DEADLINE_S:g} s: {what}"
        time.sleep(0.02)


def timeless(result: SweepResult) -> SweepResult:
    return dataclasses.replace(result, duration_s=0.0, points_per_s=0.0)


@contextlib.contextmanager
def process(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield running
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, signal.SIGKILL)
        running.wait(DEADLINE_S)
        assert running.stderr is not None
        running.stderr.close()


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[str]]]]:
    """A real scheduler and two workers with a process each: its address, and the workers."""
    distributed = pytest.importorskip("distributed")
    info = tmp_path / "scheduler.json"
    with contextlib.ExitStack() as stack:
        stack.enter_context(
            process(
                *("-m", "distributed.cli.dask_scheduler", "--port", "0", "--no-dashboard"),
                *("--host", "127.0.0.1", "--scheduler-file", str(info)),
            )
        )
        until(lambda: info.exists() and info.stat().st_size > 0, "scheduler file")
        workers = [
            stack.enter_context(
                process(
                    *("-m", "distributed.cli.dask_worker", "--scheduler-file", str(info), "--nthreads", "1"),
                    *("--no-nanny", "--no-dashboard", "--host", "127.0.0.1"),
                    *("--local-directory", str(tmp_path / f"worker-{number}")),
                )
            )
            for number in range(2)
        ]
        client = distributed.Client(scheduler_file=str(info), timeout=DEADLINE_S, set_as_default=False)
        with client:
            client.wait_for_workers(2, timeout=DEADLINE_S)
            address = client.scheduler.address
        yield address, workers


def test_a_cluster_that_loses_a_worker_finds_the_same(
    cluster: tuple[str, list[subprocess.Popen[str]]],
) -> None:
    address, workers = cluster
    wanted = run_sweep(toy_target(), PLAN, factory=BAD)
    killed: list[float] = []

    def on_progress(done: int, total: int, rate: float) -> None:
        del rate
        if done > total // 4 and not killed:
            workers[0].kill()
            workers[0].wait(DEADLINE_S)
            killed.append(done / total)

    with cluster_executor(address) as executor:
        found = run_sweep(toy_target(), PLAN, executor, on_progress, width=4, factory=BAD)
    assert killed
    assert killed[0] < 1
    assert workers[1].poll() is None
    assert timeless(found) == timeless(wanted)


def test_a_cluster_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.sweep.executors._CONNECT_S", 1)
    with pytest.raises(SweepError, match="no Dask scheduler answers"), cluster_executor("tcp://127.0.0.1:1"):
        pass


SWEEP = f"""
import sys
sys.path.insert(0, {str(HERE)!r})
from sweep_toy import ToyFactory, toy_target
from brownout.sweep import SweepPlan, local_executor, run_sweep
from brownout.sweep.plan import ALL_TORN

def tell(done, total, rate):
    print(done, total, flush=True)

if __name__ == "__main__":
    target = toy_target(sectors=6, budget=400_000)
    with local_executor(2) as executor:
        run_sweep(target, SweepPlan(depth=2, torn=ALL_TORN, live=0), executor, tell,
                  factory=ToyFactory(sectors=6))
    print("done", flush=True)
"""


def children_of(session: int) -> set[int]:
    """Processes of a session that still run."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError, ValueError, IndexError):
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.add(int(entry.name))
    return found


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL, signal.SIGTERM])
def test_a_sweep_that_is_ended_leaves_no_processes(sent: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "sweep.py"
    script.write_text(SWEEP)
    running = subprocess.Popen(
        [sys.executable, str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    try:
        assert running.stdout is not None
        # Both workers are at it.
        for _ in range(4):
            assert "done" not in running.stdout.readline()
        assert len(children_of(running.pid)) > 2
        os.kill(running.pid, sent)
        assert running.wait(DEADLINE_S) != 0
        until(lambda: not children_of(running.pid), "no process is left")
    finally:
        for pid in children_of(running.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if running.stdout is not None:
            running.stdout.close()


def test_a_deadline_ends_a_sweep() -> None:
    plan = dataclasses.replace(PLAN, deadline_s=0.0)
    with pytest.raises(SweepError, match="not done within its time"), local_executor(1) as executor:
        run_sweep(toy_target(), plan, executor, factory=BAD)


def test_a_worker_that_dies_is_an_error() -> None:
    with pytest.raises(SweepError, match="worker process ended"), local_executor(2) as executor:
        run_sweep(toy_target(), PLAN, executor, factory=DyingFactory())
