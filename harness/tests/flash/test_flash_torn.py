"""What torn operations leave: laws for all styles, exact outcomes for named ones, the random spread."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brownout.flash import Erase, FlashModel, Geometry, Phase, Program, Region, Resolve, Status, TornStyle

UNIT, PAGE, SECTOR = 4, 64, 256
GEOMETRY = Geometry(size=4 * SECTOR, sector_size=SECTOR, write_unit=UNIT, program_buffer=PAGE)
FIRST_PAGE = Region(offset=0, size=PAGE)
FIRST_SECTOR = Region(offset=0, size=SECTOR)
ERASE = Erase(offset=0, length=SECTOR)

pages = st.binary(min_size=PAGE, max_size=PAGE)
seeds = st.integers(0, 2**64 - 1)
fast = settings(max_examples=25, deadline=None)


def powered(seed: int, content: bytes = b"", geometry: Geometry = GEOMETRY) -> FlashModel:
    model = FlashModel(geometry, seed=seed)
    if content:
        model.load_image(0, content)
    model.power_on()
    return model


def as_int(data: bytes) -> int:
    return int.from_bytes(data, "little")


def torn_program(model: FlashModel, data: bytes, style: TornStyle) -> tuple[bytes, bytes]:
    model.apply(Program(offset=0, data=data), cut=Phase.TORN, torn=style)
    return model.read(FIRST_PAGE), model.unstable_mask(FIRST_PAGE)


def torn_erase(model: FlashModel, style: TornStyle) -> tuple[bytes, bytes]:
    model.apply(ERASE, cut=Phase.TORN, torn=style)
    return model.read(FIRST_SECTOR), model.unstable_mask(FIRST_SECTOR)


def words(data: bytes) -> list[bytes]:
    return [data[at : at + UNIT] for at in range(0, len(data), UNIT)]


@pytest.mark.parametrize("style", TornStyle)
@fast
@given(seed=seeds, old=pages, data=pages)
def test_torn_program_leaves_a_subset_of_the_change(
    style: TornStyle, seed: int, old: bytes, data: bytes
) -> None:
    value, unstable = torn_program(powered(seed, old), data, style)
    for before, asked, now, half in zip(old, data, value, unstable, strict=True):
        assert now | before == before, "no bit rises"
        assert now & (before & asked) == before & asked, "no other bit falls"
        assert half & ~(before & ~asked) == 0, "only changing bits are half-way"


@fast
@given(seed=seeds, old=pages, data=pages)
def test_named_styles_of_a_program_do_what_their_names_say(seed: int, old: bytes, data: bytes) -> None:
    new = bytes(a & b for a, b in zip(old, data, strict=True))
    change = as_int(old) & ~as_int(data)
    changed = [index for index, (a, b) in enumerate(zip(words(old), words(new), strict=True)) if a != b]

    def after(style: TornStyle) -> tuple[bytes, bytes]:
        return torn_program(powered(seed, old), data, style)

    for style, pick in ((TornStyle.ONLY_FIRST_WORD, 0), (TornStyle.ONLY_LAST_WORD, -1)):
        expected = words(old)
        if changed:
            expected[changed[pick]] = words(new)[changed[pick]]
        assert after(style) == (b"".join(expected), bytes(PAGE))
    some = 1 if change else 0
    value, unstable = after(TornStyle.ONE_BIT)
    assert (as_int(value) ^ as_int(old)).bit_count() == some
    assert not any(unstable)
    value, unstable = after(TornStyle.ALL_BUT_ONE_BIT)
    assert (as_int(value) ^ as_int(new)).bit_count() == some
    assert not any(unstable)
    value, unstable = after(TornStyle.ONE_UNSTABLE_BIT)
    assert as_int(unstable).bit_count() == some
    assert (as_int(value) ^ as_int(new)) & ~as_int(unstable) == 0
    value, unstable = after(TornStyle.ALL_UNSTABLE)
    assert as_int(unstable) == change


@fast
@given(seed=seeds, old=pages)
def test_named_styles_of_an_erase_do_what_their_names_say(seed: int, old: bytes) -> None:
    old = old * (SECTOR // PAGE)
    change = ~as_int(old) & ((1 << (8 * SECTOR)) - 1)
    dirty = [index for index, word in enumerate(words(old)) if word != b"\xff" * UNIT]

    def after(style: TornStyle) -> tuple[bytes, bytes]:
        return torn_erase(powered(seed, old), style)

    for style, pick in ((TornStyle.ONLY_FIRST_WORD, 0), (TornStyle.ONLY_LAST_WORD, -1)):
        expected = words(old)
        if dirty:
            expected[dirty[pick]] = b"\xff" * UNIT
        assert after(style) == (b"".join(expected), bytes(SECTOR))
    some = 1 if change else 0
    assert (as_int(after(TornStyle.ONE_BIT)[0]) ^ as_int(old)).bit_count() == some
    assert as_int(after(TornStyle.ALL_BUT_ONE_BIT)[0]).bit_count() == 8 * SECTOR - some
    value, unstable = after(TornStyle.ONE_UNSTABLE_BIT)
    assert as_int(unstable).bit_count() == some
    assert as_int(value) | as_int(unstable) == (1 << (8 * SECTOR)) - 1
    value, unstable = after(TornStyle.ALL_UNSTABLE)
    assert as_int(unstable) == change
    assert as_int(value) & as_int(old) == as_int(old)


@pytest.mark.parametrize("style", [TornStyle.FORWARD, TornStyle.BACKWARD])
@fast
@given(seed=seeds)
def test_ordered_styles_leave_done_then_one_partly_then_old(style: TornStyle, seed: int) -> None:
    for old, new, (value, unstable) in (
        (b"\xff", b"\x00", torn_program(powered(seed), bytes(PAGE), style)),
        (b"\x00", b"\xff", torn_erase(powered(seed, bytes(SECTOR)), style)),
    ):
        seen, halves = words(value), words(unstable)
        if style is TornStyle.BACKWARD:
            seen, halves = seen[::-1], halves[::-1]
        done = next((n for n, word in enumerate(seen) if word != new * UNIT or any(halves[n])), len(seen))
        assert all(word == old * UNIT for word in seen[done + 1 :])
        assert not any(map(any, halves[done + 1 :]))


def test_random_program_covers_done_partly_untouched_and_unstable_words() -> None:
    kinds: Counter[str] = Counter()
    for seed in range(400):
        value, unstable = torn_program(powered(seed), bytes(PAGE), TornStyle.RANDOM)
        for word, half in zip(words(value), words(unstable), strict=True):
            if any(half):
                kinds["looks done" if word == bytes(UNIT) else "unstable"] += 1
            elif word in (bytes(UNIT), b"\xff" * UNIT):
                kinds["done" if word == bytes(UNIT) else "untouched"] += 1
            else:
                kinds["partly"] += 1
    assert min(kinds[k] for k in ("done", "untouched", "partly", "unstable")) >= 100, kinds


def test_random_erase_covers_old_erased_random_and_falsely_blank_words() -> None:
    old = b"\x5a\xa5\x00\xff" * (SECTOR // UNIT)
    kinds: Counter[str] = Counter()
    for seed in range(400):
        value, unstable = torn_erase(powered(seed, old), TornStyle.RANDOM)
        for word, half in zip(words(value), words(unstable), strict=True):
            blank = word == b"\xff" * UNIT
            if blank:
                kinds["looks blank" if any(half) else "erased"] += 1
            elif word == old[:UNIT] and not any(half):
                kinds["old"] += 1
            else:
                kinds["random"] += 1
            if as_int(old[:UNIT]) & ~as_int(word) & ~as_int(half):
                kinds["bits lost for good"] += 1
    assert min(kinds.values()) >= 100, kinds
    assert len(kinds) == 5, kinds


def test_erase_of_a_blank_sector_can_be_torn_too() -> None:
    outcomes = {torn_erase(powered(seed), TornStyle.RANDOM)[0] == b"\xff" * SECTOR for seed in range(20)}
    assert outcomes == {True, False}


@pytest.mark.parametrize("style", TornStyle)
@fast
@given(seed=seeds, data=pages)
def test_same_seed_same_bytes(style: TornStyle, seed: int, data: bytes) -> None:
    histories = []
    for _ in range(2):
        model = powered(seed)
        program = model.apply(Program(offset=0, data=data), cut=Phase.TORN, torn=style)
        first = model.power_on()
        erase = model.apply(ERASE, cut=Phase.TORN, torn=style)
        histories.append((program, first, erase, model.power_on(), bytes(model.shadow)))
    assert histories[0] == histories[1]


def test_other_seed_operation_or_session_gives_other_bytes() -> None:
    def outcome(seed: int, sessions: int, operations: int) -> bytes:
        model = powered(seed)
        for _ in range(sessions):
            model.power_off()
            model.power_on()
        for _ in range(operations):
            model.apply(Erase(offset=SECTOR, length=SECTOR))
        return torn_program(model, bytes(PAGE), TornStyle.RANDOM)[0]

    assert len({outcome(seed, 0, 0) for seed in range(20)}) == 20
    assert len({outcome(0, sessions, 0) for sessions in range(20)}) == 20
    assert len({outcome(0, 0, operations) for operations in range(20)}) == 20


def test_unstable_bits_vary_between_power_ons_and_not_within_one() -> None:
    model = powered(3)
    torn_program(model, bytes(PAGE), TornStyle.ALL_UNSTABLE)
    seen = set()
    for _ in range(16):
        model.power_on()
        first = model.read(FIRST_PAGE)
        model.reset()
        assert model.read(FIRST_PAGE) == first
        seen.add(first)
        model.power_off()
    assert len(seen) == 16
    both = [as_int(value) for value in seen]
    low, high = both[0], both[0]
    for value in both:
        low, high = low & value, high | value
    assert (high & ~low).bit_count() > 8 * PAGE * 0.99, "nearly every bit was seen both ways"


def test_power_on_can_be_told_how_unstable_bits_read() -> None:
    model = powered(3)
    torn_program(model, bytes(PAGE), TornStyle.ALL_UNSTABLE)
    model.power_on(Resolve.ZEROS)
    assert model.read(FIRST_PAGE) == bytes(PAGE)
    model.power_off()
    model.power_on(Resolve.ONES)
    assert model.read(FIRST_PAGE) == b"\xff" * PAGE
    assert model.unstable_mask(FIRST_PAGE) == b"\xff" * PAGE


def test_a_complete_program_stabilises_what_it_clears_and_nothing_else() -> None:
    model = powered(3)
    torn_program(model, bytes(PAGE), TornStyle.ALL_UNSTABLE)
    model.power_on(Resolve.ONES)
    data = b"\x0f" * PAGE
    assert model.apply(Program(offset=0, data=data)).status is Status.OK
    assert model.unstable_mask(FIRST_PAGE) == data
    model.power_off()
    model.power_on(Resolve.ZEROS)
    assert model.read(FIRST_PAGE) == bytes(PAGE)


@pytest.mark.parametrize("style", [TornStyle.ALL_UNSTABLE, TornStyle.RANDOM])
def test_a_complete_erase_stabilises_the_sector(style: TornStyle) -> None:
    for seed in range(20):
        model = powered(seed, bytes(SECTOR))
        torn_erase(model, style)
        model.power_on()
        assert model.apply(ERASE).status is Status.OK
        assert not any(model.unstable_mask(FIRST_SECTOR))
        model.power_off()
        assert model.power_on() == ()
        assert model.read(FIRST_SECTOR) == b"\xff" * SECTOR


@pytest.mark.parametrize("resolve", [Resolve.ONES, Resolve.ZEROS])
def test_a_torn_program_over_unstable_bits_stabilises_what_it_did(resolve: Resolve) -> None:
    model = powered(3)
    torn_program(model, bytes(PAGE), TornStyle.ALL_UNSTABLE)
    model.power_on(resolve)
    unstable = torn_program(model, bytes(PAGE), TornStyle.ALL_BUT_ONE_BIT)[1]
    assert as_int(unstable).bit_count() == 1, "the one bit that was not done is as it was: unstable"


def test_a_torn_program_leaves_unstable_bits_that_read_0_at_0_until_power_on() -> None:
    model = powered(3)
    torn_program(model, bytes(PAGE), TornStyle.ALL_UNSTABLE)
    model.power_on(Resolve.ZEROS)
    assert torn_program(model, bytes(PAGE), TornStyle.ALL_UNSTABLE) == (bytes(PAGE), b"\xff" * PAGE)
    model.power_on(Resolve.ONES)
    assert model.read(FIRST_PAGE) == b"\xff" * PAGE


@pytest.mark.parametrize("resolve", [Resolve.ONES, Resolve.ZEROS])
def test_a_torn_erase_over_unstable_bits_stabilises_what_it_did(resolve: Resolve) -> None:
    model = powered(3, bytes(SECTOR))
    torn_erase(model, TornStyle.ALL_UNSTABLE)
    model.power_on(resolve)
    unstable = torn_erase(model, TornStyle.ALL_BUT_ONE_BIT)[1]
    assert as_int(unstable).bit_count() == 1, "the one bit that was not done is as it was: unstable"


def test_a_torn_erase_stabilises_no_bit_of_a_word_that_it_did_not_erase() -> None:
    kinds: Counter[bool] = Counter()
    for seed in range(40):
        model = powered(seed, bytes(SECTOR))
        torn_erase(model, TornStyle.ALL_UNSTABLE)
        model.power_on()
        value, unstable = torn_erase(model, TornStyle.RANDOM)
        for word, half in zip(words(value), words(unstable), strict=True):
            erased = word == b"\xff" * UNIT and not any(half)
            assert erased or half == b"\xff" * UNIT
            kinds[erased] += 1
    assert min(kinds[True], kinds[False]) > 100, kinds


def test_a_torn_program_does_not_count_for_padding() -> None:
    model = powered(3)
    data = b"\xff" * UNIT + bytes(UNIT)
    model.apply(Program(offset=0, data=data), cut=Phase.TORN, torn=TornStyle.ONE_UNSTABLE_BIT)
    assert [model.program_count(offset) for offset in (0, UNIT, 2 * UNIT)] == [0, 1, 0]


def test_power_on_draws_from_the_seed() -> None:
    seen = set()
    for seed in range(20):
        model = powered(seed)
        torn_program(model, bytes(PAGE), TornStyle.ALL_UNSTABLE)
        model.power_on()
        seen.add(model.read(FIRST_PAGE))
    assert len(seen) == 20


def test_write_once_words_reached_by_a_torn_program_refuse_another() -> None:
    geometry = Geometry(
        size=SECTOR, sector_size=SECTOR, write_unit=UNIT, program_buffer=PAGE, write_once=True
    )
    model = powered(1, geometry=geometry)
    torn_program(model, bytes(PAGE), TornStyle.ONLY_FIRST_WORD)
    model.power_on()
    assert model.apply(Program(offset=0, data=bytes(UNIT))).status is Status.WRITE_ONCE
    assert model.apply(Program(offset=UNIT, data=bytes(UNIT))).status is Status.OK
    assert model.apply(ERASE).status is Status.OK
    assert model.apply(Program(offset=0, data=bytes(UNIT))).status is Status.OK


def test_write_once_words_left_by_a_torn_erase_refuse_a_program() -> None:
    geometry = Geometry(
        size=SECTOR, sector_size=SECTOR, write_unit=UNIT, program_buffer=PAGE, write_once=True
    )
    model = powered(1, bytes(SECTOR), geometry)
    torn_erase(model, TornStyle.ONLY_LAST_WORD)
    model.power_on()
    assert model.apply(Program(offset=0, data=bytes(UNIT))).status is Status.WRITE_ONCE
    assert model.apply(Program(offset=SECTOR - UNIT, data=bytes(UNIT))).status is Status.OK
