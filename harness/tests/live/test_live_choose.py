"""Which operations a live sweep cuts."""

from __future__ import annotations

import pytest

from brownout.errors import SweepError
from brownout.live.choose import in_states, spread
from brownout.sweep.result import OperationInfo


def operation(number: int, region: str = "data", kind: str = "program", state: str = "busy") -> OperationInfo:
    return OperationInfo(
        number=number,
        kind=kind,
        offset=0x100 * number,
        length=4,
        pc=0,
        symbol="",
        region=region,
        state=state,
        boot=1,
    )


RARE = {1: ("journal", "erase"), 2: ("journal", "program"), 300: ("flag", "program")}
OPERATIONS = [operation(number, *RARE.get(number, ("data", "program"))) for number in range(1, 301)]


@pytest.mark.parametrize("seed", range(5))
def test_a_few_points_are_of_all_kinds(seed: int) -> None:
    chosen = spread(OPERATIONS, 4, seed)
    assert {item.number for item in chosen} > set(RARE)
    assert chosen == sorted(chosen, key=lambda item: item.number)


def test_the_seed_draws_and_no_number_takes_all() -> None:
    drawn = {tuple(item.number for item in spread(OPERATIONS, 10, seed)) for seed in (1, 1, 2)}
    assert len(drawn) == 2
    assert {len(numbers) for numbers in drawn} == {10}
    assert spread(OPERATIONS, None, 1) == spread(OPERATIONS, 300, 1) == OPERATIONS


def test_more_points_include_those_of_fewer() -> None:
    for wanted in range(1, 20):
        assert {item.number for item in spread(OPERATIONS, wanted, 1)} < {
            item.number for item in spread(OPERATIONS, wanted + 1, 1)
        }


def test_states_are_chosen_and_unknown_ones_refused() -> None:
    operations = [operation(1, state="idle"), operation(2, state="busy"), operation(3, state="")]
    assert [item.number for item in in_states(operations, {"busy", ""})] == [2, 3]
    assert in_states(operations, ()) == operations
    with pytest.raises(SweepError, match=r"live\.states: 'bsy': .* in idle, busy, \(no name\)"):
        in_states(operations, {"bsy"})
