"""Nothing outlives the harness: no emulator after an exception or a signal; no thread or file leaks."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from brownout.device import Device

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from brownout.board import Board

    from .conftest import ProbeFactory

pytestmark = pytest.mark.emulator

TIMEOUT_S = 30.0

CHILD = """
import sys, threading
from pathlib import Path
from brownout.board import load_board
from brownout.device import Device

device = Device(load_board("mps2-an385"), Path(sys.argv[1]), seed=1)
device.power_on()
device.wait_for_line("probe ready")
print(device.engine.process_id, flush=True)
if sys.argv[2] == "raise":
    sys.stdin.readline()
    raise RuntimeError("a test failed")
threading.Event().wait()
"""


class Child:
    """A Python process that runs a device, and its emulator."""

    def __init__(self, elf: Path, mode: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CHILD, str(elf), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout is not None
        self.emulator = int(self.process.stdout.readline())
        # A descriptor, not a number: numbers are used again.
        self.watch = os.pidfd_open(self.emulator)

    def emulator_ends(self) -> bool:
        ready, _, _ = select.select([self.watch], [], [], TIMEOUT_S)
        return bool(ready)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()
        os.close(self.watch)


@pytest.fixture
def child(probe_elf: Path, request: pytest.FixtureRequest) -> Iterator[Child]:
    made = Child(probe_elf, request.param)
    yield made
    made.close()


@pytest.mark.parametrize("child", ["wait"], indirect=True)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_emulator_ends_with_a_harness_that_is_ended(child: Child, number: signal.Signals) -> None:
    child.process.send_signal(number)
    assert child.process.wait(TIMEOUT_S) != 0
    assert child.emulator_ends()


@pytest.mark.parametrize("child", ["raise"], indirect=True)
def test_the_emulator_ends_with_a_harness_that_fails(child: Child) -> None:
    assert not select.select([child.watch], [], [], 0)[0]
    child.process.communicate("\n", TIMEOUT_S)
    assert child.process.returncode == 1
    assert child.emulator_ends()


def test_a_ctrl_c_in_the_terminal_does_not_reach_the_emulator(probe: ProbeFactory) -> None:
    device = probe()
    device.power_on()
    emulator = device.engine.process_id  # type: ignore[attr-defined] # QEMU's engine has one
    assert os.getsid(emulator) == emulator


def test_the_emulator_does_not_end_with_the_thread_that_started_it(probe: ProbeFactory) -> None:
    device = probe()
    starter = threading.Thread(target=device.power_on)
    starter.start()
    starter.join(TIMEOUT_S)
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    device.console.spawn.send("m\n")
    device.wait_for_line("done", TIMEOUT_S)


def test_a_device_that_fails_inside_its_context_leaves_nothing(board: Board, probe_elf: Path) -> None:
    def fail() -> None:
        with Device(board, probe_elf, seed=1) as device:
            device.power_on()
            watches.append(os.pidfd_open(device.engine.process_id))  # type: ignore[attr-defined] # QEMU's
            raise RuntimeError("a test failed")

    watches: list[int] = []
    with pytest.raises(RuntimeError):
        fail()
    assert select.select(watches, [], [], 0)[0] == watches
    os.close(watches[0])


def open_files() -> set[str]:
    """What this process has open, sockets and anonymous memory by number."""
    found = set()
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - a moving folder: entries may be gone
        try:
            found.add(f"{name} {os.readlink(f'/proc/self/fd/{name}')}")  # noqa: PTH115
        except OSError:
            continue
    return found


def test_power_cycles_leave_no_threads_and_no_files(probe: ProbeFactory) -> None:
    device = probe()
    device.power_on()
    device.wait_for_line("probe ready\n", TIMEOUT_S)
    device.cut_power()
    for thread in threading.enumerate():
        if thread.name == "brownout-port-close":
            thread.join(TIMEOUT_S)
    before, threads = open_files(), set(threading.enumerate())
    for _ in range(5):
        device.power_on()
        device.wait_for_line("probe ready\n", TIMEOUT_S)
        device.cut_power()
    left = set(threading.enumerate()) - threads
    for thread in left:
        thread.join(TIMEOUT_S)
    assert not [thread.name for thread in left if thread.is_alive()]
    assert open_files() - before == set()
