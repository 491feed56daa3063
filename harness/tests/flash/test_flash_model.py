"""The model's rules, states and checks, one behaviour a test."""

from __future__ import annotations

import mmap
import pickle
from typing import TYPE_CHECKING

import pytest

from brownout.errors import FlashError, GeometryError, StateError, ViolationError
from brownout.flash import (
    BadCommand,
    Erase,
    FlashModel,
    Geometry,
    Operation,
    Phase,
    Program,
    RecordKind,
    Region,
    Status,
    TornStyle,
    ViolationKind,
    decode_command,
    seeded_bytes,
)

if TYPE_CHECKING:
    from pathlib import Path

GEOMETRY = Geometry(size=0x10000, sector_size=0x1000, write_unit=4, program_buffer=256)
PROGRAM = Program(offset=0x100, data=b"\x12\x34\x56\x78")


@pytest.fixture
def model() -> FlashModel:
    model = FlashModel(GEOMETRY, seed=42)
    model.power_on()
    return model


def write_once_model() -> FlashModel:
    geometry = Geometry(size=0x2000, sector_size=0x1000, write_unit=8, program_buffer=256, write_once=True)
    model = FlashModel(geometry, seed=42)
    model.power_on()
    return model


def test_a_new_flash_is_blank_and_off() -> None:
    model = FlashModel(GEOMETRY, seed=1)
    assert bytes(model.shadow) == b"\xff" * GEOMETRY.size
    assert not model.powered
    with pytest.raises(StateError, match="power is off"):
        model.apply(PROGRAM)


def test_programming_clears_bits_and_erasing_sets_them(model: FlashModel) -> None:
    first = model.apply(Program(offset=8, data=b"\xf0\xff\x0f\xff"))
    assert (first.patches, first.status) == (((8, b"\xf0\xff\x0f\xff"),), Status.OK)
    second = model.apply(Program(offset=8, data=b"\x30\x0f\x0f\xff"))
    assert second.patches == ((8, b"\x30\x0f\x0f\xff"),)
    assert model.violations == ()
    third = model.apply(Erase(offset=0, length=0x1000))
    assert third.patches == ((0, b"\xff" * 0x1000),)
    assert (third.sequence, third.session, third.ordinal) == (3, 1, 3)


def test_an_operation_that_changes_nothing_has_no_patch(model: FlashModel) -> None:
    assert model.apply(Program(offset=0, data=b"\xff" * 256)).patches == ()
    assert model.apply(Erase(offset=0, length=0x1000)).patches == ()


@pytest.mark.parametrize(
    ("operation", "status", "kind", "words"),
    [
        (Program(offset=0, data=b""), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "0 bytes"),
        (Program(offset=2, data=bytes(4)), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "steps of 4"),
        (Program(offset=0, data=bytes(6)), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "steps of 4"),
        (Program(offset=0, data=bytes(260)), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "4..256"),
        (Program(offset=0xFC, data=bytes(8)), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "page of 256"),
        (
            Program(offset=0x10000, data=bytes(4)),
            Status.BAD_RANGE,
            ViolationKind.BAD_RANGE,
            "ends at 0x10000",
        ),
        (Program(offset=-4, data=bytes(4)), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "ends at"),
        (Erase(offset=0x10000, length=0x1000), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "ends at"),
        (Erase(offset=0x800, length=0x1000), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "from 0x0 on"),
        (Erase(offset=0, length=0x800), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "4096"),
        (BadCommand(code=7, offset=0, length=4), Status.BAD_COMMAND, ViolationKind.BAD_COMMAND, "command 7"),
        (BadCommand(code=1, offset=0, length=999), Status.BAD_RANGE, ViolationKind.BAD_RANGE, "longer"),
    ],
)
def test_a_breach_is_refused_and_recorded(
    model: FlashModel, operation: Operation, status: Status, kind: ViolationKind, words: str
) -> None:
    effect = model.apply(operation)
    assert (effect.status, effect.patches) == (status, ())
    (violation,) = model.violations
    assert violation.kind is kind
    assert words in str(violation)
    assert effect.violations == (violation,)
    assert bytes(model.shadow) == b"\xff" * GEOMETRY.size
    with pytest.raises(ViolationError, match="1 flash rule"):
        model.raise_for_violations()


