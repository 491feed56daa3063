"""The smallest cuts that fail alike."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_toy import ToyFactory, toy_target

from brownout.flash import Phase, TornBits
from brownout.power import Cut, parse_cut
from brownout.sweep import ALL_TORN, SweepPlan, replay, run_sweep
from brownout.sweep.live import run_live
from brownout.sweep.points import points_of
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.shrink import common_words, shrink, signature, without_numbers


def runtime_of(*defects: str, sectors: int = 2) -> Runtime:
    factory = ToyFactory(defects=frozenset(defects), sectors=sectors)
    runtime = Runtime(Setup(target=toy_target(sectors=sectors), seed=7, factory=factory))
    runtime.trace(faults=False)
    return runtime


def cuts(*texts: str) -> tuple[Cut, ...]:
    return tuple(parse_cut(text) for text in texts)


def test_what_messages_have_in_common_is_told_with_the_numbers_that_are_the_same() -> None:
    one = "clean boot 2: ran out of its budget of 4000 at 0x10a"
    assert common_words([one]) == one
    other = one.replace("10a", "20f").replace("boot 2", "boot 13")
    assert without_numbers(one) == without_numbers(other)
    assert common_words([one, other, one]) == "clean boot ...: ran out of its budget of 4000 at ..."


def test_titles_of_groups_have_no_placeholders() -> None:
    """Half of an image: where it differs is another place each time."""
    factory = ToyFactory(defects=frozenset({"done-first", "never-verifies"}))
    result = run_sweep(toy_target(), SweepPlan(live=0, shrink=False), factory=factory)
    assert {group.title.partition(",")[0] for group in result.groups} == {
        "wrong-flash: cut",
        "wrong-flash: torn",
    }
    assert any(
        group.count > 1
        and group.title.endswith(
            "not new: flash at ... differs from new.bin; not old: flash at 0x10040 differs from old.bin"
        )
        for group in result.groups
    ), [group.title for group in result.groups]
    assert not any("#" in group.title for group in result.groups)


def test_a_torn_operation_whose_tear_does_not_matter_is_not_torn_any_more() -> None:
    runtime = runtime_of("done-first", "never-again")
    events = cuts("op=20/torn/random#3")
    assert runtime.assess(events).failed
    (small,) = shrink(runtime, events)
    assert isinstance(small, Cut)
    assert small.phase is not Phase.TORN


def test_a_second_cut_that_fails_alone_is_left_alone() -> None:
    runtime = runtime_of("done-first", "never-again")
    # The first cut is harmless: nothing was done yet.
    events = cuts("op=1/before", "op=9/after")
    assert runtime.assess(events).verdict == "loop"
    assert shrink(runtime, events) == cuts("op=9/after")


def test_one_unstable_bit_is_found_among_many() -> None:
    """An erase with one bit on the edge looks blank now: what needs this bit to be 1 is spoilt later."""
    runtime = runtime_of("skips-blank", "trusts-done", "never-again")
    events = cuts("op=1/torn/one_unstable_bit", "op=18/torn/one_unstable_bit")
    wanted = signature(runtime.assess(events))
    assert wanted[0] == "loop"
    (small,) = shrink(runtime, events)
    assert isinstance(small, Cut)
    assert isinstance(small.torn, TornBits)
    assert small.torn.half.bit_count() == 1
    assert (small.torn.every, small.torn.left) == (True, 0)
    text = f"toy:unicorn:7:{small}"
    report = replay(
        toy_target(),
        text,
        factory=ToyFactory(defects=frozenset({"skips-blank", "trusts-done", "never-again"})),
    )
    assert (report.verdict, without_numbers(report.detail)) == wanted


def test_no_bit_of_a_shrunk_cut_can_be_left_out() -> None:
    runtime = runtime_of("skips-blank", "trusts-done", "never-again")
    events = cuts("op=1/torn/all_unstable/ones")
    wanted = signature(runtime.assess(events))
    assert wanted[0] == "loop"
    (small,) = shrink(runtime, events)
    assert isinstance(small, Cut)
    assert isinstance(small.torn, TornBits)
    kinds = ("done", "left", "half", "spoilt")
    masks = {kind: getattr(small.torn, kind) for kind in kinds}
    assert 0 < sum(mask.bit_count() for mask in masks.values()) < 8
    for kind, mask in masks.items():
        for bit in range(mask.bit_length()):
            if mask >> bit & 1:
                fewer = replace(small.torn, **{kind: mask & ~(1 << bit)})
                again = Cut(trigger=small.trigger, torn=fewer, resolve=small.resolve)
                assert signature(runtime.assess([again])) != wanted


@pytest.mark.parametrize(
    "defects", [("skips-blank", "never-again"), ("glances", "never-again"), ("trusts-done", "counts-damage")]
)
def test_what_a_sweep_says_is_shrunk_fails_alike_and_is_not_larger(defects: tuple[str, ...]) -> None:
    factory = ToyFactory(defects=frozenset(defects))
    result = run_sweep(toy_target(), SweepPlan(torn=ALL_TORN, depth=2, pairs=150, live=0), factory=factory)
    examples = {group.example for group in result.groups}
    checked = 0
    for finding in result.findings:
        if finding.id not in examples:
            assert finding.shrunk == finding.replay
            continue
        checked += 1
        report = replay(toy_target(), finding.shrunk, factory=factory)
        assert (report.verdict, without_numbers(report.detail)) == (
            finding.verdict,
            without_numbers(finding.detail),
        )
        assert finding.shrunk.count(":op=") <= finding.replay.count(":op=")
    assert checked == len(result.groups) > 0


@given(st.integers(min_value=0, max_value=37 * len(ALL_TORN) - 1))
def test_a_torn_operation_said_bit_by_bit_leaves_the_same(number: int) -> None:
    runtime = runtime_cached()
    points = points_of(TRACES[0], SweepPlan(phases=("torn",), torn=ALL_TORN), 7)
    cut = points[number].event
    assert isinstance(cut, Cut)
    bits = runtime.torn_bits(cut, None)
    same = Cut(trigger=cut.trigger, torn=bits, resolve=cut.resolve)
    assert parse_cut(str(same)) == same
    one, other = runtime.assess([cut]), runtime.assess([same])
    assert one.key == other.key
    assert run_live(runtime, [same]).assessment.verdict == one.verdict


TRACES = []
RUNTIMES: list[Runtime] = []


def runtime_cached() -> Runtime:
    if not RUNTIMES:
        runtime = Runtime(
            Setup(target=toy_target(), seed=7, factory=ToyFactory(defects=frozenset({"never-again"})))
        )
        TRACES.append(runtime.trace(faults=False))
        RUNTIMES.append(runtime)
    return RUNTIMES[0]
