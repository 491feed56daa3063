"""The verdict on a recovery: the boot after the last cut, clean boots after it, rules, the target's hooks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from brownout.flash import OperationLog
from brownout.sweep.clean_boots import boots_missing, unrest
from brownout.sweep.outcome import EndKind
from brownout.target import HookContext

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.flash import LogRecord, Violation
    from brownout.sweep.boots import Booter
    from brownout.sweep.places import Places
    from brownout.sweep.runs import Boot

BRICK: Final = "brick"
LOOP: Final = "loop"
DISAGREE: Final = "disagree"
WRONG_FLASH: Final = "wrong-flash"
RULE: Final = "rule"
HOOK: Final = "hook"
NOT_FIRED: Final = "not-fired"
FAILURES: Final = (BRICK, LOOP, DISAGREE, WRONG_FLASH, RULE, HOOK, NOT_FIRED)
"""Verdicts that are no outcome of the target."""

History = Callable[["Sequence[Boot]"], "Iterator[LogRecord]"]
"""Gives the log of a run that ended in these boots: the recovery and the clean ones."""

_LOOPS = {EndKind.SPIN, EndKind.SLEEP, EndKind.BUDGET, EndKind.REPEATS}


@dataclass(frozen=True, slots=True, kw_only=True)
class Assessment:
    """What came of a recovery. `pc` is where it went wrong, 0 when all is well or no place is to blame."""

    key: bytes
    """Of the state at the power-on; the same key, the same assessment."""
    verdict: str
    detail: str
    pc: int
    recovery_time: int
    boots: tuple[Boot, ...]

    @property
    def failed(self) -> bool:
        """The device is not well."""
        return self.verdict in FAILURES


class Assessor:
    """Assesses recoveries of one target. Where addresses lie is said by `place`."""

    def __init__(self, booter: Booter, before: bytes, places: Places) -> None:
        self._booter = booter
        self._target = booter.target
        self._before = before
        self._places = places
        self._clean: dict[bytes, tuple[Boot, ...]] = {}
        self._images: dict[bytes, bytes] = {}
        self._hooks: dict[tuple[bytes, tuple[str, ...]], tuple[str, str] | None] = {}

    def assess(self, key: bytes, recovery: Boot, history: History, *, faulty: bool = False) -> Assessment:
        """Verdict on a recovery that ran just now or is known; `history` gives the log if a hook reads it.

        `faulty`: the flash did something wrong, or the processor was reset. What the firmware does to a flash
        that is not as it left it breaks rules through no fault of its own: where it ends is all that counts.
        """
        return self.judge(key, (recovery, *self._clean_boots(recovery)), history, faulty=faulty)

    def judge(
        self, key: bytes, boots: Sequence[Boot], history: History, *, faulty: bool = False
    ) -> Assessment:
        """Verdict on a recovery and the clean boots after it."""
        recovery = boots[0]
        verdict, detail, pc = (
            self._judge(boots, faulty=faulty) or self._ask_hooks(boots, history) or (None, "", 0)
        )
        arrived = recovery.kind in (EndKind.ARRIVED, EndKind.WRONG_FLASH)
        return Assessment(
            key=key,
            verdict=verdict or recovery.end.outcome,
            detail=detail,
            pc=pc,
            recovery_time=recovery.time if arrived else 0,
            boots=tuple(boots),
        )

    def _clean_boots(self, recovery: Boot) -> tuple[Boot, ...]:
        """Boots after the recovery: as many as are needed, fewer when one of them does not arrive."""
        if recovery.kind is not EndKind.ARRIVED:
            return ()
        flash = recovery.end.flash
        # Unstable bits are drawn anew for each power session, so nothing is known of later ones.
        known = None if flash.array.unstable else self._clean.get(recovery.end.key)
        if known is not None:
            return known
        booter = self._booter
        booter.model.restore(flash)
        boots = [recovery]
        while self.needs_boot(boots):
            booter.model.power_off()
            booter.model.power_on()
            boots.append(booter.boot())
            booter.model.restore(boots[-1].end.flash)
        found = tuple(boots[1:])
        if not flash.array.unstable:
            self._clean[recovery.end.key] = found
        return found

    def needs_boot(self, boots: Sequence[Boot]) -> bool:
        """Whether one more clean boot is needed after the recovery and these."""
        states = [boot.end.state for boot in boots]
        return boots[-1].kind is EndKind.ARRIVED and boots_missing(states, self._target.clean_boots) > 0

    def _judge(self, boots: Sequence[Boot], *, faulty: bool) -> tuple[str, str, int] | None:
        first = boots[0].end
        restless = unrest([boot.end.state for boot in boots])
        for number, boot in enumerate(boots):
            which = f"clean boot {number}: " if number else ""
            if boot.kind is not EndKind.ARRIVED:
                verdict, detail, pc = self._bad_end(boot)
                return verdict, which + detail, pc
            if boot.broken is not None and not faulty:
                return RULE, which + violation_text(boot.broken.violation), boot.broken.pc
            if boot.end.outcome != first.outcome:
                return (
                    DISAGREE,
                    f"{which}'{boot.end.outcome}', but the recovery ended in '{first.outcome}'",
                    0,
                )
            if number == restless:
                return DISAGREE, f"{which}the flash still changes", 0
        return None

    def _bad_end(self, boot: Boot) -> tuple[str, str, int]:
        end = boot.end
        if boot.kind is EndKind.WRONG_FLASH:
            return WRONG_FLASH, f"arrived at {self._places.symbol(end.pc)}: {end.wrong}", end.pc
        if boot.fault is not None:
            return BRICK, f"{self._places.fault(boot.fault)}, then {boot.kind.value}", boot.fault.pc
        if boot.kind is EndKind.LOCKUP:
            detail = f" ({self._places.worded(end.detail)})" if end.detail else ""
            return BRICK, f"locked up at {self._places.symbol(end.pc)}{detail}", end.pc
        if boot.kind in _LOOPS:
            if boot.kind is EndKind.BUDGET:
                return LOOP, f"{boot.kind.value} of {self._target.boot_budget}", 0
            return LOOP, f"{boot.kind.value} at {self._places.symbol(end.pc)}", end.pc
        return NOT_FIRED, boot.kind.value, end.pc

    def _ask_hooks(self, boots: Sequence[Boot], history: History) -> tuple[str, str, int] | None:
        if not self._target.hooks:
            return None
        outcomes = tuple(boot.end.outcome for boot in boots)
        end = boots[-1].end
        asked = (end.key, outcomes)
        if asked in self._hooks:
            known = self._hooks[asked]
            return None if known is None else (HOOK, f"{known[0]}: {known[1]}", 0)
        log = _LazyLog(lambda: history(boots))
        context = HookContext(
            target=self._target, flash=self._image(boots[-1]), before=self._before, log=log, outcomes=outcomes
        )
        broken = None
        for name, hook in self._target.hooks.items():
            try:
                message = hook(context)
            except AssertionError as error:
                message = str(error) or "an assertion failed"
            if message is not None:
                broken = (name, message)
                break
        if not log.used:
            # It looked at the flash only: the same flash, the same answer.
            self._hooks[asked] = broken
        return None if broken is None else (HOOK, f"{broken[0]}: {broken[1]}", 0)

    def _image(self, boot: Boot) -> bytes:
        key = boot.end.key
        if key not in self._images:
            self._images.clear()
            self._images[key] = b"".join(boot.end.flash.array.sectors)
        return self._images[key]


def violation_text(violation: Violation) -> str:
    """A broken rule in words; when it was is left out: a run that is pieced together does not know."""
    return f"{violation.kind.value} at flash offset {violation.offset:#x}: {violation.detail}"


class _LazyLog(OperationLog):
    """A log that is put together when somebody reads it."""

    def __init__(self, history: Callable[[], Iterator[LogRecord]]) -> None:
        self._history = history
        self._read: list[LogRecord] | None = None
        super().__init__()

    @property
    def used(self) -> bool:
        """Whether somebody has read it."""
        return self._read is not None

    @property
    def _records(self) -> list[LogRecord]:
        if self._read is None:
            self._read = list(self._history())
        return self._read

    @_records.setter
    def _records(self, records: list[LogRecord]) -> None:
        """OperationLog's own list stays unused."""
