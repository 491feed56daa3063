"""Sweeps: every power cut and fault of an upgrade, on the target binary (docs/sweep.md).

result = run_sweep(target, SweepPlan(depth=2), executor, on_progress)
report = replay(target, result.findings[0].replay)
"""

from brownout.sweep.executors import SerialExecutor, cluster_executor, local_executor
from brownout.sweep.live import BootReport
from brownout.sweep.machine import Machine, MachineFactory
from brownout.sweep.plan import ALL_TORN, FAULTS, FEW_TORN, PHASES, SweepPlan, TornVariant
from brownout.sweep.replay import ReplayReport, replay
from brownout.sweep.result import (
    DepthSummary,
    Finding,
    FindingGroup,
    LiveCheck,
    OperationInfo,
    PointResult,
    SweepResult,
)
from brownout.sweep.run import run_sweep
from brownout.sweep.stops import SweepInterruptedError, SweepStoppedError
from brownout.sweep.tracing import Tracer

__all__ = [
    "ALL_TORN",
    "FAULTS",
    "FEW_TORN",
    "PHASES",
    "BootReport",
    "DepthSummary",
    "Finding",
    "FindingGroup",
    "LiveCheck",
    "Machine",
    "MachineFactory",
    "OperationInfo",
    "PointResult",
    "ReplayReport",
    "SerialExecutor",
    "SweepInterruptedError",
    "SweepPlan",
    "SweepResult",
    "SweepStoppedError",
    "TornVariant",
    "Tracer",
    "cluster_executor",
    "local_executor",
    "replay",
    "run_sweep",
]
