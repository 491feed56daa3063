"""Faults of the flash while the power stays, torn masks, and both as text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brownout.errors import FlashError, ReplayError
from brownout.flash import (
    Erase,
    FlashFault,
    FlashModel,
    Geometry,
    Operation,
    OperationLog,
    Phase,
    Program,
    Region,
    Resolve,
    Status,
    TornBits,
    TornDraw,
    TornStyle,
    parse_torn,
    torn_text,
)
from brownout.power import (
    Cut,
    FlashFaultAt,
    OperationTrigger,
    Replay,
    ResetAt,
    parse_cut,
    parse_event,
    parse_replay,
)

GEOMETRY = Geometry(size=1024, sector_size=128, write_unit=4, program_buffer=32)
WORD = Region(offset=16, size=4)
PROGRAM = Program(offset=16, data=b"\x0f\x00\xff\x5a")


def powered(seed: int = 1) -> FlashModel:
    model = FlashModel(GEOMETRY, seed=seed)
    model.power_on()
    return model


def bits(data: bytes) -> int:
    return int.from_bytes(data, "little")


@pytest.mark.parametrize("seed", range(8))
def test_a_kept_bit_is_one_of_the_programmed_ones(seed: int) -> None:
    model = powered(seed)
    effect = model.apply(PROGRAM, fault=FlashFault.KEPT_BIT)
    extra = bits(model.read(WORD)) & ~bits(PROGRAM.data)
    assert effect.status is Status.OK
    assert extra.bit_count() == 1
    assert bits(model.read(WORD)) == bits(PROGRAM.data) | extra
    assert effect.patches == ((16, model.read(WORD)),)


@pytest.mark.parametrize("seed", range(8))
def test_an_extra_bit_is_one_that_should_have_stayed(seed: int) -> None:
    model = powered(seed)
    effect = model.apply(PROGRAM, fault=FlashFault.EXTRA_BIT)
    missing = bits(PROGRAM.data) & ~bits(model.read(WORD))
    assert (effect.status, missing.bit_count()) == (Status.OK, 1)
    assert effect.patches == ((16, model.read(WORD)),)


@pytest.mark.parametrize(
    ("fault", "status"), [(FlashFault.DROPPED, Status.OK), (FlashFault.REJECTED, Status.DEVICE)]
)
@pytest.mark.parametrize("operation", [PROGRAM, Erase(offset=0, length=128)])
def test_nothing_happens_when_it_is_dropped_or_rejected(
    operation: Operation, fault: FlashFault, status: Status
) -> None:
    model = powered()
    model.apply(Program(offset=0, data=bytes(4)))
    before = bytes(model.shadow)
    effect = model.apply(operation, fault=fault)
    assert (effect.status, effect.patches, bytes(model.shadow)) == (status, (), before)
    assert not effect.power_lost
    assert model.log[-1].fault is fault


@pytest.mark.parametrize(("offset", "neighbour"), [(16, 20), (124, 120)])
def test_the_word_next_to_a_program_is_disturbed(offset: int, neighbour: int) -> None:
    model = powered()
    effect = model.apply(Program(offset=offset, data=bytes(4)), fault=FlashFault.DISTURBED)
    assert model.read(Region(offset=offset, size=4)) == bytes(4)
    near = model.read(Region(offset=neighbour, size=4))
    assert bits(near).bit_count() == 31
    assert dict(effect.patches) == {offset: bytes(4), neighbour: near}


def test_a_worn_word_keeps_its_content_for_ever_and_its_neighbours_do_not() -> None:
    model = powered()
    wide = Program(offset=16, data=b"\xff\xff\xff\xff" + bytes(8))
    # The first word that should change is the second one.
    effect = model.apply(wide, fault=FlashFault.WORN)
    assert effect.status is Status.OK
    assert model.read(Region(offset=16, size=12)) == b"\xff" * 8 + bytes(4)
    model.apply(Program(offset=20, data=bytes(4)))
    assert model.read(Region(offset=20, size=4)) == b"\xff" * 4
    kept = model.snapshot()
    model.apply(Erase(offset=0, length=128))
    model.apply(Program(offset=16, data=bytes(12)))
    assert model.read(Region(offset=16, size=12)) == bytes(4) + b"\xff" * 4 + bytes(4)
    other = FlashModel(GEOMETRY, seed=1)
    other.restore(kept)
    other.power_off()
    other.power_on()
    other.apply(Program(offset=20, data=bytes(4)))
    assert other.read(Region(offset=20, size=4)) == b"\xff" * 4


def test_a_worn_sector_is_not_erased_any_more() -> None:
    model = powered()
    model.apply(PROGRAM)
    for fault in (FlashFault.WORN, None):
        effect = model.apply(Erase(offset=0, length=128), fault=fault)
        assert (effect.status, effect.patches) == (Status.OK, ())
        assert model.read(WORD) == PROGRAM.data
    model.apply(Program(offset=0, data=bytes(4)))
    assert model.read(Region(offset=0, size=4)) == b"\xff" * 4
    model.apply(Erase(offset=128, length=128))


def test_the_model_knows_which_faults_would_make_a_difference() -> None:
    model = powered()
    every = frozenset(FlashFault)
    assert model.possible_faults(PROGRAM) == every
    assert model.possible_faults(Program(offset=16, data=bytes(4))) == every - {FlashFault.EXTRA_BIT}
    model.apply(PROGRAM)
    again = model.possible_faults(PROGRAM)
    assert again == {FlashFault.EXTRA_BIT, FlashFault.DISTURBED, FlashFault.REJECTED}
    erase = {FlashFault.DROPPED, FlashFault.REJECTED, FlashFault.WORN}
    assert model.possible_faults(Erase(offset=0, length=128)) == erase
    assert model.possible_faults(Erase(offset=1, length=128)) == frozenset()


def test_a_cut_and_a_fault_do_not_go_together() -> None:
    with pytest.raises(FlashError, match="cut=torn and fault=dropped: give one of them"):
        powered().apply(PROGRAM, cut=Phase.TORN, fault=FlashFault.DROPPED)


def test_the_log_keeps_faults_and_torn_masks() -> None:
    model = powered()
    model.apply(PROGRAM, fault=FlashFault.EXTRA_BIT)
    model.apply(Erase(offset=0, length=128), cut=Phase.TORN, torn=TornBits(every=True, half=0x80))
    read = OperationLog.parse_lines(model.log.dump_lines())
    assert list(read) == list(model.log)
    assert read[1].fault is FlashFault.EXTRA_BIT
    assert read[2].torn == TornBits(every=True, half=0x80)


def test_torn_bits_do_exactly_these_bits() -> None:
    model = powered()
    torn = TornBits(done=0xF0 | 0xFF << 16, half=0x300)
    model.apply(Program(offset=16, data=bytes(4)), cut=Phase.TORN, torn=torn)
    assert model.unstable_mask(WORD) == b"\x00\x03\x00\x00"
    model.power_on(Resolve.ONES)
    assert model.read(WORD) == b"\x0f\xff\x00\xff"
    model.power_off()
    model.power_on(Resolve.ZEROS)
    assert model.read(WORD) == b"\x0f\xfc\x00\xff"


def test_all_torn_bits_but_some_are_done() -> None:
    model = powered()
    model.apply(Program(offset=0, data=bytes(32)))
    torn = TornBits(every=True, left=0x8, half=0x10 << 8)
    model.apply(Erase(offset=0, length=128), cut=Phase.TORN, torn=torn)
    model.power_on(Resolve.ZEROS)
    assert model.read(Region(offset=0, size=4)) == b"\xf7\xef\xff\xff"


def test_an_erase_can_spoil_bits_that_were_one() -> None:
    model = powered()
    model.apply(Erase(offset=0, length=128), cut=Phase.TORN, torn=TornBits(spoilt=0x81))
    model.power_on()
    assert model.read(Region(offset=0, size=2)) == b"\x7e\xff"


def test_another_draw_of_a_style_differs_and_the_first_is_the_plain_one() -> None:
    def left(text: str) -> bytes:
        model = powered()
        model.apply(Program(offset=0, data=bytes(32)), cut=Phase.TORN, torn=parse_torn(text))
        model.power_on()
        return bytes(model.shadow)

    assert left("random#1") == left("random")
    assert len({left(f"random#{number}") for number in range(1, 6)}) > 3
    assert left("random#3") == left("random#3")


masks = st.integers(min_value=0, max_value=2**256)
torns = st.one_of(
    st.sampled_from(TornStyle),
    st.builds(TornDraw, style=st.sampled_from(TornStyle), number=st.integers(min_value=2, max_value=99)),
    st.builds(TornBits, done=masks, left=masks, half=masks, spoilt=masks),
    st.builds(TornBits, every=st.just(True), left=masks, half=masks),
)


@given(torns, st.sampled_from(Resolve), st.integers(min_value=1, max_value=10**6))
def test_a_torn_cut_reads_back(torn, resolve, number) -> None:
    assert parse_torn(torn_text(torn)) == torn
    cut = Cut(trigger=OperationTrigger(number=number), torn=torn, resolve=resolve)
    assert parse_cut(str(cut)) == cut
    assert ":" not in str(cut)


faults = st.one_of(
    st.builds(
        FlashFaultAt, number=st.integers(min_value=1, max_value=10**6), fault=st.sampled_from(FlashFault)
    ),
    st.builds(ResetAt, time=st.integers(min_value=0, max_value=10**12)),
)


@given(faults)
def test_a_fault_reads_back(fault) -> None:
    assert parse_event(str(fault)) == fault
    replay = Replay(board="toy", engine="unicorn", seed=1, cuts=(fault,))
    assert parse_replay(str(replay)) == replay
    with pytest.raises(ReplayError, match="is a fault; replay it with brownout sweep"):
        _ = replay.power_cuts


def test_texts_say_bytes_and_bits() -> None:
    assert torn_text(TornBits(done=0x08 << 40 | 0xFF00 << 160)) == "done=5.08,15.ff"
    assert str(parse_cut("op=3/torn/done=all/left=5.08/ones")) == "op=3/torn/done=all/left=5.08/ones"
    assert str(parse_event("op=17/dropped")) == "op=17/dropped"
    assert str(parse_event("time=4711/reset")) == "time=4711/reset"


@pytest.mark.parametrize(
    "text",
    [
        "op=1/torn/random#0",
        "op=1/torn/done=5",
        "op=1/torn/done=5.8",
        "op=1/torn/done=.08",
        "op=1/torn/half=5.08",
        "op=0/dropped",
        "op=1/dropped/random",
        "time=/reset",
        "time=5/dropped",
    ],
)
def test_bad_texts_are_refused_in_one_line(text: str) -> None:
    with pytest.raises(ReplayError) as caught:
        parse_event(text)
    assert "\n" not in str(caught.value)
