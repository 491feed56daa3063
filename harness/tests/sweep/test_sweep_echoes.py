"""Pieces of runs that are followed on another flash, and the machine that goes on behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sweep_toy import COUNT, INSTALLED, ToyFactory, toy_target

from brownout.sweep.runtime import Runtime, Setup

if TYPE_CHECKING:
    from brownout.sweep.runs import Boot

DAWDLES = ToyFactory(defects=frozenset({"dawdles"}))


def boot_of(runtime: Runtime, *, unused: bytes, installed: bytes, memo: bool) -> Boot:
    """A boot with other bytes where nothing is read, and where only the time is decided."""
    model = runtime.booter.model
    model.restore(runtime.start)
    model.load_image(COUNT, unused)
    model.load_image(INSTALLED, installed)
    model.power_on()
    if memo:
        return runtime.booter.boot()
    key = runtime.booter.power_on_key()
    runtime.booter.start()
    return runtime.booter.go_on(key, memo=False)


@pytest.mark.parametrize("kept", ["all", "inner"])
def test_a_machine_goes_on_behind_an_echo_as_if_it_had_run_it(
    kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("brownout.sweep.runs.ECHO_TIME", 0)
    runtime, plain = (Runtime(Setup(target=toy_target(), seed=7, factory=DAWDLES)) for _ in range(2))
    first = boot_of(runtime, unused=b"\x00", installed=b"\x01", memo=True)
    pieces = runtime.booter.echoes._pieces
    if kept == "inner":
        # The end has to be run: behind the echo of the piece before it.
        for state in [
            s for s, by in pieces.items() for found in by.values() for e in found.values() if not e.digest
        ]:
            del pieces[state]
    power_ons = runtime.booter.counters.power_ons
    for unused, installed in ((b"\x00\x11", b"\x07\x01"), (b"\x22", b"\x03"), (b"\x33", b"\x01")):
        found = boot_of(runtime, unused=unused, installed=installed, memo=True)
        wanted = boot_of(plain, unused=unused, installed=installed, memo=False)
        assert (found.kind, found.end.outcome, found.end.key) == (wanted.kind, "new", wanted.end.key)
        assert (found.time, found.operations) == (wanted.time, wanted.operations)
        times = [(done.operation, done.time) for done in found.first.path()]
        assert times == [(done.operation, done.time) for done in wanted.first.path()]
        assert found.end.flash.array.sectors[COUNT // 64][:1] == unused[:1]
    # The time differs, the operations do not.
    assert first.time != boot_of(plain, unused=b"\x00", installed=b"\x07", memo=False).time
    assert runtime.booter.echoes.followed >= 3
    # The second piece decides the time: it was run where what it read was new, and followed where it was not.
    assert runtime.booter.counters.power_ons == power_ons + 2


def test_an_echo_that_does_not_fit_the_budget_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.sweep.runs.ECHO_TIME", 0)
    long = boot_of(
        Runtime(Setup(target=toy_target(), seed=7, factory=DAWDLES)),
        unused=b"\x00",
        installed=b"\x00" * 64,
        memo=False,
    )
    target = toy_target(budget=long.time + 40)
    runtime, plain = (Runtime(Setup(target=target, seed=7, factory=DAWDLES)) for _ in range(2))
    for unused, installed in ((b"\x00", b"\x00" * 64), (b"\x01", b"\xff" * 64), (b"\x02", b"\xff" * 64)):
        found = boot_of(runtime, unused=unused, installed=installed, memo=True)
        wanted = boot_of(plain, unused=unused, installed=installed, memo=False)
        assert (found.kind, found.end.outcome) == (wanted.kind, wanted.end.outcome)


def test_few_echoes_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("brownout.sweep.runs.ECHO_TIME", 0)
    monkeypatch.setattr("brownout.sweep.echoes._KEPT", 4)
    runtime = Runtime(Setup(target=toy_target(), seed=7, factory=DAWDLES))
    for number in range(12):
        boot_of(runtime, unused=b"\x00", installed=bytes([number]), memo=True)
    kept = [
        e for by in runtime.booter.echoes._pieces.values() for found in by.values() for e in found.values()
    ]
    assert len(kept) == 4
