"""The reference flash controller (firmware/SPEC.md section 10) between engine and flash model.

An engine hands over two windows into the emulated device's memory, the array and the command block, and calls
ring() when the firmware writes to the doorbell.
"""

from __future__ import annotations

import enum
import struct
import threading
import time
from typing import TYPE_CHECKING, Final, Protocol

from brownout.engines.tally import TALLY
from brownout.errors import StateError
from brownout.flash import FlashModel, Geometry, Region, Resolve, Status, decode_command, seeded_bytes
from brownout.power import ArmedCut, Condition, Cut, CutGate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from brownout.board import FlashSettings
    from brownout.flash import Operation, Patch, Snapshot, Violation

_WORDS: Final = struct.Struct("<4I")
_UPPER_BYTES: Final = bytes(3)
_BUFFER: Final = slice(0x10, 0x110)
ENTROPY: Final = slice(0x110, 0x130)
"""Where the entropy lies in the command block."""
BLOCK_SIZE: Final = 0x130
"""Bytes of the command block."""
ENTROPY_SIZE: Final = 32


class Ring(enum.Enum):
    """What came of a doorbell."""

    SERVED = "served"
    POWER_LOST = "power lost"
    """The engine must take the power now; the firmware must not run on."""


class ArrayMirror(Protocol):
    """The processor's own array, for an engine that cannot share its memory.

    Offsets and lengths are bytes of the array; both calls concern the window that the controller was made
    with.
    """

    def fetch(self, offset: int, length: int) -> None:
        """Bring the window up to date with what the processor sees. Nothing happens without power."""

    def store(self, offset: int, length: int) -> None:
        """Give the processor what the window holds. Nothing happens without power."""


def geometry_of(settings: FlashSettings) -> Geometry:
    """The flash model's geometry of a board."""
    return Geometry(
        size=settings.size,
        sector_size=settings.sector_size,
        write_unit=settings.write_unit,
        program_buffer=settings.program_buffer,
        erased_value=settings.erased_value,
        write_once=settings.write_once,
        sectors=tuple((count, size) for count, size in settings.sectors),
        max_programs=settings.max_programs,
    )


def operation_of_block(block: memoryview) -> Operation:
    """The command that the firmware wrote into the command block; never fails."""
    _, command, address, length = _WORDS.unpack_from(block)
    return decode_command(command, address, length, bytes(block[_BUFFER]))


def answer_block(block: memoryview, status: Status) -> None:
    """Write STATUS while the firmware polls it.

    It must never read anything between BUSY and `status` (struct.pack_into would show it a zero first, which
    means OK). All statuses fit in the lowest byte, and a store of one byte cannot be seen half done.
    """
    block[1:4] = _UPPER_BYTES
    block[0] = status


