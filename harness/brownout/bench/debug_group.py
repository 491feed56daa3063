"""The group `debug`: what remote debugging costs, beside QEMU's own gdbstub and the bare UART."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from brownout.bench.debug_bench import gdb_bridge, gdb_stub
from brownout.bench.gdb_probe import GdbRun, find_gdb, run_gdb
from brownout.bench.memory_probe import read_rates
from brownout.bench.samples import Measurement
from brownout.bench.uart_stream import stream_rate
from brownout.uplink import Direction

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.bench.workbench import Workbench
    from brownout.lab import DebugKit, Unit

_DEVICE: Final = "bench-debug"
_STEPS, _CONTINUES = 30, 10
_READ_SIZE: Final = 16 * 1024
_STREAM_SIZE: Final = 256 * 1024
_READS: Final = 8
"""After one more that is not timed."""


class _UpMeter:
    """A tap on the modem that counts the bytes from the device."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, direction: Direction, data: bytes, /) -> bytes:
        if direction is Direction.UP:
            self.total += len(data)
        return data


def measure_debug(bench: Workbench) -> list[Measurement]:
    """GDB end to end and on the gdbstub, in turns; then memory reads and the bare UART, in turns."""
    bench.progress("debug")
    find_gdb()
    lab = bench.debug_lab
    unit = lab.add_unit(_DEVICE, capture=False)
    kit = lab.add_debug_client("bench", _DEVICE)
    unit.boot()
    try:
        return [*_gdb(bench, unit, kit), *_memory(bench, unit, kit)]
    finally:
        unit.device.cut_power()


def _gdb(bench: Workbench, unit: Unit, kit: DebugKit) -> list[Measurement]:
    folder = bench.subfolder("gdb")
    ours: list[GdbRun] = []
    theirs: list[GdbRun] = []
    with (
        gdb_bridge(kit) as bridge,
        gdb_stub(bench.debug_lab, unit, folder, boot=bench.factory_build.boot) as stub,
    ):
        for number in range(bench.few):
            bench.progress(f"debug: GDB {number + 1} of {bench.few}")
            ours.append(_run(folder, kit.elf, bridge, monitor=True))
            theirs.append(_run(folder, kit.elf, stub, monitor=False))
    steps = [statistics.median(run.steps) for run in ours]
    steps_stub = [statistics.median(run.steps) for run in theirs]
    continues = [statistics.median(run.continues) for run in ours]
    continues_stub = [statistics.median(run.continues) for run in theirs]
    samples = {
        "stepi": [value * 1e3 for value in steps],
        "stepi-stub": [value * 1e3 for value in steps_stub],
        "stepi-ratio": [one / other for one, other in zip(steps, steps_stub, strict=True)],
        "continue": [value * 1e3 for value in continues],
        "continue-stub": [value * 1e3 for value in continues_stub],
        "continue-ratio": [one / other for one, other in zip(continues, continues_stub, strict=True)],
        "step-trips": [run.requests_step for run in ours],
        "continue-trips": [run.requests_continue for run in ours],
    }
    return [Measurement(name=f"debug.{key}", samples=tuple(values)) for key, values in samples.items()]


def _run(folder: Path, elf: Path, target: str, *, monitor: bool) -> GdbRun:
    return run_gdb(folder, elf=elf, target=target, monitor=monitor, steps=_STEPS, continues=_CONTINUES)


def _memory(bench: Workbench, unit: Unit, kit: DebugKit) -> list[Measurement]:
    folder, meter = bench.subfolder("uart"), _UpMeter()
    reads, raws, shares = [], [], []
    unit.modem.add_tap(meter)
    try:
        for number in range(bench.few):
            bench.progress(f"debug: memory {number + 1} of {bench.few}")
            raws.append(stream_rate(bench.board, folder, seed=bench.seed, size=_STREAM_SIZE))
            before = meter.total
            rates = read_rates(kit.profile, kit.device_id, size=_READ_SIZE, count=_READS)
            reads.append(statistics.median(rates))
            shares.append((_READS + 1) * _READ_SIZE / (meter.total - before))
    finally:
        unit.modem.remove_tap(meter)
    ratios = [read / raw for read, raw in zip(reads, raws, strict=True)]
    named = {"read": reads, "raw": raws, "read-ratio": ratios, "read-share": shares}
    return [Measurement(name=f"debug.{key}", samples=tuple(values)) for key, values in named.items()]
