"""Boots of a machine on a modelled flash, as far as they are not known already."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.flash import Region, seeded_bytes
from brownout.sweep.echoes import Echoes
from brownout.sweep.graph import Memo
from brownout.sweep.keys import FlashKeys
from brownout.sweep.outcome import Arrivals, BootEnd, EndKind
from brownout.sweep.port import SweepPort
from brownout.sweep.rules import rule_kinds
from brownout.sweep.runs import ON, Boot, Run

if TYPE_CHECKING:
    from collections.abc import Callable

    from brownout.flash import FlashModel, Snapshot, ViolationKind
    from brownout.power import Event
    from brownout.sweep.machine import Machine, MachineFactory
    from brownout.target import Target


@dataclass(slots=True, kw_only=True)
class Counters:
    """What it cost."""

    power_ons: int = 0
    runs: int = 0
    operations: int = 0


class Booter:
    """One machine, one flash model, and what is known about runs on them."""

    def __init__(self, target: Target, model: FlashModel, seed: int, factory: MachineFactory) -> None:
        self.target = target
        self.model = model
        regions = {
            name: Region(offset=area.start, size=area.end - area.start)
            for name, area in target.region_names.items()
        }
        self.port = SweepPort(model, regions, {})
        self.machine: Machine = factory(target, self.port)
        self.port.machine = self.machine
        self.keys = FlashKeys(model.geometry)
        self.memo = Memo()
        self.echoes = Echoes(model.geometry, self.keys)
        self.counters = Counters()
        self.log: dict[str, None] = {}
        """Lines of the machine's log, each once."""
        self.waiting = False
        """Something was still to happen when the last run ended."""
        self._rules = rule_kinds(target.rules)
        self._arrivals = Arrivals(target)
        self._arrivals.watch(self.machine)
        self._ram_seed = int.from_bytes(seeded_bytes(seed, 8, "ram"), "little")
        self._flashes: dict[bytes, Snapshot] = {}

    def boot(self) -> Boot:
        """Run from a power-on that the model has had just now, as far as it is not known."""
        key = self.power_on_key()
        known = self.memo.find(key, self.target.boot_budget)
        if known is not None and known.end is not None:
            return Boot.of(known, known.end, self.target.boot_budget)
        return self.go_on(key, off=True)

    def power_on_key(self) -> bytes:
        """Key of the state of a machine that is about to be given power with this flash."""
        return ON + self.keys.key(self.model.snapshot())

    def start(self) -> None:
        """Give the machine power, with the model's flash."""
        self.machine.power_on(self.model.snapshot().array.sectors, ram_seed=self._ram_seed)
        self.port.done.clear()
        self.port.sync(0)
        self.counters.power_ons += 1

    def resume(self, state: object, flash: Snapshot) -> None:
        """Go back to a saved state of the machine that was saved where states are compared."""
        self.machine.load(state, flash.array.sectors)
        self.port.done.clear()
        self.port.sync(self.machine.time)

    def go_on(
        self,
        key: bytes | None,
        *,
        events: list[Event] | None = None,
        off: bool = False,
        memo: bool = True,
        at_sync: Callable[[], None] | None = None,
    ) -> Boot:
        """Run to the end, or to a state that is known.

        Args:
            key: of the state that the machine is in; None when something is still to happen.
            events: what is to happen, in order; those that were armed are taken from the list. Nothing is
                looked up or remembered before all have happened.
            off: the machine is without power yet.
            memo: look states up, and remember them.
            at_sync: called where states are compared; nothing is looked up then.
        """
        run = Run(self, key, events if events is not None else [], off=off, memo=memo, at_sync=at_sync)
        boot = run.to_end()
        self.waiting = run.waiting
        self.log.update(dict.fromkeys(self.machine.log))
        return boot

    def end(self, kind: EndKind, pc: int, *, outcome: str = "", wrong: str = "", detail: str = "") -> BootEnd:
        """The end of a boot, with the flash as it is."""
        snapshot = self.model.snapshot()
        key = self.keys.key(snapshot)
        return BootEnd(
            kind=kind,
            pc=pc,
            outcome=outcome,
            wrong=wrong,
            detail=detail,
            # Most boots end with the same flash: keep one of each.
            flash=self._flashes.setdefault(key, snapshot) if not snapshot.array.unstable else snapshot,
            key=key,
            stable=self.keys.stable(snapshot),
        )

    @property
    def rules(self) -> frozenset[ViolationKind]:
        """Kinds of violations that the target asks about."""
        return self._rules

    @property
    def arrivals(self) -> Arrivals:
        """The target's outcomes."""
        return self._arrivals
