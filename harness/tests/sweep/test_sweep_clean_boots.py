"""Clean boots agree in what they end in; only a boot that starts with unstable cells may repair the flash."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_toy import ToyFactory, toy_target

from brownout.power import parse_cut
from brownout.sweep import ALL_TORN, SweepPlan, run_sweep
from brownout.sweep.clean_boots import LATE_REPAIRS, CellState, boots_missing, unrest
from brownout.sweep.live import run_live
from brownout.sweep.runtime import Runtime, Setup

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brownout.sweep.assess import Assessment

TRUSTING = ToyFactory(defects=frozenset({"trusts-done"}))
"""Says that it is done only when it does not read so: it repairs a half-way bit when it meets it."""
COUNTING = ToyFactory(defects=frozenset({"trusts-done", "counts-damage"}))
"""Never repairs: notes at each boot that the word is damaged."""
LAST = 37
SEEDS = range(12)


def row(text: str) -> list[CellState]:
    """States in short: a letter for what the cells hold, a capital one when some are unstable."""
    return [CellState(cells=letter.lower().encode(), unstable=letter.isupper()) for letter in text]


@pytest.mark.parametrize(
    ("states", "missing", "bad"),
    [
        ("a", 3, None),
        ("aaaa", 0, None),
        ("AAAA", 0, None),  # nobody looks at it
        ("Ab", 3, None),  # repaired at the first clean boot: the row starts again
        ("AAAb", 3, None),  # in the last one
        ("AAAbbbb", 0, None),
        ("ABc", 3, None),  # two cuts, two repairs
        ("ABC", 3, None),
        ("ABCd", 2, 3),
        ("ABCDEFG", 0, 3),  # it changes for ever, whether cells are unstable or not
        ("ab", 2, 1),
        ("aaab", 0, 3),
        ("Abbc", 1, 3),  # what it repaired is stable, and does not last
        ("AbA", 2, 2),
    ],
)
def test_a_row_of_clean_boots(states: str, missing: int, bad: int | None) -> None:
    assert (boots_missing(row(states), 3), unrest(row(states))) == (missing, bad)


@given(st.text(alphabet="aAbBcC", min_size=200, max_size=200), st.integers(min_value=1, max_value=9))
def test_a_row_ends(letters: str, clean_boots: int) -> None:
    states = row(letters)
    count = next(n for n in range(1, len(states)) if not boots_missing(states[:n], clean_boots))
    assert clean_boots + 1 <= count <= (LATE_REPAIRS + 1) * clean_boots + 1
    seen = states[:count]
    if unrest(seen) is None:
        # It passes for as many boots in a row that left the flash alone.
        assert {state.cells for state in seen[-clean_boots - 1 :]} == {seen[-1].cells}


def assessments(factory: ToyFactory, text: str, clean_boots: int = 3) -> Iterator[Assessment]:
    """What comes of a cut, with the half-way bits as some seeds draw them; brute force must agree."""
    events = (parse_cut(text),)
    for seed in SEEDS:
        swept, live = (
            Runtime(Setup(target=toy_target(clean_boots=clean_boots), seed=seed, factory=factory))
            for _ in range(2)
        )
        assert len(swept.trace(faults=False).operations) in (LAST, LAST + 1)
        found, wanted = swept.assess(events), run_live(live, events).assessment
        assert (found.verdict, found.detail) == (wanted.verdict, wanted.detail)
        assert [b.end.stable for b in found.boots] == [b.end.stable for b in wanted.boots]
        yield found


def repaired_at(assessment: Assessment) -> int | None:
    """The first clean boot that wrote."""
    writes = [number for number, boot in enumerate(assessment.boots) if number and boot.operations]
    return writes[0] if writes else None


@pytest.mark.parametrize("style", ["one_unstable_bit/zeros", "all_unstable/zeros"])
def test_a_late_repair_is_no_finding_whenever_it_comes(style: str) -> None:
    found = list(assessments(TRUSTING, f"op={LAST}/torn/{style}"))
    assert {assessment.verdict for assessment in found} == {"new"}
    late = {number for assessment in found if (number := repaired_at(assessment)) is not None}
    assert late
    if style.startswith("one"):
        # Sometimes in the very last clean boot that was asked for.
        assert 3 in late
    for assessment in found:
        number = repaired_at(assessment)
        assert len(assessment.boots) == 1 + 3 + (number or 0)
        assert not any(boot.operations for boot in assessment.boots[(number or 0) + 1 :])


def test_what_changes_at_each_boot_is_a_finding_with_unstable_cells_too() -> None:
    found = list(assessments(COUNTING, f"op={LAST}/torn/all_unstable"))
    assert {assessment.verdict for assessment in found} == {"disagree"}
    assert all(assessment.detail.endswith("the flash still changes") for assessment in found)
    assert all(boot.end.flash.array.unstable for assessment in found for boot in assessment.boots)


def test_what_changes_at_each_boot_is_a_finding_at_the_first_clean_one_without_unstable_cells() -> None:
    found = list(assessments(COUNTING, f"op={LAST}/torn/one_bit"))
    assert {(a.verdict, a.detail) for a in found} == {("disagree", "clean boot 1: the flash still changes")}
    assert not any(boot.end.flash.array.unstable for assessment in found for boot in assessment.boots)


def test_another_outcome_is_a_finding_with_unstable_cells_too() -> None:
    """Told to be done before anything was copied, it stays old until the bit says otherwise."""
    early = ToyFactory(defects=frozenset({"trusts-done", "done-first"}))
    found = [a for a in assessments(early, "op=1/torn/one_unstable_bit/zeros", 5) if repaired_at(a)]
    assert found
    for assessment in found:
        said = f"clean boot {repaired_at(assessment)}: 'new', but the recovery ended in 'old'"
        assert (assessment.verdict, assessment.detail) == ("disagree", said)


def test_all_the_torn_operations_of_a_bootloader_that_repairs_late_are_clean() -> None:
    plan = SweepPlan(phases=("torn",), torn=ALL_TORN, live=0)
    result = run_sweep(toy_target(), plan, factory=TRUSTING)
    assert result.findings == ()
    assert run_sweep(toy_target(), plan, factory=COUNTING).findings
