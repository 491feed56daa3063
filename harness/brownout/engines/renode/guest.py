"""Power for a machine in a Renode that somebody else has started, such as renode-test.

Nothing is known of that process but a way to give its monitor commands. It is told of the doorbell's pipes
by a variable of its environment, which .NET can set in a process that runs; what lies in memory is changed at
the doorbell's events, as in a process of ours.
"""

from __future__ import annotations

import contextlib
import enum
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from brownout.board.export import export_doorbell
from brownout.engines.base import PowerEventKind, PowerState
from brownout.engines.controller import Ring
from brownout.engines.emulator import EmulatorEngine
from brownout.engines.renode.copied_flash import CopiedFlash, first_difference
from brownout.engines.renode.doorbell import DoorbellClosed, DoorbellPipes, Happened
from brownout.engines.renode.machine import MONITOR
from brownout.engines.renode.process import monitor_path
from brownout.errors import EngineError, StateError

if TYPE_CHECKING:
    from brownout.board import Board

_VARIABLE: Final = "BROWNOUT_DOORBELL"
_STOP_TIMEOUT_S: Final = 30.0
_JOIN_TIMEOUT_S: Final = 20.0
_POLL_S: Final = 0.01


class Monitor(Protocol):
    """Gives Renode's monitor a command."""

    def __call__(self, command: str, /) -> str:
        """What it answered. Raises an error of its own when it refuses."""


class _Doing(enum.Enum):
    """What a reset of the machine means at the moment."""

    NOTHING = "it is somebody else's"
    TAKE = "its flash is read"
    FILL = "its memory is filled: a power-on"
    RUN = "the firmware asked for it"


