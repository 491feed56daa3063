"""Keys of flash states: equal only where all that follows is equal."""

from __future__ import annotations

import pytest

from brownout.flash import FlashFault, FlashModel, Geometry, Phase, Program, Resolve, TornStyle
from brownout.sweep.keys import FlashKeys

GEOMETRY = {"size": 1024, "sector_size": 128, "write_unit": 4, "program_buffer": 32}
CLEARED = Program(offset=0, data=bytes(4))


def model_of(**rules: object) -> FlashModel:
    model = FlashModel(Geometry(**GEOMETRY, **rules), seed=1)
    model.power_on()
    return model


@pytest.mark.parametrize(
    ("rules", "counts"), [({}, False), ({"write_once": True}, True), ({"max_programs": 2}, True)]
)
def test_how_often_a_word_was_programmed_counts_where_the_flash_counts_it(
    rules: dict[str, object], counts: bool
) -> None:
    once, again = model_of(**rules), model_of(**rules)
    keys = FlashKeys(once.geometry)
    once.apply(CLEARED)
    again.apply(CLEARED)
    assert keys.key(once.snapshot()) == keys.key(again.snapshot())
    if not rules.get("write_once"):
        again.apply(CLEARED)
    else:
        # A torn program reaches words that it does not change.
        again.apply(Program(offset=4, data=b"\xff" * 8))
    assert (keys.key(once.snapshot()) != keys.key(again.snapshot())) == counts
    assert keys.stable(once.snapshot()) == keys.stable(again.snapshot())


def test_unstable_bits_and_the_session_that_draws_them_count() -> None:
    keys = FlashKeys(model_of().geometry)
    found = []
    for style in (TornStyle.ONE_UNSTABLE_BIT, TornStyle.ALL_BUT_ONE_BIT):
        model = model_of()
        model.apply(CLEARED, cut=Phase.TORN, torn=style)
        model.power_on(Resolve.ONES)
        found.append(keys.key(model.snapshot()))
        stable = keys.stable(model.snapshot())
        model.power_off()
        model.power_on(Resolve.ZEROS)
        found.append(keys.key(model.snapshot()))
        assert keys.stable(model.snapshot()) == stable
    # The unstable one differs from boot to boot, the stable one does not.
    assert found[2] == found[3]
    assert len(set(found)) == 3


def test_worn_words_count() -> None:
    well, worn = model_of(), model_of()
    keys = FlashKeys(well.geometry)
    worn.apply(CLEARED, fault=FlashFault.WORN)
    assert bytes(well.shadow) == bytes(worn.shadow)
    assert keys.key(well.snapshot()) != keys.key(worn.snapshot())


def test_the_same_content_in_another_sector_is_another_flash() -> None:
    one, other = model_of(), model_of()
    keys = FlashKeys(one.geometry)
    one.apply(Program(offset=0, data=bytes(4)))
    other.apply(Program(offset=128, data=bytes(4)))
    assert keys.key(one.snapshot()) != keys.key(other.snapshot())
    blank = model_of()
    assert keys.key(blank.snapshot()) == FlashKeys(blank.geometry).key(blank.snapshot())
