"""The flash model: takes an operation, returns its effect. Sans-IO; an engine's adapter applies the effect.

One thread at a time: the caller serialises the calls. See docs/fault-model.md for what is modelled and why.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.errors import FlashError, GeometryError, StateError, ViolationError
from brownout.flash.array import CellArray
from brownout.flash.execute import execute, execute_faulty
from brownout.flash.faults_injected import FlashFault, possible_faults
from brownout.flash.faults_styles import Torn, TornStyle
from brownout.flash.geometry import Geometry, Region
from brownout.flash.operations import Effect, Operation, Patch, Phase, Resolve, Status, Violation
from brownout.flash.oplog import LogRecord, OperationLog, RecordKind
from brownout.flash.randomness import seeded_bytes
from brownout.flash.rules import broken_rule
from brownout.flash.shadow import Bypass, find_bypasses
from brownout.flash.snapshot import Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterable

_LISTED_VIOLATIONS = 5


class FlashModel:
    """A NOR flash behind the reference controller.

    It starts without power, all erased. Everything random depends on the seed, the number of the power
    session and the number of the operation only.

    Args:
        geometry: sizes of the array.
        seed: any integer.
        keep_data: keep the programmed bytes in the log, not only their digest.
    """

    def __init__(self, geometry: Geometry, *, seed: int, keep_data: bool = True) -> None:
        self._geometry = geometry
        self._seed = seed
        self._keep_data = keep_data
        self._array = CellArray(geometry)
        self._powered = False
        self._session = 0
        self._sequence = 0
        self._ordinal = 0
        self._violations: list[Violation] = []
        self._bypasses: dict[Bypass, Violation] = {}
        self._worn: list[Region] = []
        self._log = OperationLog()

    # -- what it is ----------------------------------------------------------------------

    @property
    def geometry(self) -> Geometry:
        """Sizes of the array."""
        return self._geometry

    @property
    def seed(self) -> int:
        """Where everything random comes from."""
        return self._seed

    @property
    def powered(self) -> bool:
        """True between `power_on` and a power loss or `power_off`."""
        return self._powered

    @property
    def session(self) -> int:
        """Number of the power session: 0 before the first power-on, then 1, 2, ..."""
        return self._session

    @property
    def sequence(self) -> int:
        """Number of the last operation since the model was made; 0 before the first."""
        return self._sequence

    @property
    def ordinal(self) -> int:
        """Number of the last operation within this power session; 0 before the first."""
        return self._ordinal

    @property
    def shadow(self) -> memoryview:
        """What the whole array must read now; a live, read-only view."""
        return memoryview(self._array.value).toreadonly()

    @property
    def log(self) -> OperationLog:
        """Everything that happened since the model was made or last restored."""
        return self._log

    @property
    def violations(self) -> tuple[Violation, ...]:
        """Rules that were broken so far, in order."""
        return tuple(self._violations)

    @property
    def erase_counts(self) -> tuple[int, ...]:
        """Wear: erases begun per sector, interrupted ones too."""
        return self._array.erases

    def read(self, region: Region) -> bytes:
        """Return what a region reads now.

        Raises:
            GeometryError: the region is not inside the array.
        """
        self._geometry.sectors_of(region)
        return bytes(self._array.value[region.offset : region.end])

    def unstable_mask(self, region: Region) -> bytes:
        """Return the unstable bits of a region as a mask of the same size.

        Raises:
            GeometryError: the region is not inside the array.
        """
        sectors = self._geometry.sectors_of(region)
        whole = b"".join(self._array.unstable(s.offset, s.size) for s in map(self._geometry.sector, sectors))
        start = region.offset - self._geometry.sector(sectors.start).offset
        return whole[start : start + region.size]

    def program_count(self, offset: int) -> int:
        """Programs of the word (write unit) at `offset` since its sector's last erase, at most 255.

        Where the board is not write-once, a word programmed with the erased value does not count: nothing
        happens to it.

        Raises:
            GeometryError: the offset is not inside the array.
        """
        unit = self._geometry.write_unit
        self._geometry.sectors_of(Region(offset=offset, size=1))
        return self._array.programs(offset - offset % unit, unit)[0]

    # -- power ---------------------------------------------------------------------------

    def power_on(self, resolve: Resolve = Resolve.RANDOM) -> tuple[Patch, ...]:
        """Start a power session; draw every unstable bit anew.

        Returns:
            What changed in the array; apply it before the processor runs.

        Raises:
            StateError: the power is on.
        """
        if self._powered:
            raise StateError("flash power_on: the power is on already; power_off first")
        self._powered = True
        self._session += 1
        self._ordinal = 0
        patches: list[Patch] = []
        for sector in self._array.unstable_sectors:
            size = self._geometry.sector(sector).size
            if resolve is Resolve.RANDOM:
                drawn = seeded_bytes(self._seed, size, "power-on", self._session, sector)
            else:
                drawn = (b"\xff" if resolve is Resolve.ONES else b"\x00") * size
            patches.extend(self._array.redraw(sector, drawn))
        self._note(RecordKind.POWER_ON)
        return tuple(patches)

    def power_off(self) -> None:
        """End the power session between operations; does nothing when the power is off (after a cut)."""
        if self._powered:
            self._powered = False
            self._note(RecordKind.POWER_OFF)

    def reset(self) -> None:
        """Note a reset of the processor: the power stays, nothing is drawn anew.

        Raises:
            StateError: the power is off.
        """
        self._require_power("reset")
        self._note(RecordKind.RESET)

    # -- operations ----------------------------------------------------------------------

    def apply(
        self,
        operation: Operation,
        *,
        cut: Phase | None = None,
        torn: Torn = TornStyle.RANDOM,
        fail: Phase | None = None,
        fault: FlashFault | None = None,
    ) -> Effect:
        """Carry out one operation, or the part of it that comes before a power loss.

        Args:
            operation: what the firmware asked for; a broken rule is refused with a status and recorded.
            cut: lose the power in this phase: no status, nothing more until `power_on`.
            torn: which part is done when `cut` or `fail` is `Phase.TORN`.
            fail: the power stays, this phase is reached and the flash reports `Status.DEVICE`.
            fault: the power stays and the flash does this wrong.

        Raises:
            StateError: the power is off.
            FlashError: more than one of `cut`, `fail` and `fault` is given.
        """
        self._require_power("operation")
        given = {"cut": cut, "fail": fail, "fault": fault}
        if sum(value is not None for value in given.values()) > 1:
            both = " and ".join(f"{name}={value.value}" for name, value in given.items() if value)
            raise FlashError(f"flash operation with {both}: give one of them")
        if fault is FlashFault.REJECTED:
            fail = Phase.BEFORE
        self._sequence += 1
        self._ordinal += 1
        status, violations = self._judge(operation)
        self._violations.extend(violations)
        phase = cut or fail or Phase.AFTER
        patches: tuple[Patch, ...] = ()
        if status is Status.OK and phase is not Phase.BEFORE:
            part = torn if phase is Phase.TORN else None
            if fault is None and not self._worn:
                patches = execute(self._array, operation, part, self._draw)
            else:
                patches = execute_faulty(self._array, operation, part, self._draw, fault, self._worn)
            if fail is not None:
                status = Status.DEVICE
        elif status is Status.OK and fail is not None:
            status = Status.DEVICE
        self._powered = cut is None
        effect = Effect(
            sequence=self._sequence,
            session=self._session,
            ordinal=self._ordinal,
            operation=operation,
            patches=patches,
            status=status if cut is None else None,
            power_lost=cut is not None,
            violations=violations,
        )
        self._log.append(
            LogRecord.of_effect(
                effect,
                cut=cut,
                fail=fail,
                torn=torn if phase is Phase.TORN else None,
                fault=fault,
                keep_data=self._keep_data,
            )
        )
        return effect

    def possible_faults(self, operation: Operation) -> frozenset[FlashFault]:
        """The faults that would make a difference if this operation came now; none when it breaks a rule."""
        broken = broken_rule(self._array, operation)
        if broken is not None and broken.status is not Status.OK:
            return frozenset()
        return possible_faults(self._array, operation)

    # -- checks --------------------------------------------------------------------------

    def check_array(
        self, array: bytes | bytearray | memoryview, sectors: Iterable[int] | None = None
    ) -> tuple[Violation, ...]:
        """Find stores that bypassed the controller; each is recorded once.

        Call it while no operation is running and all patches have been applied.

        Args:
            array: the whole array as the processor reads it.
            sectors: numbers of the sectors to look at; all when None.

        Returns:
            One violation for each sector that differs, new or known.

        Raises:
            GeometryError: `array` has another size than the model, or there is no such sector.
        """
        found: list[Violation] = []
        for store in find_bypasses(self._array, array, sectors):
            known = self._bypasses.get(store)
            if known is None:
                known = store.violation(session=self._session, sequence=self._sequence)
                self._bypasses[store] = known
                self._violations.append(known)
            found.append(known)
        return tuple(found)

    def raise_for_violations(self) -> None:
        """Raise if any rule was broken so far.

        Raises:
            ViolationError: the first few violations in words.
        """
        if self._violations:
            listed = "; ".join(str(violation) for violation in self._violations[:_LISTED_VIOLATIONS])
            raise ViolationError(f"{len(self._violations)} flash rule(s) broken, expected none: {listed}")

    # -- whole state ---------------------------------------------------------------------

    def load_image(self, offset: int, data: bytes) -> Patch:
        """Put bytes in place without an operation, as a factory's programmer does; they are stable.

        Returns:
            The patch to apply.

        Raises:
            StateError: the power is on.
            GeometryError: the image is empty or not inside the array.
        """
        if self._powered:
            raise StateError("flash load_image: the power is on; power_off first")
        region = Region(offset=offset, size=len(data))
        self._geometry.sectors_of(region)
        self._array.load(region, bytes(data))
        self._note(RecordKind.LOAD, offset=offset, data=bytes(data))
        return offset, bytes(data)

    def snapshot(self) -> Snapshot:
        """Return the whole state: contents, unstable bits, counters, violations; cheap for few changes."""
        return Snapshot(
            geometry=self._geometry,
            array=self._array.snapshot(),
            powered=self._powered,
            session=self._session,
            sequence=self._sequence,
            ordinal=self._ordinal,
            violations=self.violations,
            worn=tuple(self._worn),
        )

    def restore(self, snapshot: Snapshot, *, seed: int | None = None) -> tuple[Patch, ...]:
        """Go back to a snapshot, of this model or another one of the same geometry; start an empty log.

        Args:
            snapshot: where to go.
            seed: draw from this seed from now on; None keeps the model's.

        Returns:
            What changed in the model; apply it. After a bypass write the whole `shadow` instead: stray stores
            are no part of the model.

        Raises:
            GeometryError: the snapshot is of another geometry.
        """
        if snapshot.geometry != self._geometry:
            raise GeometryError(f"snapshot of {snapshot.geometry}: expected the model's {self._geometry}")
        patches = self._array.restore(snapshot.array)
        self._powered = snapshot.powered
        self._session = snapshot.session
        self._sequence = snapshot.sequence
        self._ordinal = snapshot.ordinal
        self._violations = list(snapshot.violations)
        self._worn = list(snapshot.worn)
        self._bypasses = {}
        self._seed = self._seed if seed is None else seed
        # A new object: whoever kept the old log as evidence keeps it unchanged.
        self._log = OperationLog()
        return patches

    # -- inside --------------------------------------------------------------------------

    def _require_power(self, what: str) -> None:
        if not self._powered:
            raise StateError(f"flash {what}: the power is off (session {self._session}); power_on first")

    def _judge(self, operation: Operation) -> tuple[Status, tuple[Violation, ...]]:
        broken = broken_rule(self._array, operation)
        if broken is None:
            return Status.OK, ()
        violation = Violation(
            kind=broken.kind,
            session=self._session,
            sequence=self._sequence,
            offset=broken.offset,
            length=broken.length,
            detail=broken.detail,
        )
        return broken.status, (violation,)

    def _draw(self, use: str, size: int) -> bytes:
        return seeded_bytes(self._seed, size, "torn", self._session, self._sequence, use)

    def _note(self, kind: RecordKind, *, offset: int = 0, data: bytes | None = None) -> None:
        self._log.append(
            LogRecord.of_event(
                kind,
                sequence=self._sequence,
                session=self._session,
                offset=offset,
                data=data,
                keep_data=self._keep_data,
            )
        )
