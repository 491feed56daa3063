"""The benchmark's arithmetic: catalogue, statistics, verdicts, table, JSON, and what the watchers note."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

import pytest

from brownout.bench import FIGURES, GROUPS, BenchOptions, BenchReport, Measurement, Verdict, judge, summarize
from brownout.bench.doorbell import controller_s, model_s, operation_rate, round_trip_s
from brownout.bench.figures import Bound
from brownout.bench.report import as_document, as_table
from brownout.bench.stack_areas import CLEARED, PATTERN, StackArea, read_marks
from brownout.bench.uart_stream import stream_elf
from brownout.bench.upgrade_run import LinkMeter, TimedOperation, UpgradeWatch
from brownout.elf import load_elf
from brownout.errors import StateError
from brownout.flash import BadCommand, Erase, FlashModel, Geometry, Operation, Program
from brownout.uplink import Direction

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board


def at(*operations: tuple[float, Operation]) -> list[TimedOperation]:
    return [TimedOperation(time_s=time_s, operation=operation) for time_s, operation in operations]


def program(offset: int) -> Program:
    return Program(offset=offset, data=b"\x5a" * 256)


def erase(offset: int) -> Erase:
    return Erase(offset=offset, length=0x1000)


# -- catalogue and statistics --------------------------------------------------------------------------------


def test_figures_have_names_of_their_own_and_belong_to_a_group_that_runs() -> None:
    names = [figure.name for figure in FIGURES]
    assert len(names) == len(set(names))
    assert {figure.group for figure in FIGURES} == set(GROUPS)


def test_the_aims_are_those_of_the_issue() -> None:
    aims = {figure.name: figure.aim for figure in FIGURES if figure.aim is not None}
    assert aims == {
        "cut-and-recover.cycle": 1.5,
        "size.boot-flash": 40960,
        "size.kernel-flash": 98304,
        "size.both-ram": 65536,
        "debug.stepi-ratio": 3.0,
        "debug.continue-ratio": 3.0,
        "debug.step-trips": 2.0,
        "debug.continue-trips": 2.0,
        "debug.read-ratio": 0.8,
        "sweep.reference-time": 60.0,
        "sweep.nrf-rate": 170.0,
        "sweep.linearity": 1.5,
    }
    least = {figure.name for figure in FIGURES if figure.bound is Bound.AT_LEAST}
    assert least == {"debug.read-ratio", "sweep.nrf-rate"}


@pytest.mark.parametrize(
    ("samples", "median", "minimum", "maximum"),
    [((3.0,), 3.0, 3.0, 3.0), ((9.0, 1.0, 2.0), 2.0, 1.0, 9.0), ((4.0, 1.0, 2.0, 9.0), 3.0, 1.0, 9.0)],
)
def test_a_summary_has_median_and_extremes(
    samples: tuple[float, ...], median: float, minimum: float, maximum: float
) -> None:
    summary = summarize(samples)
    assert (summary.count, summary.median) == (len(samples), median)
    assert (summary.minimum, summary.maximum) == (minimum, maximum)


def test_nothing_measured_is_an_error() -> None:
    with pytest.raises(StateError, match="no samples"):
        judge(Measurement(name="power-on.app", samples=()))


def test_a_name_that_is_no_figure_is_an_error() -> None:
    with pytest.raises(StateError, match=r"power-on\.nap"):
        judge(Measurement(name="power-on.nap", samples=(1.0,)))


@pytest.mark.parametrize(
    ("samples", "verdict"),
    [((1.5,), Verdict.OK), ((1.51,), Verdict.MISSED), ((0.4, 0.5, 9.0), Verdict.OK)],
)
def test_the_median_is_held_against_the_aim(samples: tuple[float, ...], verdict: Verdict) -> None:
    assert judge(Measurement(name="cut-and-recover.cycle", samples=samples)).verdict is verdict


@pytest.mark.parametrize(("sample", "verdict"), [(0.8, Verdict.OK), (0.79, Verdict.MISSED)])
def test_an_aim_can_be_the_least(sample: float, verdict: Verdict) -> None:
    assert judge(Measurement(name="debug.read-ratio", samples=(sample,))).verdict is verdict


def test_of_a_stack_the_worst_sample_counts() -> None:
    result = judge(Measurement(name="stack.boot", samples=(100, 300, 200)))
    assert result.value == 300
    assert result.verdict is Verdict.NO_AIM


# -- report --------------------------------------------------------------------------------------------------


@pytest.fixture
def report() -> BenchReport:
    measurements = (
        Measurement(name="power-on.first-byte", samples=(20.0, 22.25, 31.0)),
        Measurement(name="cut-and-recover.cycle", samples=(1.75,)),
        Measurement(name="size.boot-flash", samples=(20552,)),
        Measurement(name="stack.boot", samples=(3560,), note="of 12288"),
        Measurement(name="debug.read-ratio", samples=(0.5,)),
    )
    return BenchReport(
        options=BenchOptions(seed=7, repeat=3),
        machine={"system": "Linux", "processor": "x86_64", "cores": 2, "python": "3.11.2"},
        duration_s=1.25,
        results=tuple(judge(measurement) for measurement in measurements),
    )


def test_the_table_has_a_line_for_each_figure_with_value_aim_and_verdict(report: BenchReport) -> None:
    head, empty, headings, *lines = as_table(report).splitlines()
    assert head.startswith("mps2-an385 on qemu, seed 7, repeated 3 x, 2 cores")
    assert not empty
    assert headings.split()[:6] == ["figure", "value", "min", "max", "n", "unit"]
    assert [line.split()[:6] for line in lines] == [
        ["power-on.first-byte", "22.2", "20.0", "31.0", "3", "ms"],
        ["cut-and-recover.cycle", "1.750", "1.750", "1.750", "1", "s"],
        ["size.boot-flash", "20552", "20552", "20552", "1", "B"],
        ["stack.boot", "3560", "3560", "3560", "1", "B"],
        ["debug.read-ratio", "0.50", "0.50", "0.50", "1", "x"],
    ]
    assert "<= 1.500  missed" in lines[1]
    assert "<= 40960  ok" in lines[2]
    assert lines[3].endswith("(of 12288)")
    assert ">= 0.80  missed" in lines[4]


def test_table_columns_are_aligned(report: BenchReport) -> None:
    lines = as_table(report).splitlines()[2:]
    ends = {
        line.index(title)
        for line, title in zip(
            lines[1:], ("power-on to", "restore", "boot in", "boot, after", "the one"), strict=True
        )
    }
    assert ends == {lines[0].index("what it is")}


def test_the_document_survives_json_and_holds_every_sample(report: BenchReport) -> None:
    document = json.loads(json.dumps(as_document(report)))
    assert (document["format"], document["version"], document["repeat"]) == ("brownout-bench", 1, 3)
    first, cycle, *_ = document["figures"]
    assert first["samples"] == [20.0, 22.25, 31.0]
    assert (first["value"], first["median"], first["min"], first["max"]) == (22.25, 22.25, 20.0, 31.0)
    assert (first["aim"], first["verdict"]) == (None, None)
    assert (cycle["aim"], cycle["verdict"], cycle["unit"]) == (1.5, "missed", "s")


# -- doorbell ------------------------------------------------------------------------------------------------


def test_the_rate_counts_from_the_first_to_the_last_operation() -> None:
    assert operation_rate(at((1.0, erase(0)), (1.1, program(0)), (1.5, program(256)))) == pytest.approx(4.0)


def test_one_operation_has_no_rate() -> None:
    with pytest.raises(StateError, match="expected at least 2"):
        operation_rate(at((1.0, erase(0))))


def test_a_round_trip_lies_between_neighbours_of_the_same_kind() -> None:
    run = at(
        (0.0, erase(0)),
        (0.5, erase(0x1000)),
        (2.0, program(0)),  # erase to program: neither an erase's nor a program's
        (2.1, program(256)),
        (2.3, program(512)),
        (2.4, program(768)),
        (9.0, erase(0x2000)),
    )
    assert round_trip_s(run, Erase) == pytest.approx(0.5)
    assert round_trip_s(run, Program) == pytest.approx(0.1)


def test_a_kind_without_neighbours_has_no_round_trip() -> None:
    with pytest.raises(StateError, match="no two Erase"):
        round_trip_s(at((0.0, erase(0)), (1.0, program(0)), (2.0, program(256))), Erase)


def test_the_same_operations_are_carried_out_without_an_emulator(board: Board) -> None:
    operations: list[Operation] = [erase(0x20000), program(0x20000), program(0x20100)]
    assert controller_s(board.flash, operations, Program, 1) > 0
    assert model_s(board.flash, operations, Erase, 1) > 0
    with pytest.raises(StateError, match="no Erase"):
        model_s(board.flash, operations[1:], Erase, 1)


# -- watchers ------------------------------------------------------------------------------------------------


def test_the_watch_notes_operations_on_installed_modules_and_never_cuts(board: Board) -> None:
    model = FlashModel(
        Geometry(size=board.flash.size, sector_size=0x1000, write_unit=4, program_buffer=256), seed=1
    )
    watch = UpgradeWatch(board, lambda: pytest.fail("nobody set the flag"))
    regions = board.flash.regions
    inside: list[Operation] = [erase(regions["kernel"].offset), program(regions["app"].end - 256)]
    outside: list[Operation] = [program(regions["staged_kernel"].offset), erase(regions["manifest"].offset)]
    odd = BadCommand(code=9, offset=regions["assets"].offset, length=0)
    assert not any(watch(model, operation) for operation in [*inside, *outside, odd])
    assert [noted.operation for noted in watch.copy] == [*inside, odd]
    assert watch.flag_reached_s is None


def test_the_meter_counts_what_goes_down_within_the_time() -> None:
    meter = LinkMeter()
    assert meter(Direction.DOWN, b"four") == b"four"
    assert meter(Direction.UP, b"upwards") == b"upwards"
    assert meter.bytes_between(0.0, float("inf")) == 4
    assert meter.bytes_between(0.0, 0.0) == 0


# -- the bare UART -------------------------------------------------------------------------------------------


def test_the_sending_program_is_an_elf_file_for_the_rom(board: Board, tmp_path: Path) -> None:
    file = tmp_path / "stream.elf"
    file.write_bytes(stream_elf(board))
    elf = load_elf(file)
    rom = board.memory["boot_rom"]
    image = elf.flat(rom.base, rom.size, "rom")
    stack, reset = struct.unpack_from("<2I", image)
    assert board.memory["boot_ram"].base < stack <= board.memory["boot_ram"].end
    assert (elf.entry, reset) == (rom.base + 8, rom.base + 9)
    # Where the first instruction finds the UART: ldr r0, [pc, #20] at offset 8.
    assert image[8:10] == bytes.fromhex("0548")
    assert struct.unpack_from("<I", image, 12 + 20) == (board.uart["uplink"].base,)


# -- stacks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "used"),
    [
        (PATTERN * 8, 0),
        (PATTERN * 7 + b"\x00\x00\x00\x01", 4),
        (PATTERN * 3 + b"used" + PATTERN * 2 + b"used" * 2, 20),
        (b"used" + PATTERN * 7, 32),
    ],
)
def test_a_mark_is_the_distance_from_the_first_touched_word_to_the_top(content: bytes, used: int) -> None:
    assert StackArea(name="s", base=0x20000000, size=32, fill=PATTERN).used(content) == used


def test_marks_keep_the_most_that_was_seen() -> None:
    area = StackArea(name="app", base=0x20030000, size=16, fill=CLEARED)
    marks: dict[str, int] = {}
    memory = b""

    def read_memory(address: int, size: int) -> bytes:
        assert (address, size) == (0x20030000, 16)
        return memory

    for memory in (CLEARED * 3 + b"used", CLEARED + b"used" * 3, CLEARED * 2 + b"used" * 2):  # noqa: B007
        read_marks(read_memory, [area], marks)
    assert marks == {"app": 12}