def test_a_refused_operation_can_be_cut_and_still_does_nothing(model: FlashModel) -> None:
    effect = model.apply(Program(offset=2, data=bytes(4)), cut=Phase.TORN)
    assert (effect.status, effect.power_lost, effect.patches) == (None, True, ())


def test_setting_a_bit_is_done_as_nor_does_it_and_recorded(model: FlashModel) -> None:
    model.apply(Program(offset=0, data=b"\xff" * 4 + b"\x0f\x00\x00\x00"))
    effect = model.apply(Program(offset=0, data=b"\x00" * 4 + b"\xf3\x00\x00\x00"))
    assert effect.status is Status.OK
    assert model.read(Region(offset=4, size=4)) == b"\x03\x00\x00\x00"
    (violation,) = effect.violations
    assert (violation.kind, violation.offset) == (ViolationKind.SETS_BIT, 4)
    assert "f3000000 over 0f000000" in str(violation)


def test_padding_with_the_erased_value_is_no_program(model: FlashModel) -> None:
    model.apply(Program(offset=0, data=b"\x01\x02\x03\x04" * 2))
    effect = model.apply(Program(offset=0, data=b"\xff" * 8 + b"\x05\x06\x07\x08"))
    assert effect.violations == ()
    assert [model.program_count(offset) for offset in (0, 4, 8, 12)] == [1, 1, 1, 0]


def test_counters(model: FlashModel) -> None:
    for _ in range(3):
        model.apply(Program(offset=0x1000, data=b"\xf0" * 4))
    assert model.program_count(0x1003) == 3
    model.apply(Erase(offset=0x1000, length=0x1000))
    assert model.program_count(0x1003) == 0
    model.apply(Erase(offset=0x1000, length=0x1000), cut=Phase.BEFORE)
    model.power_on()
    model.apply(Erase(offset=0x1000, length=0x1000), cut=Phase.TORN)
    assert model.erase_counts[:3] == (0, 2, 0)
    model.power_on()
    for _ in range(300):
        model.apply(Program(offset=0, data=bytes(4)))
    assert model.program_count(0) == 255


def test_write_once_refuses_a_second_program_of_a_word() -> None:
    model = write_once_model()
    assert model.apply(Program(offset=8, data=bytes(8))).status is Status.OK
    effect = model.apply(Program(offset=0, data=bytes(16)))
    assert (effect.status, effect.patches) == (Status.WRITE_ONCE, ())
    assert (effect.violations[0].kind, effect.violations[0].offset) == (ViolationKind.WRITE_ONCE, 8)
    assert model.read(Region(offset=0, size=8)) == b"\xff" * 8
    assert model.apply(Erase(offset=0, length=0x1000)).status is Status.OK
    assert model.apply(Program(offset=0, data=bytes(16))).status is Status.OK


def test_a_word_programmed_more_often_than_allowed_is_recorded_and_done() -> None:
    geometry = Geometry(size=0x2000, sector_size=0x1000, write_unit=4, program_buffer=4, max_programs=2)
    model = FlashModel(geometry, seed=42)
    model.power_on()
    for data in (b"\xff\xff\xff\x00", b"\xff" * 4, b"\xff\xff\x00\x00"):
        assert model.apply(Program(offset=8, data=data)).violations == ()
    effect = model.apply(Program(offset=8, data=b"\xff\x00\x00\x00"))
    assert (effect.status, effect.patches) == (Status.OK, ((8, b"\xff\x00\x00\x00"),))
    (violation,) = effect.violations
    assert (violation.kind, violation.offset, violation.length) == (ViolationKind.TOO_OFTEN, 8, 4)
    assert "program 3 of the word" in str(violation)
    assert model.apply(Program(offset=12, data=bytes(4))).violations == ()
    assert model.apply(Program(offset=8, data=b"\xff" * 4)).violations == (), "padding is no program"
    model.apply(Erase(offset=0, length=0x1000))
    assert model.apply(Program(offset=8, data=bytes(4))).violations == ()


