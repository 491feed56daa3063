"""Power over a QEMU process: on starts one, a cut kills it, a reset replaces it, the flash stays."""

from __future__ import annotations

import logging
import os
import re
import shutil
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from brownout.engines.base import PowerEventKind, PowerState, Registers
from brownout.engines.controller import BLOCK_SIZE, FlashController, Ring
from brownout.engines.emulator import END_TIMEOUT_S, EmulatorEngine, rom_image
from brownout.engines.memory import SharedMemory
from brownout.engines.qemu.process import Fill, Machine, QemuProcess
from brownout.errors import BrownoutError, EngineError, StateError

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.board import Board

_log = logging.getLogger(__name__)

_DOORBELL_CHUNK = 64
_REGISTER = re.compile(r"\bR(1[345])=([0-9a-fA-F]{8})")


def find_qemu() -> str:
    """Path of QEMU: BROWNOUT_QEMU, else qemu-system-arm on PATH. Raises EngineError."""
    wanted = os.environ.get("BROWNOUT_QEMU", "qemu-system-arm")
    found = shutil.which(wanted)
    if found is None:
        raise EngineError(
            f"{wanted}: not found: apt install qemu-system-arm, or set BROWNOUT_QEMU to its path"
        )
    return found


class QemuEngine(EmulatorEngine):
    """Runs `boot` (an ELF file for the board's ROM) on QEMU.

    Each power-on and each reset is a new process on the same flash. At power-on unstable flash bits are drawn
    anew; at a reset they are not. RAM holds seeded garbage after both: a real chip's RAM survives a reset,
    QEMU's process does not, and firmware must not count on either.
    """

    name = "qemu"

    def __init__(self, board: Board, boot: Path, *, seed: int, extra: tuple[str, ...] = ()) -> None:
        """Prepare, without power. `extra` is added to QEMU's command line. Raises EngineError, ElfError."""
        settings = board.engine.qemu
        if settings is None:
            raise EngineError(
                f"board '{board.name}' does not run on QEMU (no [engine.qemu] in its board.toml): "
                "sweep it on unicorn instead"
            )
        super().__init__(board)
        address, data = rom_image(board, boot)
        self._rom = Fill(address=address, data=data)
        program = find_qemu()
        self._memory = SharedMemory("flash", settings.backend_size)
        view = memoryview(self._memory.map)
        array = board.flash.base - settings.backend_base
        block = board.flash.controller.command_block - settings.backend_base
        self.flash = FlashController(
            board.flash,
            seed,
            array=view[array : array + board.flash.size],
            block=view[block : block + BLOCK_SIZE],
        )
        view.release()
        self._machine = Machine(program=program, board=board, flash=self._memory, extra=extra)
        self._process: QemuProcess | None = None
        self._server: threading.Thread | None = None
        self._diagnostics: list[str] = []

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def process_id(self) -> int | None:
        """Process id of the running QEMU."""
        process = self._process
        return process.pid if process is not None else None

    @property
    def diagnostics(self) -> str:
        """What all QEMU processes printed, in order."""
        process = self._process
        running = process.output if process is not None else ""
        return "".join([*self._diagnostics, running])

    # -- power -----------------------------------------------------------------------------------------

    def on(self) -> None:
        """Start QEMU, tell the listeners, let the processor run. Raises StateError, EngineError."""
        self._begin_session()
        # In a thread that stays as long as the power: QEMU ends with the thread that started it, and a Ctrl-C
        # can interrupt the caller anywhere, but must not leave half a start.
        started: Future[None] = Future()
        threading.Thread(target=self._keep, args=(started,), name="brownout-qemu-keeper", daemon=True).start()
        started.result()

    def cut(self) -> None:
        """Kill QEMU; on return the power is off. Raises DeadlineError when the process does not end."""
        with self._changed:
            if self._state is PowerState.OFF:
                return
            self._kill()
        self._wait_state_off(END_TIMEOUT_S)

    def read_memory(self, address: int, size: int) -> bytes:
        """Read physical memory while the power is on. Raises StateError, EngineError."""
        return self._running(f"read of memory at {address:#x}").read_memory(address, size)

    def program_counter(self) -> int:
        """Where the processor is, while the power is on. Raises StateError, EngineError."""
        return self.registers().pc

    def registers(self) -> Registers:
        """Registers of one moment, while the power is on. Raises StateError, EngineError."""
        said = self._running("registers").monitor("info registers")
        found = {number: int(value, 16) for number, value in _REGISTER.findall(said)}
        if not {"13", "14", "15"} <= found.keys():
            raise EngineError(f"QEMU's monitor: expected registers, found {said[:60]!r}")
        return Registers(pc=found["15"], lr=found["14"], sp=found["13"])

    def read_word(self, address: int) -> int:
        """A word as the processor reads it, system registers included. Raises StateError, EngineError."""
        said = self._running("read of a word").monitor(f"x /1wx {address:#x}")
        found = re.search(r": 0x([0-9a-fA-F]+)", said)
        if found is None:
            raise EngineError(f"QEMU's monitor: expected a word at {address:#x}, found {said[:60]!r}")
        return int(found[1], 16)

    def close(self) -> None:
        """Cut the power and give everything back; later calls do nothing."""
        if self._closed:
            return
        self.cut()
        with self._changed:
            self._closed = True
        self.flash.release()
        self._memory.close()

    # -- inside ----------------------------------------------------------------------------------------

    def _running(self, what: str) -> QemuProcess:
        process = self._process
        if process is None:
            raise StateError(f"{what}: the power is off")
        return process

    def _kill(self) -> None:
        """Order the end; the keeper completes it. The caller holds the lock."""
        self._cutting = True
        if self._process is not None:
            self._process.kill()

    def _start(self, kind: PowerEventKind) -> QemuProcess:
        process = QemuProcess(self._machine, (self._rom, *self._fills()))
        with self._changed:
            self._process = process
            if self._cutting:
                process.kill()
        try:
            taken = self._announce(kind, process.ports)
            self._server = threading.Thread(
                target=self._serve, args=(process,), name="brownout-doorbell", daemon=True
            )
            self._server.start()
            process.go(taken)
        except BaseException:
            if not self._cutting:
                process.kill()
                process.wait()
                self._retire(process)
                raise
            _log.debug("cut while starting", exc_info=True)
        return process

    def _serve(self, process: QemuProcess) -> None:
        """Doorbell thread: each byte is one flash command."""
        ring, receive = self.flash.ring, process.doorbell.recv
        try:
            while data := receive(_DOORBELL_CHUNK):
                for _ in data:
                    if ring() is Ring.POWER_LOST:
                        process.kill()  # first of all: the firmware must not get any further
                        with self._changed:
                            self._kill()
                        return
        except OSError as error:
            _log.debug("doorbell ended: %s", error)
        except Exception as error:
            _log.exception("flash controller failed")
            with self._changed:
                self._failure = EngineError(f"flash controller failed: {type(error).__name__}: {error}")
                self._kill()

    def _keep(self, started: Future[None]) -> None:
        """Keeper thread: one power session from its start to its end."""
        try:
            process = self._start(PowerEventKind.ON)
        except BaseException as error:
            self._end_session(PowerEventKind.DIED)
            started.set_exception(error)
            return
        started.set_result(None)
        try:
            self._follow(process)
        except BrownoutError as error:
            self._failure = EngineError(f"restart after a reset of the processor failed: {error}")
        except Exception as error:
            _log.exception("power session failed")
            self._failure = EngineError(f"power session failed: {type(error).__name__}: {error}")
        finally:
            self._end_session(PowerEventKind.CUT if self._failure is None else PowerEventKind.DIED)

    def _follow(self, process: QemuProcess) -> None:
        """Wait for the process, and for the one that replaces it after a reset, until the power is gone."""
        while True:
            reason = process.wait()
            end = process.describe_end()
            self._retire(process)
            with self._changed:
                if self._cutting:
                    return
                if reason != "guest-reset":
                    self._failure = EngineError(f"QEMU ended by itself: {end}")
                    return
            self._resets += 1
            self.flash.reset(self._resets)
            process = self._start(PowerEventKind.RESET)

    def _retire(self, process: QemuProcess) -> None:
        """Forget a process that has ended. A command that it still rang for is carried out first."""
        server, self._server = self._server, None
        if server is not None:
            server.join(END_TIMEOUT_S)
        with self._changed:
            self._process = None
            self._diagnostics.append(process.finish())

    def _fills(self) -> tuple[Fill, ...]:
        memory = self._board.memory
        return tuple(Fill(address=memory[name].base, data=data) for name, data in self._garbage().items())


__all__ = ["QemuEngine", "find_qemu"]
