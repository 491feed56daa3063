"""Where the work of a sweep is done: this process, its children, or a Dask cluster; and how it gets there."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from concurrent.futures import (
    FIRST_COMPLETED,
    BrokenExecutor,
    CancelledError,
    Executor,
    Future,
    ProcessPoolExecutor,
    wait,
)
from typing import TYPE_CHECKING, Final, ParamSpec, TypeVar

from brownout.errors import SweepError
from brownout.sweep.interrupts import held_interrupts
from brownout.sweep.stops import DeadlineError
from brownout.sweep.tasks import Reply, run_job

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from brownout.sweep.tasks import Task

P = ParamSpec("P")
T = TypeVar("T")

_SLICE_S: Final = 0.5
"""A job comes back after about so long, with what it did not get to: for progress, balance and Ctrl-C."""
_POLL_S: Final = 1.0
_CONNECT_S: Final = 5
_CLIENT_S: Final = 20


class SerialExecutor(Executor):
    """Does each job at once, in this thread."""

    width: Final = 1

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run it now."""
        future: Future[T] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as error:  # whoever asks the future gets it
            future.set_exception(error)
        return future


class SizedExecutor(Executor):
    """An executor that says how many jobs keep its workers busy."""

    def __init__(self, inner: Executor, width: int) -> None:
        self._inner = inner
        self.width: Final = width

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Give it to the workers."""
        # It may start a worker: one that is only half known could not be ended.
        with held_interrupts():
            return self._inner.submit(fn, *args, **kwargs)


@contextlib.contextmanager
def local_executor(jobs: int) -> Iterator[Executor]:
    """Worker processes on this machine; one job is this process. They end with the block, or with us.

    When an exception ends the block they are not waited for: each may have minutes of a device that never
    comes up before it.
    """
    if jobs <= 1:
        yield SerialExecutor()
        return
    # Not fork: the caller may have threads, and a fork copies what it holds.
    context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
    pool = ProcessPoolExecutor(max_workers=jobs, mp_context=context, initializer=_begin_worker)
    others = set(multiprocessing.active_children())
    try:
        yield SizedExecutor(pool, 2 * jobs)
    except BaseException:
        for child in set(multiprocessing.active_children()) - others:
            child.terminate()
        raise
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin_worker() -> None:
    """In a worker: leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def follow() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=follow, name="parent watch", daemon=True).start()


@contextlib.contextmanager
def cluster_executor(address: str) -> Iterator[Executor]:
    """The workers of a Dask scheduler, such as `tcp://10.0.0.1:8786`; each needs this version of brownout.

    A job whose worker dies is done again by another. Raises SweepError.
    """
    try:
        distributed = importlib.import_module("distributed")
    except ImportError as error:
        raise SweepError("cluster: Dask is not installed: pip install 'brownout[cluster]'") from error
    try:
        # A Client that meets no scheduler is not to be had off again without noise.
        asyncio.run(_greet(address))
        client = distributed.Client(address, timeout=_CLIENT_S, set_as_default=False)
    except Exception as error:  # whatever may answer there
        reason = str(error) or type(error).__name__
        raise SweepError(
            f"cluster '{address}': no Dask scheduler answers ({reason}): expected an address such as "
            "tcp://10.0.0.1:8786 where one runs"
        ) from error
    with client:
        threads = sum(client.nthreads().values())
        if not threads:
            raise SweepError(f"cluster '{address}': has no workers: start some (dask worker {address})")
        executor = client.get_executor(retries=3)
        try:
            yield SizedExecutor(executor, 2 * threads)
        finally:
            executor.shutdown(wait=False)


async def _greet(address: str) -> None:
    """Say hello to a scheduler, as a Client would. Raises what goes wrong."""
    core, security = (importlib.import_module(f"distributed.{name}") for name in ("core", "security"))
    arguments = security.Security().get_connection_args("client")
    greeting = await asyncio.wait_for(core.connect(address, timeout=_CONNECT_S, **arguments), _CONNECT_S)
    await greeting.close()


class Dispatcher:
    """Sends tasks to an executor and takes their replies.

    Args:
        executor: who does them.
        digest, setup: what they need (tasks.run_job).
        width: so many are out at a time; None asks the executor, or guesses.
        deadline: time.monotonic() at which to give up; None never does.
    """

    def __init__(
        self, executor: Executor, digest: str, setup: bytes, *, width: int | None, deadline: float | None
    ) -> None:
        self._executor = executor
        self._digest = digest
        self._setup = setup
        self._width = width or (
            executor.width
            if isinstance(executor, SizedExecutor | SerialExecutor)
            else 2 * (os.cpu_count() or 1)
        )
        self._deadline = deadline

    def run(self, tasks: Iterable[Task]) -> Iterator[Reply]:
        """Replies as they come, in no order, until all tasks are done. Raises SweepError, DeadlineError."""
        waiting: deque[tuple[Task, bool]] = deque((task, False) for task in tasks)
        out: dict[Future[Reply], Task] = {}
        try:
            while waiting or out:
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    raise DeadlineError(
                        "the sweep is not done within its time: cut fewer points, or use more jobs"
                    )
                while waiting and len(out) < self._width:
                    task, with_setup = waiting.popleft()
                    out[self._submit(task, with_setup=with_setup)] = task
                done, _ = wait(out, timeout=_POLL_S, return_when=FIRST_COMPLETED)
                for future in done:
                    task = out.pop(future)
                    reply = self._result(future)
                    if reply.needs_setup:
                        waiting.appendleft((task, True))
                        continue
                    if reply.rest is not None:
                        # First, so that what is done is the first part of the points, as far as it goes.
                        waiting.appendleft((reply.rest, False))
                    yield reply
        finally:
            for future in out:
                future.cancel()

    def _submit(self, task: Task, *, with_setup: bool) -> Future[Reply]:
        with _lost_workers():
            return self._executor.submit(
                run_job, self._digest, self._setup if with_setup else None, task, _SLICE_S
            )

    def _result(self, future: Future[Reply]) -> Reply:
        with _lost_workers():
            return future.result()


@contextlib.contextmanager
def _lost_workers() -> Iterator[None]:
    """What an executor raises when its workers are gone, as SweepError."""
    try:
        yield
    except BrokenExecutor as error:
        raise SweepError(
            "a worker process ended by itself: is there enough memory? Use fewer jobs"
        ) from error
    except CancelledError as error:
        raise SweepError("the cluster dropped the work: does its scheduler still run?") from error
    except Exception as error:
        if type(error).__module__.partition(".")[0] != "distributed":
            raise
        raise SweepError(f"the cluster failed: {error}: do its workers still run?") from error