def test_unequal_sectors_are_erased_torn_and_restored_each_in_its_size() -> None:
    geometry = Geometry(size=0x5000, sectors=((2, 0x800), (1, 0x4000)), write_unit=4, program_buffer=256)
    model = FlashModel(geometry, seed=42)
    model.load_image(0, bytes(0x5000))
    model.power_on()
    assert model.apply(Erase(offset=0x1000, length=0x800)).status is Status.BAD_RANGE
    before = model.snapshot()
    assert [len(sector) for sector in before.array.sectors] == [0x800, 0x800, 0x4000]
    assert model.apply(Erase(offset=0x800, length=0x800)).patches == ((0x800, b"\xff" * 0x800),)
    assert model.apply(Erase(offset=0x1000, length=0x4000), cut=Phase.TORN, torn=TornStyle.ALL_UNSTABLE)
    assert model.unstable_mask(Region(offset=0xFFC, size=8)) == bytes(4) + b"\xff" * 4
    (patch,) = model.power_on()
    assert 0x1000 <= patch[0] < 0x1000 + len(patch[1]) <= 0x5000 - patch[0] + 0x1000
    assert model.erase_counts == (0, 1, 1)
    same = [a is b for a, b in zip(before.array.sectors, model.snapshot().array.sectors, strict=True)]
    assert same == [True, False, False]
    model.restore(before)
    assert bytes(model.shadow) == bytes(0x5000)


def test_write_once_counts_a_program_of_the_erased_value() -> None:
    model = write_once_model()
    assert model.apply(Program(offset=0, data=b"\xff" * 8)).status is Status.OK
    assert model.apply(Program(offset=0, data=bytes(8))).status is Status.WRITE_ONCE


def test_write_once_words_of_an_image_are_programmed() -> None:
    model = write_once_model()
    model.power_off()
    model.load_image(0, b"\xff" * 8 + b"firmware")
    model.power_on()
    assert model.apply(Program(offset=8, data=bytes(8))).status is Status.WRITE_ONCE
    assert model.apply(Program(offset=0, data=bytes(8))).status is Status.OK


@pytest.mark.parametrize(
    ("phase", "patches"), [(Phase.BEFORE, ()), (Phase.AFTER, ((0x100, b"\x12\x34\x56\x78"),))]
)
def test_a_cut_delivers_no_status_and_takes_the_power(
    model: FlashModel, phase: Phase, patches: tuple[tuple[int, bytes], ...]
) -> None:
    effect = model.apply(PROGRAM, cut=phase)
    assert (effect.status, effect.power_lost, effect.patches) == (None, True, patches)
    assert not model.powered
    for call in (lambda: model.apply(PROGRAM), model.reset):
        with pytest.raises(StateError, match="power_on first"):
            call()
    model.power_off()
    model.power_on()
    again = model.apply(PROGRAM)
    assert (again.status, again.sequence, again.session, again.ordinal) == (Status.OK, 2, 2, 1)


@pytest.mark.parametrize("phase", Phase)
def test_an_injected_failure_reports_a_device_error_and_keeps_the_power(
    model: FlashModel, phase: Phase
) -> None:
    effect = model.apply(PROGRAM, fail=phase, torn=TornStyle.ONE_BIT)
    assert (effect.status, effect.power_lost) == (Status.DEVICE, False)
    changed = int.from_bytes(model.read(Region(offset=0x100, size=4)), "little") ^ 0xFFFFFFFF
    assert changed.bit_count() == {Phase.BEFORE: 0, Phase.TORN: 1, Phase.AFTER: 19}[phase]
    assert model.powered


