"""A board inside of a Renode process: its files, its machine, its terminals, reads of its memory."""

from __future__ import annotations

import re
import secrets
import shutil
import tempfile
import threading
import time
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.board.export import export_renode, start_address
from brownout.engines.base import Registers
from brownout.engines.renode.doorbell import DoorbellPipes
from brownout.engines.renode.process import COMMAND_TIMEOUT_S, RenodeProcess, Start, monitor_path
from brownout.engines.renode.script import load_script, set_vectors
from brownout.engines.renode.uarts import Terminal
from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from brownout.board import Board, RenodeScript

_LOAD_TIMEOUT_S: Final = 60.0
_NUMBER: Final = re.compile(r"0x[0-9a-fA-F]+")
_REGISTER: Final = re.compile(r"^\| (SP|LR|PC) / R1[345] *\| *1[345] *\| 0x([0-9A-Fa-f]+)", re.M)
_ELAPSED: Final = re.compile(r"Virtual Time: (\d+):(\d+):(\d+\.\d+)")
MONITOR: Final = '''\
from Antmicro.Renode.Core import EmulationManager, IExternal
from System.IO import File

awaited = {}


def mc_brownout_await(name, mark):
    """Listen to a terminal until it has passed on `mark` to the UART."""
    manager = EmulationManager.Instance.CurrentEmulation.ExternalsManager
    found, terminal = manager.TryGetByName[IExternal](name)
    heard = []

    def hear(value):
        heard.append(chr(int(value)))
        del heard[: -len(mark)]
        if "".join(heard) == mark:
            terminal.CharReceived -= hear
            awaited.pop(name, None)

    awaited[name] = mark
    terminal.CharReceived += hear


def mc_brownout_awaited():
    """Which terminals have not passed on their mark; a terminal's own thread takes them out."""
    try:
        print("waiting for: " + ",".join(awaited))
    except RuntimeError:
        print("waiting for: one was just heard")


def mc_brownout_save(path, address, count):
    """Write memory as the processor sees it to a file."""
    File.WriteAllBytes(path, self.Machine.SystemBus.ReadBytes(address, count))
'''