class FlashController:
    """Flash model, array in the device's memory, and the gate that cuts the power.

    ring() and the power calls belong to the engine; the rest may be called by anybody, at any time where
    nothing else is said.
    """

    def __init__(
        self,
        settings: FlashSettings,
        seed: int,
        *,
        array: memoryview,
        block: memoryview,
        keep_data: bool = True,
        mirror: ArrayMirror | None = None,
    ) -> None:
        self.model: Final = FlashModel(geometry_of(settings), seed=seed, keep_data=keep_data)
        self.gate: Final = CutGate()
        self.regions: Final[Mapping[str, Region]] = {
            name: Region(offset=region.offset, size=region.size) for name, region in settings.regions.items()
        }
        self.moments: Final[dict[int, float]] = {}
        """time.monotonic() at the end of each operation, by its number in all; restore() drops later ones."""
        self.served = 0
        """Operations since the controller was made. Unlike their numbers, restore() leaves it alone."""
        self._array = array
        self._block = block
        self._mirror = mirror
        self._lock = threading.RLock()
        self._firing: ArmedCut | None = None
        self._resolve = Resolve.RANDOM
        array[:] = self.model.shadow

    # -- for the engine --------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Start a power session: settle half-way bits as the last cut asked, clear block, refill entropy."""
        with self._lock:
            self._apply(self.model.power_on(self._resolve))
            self._resolve = Resolve.RANDOM
            self._block[:BLOCK_SIZE] = bytes(BLOCK_SIZE)
            self._refill(0)

    def reset(self, number: int) -> None:
        """The processor starts again without a loss of power, for the `number`-th time in this session."""
        with self._lock:
            self.model.reset()
            self._block[:BLOCK_SIZE] = bytes(BLOCK_SIZE)
            self._refill(number)

    def ring(self) -> Ring:
        """Carry out the command in the command block. Call it once for each write to the doorbell."""
        with self._lock:
            operation = operation_of_block(self._block)
            sectors = self._sectors(operation)
            if sectors:
                # Before the operation: an erase would hide a stray store.
                self._fetch_sectors(sectors)
                self.model.check_array(self._array, sectors)
            firing = self.gate.decide(self.model, operation)
            if firing is None:
                effect = self.model.apply(operation)
            else:
                effect = self.model.apply(operation, cut=firing.cut.phase, torn=firing.cut.torn)
                self._firing = firing
                self._resolve = firing.cut.resolve
            self.moments[effect.sequence] = time.monotonic()
            self.served += 1
            TALLY.add()
            self._apply(effect.patches)
            if effect.power_lost:
                return Ring.POWER_LOST
            answer_block(self._block, Status.DEVICE if effect.status is None else effect.status)
            return Ring.SERVED

    def power_off(self) -> None:
        """End the power session: the processor has stopped.

        Checks the whole array for stores past the controller.
        """
        with self._lock:
            self._fetch(0, len(self._array))
            self.model.check_array(self._array)
            self.model.power_off()

    def announce_cut(self) -> None:
        """Tell who waits for a cut that the power is off and all that follows from it is done."""
        with self._lock:
            firing, self._firing = self._firing, None
        if firing is not None:
            firing.power_is_off()

    def release(self) -> None:
        """Let go of the device's memory; only the model remains."""
        with self._lock:
            self._array.release()
            self._block.release()

    # -- for users -------------------------------------------------------------------------------------

    def arm(self, cut: Cut, conditions: Mapping[str, Condition] | None = None) -> ArmedCut:
        """Arm a cut. Raises StateError: another one is armed, unknown region or condition."""
        armed = ArmedCut(cut, self.regions, conditions or {})
        self.gate.arm(armed)
        return armed

    def checkpoint(self) -> tuple[Violation, ...]:
        """Check the whole array now; all violations so far, in order."""
        with self._lock:
            self._fetch(0, len(self._array))
            self.model.check_array(self._array)
            return self.model.violations

    def load(self, offset: int, data: bytes) -> None:
        """Put `data` in place as a factory's programmer does. Raises StateError while the power is on."""
        with self._lock:
            self._apply((self.model.load_image(offset, data),))

    def image(self) -> bytes:
        """The whole array as the processor reads it."""
        with self._lock:
            self._fetch(0, len(self._array))
            return bytes(self._array)

    def read(self, region: str) -> bytes:
        """Contents of the named region. Raises StateError for an unknown one."""
        if region not in self.regions:
            raise StateError(f"flash region '{region}': not on this board; known: {', '.join(self.regions)}")
        wanted = self.regions[region]
        with self._lock:
            self._fetch(wanted.offset, wanted.size)
            return bytes(self._array[wanted.offset : wanted.end])

    def snapshot(self) -> Snapshot:
        """State of the flash to come back to with restore(). Raises StateError while the power is on."""
        with self._lock:
            if self.model.powered:
                raise StateError("flash snapshot: the power is on; cut it first")
            return self.model.snapshot()

    def restore(self, snapshot: Snapshot, *, seed: int | None = None) -> None:
        """Go back to `snapshot`, with another seed when one is given.

        Raises StateError while the power is on.
        """
        with self._lock:
            if self.model.powered:
                raise StateError("flash restore: the power is on; cut it first")
            self.model.restore(snapshot, seed=seed)
            for number in [number for number in self.moments if number > self.model.sequence]:
                del self.moments[number]
            self._resolve = Resolve.RANDOM
            self._array[:] = self.model.shadow  # all of it: a stray store is no part of the model

    def log_text(self) -> str:
        """The operation log as JSON lines."""
        with self._lock:
            return "".join(f"{line}\n" for line in self.model.log.dump_lines())

    # -- inside ----------------------------------------------------------------------------------------

    def _apply(self, patches: Iterable[Patch]) -> None:
        for offset, data in patches:
            self._array[offset : offset + len(data)] = data
            if self._mirror is not None:
                self._mirror.store(offset, len(data))

    def _fetch(self, offset: int, length: int) -> None:
        if self._mirror is not None:
            self._mirror.fetch(offset, length)

    def _fetch_sectors(self, sectors: range) -> None:
        geometry = self.model.geometry
        start = geometry.sector_offset(sectors[0])
        self._fetch(start, geometry.sector_offset(sectors[-1] + 1) - start)

    def _refill(self, reset: int) -> None:
        model = self.model
        self._block[ENTROPY] = seeded_bytes(model.seed, ENTROPY_SIZE, "entropy", model.session, reset)

    def _sectors(self, operation: Operation) -> range:
        geometry = self.model.geometry
        end = operation.offset + operation.length
        if operation.length < 1 or end > geometry.size:
            return range(0)
        return geometry.sectors_of(Region(offset=operation.offset, size=operation.length))


__all__ = [
    "BLOCK_SIZE",
    "ENTROPY",
    "ENTROPY_SIZE",
    "ArrayMirror",
    "FlashController",
    "Ring",
    "answer_block",
    "geometry_of",
    "operation_of_block",
]
