"""The operation log: what it keeps, how it is asked, and that it can be read back and replayed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.errors import LogError
from brownout.flash import (
    BadCommand,
    Erase,
    FlashModel,
    Geometry,
    LogRecord,
    OperationLog,
    Phase,
    Program,
    RecordKind,
    Region,
    Status,
    TornStyle,
    ViolationKind,
)

GEOMETRY = Geometry(size=0x1000, sector_size=0x400, write_unit=4, program_buffer=64)


def busy_model(*, keep_data: bool = True) -> FlashModel:
    """Two power sessions with one of everything."""
    model = FlashModel(GEOMETRY, seed=5, keep_data=keep_data)
    model.load_image(0x800, b"image")
    model.power_on()
    model.apply(Erase(offset=0, length=0x400))
    model.apply(Program(offset=0x10, data=b"\x01\x02\x03\x04"))
    model.apply(Program(offset=0x10, data=b"\xff\x02\x03\x04"))
    model.apply(BadCommand(code=9, offset=0, length=0))
    model.reset()
    model.apply(Program(offset=0x400, data=bytes(64)), fail=Phase.AFTER)
    model.apply(Erase(offset=0x400, length=0x400), cut=Phase.TORN, torn=TornStyle.BACKWARD)
    model.power_on()
    model.apply(Program(offset=0x20, data=bytes(4)), cut=Phase.BEFORE)
    model.power_on()
    model.power_off()
    return model


def test_the_log_tells_the_story() -> None:
    log = busy_model().log
    assert [record.kind.value for record in log] == [
        "load", "power_on", "erase", "program", "program", "bad_command", "reset", "program", "erase",
        "power_on", "program", "power_on", "power_off",
    ]  # fmt: skip
    sets_bit, failed, torn = log[4], log[7], log[8]
    assert sets_bit.broken == (ViolationKind.SETS_BIT,)
    assert (failed.status, failed.fail, failed.cut) == (Status.DEVICE, Phase.AFTER, None)
    assert (torn.status, torn.cut, torn.torn) == (None, Phase.TORN, TornStyle.BACKWARD)
    assert (torn.sequence, torn.session, torn.ordinal) == (6, 1, 6)
    assert (log[10].sequence, log[10].session, log[10].ordinal) == (7, 2, 1)
    assert log[10].torn is None


def test_operations_can_be_asked_by_region_and_session() -> None:
    log = busy_model().log
    region = Region(offset=0x13, size=0x10)
    assert [record.sequence for record in log.touching(region)] == [1, 2, 3, 7]
    assert [record.sequence for record in log.touching(region, session=2)] == [7]
    assert [record.sequence for record in log.operations()] == [1, 2, 3, 4, 5, 6, 7]
    assert [record.sequence for record in log.operations(session=1)] == [1, 2, 3, 4, 5, 6]
    assert log.touching(Region(offset=0x800, size=5)) == ()


@pytest.mark.parametrize("keep_data", [True, False])
def test_json_lines_round_trip(keep_data: bool) -> None:
    log = busy_model(keep_data=keep_data).log
    lines = list(log.dump_lines())
    assert all(json.loads(line) for line in lines)
    again = OperationLog.parse_lines(line + "\n" for line in lines)
    assert list(again) == list(log)
    assert list(again.dump_lines()) == lines


records = st.builds(
    LogRecord,
    kind=st.sampled_from(RecordKind),
    sequence=st.integers(0, 2**40),
    session=st.integers(0, 2**20),
    ordinal=st.integers(0, 2**20),
    offset=st.integers(-(2**32), 2**32),
    length=st.integers(0, 2**32 - 1),
    digest=st.text("0123456789abcdef", max_size=16),
    data=st.none() | st.binary(max_size=16),
    code=st.integers(0, 2**32 - 1),
    status=st.none() | st.sampled_from(Status),
    cut=st.none() | st.sampled_from(Phase),
    fail=st.none() | st.sampled_from(Phase),
    torn=st.none() | st.sampled_from(TornStyle),
    broken=st.lists(st.sampled_from(ViolationKind), max_size=3).map(tuple),
)


@settings(deadline=None)
@given(st.lists(records, max_size=5))
def test_any_record_survives_the_round_trip(some: list[LogRecord]) -> None:
    assert list(OperationLog.parse_lines(OperationLog(some).dump_lines())) == some


EVENT = {"kind": "erase", "sequence": 1, "session": 1, "ordinal": 1, "offset": 0, "length": 4, "code": 0}


@pytest.mark.parametrize(
    "line",
    [
        "not json",
        "[]",
        '{"kind": "program"}',
        *(
            json.dumps(EVENT | change)
            for change in (
                {"kind": "melt"},
                {"sequence": -1},
                {"sequence": "1"},
                {"length": True},
                {"data": "xy"},
                {"data": 5},
                {"status": 77},
                {"broken": "bad command"},
            )
        ),
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    lines = [*OperationLog().dump_lines(), json.dumps(EVENT)]
    assert len(OperationLog.parse_lines(lines)) == 1
    with pytest.raises(LogError, match="line 3"):
        OperationLog.parse_lines([*lines, line])


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(LogError, match="expected the header"):
        OperationLog.parse_lines(['{"format": "brownout-oplog", "version": 2}'])
    with pytest.raises(LogError, match="right file"):
        OperationLog.parse_lines([])


def test_a_negative_offset_survives_the_round_trip() -> None:
    model = FlashModel(GEOMETRY, seed=1)
    model.power_on()
    model.apply(Program(offset=-4, data=bytes(4)))
    assert list(OperationLog.parse_lines(model.log.dump_lines())) == list(model.log)


def test_a_log_replays_to_the_same_bytes() -> None:
    model = busy_model()
    replay = FlashModel(GEOMETRY, seed=5)
    for record in OperationLog.parse_lines(model.log.dump_lines()):
        match record.kind:
            case RecordKind.POWER_ON:
                replay.power_on()
            case RecordKind.POWER_OFF:
                replay.power_off()
            case RecordKind.RESET:
                replay.reset()
            case RecordKind.LOAD:
                assert record.data is not None
                replay.load_image(record.offset, record.data)
            case _:
                style = record.torn or TornStyle.RANDOM
                replay.apply(record.operation(), cut=record.cut, fail=record.fail, torn=style)
    assert replay.snapshot() == model.snapshot()
    assert list(replay.log) == list(model.log)


def test_a_record_without_data_cannot_be_done_again() -> None:
    log = busy_model(keep_data=False).log
    assert log[3].digest != ""
    with pytest.raises(LogError, match="data was kept"):
        log[3].operation()
    with pytest.raises(LogError, match="expected an operation"):
        log[0].operation()