def test_cut_and_failure_at_once_is_an_error(model: FlashModel) -> None:
    with pytest.raises(FlashError, match="give one of them"):
        model.apply(PROGRAM, cut=Phase.TORN, fail=Phase.TORN)
    assert model.sequence == 0


def test_power_on_twice_is_an_error(model: FlashModel) -> None:
    with pytest.raises(StateError, match="on already"):
        model.power_on()


def test_a_bypass_is_found_once_with_its_first_byte(model: FlashModel) -> None:
    array = bytearray(model.shadow)
    array[0x2005:0x2007] = b"\x01\x02"
    array[0x3000] = 0
    found = model.check_array(array)
    assert [(v.kind, v.offset, v.length, v.expected, v.found) for v in found] == [
        (ViolationKind.BYPASS, 0x2005, 2, b"\xff\xff", b"\x01\x02"),
        (ViolationKind.BYPASS, 0x3000, 1, b"\xff", b"\x00"),
    ]
    assert "0x2005" in str(found[0])
    assert model.check_array(array) == found
    assert model.violations == found
    assert model.check_array(array, sectors=[2]) == found[:1]
    assert model.check_array(array, sectors=[1]) == ()


def test_a_bypass_that_only_sets_or_restores_bits_is_found_too(model: FlashModel) -> None:
    model.apply(PROGRAM)
    array = bytearray(model.shadow)
    array[0x100:0x104] = b"\xff" * 4
    (found,) = model.check_array(array)
    assert (found.expected, found.found, found.sequence) == (b"\x12\x34\x56\x78", b"\xff" * 4, 1)


def test_check_reads_mapped_files(model: FlashModel, tmp_path: Path) -> None:
    path = tmp_path / "flash.bin"
    path.write_bytes(bytes(model.shadow) + b"command block")
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
        whole = memoryview(mapped)
        view = whole[: GEOMETRY.size]
        try:
            assert model.check_array(view) == ()
            mapped[0x10] = 0
            assert len(model.check_array(view)) == 1
        finally:
            view.release()
            whole.release()


def test_check_wants_the_whole_array(model: FlashModel) -> None:
    with pytest.raises(GeometryError, match="expected 65536"):
        model.check_array(b"\xff" * 10)
    with pytest.raises(GeometryError, match="sector 16"):
        model.check_array(model.shadow, sectors=[16])


def test_the_shadow_cannot_be_written(model: FlashModel) -> None:
    with pytest.raises(TypeError):
        model.shadow[0] = 0


def test_load_image_wants_the_power_off_and_a_place(model: FlashModel) -> None:
    with pytest.raises(StateError, match="power_off first"):
        model.load_image(0, b"x")
    model.power_off()
    with pytest.raises(GeometryError, match="0xffff"):
        model.load_image(0xFFFF, b"xy")
    assert model.load_image(0xFFF, b"abcd") == (0xFFF, b"abcd")
    assert model.read(Region(offset=0xFFE, size=6)) == b"\xffabcd\xff"
    assert [model.program_count(offset) for offset in (0xFF8, 0xFFC, 0x1000, 0x1004)] == [0, 1, 1, 0]
    assert model.sequence == 0


def test_loading_stabilises_only_what_it_covers(model: FlashModel) -> None:
    model.apply(Program(offset=0, data=bytes(8)), cut=Phase.TORN, torn=TornStyle.ALL_UNSTABLE)
    model.load_image(0, b"abc")
    assert model.unstable_mask(Region(offset=0, size=8)) == bytes(3) + b"\xff" * 5
    assert model.unstable_mask(Region(offset=2, size=3)) == b"\x00\xff\xff"


