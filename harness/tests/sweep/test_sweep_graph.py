"""What is known about runs, and for which boots it holds; shares of depth 2."""

from __future__ import annotations

import pytest

from brownout.flash import FlashModel, Geometry
from brownout.power import parse_cut
from brownout.sweep.graph import Memo, Segment
from brownout.sweep.graphs import RunGraph, chunks, sampled
from brownout.sweep.outcome import BootEnd, EndKind
from brownout.sweep.tasks import SegmentInfo

FLASH = FlashModel(Geometry(size=256, sector_size=128, write_unit=4, program_buffer=32), seed=1).snapshot()
CUT = parse_cut("op=1/before")


def end(kind: EndKind) -> BootEnd:
    return BootEnd(kind=kind, pc=0, outcome="", wrong="", detail="", flash=FLASH, key=b"", stable=b"")


def known(kind: EndKind, *times: int) -> Memo:
    """A run in pieces that took so long each."""
    memo, following = Memo(), None
    for number, time in reversed(list(enumerate(times))):
        segment = Segment(key=b"%d" % number, time=time, next=following)
        segment.settle(end(kind) if following is None else None, frozenset())
        memo.add(segment)
        following = segment
    return memo


@pytest.mark.parametrize(("budget", "found"), [(10, True), (30, True), (31, False), (1000, False)])
def test_a_run_that_its_budget_ended_is_known_no_farther(budget: int, found: bool) -> None:
    memo = known(EndKind.BUDGET, 50, 20, 10)
    assert (memo.find(b"1", budget) is not None) == found


@pytest.mark.parametrize("kind", [EndKind.ARRIVED, EndKind.LOCKUP, EndKind.REPEATS, EndKind.SPIN])
def test_every_other_end_holds_for_any_budget(kind: EndKind) -> None:
    memo = known(kind, 50, 20, 10)
    segment = memo.find(b"0", 10**9)
    assert segment is not None
    assert (segment.rest_time, segment.end) == (80, end(kind))


def test_a_memo_that_is_full_starts_again() -> None:
    memo = Memo(limit=2)
    for number in range(3):
        segment = Segment(key=b"%d" % number)
        segment.settle(end(EndKind.ARRIVED), frozenset())
        memo.add(segment)
    assert (len(memo), memo.find(b"0", 1), memo.find(b"2", 1) is not None) == (1, None, True)


def graph() -> RunGraph:
    """a (2 operations) and b (3) both go on with c (4), which ends."""
    found = RunGraph()
    for key, operations, following in ((b"a", 2, b"c"), (b"b", 3, b"c"), (b"c", 4, None)):
        found.add([SegmentInfo(key=key, operations=operations, following=following)])
    return found


def test_a_piece_that_two_recoveries_share_belongs_to_the_first() -> None:
    shares = graph().shares([(1, CUT, b"b"), (2, CUT, b"a"), (3, CUT, b"c")])
    assert shares == [(1, CUT, tuple(range(1, 8))), (2, CUT, (1, 2))]
    assert [graph().operations(key) for key in (b"a", b"b", b"c")] == [6, 7, 4]


def test_samples_and_chunks_keep_every_operation_once() -> None:
    shares = graph().shares([(1, CUT, b"b"), (2, CUT, b"a")])
    assert sampled(shares, [2, 7, 8]) == [(1, CUT, (2, 7)), (2, CUT, (1,))]
    assert sampled(shares, range(1, 10)) == shares
    for size in (1, 2, 3, 100):
        parts = [(number, n) for group in chunks(shares, size) for number, _, part in group for n in part]
        assert parts == [(number, n) for number, _, part in shares for n in part]