class RenodeMachine:
    """A machine without a program: who uses it fills its memories at each reset.

    Attributes: `pipes` to its doorbell, `terminals` by UART role, `process`, `cpu` the name of its core,
    `listeners` and `script` as it was made.
    """

    def __init__(
        self, program: str, board: Board, *, listeners: bool = False, script: RenodeScript | None = None
    ) -> None:
        """Start Renode, with `listeners` so that its ports may be reached, make the machine.

        Raises EngineError.
        """
        self.listeners: Final = listeners
        self.script: Final = script
        self.cpu: Final = f"sysbus.{script.cpu if script is not None else 'cpu'}"
        self._board = board
        self._folder = Path(tempfile.mkdtemp(prefix="brownout-renode-"))
        self._dump_lock = threading.Lock()
        self.terminals: dict[str, Terminal] = {}
        self._uarts: dict[str, str] = {}
        """Their names in the machine, by role."""
        try:
            self.pipes: Final = DoorbellPipes(self._folder)
            environment = {"BROWNOUT_DOORBELL": str(self._folder)}
            start = Start(program=program, folder=self._folder, environment=environment, listeners=listeners)
            self.process: Final = _start(start)
        except BaseException:
            self._forget(keep_logs=True)
            raise
        try:
            self._load()
        except BaseException:
            self.close()
            raise

    def reset(self) -> None:
        """Reset the machine, which stands still; its doorbell tells of it. Raises EngineError."""
        self._drop_input()
        self.process.execute("machine Reset")
        if self.script is not None:
            self.process.execute(set_vectors(self._board, self.script))

    def _drop_input(self) -> None:
        """What was on its way to the UARTs when the power went never arrives.

        Renode reads terminals in a thread of its own and keeps what it has read until virtual time goes on,
        also over a reset. So a mark is sent after it, and time goes on without the processor until that is
        through.
        """
        used = {role: terminal for role, terminal in self.terminals.items() if terminal.used}
        if not used:
            return
        self.process.execute(f"{self.cpu} IsHalted true")
        self._empty(used)
        mark = secrets.token_hex(8)
        for role, terminal in used.items():
            self.process.execute(f'brownout_await "{role}_terminal" "{mark}"')
            terminal.send(mark.encode())
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        waiting = True
        while waiting:
            waiting = not self.process.execute("brownout_awaited").strip().endswith(":")
            if time.monotonic() > deadline:
                raise self.process.error(f"Renode did not take what was sent to UART {', '.join(used)}")
            self._empty(used)
        for terminal in used.values():
            terminal.used = False
        self.process.execute(f"{self.cpu} IsHalted false")

    def _empty(self, roles: Iterable[str]) -> None:
        """Give the UARTs what waits for virtual time to go on, and forget it."""
        self.process.execute('emulation RunFor "0.001"')
        for role in roles:
            self.process.execute(f"sysbus.{self._uarts[role]} Reset")

    def start(self) -> None:
        """Let the processor run. Raises EngineError."""
        self.process.execute("start")

    def pause(self, *, stopping: bool) -> None:
        """Wait until nothing runs. With `stopping` the doorbell's script has been told to stop the machine.

        Raises EngineError.
        """
        # A pause from outside while the processor's own thread pauses: the two would wait for each other.
        deadline = time.monotonic() + COMMAND_TIMEOUT_S
        while stopping and self.process.execute("emulation IsStarted").strip() != "False":
            if time.monotonic() > deadline:
                raise self.process.error("Renode did not stop at the doorbell")
        self.process.execute("pause")

    def dump(self, address: int, count: int) -> bytes:
        """Memory as the processor sees it. Raises EngineError."""
        path = self._folder / "memory.bin"
        with self._dump_lock:
            self.process.execute(f'brownout_save "{path}" {address:#x} {count:#x}')
            try:
                data = path.read_bytes()
            except OSError as error:
                raise self.process.error(f"Renode saved no memory at {address:#x}") from error
        if len(data) != count:
            raise EngineError(f"memory at {address:#x}: expected {count} bytes of Renode, found {len(data)}")
        return data

    def number(self, command: str) -> int:
        """The number that the monitor answers. Raises EngineError."""
        said = self.process.execute(command)
        found = _NUMBER.search(said)
        if found is None:
            raise EngineError(f"Renode's monitor: '{command}': expected a number, found {said[:60]!r}")
        return int(found[0], 16)

    def registers(self) -> Registers:
        """Registers of one moment. Raises EngineError."""
        said = self.process.execute(f"{self.cpu} GetRegistersValues")
        found = {name: int(value, 16) for name, value in _REGISTER.findall(said)}
        if not {"SP", "LR", "PC"} <= found.keys():
            raise EngineError(f"Renode's monitor: expected registers, found {said[:60]!r}")
        return Registers(pc=found["PC"], lr=found["LR"], sp=found["SP"])

    def elapsed(self) -> float:
        """Virtual time in seconds. Raises EngineError."""
        said = self.process.execute("machine ElapsedVirtualTime")
        found = _ELAPSED.search(said)
        if found is None:
            raise EngineError(f"Renode's monitor: expected its virtual time, found {said[:60]!r}")
        return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3])

    def close(self) -> None:
        """End Renode and give everything back."""
        self.process.quit()
        for terminal in self.terminals.values():
            terminal.close()
        self._forget(keep_logs=self.process.log_named)

    def _load(self) -> None:
        (self._folder / "monitor.py").write_text(MONITOR)
        self.process.execute(f"include {monitor_path(self._folder / 'monitor.py')}")
        if self.script is None:
            self._load_board()
            names = {
                role: role
                for role, uart in self._board.uart.items()
                if uart.base != self._board.flash.controller.doorbell
            }
        else:
            load_script(self.process, self.pipes, self._board, self.script, self._folder)
            names = dict(self.script.uarts)
        self._connect(names)
        self.process.refuse_listeners()

    def _load_board(self) -> None:
        board, folder, execute = self._board, self._folder, self.process.execute
        for name, text in export_renode(board).items():
            (folder / name).write_text(text)
        doorbell = board.flash.controller.doorbell
        execute("using sysbus")
        execute(f'mach create "{board.name}"')
        execute(f"machine LoadPlatformDescription {monitor_path(folder / 'board.repl')}", _LOAD_TIMEOUT_S)
        script = monitor_path(folder / "flash_doorbell.py")
        execute(f'machine PyDevFromFile {script} {doorbell:#x} 0x1000 True "flash_doorbell"')
        if board.engine.renode is not None:
            execute(f"cpu PerformanceInMips {board.engine.renode.mips}")
        execute(f'macro reset "cpu VectorTableOffset {start_address(board):#x}"')

    def _connect(self, names: Mapping[str, str]) -> None:
        """A terminal for each UART, by role."""
        self._uarts = dict(names)
        for role, name in names.items():
            path = self._folder / f"uart-{role}"
            self.process.execute(f'emulation CreateUartPtyTerminal "{role}_terminal" "{path}" true')
            self.process.execute(f"connector Connect sysbus.{name} {role}_terminal")
            # A driver that reads the data register to see whether it is empty is no reason for a line each.
            self.process.execute(f"logLevel 3 sysbus.{name}")
            self.terminals[role] = Terminal(path)

    def _forget(self, *, keep_logs: bool) -> None:
        """Remove the folder, or all but the logs where a message has named them."""
        if hasattr(self, "pipes"):
            self.pipes.close()
        if not keep_logs or not any(self._folder.glob("*.log")):
            shutil.rmtree(self._folder, ignore_errors=True)
            return
        for path in self._folder.iterdir():
            if path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
            elif path.suffix != ".log":
                path.unlink(missing_ok=True)


def _start(start: Start) -> RenodeProcess:
    """Start Renode in a thread that stays as long as Renode: it ends with the thread that started it."""
    started: Future[RenodeProcess] = Future()

    def keep() -> None:
        try:
            process = RenodeProcess(start)
        except BaseException as error:
            started.set_exception(error)
            return
        started.set_result(process)
        process.wait_ended()

    threading.Thread(target=keep, name="brownout-renode-keeper", daemon=True).start()
    return started.result()


__all__ = ["RenodeMachine"]