def test_restore_brings_everything_back_and_says_what_changed(model: FlashModel) -> None:
    model.apply(Program(offset=0, data=bytes(8)), fail=Phase.TORN, torn=TornStyle.ALL_UNSTABLE)
    model.apply(Program(offset=2, data=bytes(4)))
    array = bytearray(model.shadow)
    snapshot = model.snapshot()
    model.apply(BadCommand(code=9, offset=0, length=0))
    assert model.violations != ()
    model.restore(snapshot)
    continued = model.apply(Erase(offset=0, length=0x1000), cut=Phase.TORN).patches

    patches = model.restore(snapshot)
    for offset, data in (*continued, *patches):
        array[offset : offset + len(data)] = data
    assert model.check_array(array) == ()
    assert model.snapshot() == snapshot
    assert len(model.log) == 0
    assert model.powered
    assert model.apply(Erase(offset=0, length=0x1000), cut=Phase.TORN).patches == continued


def test_restored_models_share_what_did_not_change(model: FlashModel) -> None:
    first = model.snapshot()
    model.apply(PROGRAM)
    second = model.snapshot()
    same = [a is b for a, b in zip(first.array.sectors, second.array.sectors, strict=True)]
    assert same.count(False) == 1
    assert not same[0]


def test_a_snapshot_travels_to_another_process_and_seed(model: FlashModel) -> None:
    model.apply(PROGRAM)
    snapshot = pickle.loads(pickle.dumps(model.snapshot()))  # noqa: S301 - our own bytes
    outcomes = set()
    for seed in range(4):
        other = FlashModel(GEOMETRY, seed=seed)
        other.restore(snapshot, seed=seed + 100)
        assert other.seed == seed + 100
        assert other.sequence == 1
        outcomes.add(other.apply(Program(offset=0, data=bytes(256)), cut=Phase.TORN).patches)
    assert len(outcomes) == 4


def test_a_snapshot_of_another_geometry_is_refused(model: FlashModel) -> None:
    with pytest.raises(GeometryError, match="expected the model's"):
        model.restore(write_once_model().snapshot())


def test_old_log_stays_with_whoever_kept_it(model: FlashModel) -> None:
    snapshot = model.snapshot()
    model.apply(PROGRAM)
    log = model.log
    model.restore(snapshot)
    model.apply(Erase(offset=0, length=0x1000))
    assert [record.kind for record in log] == [RecordKind.POWER_ON, RecordKind.PROGRAM]
    assert [record.kind for record in model.log] == [RecordKind.ERASE]


def test_command_blocks_decode_to_operations() -> None:
    buffer = bytes(range(256))
    assert decode_command(1, 0x40, 4, buffer) == Program(offset=0x40, data=b"\x00\x01\x02\x03")
    assert decode_command(2, 0x1000, 0x1000, buffer) == Erase(offset=0x1000, length=0x1000)
    assert decode_command(1, 0x40, 257, buffer) == BadCommand(code=1, offset=0x40, length=257)
    assert decode_command(0, 1, 2, buffer) == BadCommand(code=0, offset=1, length=2)


def test_reads_outside_the_array_are_errors(model: FlashModel) -> None:
    outside = Region(offset=0xFFFC, size=8)
    for call in (model.read, model.unstable_mask):
        with pytest.raises(GeometryError, match="expected inside"):
            call(outside)
    with pytest.raises(GeometryError):
        model.program_count(0x10000)


def test_seeded_bytes_depend_on_seed_and_path_only() -> None:
    assert seeded_bytes(1, 32, "entropy", 1) == seeded_bytes(1, 32, "entropy", 1)
    assert seeded_bytes(1, 64, "entropy", 1)[:32] == seeded_bytes(1, 32, "entropy", 1)
    draws = [
        seeded_bytes(1, 32, "entropy", 1),
        seeded_bytes(2, 32, "entropy", 1),
        seeded_bytes(1, 32, "entropy", 2),
        seeded_bytes(1, 32, "entropy", "1"),
        seeded_bytes(1, 32, "entropy1"),
    ]
    assert len(set(draws)) == len(draws)
