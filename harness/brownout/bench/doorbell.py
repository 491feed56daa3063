"""How long a flash operation takes, from the operations of boot's copy.

The copy is the real firmware at its busiest: between two operations it only fills the program buffer. The
same operations are carried out once more without an emulator, by the controller and by the flash model alone:
the difference is what doorbell, socket and thread cost.
"""

from __future__ import annotations

import statistics
import struct
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from brownout.engines.controller import BLOCK_SIZE, FlashController, geometry_of
from brownout.errors import StateError
from brownout.flash import Command, Erase, FlashModel, Program

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from brownout.bench.upgrade_run import TimedOperation
    from brownout.board import FlashSettings
    from brownout.flash import Operation

_BLOCK: Final = struct.Struct("<4I256s")
_BUSY: Final = 1

Kind = type[Program] | type[Erase]


def operation_rate(operations: Sequence[TimedOperation]) -> float:
    """Operations per second, from the first to the last one. Raises StateError for fewer than two."""
    if len(operations) < 2:
        raise StateError(f"operation rate: {len(operations)} operation(s), expected at least 2")
    return (len(operations) - 1) / (operations[-1].time_s - operations[0].time_s)


def round_trip_s(operations: Sequence[TimedOperation], kind: Kind) -> float:
    """Median seconds from an operation of a kind to the next one of that kind. Raises StateError."""
    gaps = [
        later.time_s - earlier.time_s
        for earlier, later in pairwise(operations)
        if isinstance(earlier.operation, kind) and isinstance(later.operation, kind)
    ]
    if not gaps:
        raise StateError(f"round trip: no two {kind.__name__} operations follow each other")
    return statistics.median(gaps)


def controller_s(settings: FlashSettings, operations: Sequence[Operation], kind: Kind, seed: int) -> float:
    """Median seconds that the controller takes for an operation of a kind, no emulator around it."""
    block = bytearray(BLOCK_SIZE)
    controller = FlashController(
        settings, seed, array=memoryview(bytearray(settings.size)), block=memoryview(block)
    )
    controller.power_on()

    def serve(operation: Operation) -> None:
        controller.ring()

    def prepare(operation: Operation) -> None:
        data = operation.data if isinstance(operation, Program) else b""
        command = Command.PROGRAM if isinstance(operation, Program) else Command.ERASE
        _BLOCK.pack_into(block, 0, _BUSY, command, operation.offset, operation.length, data)

    return _median_s(operations, kind, prepare, serve)


def model_s(settings: FlashSettings, operations: Sequence[Operation], kind: Kind, seed: int) -> float:
    """Median seconds that the flash model takes for an operation of a kind."""
    model = FlashModel(geometry_of(settings), seed=seed)
    model.power_on()

    def prepare(operation: Operation) -> None:
        """Nothing to do."""

    def apply(operation: Operation) -> None:
        model.apply(operation)

    return _median_s(operations, kind, prepare, apply)


def _median_s(
    operations: Sequence[Operation],
    kind: Kind,
    prepare: Callable[[Operation], None],
    act: Callable[[Operation], None],
) -> float:
    """All operations are carried out, in order, those of the kind are timed."""
    times = []
    for operation in operations:
        prepare(operation)
        started = time.perf_counter()
        act(operation)
        if isinstance(operation, kind):
            times.append(time.perf_counter() - started)
    if not times:
        raise StateError(f"doorbell: no {kind.__name__} operation to measure")
    return statistics.median(times)
