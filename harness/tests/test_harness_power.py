"""Cuts and replay ids as text, triggers over a sequence of operations, waiting for a cut."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.board import load_board
from brownout.engines.controller import BLOCK_SIZE, FlashController, Ring
from brownout.errors import CutNotFired, ReplayError, StateError
from brownout.flash import (
    Command,
    Erase,
    FlashModel,
    Geometry,
    Operation,
    Phase,
    Program,
    Region,
    Resolve,
    Status,
    TornStyle,
)
from brownout.power import (
    AfterTrigger,
    ArmedCut,
    AtTrigger,
    Cut,
    CutGate,
    OperationTrigger,
    RegionTrigger,
    Replay,
    Trigger,
    parse_cut,
    parse_replay,
)

REGIONS = {"low": Region(offset=0, size=0x1000), "high": Region(offset=0x1000, size=0x1000)}
GEOMETRY = Geometry(size=0x4000, sector_size=0x1000, write_unit=4, program_buffer=256)
LOW, HIGH = Program(offset=0x10, data=bytes(4)), Program(offset=0x1010, data=bytes(4))
ERASE_HIGH = Erase(offset=0x1000, length=0x1000)


def is_erase(model: FlashModel, operation: Operation, /) -> bool:
    del model
    return isinstance(operation, Erase)


CONDITIONS = {"erase": is_erase}


def fired_at(cut: Cut, operations: list[Operation]) -> int | None:
    """Number of the operation (from 1) at which `cut` fires."""
    model = FlashModel(GEOMETRY, seed=0)
    model.power_on()
    gate = CutGate()
    gate.arm(ArmedCut(cut, REGIONS, CONDITIONS))
    for number, operation in enumerate(operations, 1):
        if gate.decide(model, operation) is not None:
            assert gate.armed is None
            return number
        model.apply(operation)
    return None


OPERATIONS: list[Operation] = [LOW, HIGH, LOW, ERASE_HIGH, HIGH, LOW, HIGH]


@pytest.mark.parametrize(
    ("trigger", "number"),
    [
        (OperationTrigger(number=1), 1),
        (OperationTrigger(number=7), 7),
        (OperationTrigger(number=8), None),
        (RegionTrigger(region="high"), 2),
        (RegionTrigger(region="high", number=3), 5),
        (RegionTrigger(region="high", kind="erase"), 4),
        (RegionTrigger(region="high", kind="program", number=2), 5),
        (RegionTrigger(region="low", kind="erase"), None),
        (AtTrigger(condition="erase"), 4),
        (AtTrigger(condition="erase", number=2), None),
        (AfterTrigger(condition="erase"), 5),
        (AfterTrigger(condition="erase", number=3), 7),
        (AfterTrigger(condition="erase", number=4), None),
    ],
)
def test_a_trigger_counts_from_arming(trigger: Trigger, number: int | None) -> None:
    assert fired_at(Cut(trigger=trigger), OPERATIONS) == number


names = st.from_regex(r"[a-z][a-z0-9_-]{0,20}", fullmatch=True)
numbers = st.integers(min_value=1, max_value=10**6)
triggers = st.one_of(
    st.builds(OperationTrigger, number=numbers),
    st.builds(RegionTrigger, region=names, number=numbers, kind=st.sampled_from(["", "erase", "program"])),
    st.builds(AtTrigger, condition=names, number=numbers),
    st.builds(AfterTrigger, condition=names, number=numbers),
)


def as_cut(trigger: Trigger, phase: Phase, torn: TornStyle, resolve: Resolve) -> Cut:
    # The style means nothing unless the cut is torn, and is not written then.
    style = torn if phase is Phase.TORN else TornStyle.RANDOM
    return Cut(trigger=trigger, phase=phase, torn=style, resolve=resolve)


cuts = st.builds(
    as_cut, triggers, st.sampled_from(Phase), st.sampled_from(TornStyle), st.sampled_from(Resolve)
)
replays = st.builds(
    Replay, board=names, engine=names, seed=st.integers(), cuts=st.lists(cuts, max_size=4).map(tuple)
)


@given(replays)
def test_a_replay_id_reads_back(replay: Replay) -> None:
    assert parse_replay(str(replay)) == replay


def test_a_cut_says_how_the_next_power_on_reads_half_way_bits() -> None:
    settings = load_board("mps2-an385").flash
    array, block = bytearray(settings.size), bytearray(BLOCK_SIZE)
    flash = FlashController(settings, seed=1, array=memoryview(array), block=memoryview(block))

    def ring(command: Command, length: int, cut: str) -> None:
        flash.power_on()
        flash.arm(parse_cut(cut))
        struct.pack_into("<4I", block, 0, Status.BUSY, command, 0, length)
        assert flash.ring() is Ring.POWER_LOST
        flash.power_off()

    # The buffer holds zeros: the program clears all bits of four words.
    ring(Command.PROGRAM, 16, "op=1/torn/all_unstable/zeros")
    ring(Command.PROGRAM, 16, "op=1/before/ones")
    seen = [bytes(array[:16])]
    flash.power_on()
    seen.append(bytes(array[:16]))
    assert seen == [bytes(16), b"\xff" * 16]


def test_replay_ids_are_stable_text() -> None:
    cut = Cut(trigger=RegionTrigger(region="kernel", kind="erase", number=3), phase=Phase.BEFORE)
    torn = Cut(trigger=AtTrigger(condition="flag-clear"), torn=TornStyle.ONE_BIT)
    replay = Replay(board="mps2-an385", engine="qemu", seed=42, cuts=(cut, torn))
    assert str(replay) == "mps2-an385:qemu:42:region=kernel.erase#3/before:at=flag-clear#1/torn/one_bit"


@pytest.mark.parametrize(
    "text",
    [
        "op=0/torn",
        "op=x/torn",
        "op=1",
        "op=1/soon",
        "op=1.erase/torn",
        "at=flag.erase/torn",
        "op=1/torn/sideways",
        "op=1/torn/ones/sideways",
        "op=1/after/ones/zeros",
        "region=Kernel/torn",
        "region=kernel#0/torn",
        "",
    ],
)
def test_bad_cuts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ReplayError) as caught:
        parse_cut(text)
    assert str(caught.value).startswith(f"cut '{text}': ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "a:b", "a:b:c", ":qemu:1", "a:b:1:op=0/torn"])
def test_bad_replay_ids_are_refused(text: str) -> None:
    with pytest.raises(ReplayError):
        parse_replay(text)


def test_unknown_names_are_refused_when_arming() -> None:
    with pytest.raises(StateError, match="no flash region 'middle'; known: low, high"):
        ArmedCut(parse_cut("region=middle/torn"), REGIONS, CONDITIONS)
    with pytest.raises(StateError, match="no condition 'nonsense'; known: erase"):
        ArmedCut(parse_cut("after=nonsense/torn"), REGIONS, CONDITIONS)


def test_a_second_cut_waits_for_the_first() -> None:
    gate = CutGate()
    first, second = (ArmedCut(parse_cut("op=1/before"), REGIONS, CONDITIONS) for _ in range(2))
    gate.arm(first)
    with pytest.raises(StateError, match="is armed already"):
        gate.arm(second)
    assert gate.disarm() is first
    gate.arm(second)
    assert gate.armed is second


def test_a_cut_that_did_not_fire_is_an_error_that_says_how_far_it_came() -> None:
    model = FlashModel(GEOMETRY, seed=0)
    model.power_on()
    armed = ArmedCut(parse_cut("region=high#2/torn"), REGIONS, CONDITIONS)
    assert not armed.decide(model, LOW)
    assert not armed.decide(model, HIGH)
    with pytest.raises(CutNotFired, match=r"2 flash operations seen, 1 of 2 matched"):
        armed.wait(0.01)


def test_a_cut_has_fired_only_when_the_power_is_off() -> None:
    model = FlashModel(GEOMETRY, seed=0)
    model.power_on()
    armed = ArmedCut(parse_cut("op=1/after"), REGIONS, CONDITIONS)
    assert armed.decide(model, LOW)
    assert armed.fired is None
    with pytest.raises(CutNotFired):
        armed.wait(0)
    armed.power_is_off()
    fired = armed.wait(0)
    assert (fired.session, fired.sequence, fired.ordinal) == (1, 1, 1)
    assert str(fired) == "op=1/after@1.1"
