"""The clean run: what a target does without a cut. A target that does not get through it is not swept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import SweepError
from brownout.flash import FlashModel
from brownout.sweep.assess import FAILURES
from brownout.sweep.outcome import EndKind

if TYPE_CHECKING:
    from brownout.flash import FlashFault, Geometry, Snapshot
    from brownout.sweep.boots import Booter
    from brownout.sweep.places import Places
    from brownout.sweep.port import DoneOperation
    from brownout.sweep.runs import Boot
    from brownout.target import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class TracedOperation:
    """An operation of the clean run; `boot` counts power-on and resets from 1, `faults` would matter here."""

    done: DoneOperation
    boot: int
    state: str
    faults: frozenset[FlashFault]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """The clean run, from the power-on to the arrival."""

    start: Snapshot
    operations: tuple[TracedOperation, ...]
    boot: Boot


def initial_flash(target: Target, geometry: Geometry, seed: int) -> FlashModel:
    """A flash without power that holds what the target places in it."""
    model = FlashModel(geometry, seed=seed)
    flash = target.board.flash
    for placed in target.placed:
        first = max(placed.address, flash.base)
        end = min(placed.address + len(placed.data), flash.end)
        if first < end:
            model.load_image(first - flash.base, placed.data[first - placed.address : end - placed.address])
    return model


def check_alone(target: Target) -> None:
    """Raises SweepError for a board that is connected to something."""
    if target.live is not None:
        raise SweepError(
            f"{target.path}: live: engine unicorn runs a board alone, this one is connected to what "
            f"'{target.live.name}' makes: use --engine qemu"
        )


def check_names(target: Target) -> None:
    """Raises SweepError for an outcome that is called like a failure."""
    for outcome in target.outcomes:
        if outcome.name in FAILURES:
            raise SweepError(
                f"{target.name}: outcome '{outcome.name}': that is the name of a failure; rename it"
            )


def trace_clean_run(booter: Booter, start: Snapshot, places: Places, *, faults: bool) -> Trace:
    """Run a target without a cut.

    Args:
        booter: has the machine, and the model at `start`.
        start: the flash before the first power-on.
        places: says where an address lies.
        faults: note which faults would make a difference at each operation.

    Raises:
        SweepError: it does not arrive, does not do anything to the flash, or ends in another outcome than
            expected; clean boots after it differ.
    """
    model, target = booter.model, booter.target
    model.restore(start)
    model.power_on()
    boot = booter.boot()
    name = target.name
    _check_arrival(boot, target, places)
    if not boot.operations:
        raise SweepError(
            f"{name}: no flash operation ever happened before it arrived ({boot.time} halfwords of code): "
            "expected an upgrade; are its images placed, and does this board have this flash controller?"
        )
    if boot.end.outcome != target.expected:
        raise SweepError(
            f"{name}: without a cut it ends in '{boot.end.outcome}', expected '{target.expected}'"
        )
    _check_clean_boots(booter, boot, places)
    return Trace(start=start, operations=_operations(booter, start, boot, faults=faults), boot=boot)


def _check_arrival(boot: Boot, target: Target, places: Places) -> None:
    end, name = boot.end, target.name
    if boot.kind is EndKind.ARRIVED:
        return
    if boot.fault is not None:
        raise SweepError(
            f"{name}: without a cut it takes {places.fault(boot.fault)}, and never arrives "
            f"({boot.kind.value}): fix the firmware or the board file"
        )
    match boot.kind:
        case EndKind.WRONG_FLASH:
            raise SweepError(f"{name}: without a cut it arrives at {places.symbol(end.pc)}, but {end.wrong}")
        case EndKind.LOCKUP:
            reason = f" ({places.worded(end.detail)})" if end.detail else ""
            raise SweepError(f"{name}: without a cut it locks up at {places.symbol(end.pc)}{reason}")
        case EndKind.SPIN | EndKind.SLEEP | EndKind.REPEATS:
            raise SweepError(
                f"{name}: without a cut it never arrives: it {_verb(boot.kind)} at {places.symbol(end.pc)}"
            )
        case _:
            raise SweepError(
                f"{name}: without a cut it has not arrived after {target.boot_budget} halfwords of code, at "
                f"{places.symbol(end.pc)}: is boot.budget too small, or is what a good boot is wrong?"
            )


def _verb(kind: EndKind) -> str:
    return {
        EndKind.SPIN: "branches to itself",
        EndKind.SLEEP: "sleeps for ever",
        EndKind.REPEATS: "loops, the same state comes back,",
    }[kind]


def _check_clean_boots(booter: Booter, boot: Boot, places: Places) -> None:
    target, model = booter.target, booter.model
    last = boot
    for number in range(1, target.clean_boots + 1):
        model.restore(last.end.flash)
        model.power_off()
        model.power_on()
        last = booter.boot()
        where = f"{target.name}: after the run without a cut, clean boot {number}"
        if last.kind is not EndKind.ARRIVED:
            raise SweepError(
                f"{where} {last.kind.value} at {places.symbol(last.end.pc)}, expected '{boot.end.outcome}'"
            )
        if last.end.outcome != boot.end.outcome:
            raise SweepError(f"{where} ends in '{last.end.outcome}', expected '{boot.end.outcome}' again")
        if last.end.stable != boot.end.stable:
            raise SweepError(f"{where} changes the flash ({last.operations} operations): expected none")


def _operations(booter: Booter, start: Snapshot, boot: Boot, *, faults: bool) -> tuple[TracedOperation, ...]:
    """Do the run's operations once more on the model alone, to see the flash before each."""
    model, state_of = booter.model, booter.target.state_of
    model.restore(start)
    model.power_on()
    traced: list[TracedOperation] = []
    number = 1
    for segment in boot.first.chain():
        for done in segment.operations:
            traced.append(
                TracedOperation(
                    done=done,
                    boot=number,
                    state="" if state_of is None else state_of(bytes(model.shadow)),
                    faults=model.possible_faults(done.operation) if faults else frozenset(),
                )
            )
            model.apply(done.operation)
        number += segment.reset
    return tuple(traced)
