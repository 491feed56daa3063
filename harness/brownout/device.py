"""The device under test: a board on an engine, its console, its modem, and the evidence of what happened."""

from __future__ import annotations

import contextlib
import hashlib
import re
import shlex
import time
from typing import TYPE_CHECKING, Final, Self

import pexpect

from brownout.console import Console
from brownout.diary import PowerDiary
from brownout.engines.base import PowerState
from brownout.engines.factory import create_engine
from brownout.engines.version import engine_version
from brownout.errors import CutNotFired, DeadlineError, EngineError, StateError
from brownout.evidence import NAMES, Evidence, EvidenceCut, EvidenceKey, dump_timeline, write_evidence
from brownout.power import ArmedCut, Cut, FiredCut, Replay, parse_cut
from brownout.processor import describe_processor
from brownout.uplink import Modem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from brownout.board import Board, RenodeScript
    from brownout.diary import OtherEvent
    from brownout.engines.base import Engine
    from brownout.flash import Snapshot
    from brownout.power import Condition

_POLL_S: Final = 0.25
_SHOWN_LINES: Final = 3


class Device:
    """Use it as a context manager: leaving it takes the power and gives everything back.

    `seed` decides everything random; without one it is drawn, and `replay` says which. `conditions` are the
    names that cuts may use with at= and after= (for the reference firmware: brownout.reference.CONDITIONS).
    `renode_script` is the machine that Renode uses instead of the board's own. `elf_files` name the code of
    other images in evidence; those beside `boot` are known without it.
    """

    def __init__(
        self,
        board: Board,
        boot: Path,
        *,
        engine: str = "qemu",
        seed: int | None = None,
        conditions: Mapping[str, Condition] | None = None,
        renode_script: RenodeScript | None = None,
        elf_files: Iterable[Path] = (),
    ) -> None:
        """Prepare without power, the flash all erased. Raises EngineError, ElfError."""
        self.board: Final = board
        self.boot: Final = boot
        self._elf_files = tuple(dict.fromkeys([boot, *sorted(boot.parent.glob("*.elf")), *elf_files]))
        self.conditions: Final = dict(conditions or {})
        self._seed = Replay.new_seed() if seed is None else seed
        self.engine: Final[Engine] = create_engine(engine, board, boot, seed=self._seed, script=renode_script)
        self.flash: Final = self.engine.flash
        self.console: Final = Console()
        self._diary = PowerDiary()
        self.engine.add_listener(self._diary)
        self.engine.add_listener(self.console)
        self.modem: Modem | None = None
        self.before_power_on: Final[list[Callable[[], None]]] = []
        """Called in order before each power-on, such as to arm the cut that is due."""
        self._armed: ArmedCut | None = None
        self._cuts: list[ArmedCut] = []
        self._before = b""
        """The array before the first power-on of this life; empty until then."""
        self._life_s = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -- setting up ----------------------------------------------------------------------------------------

    def load(self, image: bytes, offset: int = 0) -> None:
        """Put `image` into the flash as a factory's programmer does.

        Raises StateError while the power is on.
        """
        self.flash.load(offset, image)

    def attach_uplink(self, server: tuple[str, int], *, capture: bool = False) -> Modem:
        """Connect the board's uplink UART with `server` (host, port).

        Raises StateError when it is on or connected.
        """
        if self.modem is not None or self.engine.state is PowerState.ON:
            raise StateError("attach_uplink: a modem is attached once, before power_on()")
        self.modem = Modem(server, capture=capture)
        self.engine.add_listener(self.modem)
        return self.modem

    def snapshot(self) -> Snapshot:
        """State of the flash, to come back to. Raises StateError while the power is on."""
        return self.flash.snapshot()

    def restore(self, snapshot: Snapshot, *, seed: int | None = None) -> None:
        """Take the power, go back to `snapshot`, forget the cuts so far."""
        self.cut_power()
        self.disarm_cut()
        self.flash.restore(snapshot, seed=seed)
        self._seed = self.flash.model.seed
        self._cuts.clear()
        self._before = b""
        self._life_s = time.monotonic()

    def close(self) -> None:
        """Take the power and give everything back; later calls do nothing."""
        try:
            self.engine.close()
        finally:
            self.console.close()
            if self.modem is not None:
                self.modem.close()

    # -- power ---------------------------------------------------------------------------------------------

    def power_on(self) -> None:
        """Give power. What the console had not matched yet is forgotten. Raises StateError, EngineError."""
        if not self._before and self.engine.state is PowerState.OFF:
            self._before = self.flash.image()
        for prepare in self.before_power_on:
            prepare()
        self.engine.on()

    def cut_power(self) -> None:
        """Take the power now, wherever the firmware is."""
        self.engine.cut()

    def power_cycle(self) -> None:
        """cut_power(), then power_on()."""
        self.cut_power()
        self.power_on()

    def arm_cut(self, cut: Cut | str) -> ArmedCut:
        """Arm a power cut, given as a Cut or as its text (brownout.power). Raises StateError, ReplayError."""
        armed = self.flash.arm(parse_cut(cut) if isinstance(cut, str) else cut, self.conditions)
        self._armed = armed
        self._cuts.append(armed)
        return armed

    def disarm_cut(self) -> None:
        """Take back a cut that has not fired."""
        waiting = self.flash.gate.disarm()
        if waiting is not None and waiting in self._cuts:
            self._cuts.remove(waiting)
        self._armed = None

    def wait_for_cut(self, timeout: float = 30.0) -> FiredCut:
        """Wait until the armed cut has fired and the power is off.

        Raises CutNotFired, EngineError when the emulator ended by itself, StateError when no cut was armed.
        """
        armed = self._armed
        if armed is None:
            raise StateError("wait_for_cut: no cut is armed; arm_cut() first")
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            try:
                return armed.wait(max(0.0, min(_POLL_S, left)))
            except CutNotFired as error:
                self.engine.raise_for_failure()
                if left <= _POLL_S:
                    raise CutNotFired(f"{error}; waited {timeout:g} s; {self._where()}") from None

    # -- watching ------------------------------------------------------------------------------------------

    def wait_for_line(self, pattern: str, timeout: float = 30.0) -> re.Match[str]:
        """Wait until the console shows text that matches the regular expression `pattern`.

        Text that was matched before, or that came before the last power-on, does not count. Raises
        DeadlineError with the last lines of the log, and EngineError when the emulator ended by itself.
        """
        wanted = re.compile(pattern)
        deadline = time.monotonic() + timeout
        while True:
            left = deadline - time.monotonic()
            found = self.console.spawn.expect([wanted, pexpect.TIMEOUT], timeout=max(0.0, min(_POLL_S, left)))
            if found == 0:
                match: re.Match[str] = self.console.spawn.match
                return match
            self.engine.raise_for_failure()
            if left <= _POLL_S:
                raise DeadlineError(
                    f"console: no text like '{pattern}' within {timeout:g} s; {self._where()}"
                )

    def check(self) -> None:
        """Raise when the firmware broke a rule of the flash (oracle 5), or the emulator died."""
        self.engine.raise_for_failure()
        self.flash.checkpoint()
        self.flash.model.raise_for_violations()

    def read_memory(self, address: int, size: int) -> bytes:
        """Read the running device's memory. Raises StateError, EngineError."""
        return self.engine.read_memory(address, size)

    @property
    def seed(self) -> int:
        """Where everything random comes from."""
        return self._seed

    @property
    def replay(self) -> Replay:
        """What it takes to do this run again: seed and cuts so far."""
        return Replay(
            board=self.board.name,
            engine=self.engine.name,
            seed=self._seed,
            cuts=tuple(armed.cut for armed in self._cuts),
        )

    def save_evidence(
        self,
        folder: Path,
        *,
        subject: str = "device",
        others: Iterable[OtherEvent] = (),
        command: str = "",
    ) -> None:
        """Write what there is about the device since its flash was last loaded or restored.

        evidence.json names the files (brownout.evidence): console, flash before and after, operations,
        timeline, replay id, where the processor is if it has power, the emulator's own words, and the link if
        it is captured.

        Args:
            folder: made when it is not there.
            subject: the device's name.
            others: what is known of the device by others, for the timeline.
            command: what does it again, pasted into a shell; by default `brownout run`, for a board alone.

        Raises:
            EvidenceError: the folder cannot be written.
        """
        flash, settings = self.flash, self.board.flash
        timeline = self._diary.timeline(
            console=self.console, flash=flash, modem=self.modem, others=others, since_s=self._life_s
        )
        files = {
            EvidenceKey.UART: self.console.log_text().encode(),
            EvidenceKey.FLASH: flash.image(),
            EvidenceKey.OPERATIONS: flash.log_text().encode(),
            EvidenceKey.TIMELINE: dump_timeline(timeline).encode(),
            EvidenceKey.REPLAY: self._replay_text().encode(),
            EvidenceKey.ENGINE: self.engine.diagnostics.encode(),
        }
        with contextlib.suppress(EngineError):  # it may be what has failed; engine.txt tells
            processor = describe_processor(self.engine, self.board, self._elf_files)
            if processor:
                files[EvidenceKey.PROCESSOR] = processor.encode()
        if self._before:
            files[EvidenceKey.FLASH_BEFORE] = self._before
        if self.modem is not None and self.modem.captured:
            files[EvidenceKey.LINK] = self.modem.capture_text().encode()
        if not command and self.modem is None:
            command = self._command(folder)
        evidence = Evidence(
            subject=subject,
            board=self.board.name,
            engine=self.engine.name,
            engine_version=engine_version(self.engine.name),
            seed=self._seed,
            replay=str(self.replay),
            command=command,
            base=settings.base,
            size=settings.size,
            erased_value=settings.erased_value,
            sectors=settings.sector_runs,
            regions={name: (region.offset, region.size) for name, region in flash.regions.items()},
            firmware={self.boot.name: hashlib.sha256(self.boot.read_bytes()).hexdigest()},
            cuts=[self._cut_of(armed) for armed in self._cuts],
        )
        write_evidence(folder, evidence, files)

    def _command(self, folder: Path) -> str:
        image = folder / NAMES[EvidenceKey.FLASH_BEFORE]
        words = ["--boot", str(self.boot), "--flash", str(image), "--timeout", "10"]
        return shlex.join(["brownout", "run", *words, "--replay", str(self.replay)])

    def _cut_of(self, armed: ArmedCut) -> EvidenceCut:
        fired = armed.fired
        if fired is None:
            return EvidenceCut(cut=str(armed.cut))
        moment = self.flash.moments.get(fired.sequence)
        return EvidenceCut(
            cut=str(armed.cut),
            session=fired.session,
            operation=fired.ordinal,
            time_s=None if moment is None else round(moment - self._diary.started_s, 6),
        )

    def _replay_text(self) -> str:
        lines = [f"replay {self.replay}"]
        for armed in self._cuts:
            fired = armed.fired
            if fired is None:
                lines.append(f"cut {armed.cut}: did not fire")
            else:
                lines.append(
                    f"cut {armed.cut}: fired in session {fired.session} at operation {fired.ordinal} of it "
                    f"({fired.sequence} in all)"
                )
        return "".join(f"{line}\n" for line in lines)

    def _where(self) -> str:
        lines = [line.text for line in self.console.lines()[-_SHOWN_LINES:]]
        shown = " | ".join(lines) or "nothing"
        return f"power {self.engine.state.value}; last on the console: {shown}; {self.replay}"
