"""A target on an engine that runs in real time: power sessions with and without a cut, and how each ended."""

from __future__ import annotations

import contextlib
import hashlib
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from brownout.device import Device
from brownout.engines.base import PowerState
from brownout.errors import CutNotFired, EngineError, StateError
from brownout.live.surroundings import Surrounded
from brownout.sweep.clean_boots import CellState, boots_missing
from brownout.sweep.keys import FlashKeys
from brownout.sweep.live_engines import live_problem

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from brownout.flash import FlashModel, LogRecord, Snapshot
    from brownout.power import Cut
    from brownout.target import Outcome, Target

_VTOR: Final = 0xE000_ED08
_WORD: Final = 4
_POLL_S: Final = 0.002
_SLOWEST_HZ: Final = 5_000_000
"""QEMU runs twenty times more halfwords a second than this, Renode ten times; a busy machine does not."""
_LEAST_S: Final = 5.0
_SHOWN_LINES: Final = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """A power session. `cut` is None for one that was left alone; `outcome` is "" when there was none.

    `hit` is the operation at which the cut fired: the one that this very run had there.
    `wrong` says what an arrival lacked, or why there was none; `flash` is the array when the power was off;
    `cells` what clean boots are compared by; `operations` counts those of this session.
    """

    cut: Cut | None
    outcome: str
    wrong: str
    flash: bytes
    cells: CellState
    operations: int
    hit: LogRecord | None = None

    @property
    def digest(self) -> str:
        """BLAKE2b-128 of the array, in hex."""
        return hashlib.blake2b(self.flash, digest_size=16).hexdigest()


class LiveTarget:
    """Use it as a context manager. `seed` decides what torn operations leave, as in a sweep.

    What the board is connected to runs from __enter__() to __exit__(). Raises EngineError when `engine`
    cannot run the target, TargetError for surroundings that cannot be used.
    """

    def __init__(self, target: Target, *, seed: int, engine: str = "qemu") -> None:
        problem = live_problem(target, engine)
        if problem or target.elf is None:
            raise EngineError(problem)
        board = target.board
        flash = board.flash
        self.target: Final = target
        self.deadline_s: Final = _LEAST_S + target.boot_budget / _SLOWEST_HZ
        self._device = Device(board, target.elf.path, engine=engine, seed=seed, renode_script=target.renode)
        for item in target.placed:
            if flash.base <= item.address < flash.end:
                self._device.load(item.data, item.address - flash.base)
        self._start = self._device.snapshot()
        self._keys = FlashKeys(self._start.geometry)
        self.before: Final = bytes(self.model.shadow)
        self._surrounded = None if target.live is None else Surrounded(target, target.live)
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as undo:
            undo.callback(self._device.close)
            if self._surrounded is not None:
                undo.enter_context(self._surrounded.running())
                # Off before they stop; a second close does nothing.
                undo.callback(self._device.close)
                self._surrounded.connect(self._device)
            self._stack = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    @property
    def surroundings(self) -> object:
        """What the target's [live] function returned; None for a board that runs alone."""
        return None if self._surrounded is None else self._surrounded.made

    @property
    def model(self) -> FlashModel:
        """The flash, its log and what rules were broken since the last run() began."""
        return self._device.flash.model

    @property
    def start(self) -> Snapshot:
        """The flash before the first power-on."""
        return self._start

    def run(self, cuts: Sequence[Cut] = (), *, clean_boots: int | None = None) -> tuple[Session, ...]:
        """From the first power-on: a session for each cut, one to recover, and the clean boots.

        A session that does not arrive is the last one. Raises CutNotFired, EngineError.
        """
        self._device.restore(self._start)
        sessions = [self._cut(cut) for cut in cuts]
        wanted = self.target.clean_boots if clean_boots is None else clean_boots
        boots = [self._boot()]
        while boots[-1].outcome and boots_missing([boot.cells for boot in boots], wanted):
            boots.append(self._boot())
        return (*sessions, *boots)

    @property
    def _cells(self) -> CellState:
        snapshot = self.model.snapshot()
        return CellState(cells=self._keys.stable(snapshot), unstable=bool(snapshot.array.unstable))

    def _cut(self, cut: Cut) -> Session:
        device = self._device
        armed = device.arm_cut(cut)
        device.power_on()
        try:
            device.wait_for_cut(self.deadline_s)
        except CutNotFired:
            device.disarm_cut()
            raise
        finally:
            device.cut_power()
        fired = armed.fired
        return Session(
            cut=cut,
            outcome="",
            wrong="",
            flash=bytes(self.model.shadow),
            cells=self._cells,
            operations=0 if fired is None else fired.ordinal,
            hit=next((record for record in reversed(self.model.log) if record.cut is not None), None),
        )

    def _boot(self) -> Session:
        device = self._device
        device.power_on()
        outcome, wrong = self._arrival()
        device.cut_power()
        return Session(
            cut=None,
            outcome=outcome,
            wrong=wrong,
            flash=bytes(self.model.shadow),
            cells=self._cells,
            operations=self.model.ordinal,
        )

    def _arrival(self) -> tuple[str, str]:
        """(name of the outcome, "") or ("", what is wrong)."""
        engine = self._device.engine
        deadline, last = time.monotonic() + self.deadline_s, 0
        while time.monotonic() < deadline:
            if engine.state is PowerState.OFF:
                engine.raise_for_failure()
                return "", "the power went off by itself"
            if self._surrounded is not None and not self._surrounded.arrived():
                time.sleep(_POLL_S)
                continue
            # A reset replaces QEMU's process: for a moment there is none to ask.
            with contextlib.suppress(StateError, EngineError):
                last = engine.program_counter()
                arrived = [outcome for outcome in self.target.outcomes if self._is_there(outcome, last)]
                if arrived:
                    return self._judge(arrived)
            time.sleep(_POLL_S)
        lines = self._device.console.text(session_only=True).split("\n")[-_SHOWN_LINES:]
        said = f"; last on the console: {' | '.join(lines)}" if any(lines) else ""
        at = f", at {last:#x}" if last else ""
        return "", f"it has not arrived after {self.deadline_s:.0f} s{at}{said}"

    def _is_there(self, outcome: Outcome, pc: int) -> bool:
        if outcome.pc is not None and outcome.pc.start <= pc < outcome.pc.end:
            return True
        return bool(outcome.marker) and all(
            self._word(address) == value for address, value in outcome.marker.items()
        )

    def _word(self, address: int) -> int:
        return int.from_bytes(self._device.read_memory(address, _WORD), "little")

    def _judge(self, arrived: Sequence[Outcome]) -> tuple[str, str]:
        wrong = [self._lacks(outcome) for outcome in arrived]
        for outcome, lack in zip(arrived, wrong, strict=True):
            if not lack:
                return outcome.name, ""
        lacks = "; ".join(f"not {outcome.name}: {lack}" for outcome, lack in zip(arrived, wrong, strict=True))
        return "", f"it arrived, but {lacks}"

    def _lacks(self, outcome: Outcome) -> str:
        if outcome.vector_table is not None:
            vtor = self._device.engine.read_word(_VTOR)
            if vtor != outcome.vector_table:
                return f"VTOR is {vtor:#x}"
        for address, value in outcome.memory.items():
            found = self._word(address)
            if found != value:
                return f"{found:#x} at {address:#x}, expected {value:#x}"
        for item in outcome.flash:
            offset = item.address - self.target.board.flash.base
            if bytes(self.model.shadow[offset : offset + len(item.data)]) != item.data:
                return f"flash at {item.address:#x} does not read as {item.source}"
        return ""
