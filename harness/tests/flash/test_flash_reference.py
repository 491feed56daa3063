"""The model against a slow, bit-by-bit reference written from firmware/SPEC.md and docs/fault-model.md."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from brownout.flash import (
    Erase,
    FlashModel,
    Geometry,
    Phase,
    Program,
    Region,
    Resolve,
    Status,
    TornStyle,
    ViolationKind,
)

SIZE, SECTOR, PAGE = 256, 64, 16
EQUAL = ((4, SECTOR),)
UNEQUAL = ((2, 16), (1, 32), (3, 64))


@dataclass
class Bit:
    value: int = 1
    unstable: bool = False


@dataclass
class ReferenceFlash:
    """Bits in a list, rules as sentences."""

    unit: int
    write_once: bool
    max_programs: int
    sectors: list[Region]
    bits: list[Bit] = field(default_factory=lambda: [Bit() for _ in range(SIZE * 8)])
    programs: dict[int, int] = field(default_factory=dict)
    erases: dict[int, int] = field(default_factory=dict)

    def byte(self, offset: int) -> int:
        return sum(self.bits[offset * 8 + i].value << i for i in range(8))

    def contents(self) -> bytes:
        return bytes(self.byte(offset) for offset in range(SIZE))

    def unstable(self) -> bytes:
        return bytes(sum(self.bits[o * 8 + i].unstable << i for i in range(8)) for o in range(SIZE))

    def words(self, offset: int, data: bytes) -> dict[int, bytes]:
        return {
            (offset + at) // self.unit: data[at : at + self.unit] for at in range(0, len(data), self.unit)
        }

    def pulsed(self, word: bytes) -> bool:
        return self.write_once or any(byte != 0xFF for byte in word)

    def verdict_of_program(self, offset: int, data: bytes) -> tuple[Status, ViolationKind | None]:
        ranges_ok = (
            len(data) in range(1, PAGE + 1)
            and offset % self.unit == 0
            and len(data) % self.unit == 0
            and offset + len(data) <= SIZE
            and offset // PAGE == (offset + len(data) - 1) // PAGE
        )
        if not ranges_ok:
            return Status.BAD_RANGE, ViolationKind.BAD_RANGE
        words = self.words(offset, data)
        if self.write_once and any(self.programs.get(number, 0) for number in words):
            return Status.WRITE_ONCE, ViolationKind.WRITE_ONCE
        for number, word in words.items():
            if not self.pulsed(word):
                continue
            for at, byte in enumerate(word):
                if byte & ~self.byte(number * self.unit + at) & 0xFF:
                    return Status.OK, ViolationKind.SETS_BIT
        for number, word in words.items():
            if self.max_programs and self.pulsed(word) and self.programs.get(number, 0) >= self.max_programs:
                return Status.OK, ViolationKind.TOO_OFTEN
        return Status.OK, None

    def program(self, offset: int, data: bytes) -> None:
        for at, byte in enumerate(data):
            for i in range(8):
                if not byte >> i & 1:
                    self.bits[(offset + at) * 8 + i] = Bit(value=0)
        for number, word in self.words(offset, data).items():
            if self.pulsed(word):
                self.programs[number] = min(255, self.programs.get(number, 0) + 1)

    def erase(self, sector: int) -> None:
        self.erases[sector] = self.erases.get(sector, 0) + 1
        region = self.sectors[sector]
        for index in range(region.offset * 8, region.end * 8):
            self.bits[index] = Bit()
        for number in range(region.offset // self.unit, region.end // self.unit):
            self.programs.pop(number, None)

    def adopt(self, value: bytes, unstable: bytes) -> None:
        """Take over what a torn operation or a power-on drew, after it was checked."""
        for index, bit in enumerate(self.bits):
            bit.value = value[index // 8] >> index % 8 & 1
            bit.unstable = bool(unstable[index // 8] >> index % 8 & 1)


class FlashMachine(RuleBasedStateMachine):
    """Any sequence of operations, cuts, power cycles, snapshots."""

    unit = 4
    write_once = False
    runs = EQUAL
    max_programs = 0

    def __init__(self) -> None:
        super().__init__()
        equal = self.runs == EQUAL
        geometry = Geometry(
            size=SIZE,
            sector_size=SECTOR if equal else 0,
            sectors=() if equal else self.runs,
            write_unit=self.unit,
            program_buffer=PAGE,
            write_once=self.write_once,
            max_programs=self.max_programs,
        )
        sizes = [size for count, size in self.runs for _ in range(count)]
        starts = itertools.accumulate(sizes, initial=0)
        self.sectors = [Region(offset=start, size=size) for start, size in zip(starts, sizes, strict=False)]
        self.model = FlashModel(geometry, seed=7)
        self.twin = FlashModel(geometry, seed=7)
        self.reference = ReferenceFlash(
            unit=self.unit,
            write_once=self.write_once,
            max_programs=self.max_programs,
            sectors=self.sectors,
        )
        self.array = bytearray(b"\xff" * SIZE)

    def patch(self, patches: tuple[tuple[int, bytes], ...]) -> None:
        for offset, data in patches:
            self.array[offset : offset + len(data)] = data

    def both_apply(
        self, operation: Program | Erase, cut: Phase | None, torn: TornStyle, fail: Phase | None
    ) -> Status | None:
        effect = self.model.apply(operation, cut=cut, torn=torn, fail=fail)
        # The twin stays equal although its owner draws other things in between: no hidden generator state.
        assert self.twin.apply(operation, cut=cut, torn=torn, fail=fail) == effect
        self.patch(effect.patches)
        assert effect.power_lost == (cut is not None)
        assert (effect.status is None) == (cut is not None)
        return effect.status

    def check_status(
        self, got: Status | None, refused: Status, cut: Phase | None, fail: Phase | None
    ) -> None:
        if cut is not None:
            assert got is None
        elif refused is not Status.OK:
            assert got is refused
        else:
            assert got is (Status.OK if fail is None else Status.DEVICE)

    @precondition(lambda self: self.model.powered)
    @rule(
        page=st.integers(0, SIZE // PAGE),
        start=st.integers(0, PAGE - 1),
        aligned=st.integers(0, 9),
        data=st.binary(min_size=0, max_size=PAGE + 2) | st.just(b"\x00" * PAGE) | st.just(b"\xff" * 8),
        phases=st.sampled_from([(None, None)] * 4 + [(p, None) for p in Phase] + [(None, p) for p in Phase]),
        torn=st.sampled_from(TornStyle),
    )
    def program(
        self,
        page: int,
        start: int,
        aligned: int,
        data: bytes,
        phases: tuple[Phase | None, Phase | None],
        torn: TornStyle,
    ) -> None:
        cut, fail = phases
        if aligned:
            start -= start % self.unit
            data = data[: max(self.unit, min(len(data), PAGE - start) // self.unit * self.unit)]
            data = data.ljust(self.unit, b"\x5a")
        offset = page * PAGE + start
        refused, broken = self.reference.verdict_of_program(offset, data)
        before = self.reference.contents(), self.reference.unstable()
        known = len(self.model.violations)
        status = self.both_apply(Program(offset=offset, data=data), cut, torn, fail)
        self.check_status(status, refused, cut, fail)
        assert [v.kind for v in self.model.violations[known:]] == ([] if broken is None else [broken])
        phase = cut or fail or Phase.AFTER
        if refused is not Status.OK or phase is Phase.BEFORE:
            return
        if phase is Phase.AFTER:
            self.reference.program(offset, data)
        else:
            self.check_torn_program(offset, data, before)
            self.adopt_torn(Region(offset=offset, size=len(data)))

    def check_torn_program(self, offset: int, data: bytes, before: tuple[bytes, bytes]) -> None:
        value, unstable = self.model.shadow, self.model.unstable_mask(Region(offset=0, size=SIZE))
        for at in range(SIZE):
            old, was_unstable = before[0][at], before[1][at]
            if not offset <= at < offset + len(data):
                assert (value[at], unstable[at]) == (old, was_unstable)
                continue
            asked = ~data[at - offset] & (old | was_unstable) & 0xFF
            assert value[at] & ~old == 0
            assert (value[at] ^ old) & ~asked == 0
            assert unstable[at] & ~(was_unstable | asked) == 0
            # Stable bits become 0 or stay; an unstable bit is never stabilised at 1.
            assert was_unstable & ~unstable[at] & value[at] == 0
            assert was_unstable & ~unstable[at] & ~asked == 0

    @precondition(lambda self: self.model.powered)
    @rule(
        choice=st.integers(0, 11),
        phases=st.sampled_from([(None, None)] * 3 + [(p, None) for p in Phase] + [(None, p) for p in Phase]),
        torn=st.sampled_from(TornStyle),
    )
    def erase(self, choice: int, phases: tuple[Phase | None, Phase | None], torn: TornStyle) -> None:
        cut, fail = phases
        sector = choice % len(self.sectors)
        region = self.sectors[sector]
        before = self.reference.contents(), self.reference.unstable()
        status = self.both_apply(Erase(offset=region.offset, length=region.size), cut, torn, fail)
        self.check_status(status, Status.OK, cut, fail)
        phase = cut or fail or Phase.AFTER
        if phase is Phase.AFTER:
            self.reference.erase(sector)
        elif phase is Phase.TORN:
            self.reference.erases[sector] = self.reference.erases.get(sector, 0) + 1
            value, unstable = self.model.shadow, self.model.unstable_mask(Region(offset=0, size=SIZE))
            outside = [at for at in range(SIZE) if not region.contains(at)]
            assert all((value[at], unstable[at]) == (before[0][at], before[1][at]) for at in outside)
            self.adopt_torn(region)

    def adopt_torn(self, region: Region) -> None:
        whole = Region(offset=0, size=SIZE)
        self.reference.adopt(self.model.read(whole), self.model.unstable_mask(whole))
        first, end = region.offset // self.unit, region.end // self.unit
        for number in range(first, end):
            self.reference.programs[number] = self.model.program_count(number * self.unit)
            word = slice(number * self.unit, (number + 1) * self.unit)
            blank = self.reference.contents()[word] == b"\xff" * self.unit
            if not blank:
                assert self.reference.programs[number] >= 1, "a word with cleared bits counts as programmed"

    @precondition(lambda self: self.model.powered)
    @rule()
    def off(self) -> None:
        self.model.power_off()
        self.twin.power_off()

    @precondition(lambda self: self.model.powered)
    @rule()
    def reset(self) -> None:
        self.model.reset()
        self.twin.reset()

    @precondition(lambda self: not self.model.powered)
    @rule(resolve=st.sampled_from(Resolve))
    def on(self, resolve: Resolve) -> None:
        before, mask = self.reference.contents(), self.reference.unstable()
        patches = self.model.power_on(resolve)
        assert self.twin.power_on(resolve) == patches
        self.patch(patches)
        now = self.model.read(Region(offset=0, size=SIZE))
        for old, new, half in zip(before, now, mask, strict=True):
            assert (old ^ new) & ~half == 0
            if resolve is not Resolve.RANDOM:
                assert new & half == (half if resolve is Resolve.ONES else 0)
        self.reference.adopt(now, mask)

    @precondition(lambda self: not self.model.powered)
    @rule(offset=st.integers(0, SIZE - 1), data=st.binary(min_size=1, max_size=SECTOR + 5))
    def load(self, offset: int, data: bytes) -> None:
        data = data[: SIZE - offset]
        patch = self.model.load_image(offset, data)
        assert self.twin.load_image(offset, data) == patch
        self.patch((patch,))
        for at, byte in enumerate(data):
            for i in range(8):
                self.reference.bits[(offset + at) * 8 + i] = Bit(value=byte >> i & 1)
        for number in range(offset // self.unit, (offset + len(data) - 1) // self.unit + 1):
            word = self.reference.contents()[number * self.unit : (number + 1) * self.unit]
            self.reference.programs[number] = int(word != b"\xff" * self.unit)

    @rule()
    def snapshot_and_come_back(self) -> None:
        snapshot = self.model.snapshot()
        if not self.model.powered:
            self.model.power_on()
        first, second, third = self.sectors[0], self.sectors[1], self.sectors[2]
        self.model.apply(Erase(offset=first.offset, length=first.size), fail=Phase.TORN)
        self.model.apply(Program(offset=second.offset, data=b"\x12" * PAGE))
        self.model.apply(Erase(offset=third.offset, length=third.size))
        self.model.restore(snapshot)

    @invariant()
    def everything_agrees(self) -> None:
        contents = self.reference.contents()
        assert bytes(self.model.shadow) == contents
        assert self.model.check_array(memoryview(self.array)) == ()
        assert self.model.unstable_mask(Region(offset=0, size=SIZE)) == self.reference.unstable()
        for number in range(SIZE // self.unit):
            assert self.model.program_count(number * self.unit) == self.reference.programs.get(number, 0)
        counts = tuple(self.reference.erases.get(sector, 0) for sector in range(len(self.sectors)))
        assert self.model.erase_counts == counts


@pytest.mark.parametrize(
    ("unit", "write_once", "runs", "max_programs"),
    [
        *itertools.product((1, 4, 8), (False, True), (EQUAL,), (0,)),
        (1, False, UNEQUAL, 0),
        (16, True, UNEQUAL, 0),
        (4, False, EQUAL, 2),
        (4, False, UNEQUAL, 1),
    ],
)
def test_any_history_matches_the_reference(
    unit: int, write_once: bool, runs: tuple[tuple[int, int], ...], max_programs: int
) -> None:
    kind = {"unit": unit, "write_once": write_once, "runs": runs, "max_programs": max_programs}
    machine = type("Machine", (FlashMachine,), kind)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=25,
            stateful_step_count=30,
            deadline=None,
            suppress_health_check=[HealthCheck.too_slow],
        ),
    )
