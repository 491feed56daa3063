"""The QEMU engine's own: its end, its lockups, its absence."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from brownout.device import Device
from brownout.engines.base import PowerState
from brownout.errors import EngineError

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board

    from .conftest import ProbeFactory

pytestmark = pytest.mark.emulator

AREA = 0x10000
TIMEOUT_S = 20.0


def start(device: Device) -> None:
    device.power_on()
    device.wait_for_line("probe ready\n", TIMEOUT_S)


def order(device: Device, command: str) -> str:
    """Give the probe a command and return what it answers."""
    device.console.spawn.send(f"{command}\n")
    return str(device.wait_for_line(r"([0-9a-f]*) done\n", TIMEOUT_S)[1])


def test_an_emulator_that_is_killed_is_an_error_with_its_end(probe: ProbeFactory) -> None:
    device = probe()
    start(device)
    pid = device.engine.process_id  # type: ignore[attr-defined] # QEMU's engine has one
    os.kill(pid, signal.SIGKILL)
    with pytest.raises(
        EngineError, match=r"QEMU ended by itself: killed by signal 9 \(SIGKILL\); stderr: empty"
    ):
        device.wait_for_line("never", TIMEOUT_S)
    assert device.engine.state is PowerState.OFF
    start(device)
    assert order(device, f"p{AREA:x} 4 0") == "00000000"


def test_a_lockup_is_an_error_with_what_qemu_said(probe: ProbeFactory) -> None:
    device = probe()
    device.arm_cut("op=1/torn")
    start(device)
    device.console.spawn.send("x\n")
    with pytest.raises(EngineError, match="Lockup: can't escalate") as caught:
        device.wait_for_cut(TIMEOUT_S)
    assert "\n" not in str(caught.value)
    assert "Lockup" in device.engine.diagnostics


def test_qemu_missing_or_refusing_is_one_line(
    board: Board, probe_elf: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("BROWNOUT_QEMU", "qemu-system-nothing")
    with pytest.raises(EngineError, match="qemu-system-nothing: not found: apt install qemu-system-arm"):
        Device(board, probe_elf)
    script = tmp_path / "qemu"
    script.write_text("#!/bin/sh\necho 'this is no emulator' >&2\nexit 3\n")
    script.chmod(0o755)
    monkeypatch.setenv("BROWNOUT_QEMU", str(script))
    with Device(board, probe_elf) as device:
        with pytest.raises(EngineError, match="did not start: exit code 3; stderr: this is no emulator"):
            device.power_on()
        assert device.engine.state is PowerState.OFF