class RenodeGuest(EmulatorEngine):
    """The flash and the power of a machine that somebody's script makes, before or after this.

    Make this first, then the machine: its doorbell must run `script`, or a copy that `brownout board export`
    wrote. It must be the monitor's current machine whenever a method is called; the calling thread gives the
    monitor its commands.
    """

    name = "renode"

    def __init__(self, board: Board, monitor: Monitor, *, seed: int) -> None:
        """Tell Renode where the pipes are. Raises EngineError, and what `monitor` raises."""
        super().__init__(board)
        self._monitor = monitor
        self._folder = Path(tempfile.mkdtemp(prefix="brownout-guest-"))
        try:
            self._pipes = DoorbellPipes(self._folder)
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise
        self._copy = CopiedFlash(board, seed, self)
        self.flash = self._copy.controller
        self._doing = _Doing.NOTHING
        self._seen = False
        """The doorbell has told of a reset, since it was last expected."""
        self._lost = False
        self._in_event = False
        self._server = threading.Thread(target=self._serve, name="brownout-doorbell", daemon=True)
        self._server.start()
        try:
            self.script: Final = self._folder / "flash_doorbell.py"
            self.script.write_text(export_doorbell(board))
            (self._folder / "monitor.py").write_text(MONITOR)
            self._set_variable(f"'{self._folder}'")
            monitor(f"include {monitor_path(self._folder / 'monitor.py')}")
        except BaseException:
            self._give_back()
            raise

    @property
    def diagnostics(self) -> str:
        """Nothing: what Renode printed is with who started it."""
        return ""

    def take_flash(self) -> None:
        """Take over what the machine's flash holds. Raises StateError, EngineError."""
        if self._state is PowerState.ON or self._closed:
            raise StateError("take flash: the power is on, or this is closed")
        self._stand_still()
        self._reset(_Doing.TAKE)
        self.flash.load(0, bytes(self._copy.array))

    def on(self) -> None:
        """Reset the machine, fill its memory, let it run. Raises StateError, EngineError."""
        if self._state is PowerState.OFF:
            self._stand_still()
        self._begin_session()
        self._lost = False
        try:
            self._reset(_Doing.FILL)
            self._check_filled()
            self._doing = _Doing.RUN
            self._monitor("start")
        except BaseException:
            self._doing = _Doing.NOTHING
            self._end_session(PowerEventKind.DIED)
            raise

    def cut(self) -> None:
        """Take the power; on return the machine stands still. Raises EngineError."""
        with self._changed:
            if self._state is PowerState.OFF:
                return
            # From here on the doorbell lets the firmware go on: two pauses at a time would block each other.
            self._cutting = True
            lost = self._lost
        if lost:
            self._wait_state_off(_STOP_TIMEOUT_S)
        else:
            self._monitor("pause")
            self._end_session(PowerEventKind.CUT)
            self._doing = _Doing.NOTHING
        self._stand_still()

    def stand_still(self) -> None:
        """Wait for the machine to stop after an armed cut has fired. Raises EngineError."""
        if self._state is PowerState.OFF:
            self._stand_still()

    def read_memory(self, address: int, size: int) -> bytes:
        """Read memory as the processor sees it. Raises EngineError."""
        path = self._folder / "memory.bin"
        self._monitor(f'brownout_save "{path}" {address:#x} {size:#x}')
        try:
            return path.read_bytes()
        except OSError as error:
            raise EngineError(f"Renode saved no memory at {address:#x} ({error.strerror})") from error

    def close(self) -> None:
        """Take the power and give everything back; later calls do nothing. Renode runs on."""
        if self._closed:
            return
        try:
            self.cut()
            self._set_variable("None")
        finally:
            self._give_back()

    # -- inside ----------------------------------------------------------------------------------------

    def _set_variable(self, value: str) -> None:
        call = f"Environment.SetEnvironmentVariable('{_VARIABLE}', {value})"
        self._monitor(f'python "from System import Environment; {call}"')

    def _give_back(self) -> None:
        with self._changed:
            self._closed = True
        self._pipes.wake()
        self._server.join(_JOIN_TIMEOUT_S)
        self._pipes.close()
        self.flash.release()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _stand_still(self) -> None:
        deadline = time.monotonic() + _STOP_TIMEOUT_S
        while self._lost and self._monitor("emulation IsStarted").strip() != "False":
            if time.monotonic() > deadline:
                raise EngineError(f"Renode: the machine did not stop within {_STOP_TIMEOUT_S:g} s")
            time.sleep(_POLL_S)
        self._monitor("pause")

    def _reset(self, doing: _Doing) -> None:
        self._doing, self._seen = doing, False
        refused: EngineError | None = None
        try:
            self._monitor("machine Reset")
        except EngineError as error:
            refused = error
        if not self._seen:
            doorbell = self._board.flash.controller.doorbell
            raise EngineError(
                "Renode: the machine did not tell of its reset: was it made after the power cuts were "
                f"prepared, and does {doorbell:#x} run flash_doorbell.py, with initable true?"
                f"{f' ({refused})' if refused else ''}"
            ) from refused
        if refused is not None:
            raise refused
        self._doing = _Doing.NOTHING

    def _check_filled(self) -> None:
        at = first_difference(
            self.read_memory(self._board.flash.base, self._board.flash.size), self._copy.array
        )
        if at is not None:
            raise EngineError(
                f"Renode: after a reset the flash at offset {at:#x} is not what the harness put there: leave "
                "the flash out of the script's macro, and load it with the power cuts"
            )

    def _serve(self) -> None:
        """Server thread: each event until close()."""
        while True:
            try:
                happened = self._pipes.wait()
                self._in_event = True
                self._serve_reset() if happened is Happened.RESET else self._serve_ring()
            except DoorbellClosed:
                return
            except Exception as error:
                # The machine must not hang in its doorbell: nobody could pause it any more.
                self._failure = EngineError(f"flash controller failed: {type(error).__name__}: {error}")
                with contextlib.suppress(EngineError):
                    self._pipes.go_on()
            finally:
                self._in_event = False

    def _serve_reset(self) -> None:
        pipes, doing = self._pipes, self._doing
        self._seen = True
        if doing is _Doing.TAKE:
            self._copy.take_array(pipes)
        elif doing is not _Doing.NOTHING:
            if doing is _Doing.RUN:
                self._resets += 1
                self.flash.reset(self._resets)
            else:
                self._copy.fill_array(pipes)
            self._copy.fill_volatile(pipes, self._garbage())
        pipes.go_on()

    def _serve_ring(self) -> None:
        pipes = self._pipes
        if self._lost:
            # Renode may begin the store once more before it stands still.
            pipes.stop_here()
            return
        if self._doing is not _Doing.RUN or self._cutting:
            pipes.go_on()  # it waits for a status that does not come, until the power-on resets it
            return
        if self._copy.ring(pipes) is Ring.SERVED:
            pipes.go_on()
            return
        with self._changed:
            self._lost = not self._cutting
        if not self._lost:
            pipes.go_on()
            return
        self._doing = _Doing.NOTHING
        self._end_session(PowerEventKind.CUT)
        pipes.stop_here()

    def fetch(self, offset: int, length: int) -> None:
        """Bring the window up to date."""
        address = self._board.flash.base + offset
        if threading.current_thread() is self._server:
            if self._in_event:
                self._copy.array[offset : offset + length] = self._pipes.read(address, length)
        elif self._doing is _Doing.RUN:
            self._copy.array[offset : offset + length] = self.read_memory(address, length)

    def store(self, offset: int, length: int) -> None:
        """Give Renode what the window holds; at a power-on it gets all of it anyway."""
        if self._in_event and threading.current_thread() is self._server:
            self._copy.give(self._pipes, offset, length)


__all__ = ["Monitor", "RenodeGuest"]
