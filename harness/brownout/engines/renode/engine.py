"""Power over a Renode process that stays: on resets the machine and starts it, a cut pauses it for good."""

from __future__ import annotations

import logging
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING

from brownout.engines.base import PowerEventKind, PowerState, Registers
from brownout.engines.controller import Ring
from brownout.engines.emulator import END_TIMEOUT_S, EmulatorEngine, rom_image
from brownout.engines.renode.copied_flash import CopiedFlash, first_difference
from brownout.engines.renode.doorbell import DoorbellClosed, Happened
from brownout.engines.renode.pool import POOL
from brownout.engines.renode.process import find_renode
from brownout.engines.renode.uarts import UartSession
from brownout.errors import EngineError, StateError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brownout.board import Board, RenodeScript
    from brownout.engines.renode.doorbell import DoorbellPipes
    from brownout.engines.renode.machine import RenodeMachine

_log = logging.getLogger(__name__)


class RenodeEngine(EmulatorEngine):
    """Runs `boot` (an ELF file for the board's ROM) on Renode.

    A process is started when none is idle, and reused: a power session begins with a reset of the machine
    and memory filled anew. It ends with the machine paused, at an armed cut at the very store that rang the
    doorbell. RAM holds seeded garbage after a power-on and after a reset, as on QEMU.
    """

    name = "renode"

    def __init__(self, board: Board, boot: Path, *, seed: int, script: RenodeScript | None = None) -> None:
        """Prepare, without power; `script` replaces the platform that is generated from the board.

        Raises EngineError, ElfError.
        """
        if board.engine.renode is None and script is None:
            raise EngineError(
                f"board '{board.name}' does not run on Renode (no [engine.renode] in its board.toml)"
            )
        super().__init__(board)
        self._rom = rom_image(board, boot)
        self._program = find_renode()
        self._script = script
        self._copy = CopiedFlash(board, seed, self)
        self.flash = self._copy.controller
        self._machine: RenodeMachine | None = None
        self._uarts: UartSession | None = None
        self._server: threading.Thread | None = None
        self._stepped = False
        """Between an event of the doorbell and the order to go on; for the server thread."""
        self._running = False
        self._ending = False
        self._lost = False
        """The power is gone, at an armed cut."""
        self._diagnostics: list[str] = []

    # -- what it is ------------------------------------------------------------------------------------

    @property
    def process_id(self) -> int | None:
        """Process id of Renode; it stays while the power is off."""
        machine = self._machine
        return machine.process.pid if machine is not None else None

    @property
    def diagnostics(self) -> str:
        """What its Renode processes said and logged, for all devices that they ran."""
        machine = self._machine
        return "".join([*self._diagnostics, machine.process.output if machine is not None else ""])

    # -- power -----------------------------------------------------------------------------------------

    def on(self) -> None:
        """Reset the machine, tell the listeners, let the processor run. Raises StateError, EngineError."""
        self._begin_session()
        self._ending = self._lost = False
        # In a thread: a Ctrl-C can interrupt the caller anywhere, but must not leave half a start.
        _in_thread(self._power_up, "brownout-renode-on")

    def cut(self) -> None:
        """Pause the machine; on return the power is off. Raises DeadlineError when that takes too long."""
        with self._changed:
            if self._state is PowerState.OFF:
                return
            self._cutting = True
        self._end_soon()
        self._wait_state_off(END_TIMEOUT_S)

    def read_memory(self, address: int, size: int) -> bytes:
        """Read memory as the processor sees it, while the power is on. Raises StateError, EngineError."""
        return self._powered(f"read of memory at {address:#x}").dump(address, size)

    def program_counter(self) -> int:
        """Where the processor is, while the power is on. Raises StateError, EngineError."""
        machine = self._powered("program counter")
        return machine.number(f"{machine.cpu} PC")

    def registers(self) -> Registers:
        """Registers of one moment, while the power is on. Raises StateError, EngineError."""
        return self._powered("registers").registers()

    def read_word(self, address: int) -> int:
        """A word as the processor reads it, system registers included. Raises StateError, EngineError."""
        return self._powered("read of a word").number(f"sysbus ReadDoubleWord {address:#x}")

    def clock(self) -> float:
        """Renode's virtual time in seconds: it stands still while the host is busy, and catches up later."""
        return self._powered("clock").elapsed()

    def close(self) -> None:
        """Cut the power, end Renode and give everything back; later calls do nothing."""
        if self._closed:
            return
        self.cut()
        with self._changed:
            self._closed = True
        self._let_go()
        self.flash.release()

    # -- a power session -------------------------------------------------------------------------------

    def _power_up(self) -> None:
        try:
            if self._machine is not None and self._machine.process.ended:
                self._let_go()
            machine = self._machine or self._take_machine()
            # The script tells of the reset while nothing runs: that is when memory is filled.
            machine.reset()
            if self._script is not None:
                self._check_filled(machine, self._script)
            for terminal in machine.terminals.values():
                terminal.drain()
            self._connect(PowerEventKind.ON)
            self._running = True
            machine.start()
        except BaseException:
            if not self._cutting:
                self._end(PowerEventKind.DIED)
                raise
            _log.debug("cut while starting", exc_info=True)

    def _check_filled(self, machine: RenodeMachine, script: RenodeScript) -> None:
        """Raise EngineError when somebody's macro for a reset, which runs last, has changed filled memory."""
        for what, address, wanted in (
            ("ROM", *self._rom),
            ("flash", self._board.flash.base, self._copy.array),
        ):
            at = first_difference(machine.dump(address, len(wanted)), wanted)
            if at is not None:
                raise machine.process.error(
                    f"{script.path}: after a reset the {what} at {address + at:#x} is not what the harness "
                    "put there: the script's macro must load the same bootloader, and nothing into the flash"
                )

    def _connect(self, kind: PowerEventKind) -> None:
        """New sockets for the UARTs; the listeners are connected to what they took before it goes on."""
        old, self._uarts = self._uarts, None
        if old is not None:
            old.close()
        machine = self._powered("UARTs")
        self._uarts = UartSession(machine.terminals)
        self._uarts.await_connections(self._announce(kind, self._uarts.ports))

    def _end_soon(self) -> None:
        threading.Thread(
            target=self._end, args=(PowerEventKind.CUT,), name="brownout-renode-cut", daemon=True
        ).start()

    def _end(self, kind: PowerEventKind) -> None:
        """End the power session, once, whoever is first."""
        with self._changed:
            if self._ending or self._state is PowerState.OFF:
                return
            self._ending = True
        machine = self._machine
        if machine is not None:
            try:
                machine.pause(stopping=self._lost)
            except EngineError as error:
                if self._failure is None and not machine.process.ended:
                    self._failure = error
                machine.process.kill()
        uarts, self._uarts = self._uarts, None
        if uarts is not None:
            uarts.close()
        self._end_session(kind if self._failure is None else PowerEventKind.DIED)
        self._running = False

    # -- Renode ----------------------------------------------------------------------------------------

    def _take_machine(self) -> RenodeMachine:
        machine = POOL.take(self._program, self._board, self._script)
        self._machine = machine
        self._server = threading.Thread(
            target=self._serve, args=(machine,), name="brownout-doorbell", daemon=True
        )
        self._server.start()
        threading.Thread(
            target=self._watch, args=(machine,), name="brownout-renode-watch", daemon=True
        ).start()
        return machine

    def _watch(self, machine: RenodeMachine) -> None:
        """Wait for the end of the process: nobody may expect it while the power is on."""
        machine.process.wait_ended()
        if self._machine is not machine:
            return
        machine.pipes.wake()
        with self._changed:
            surprising = self._state is PowerState.ON and not self._ending
            if surprising:
                self._failure = EngineError(f"Renode ended by itself: {machine.process.describe_end()}")
        if surprising:
            self._end(PowerEventKind.DIED)

    def _let_go(self) -> None:
        """Back into the pool with the machine, or end it when something was wrong."""
        machine, self._machine = self._machine, None
        server, self._server = self._server, None
        if machine is None:
            return
        machine.pipes.wake()
        if server is not None:
            server.join(END_TIMEOUT_S)
        self._diagnostics.append(machine.process.output)
        if self._failure is None and not machine.process.ended:
            machine.pipes.rearm()
            POOL.give_back(self._program, self._board, machine)
        else:
            machine.close()

    def _powered(self, what: str) -> RenodeMachine:
        machine = self._machine
        if machine is None or self._state is PowerState.OFF:
            raise StateError(f"{what}: the power is off")
        return machine

    # -- the doorbell ----------------------------------------------------------------------------------

    def _serve(self, machine: RenodeMachine) -> None:
        """Server thread: each event of the script until Renode ends."""
        try:
            while True:
                happened = machine.pipes.wait()
                self._stepped = True
                try:
                    if happened is Happened.RESET:
                        self._serve_reset(machine.pipes)
                    else:
                        self._serve_ring(machine)
                finally:
                    self._stepped = False
        except DoorbellClosed:
            return
        except Exception as error:
            _log.exception("flash controller failed")
            with self._changed:
                self._failure = EngineError(f"flash controller failed: {type(error).__name__}: {error}")
            machine.process.kill()

    def _serve_reset(self, pipes: DoorbellPipes) -> None:
        if self._running:
            # The firmware asked for it.
            self._resets += 1
            self.flash.reset(self._resets)
            self._connect(PowerEventKind.RESET)
        else:
            pipes.write(*self._rom)
            self._copy.fill_array(pipes)
        self._copy.fill_volatile(pipes, self._garbage())
        pipes.go_on()

    def _serve_ring(self, machine: RenodeMachine) -> None:
        pipes = machine.pipes
        if not self._ending and self._copy.ring(pipes) is Ring.SERVED:
            pipes.go_on()
            return
        with self._changed:
            first = not self._ending and not self._lost
            self._lost = self._lost or first
        if self._lost:
            # Renode may begin the store once more before it stands still: this thread must stay to answer.
            pipes.stop_here()
        else:
            pipes.go_on()  # a pause is under way; two at a time would block each other in Renode
        if first:
            self._end_soon()

    # -- the array -------------------------------------------------------------------------------------

    def fetch(self, offset: int, length: int) -> None:
        """Bring the window up to date."""
        machine, address = self._machine, self._board.flash.base + offset
        if machine is None or not self._running or machine.process.ended:
            return
        read = machine.pipes.read if self._is_server() else machine.dump
        self._copy.array[offset : offset + length] = read(address, length)

    def store(self, offset: int, length: int) -> None:
        """Give Renode what the window holds; at a power-on it gets all of it anyway."""
        machine = self._machine
        if machine is not None and self._is_server():
            self._copy.give(machine.pipes, offset, length)

    def _is_server(self) -> bool:
        return self._stepped and threading.current_thread() is self._server


def _in_thread(work: Callable[[], None], name: str) -> None:
    done: Future[None] = Future()

    def run() -> None:
        try:
            work()
        except BaseException as error:
            done.set_exception(error)
        else:
            done.set_result(None)

    threading.Thread(target=run, name=name, daemon=True).start()
    done.result()


__all__ = ["RenodeEngine"]
