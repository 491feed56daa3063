"""One QEMU process: from its command line to its end."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.engines.launcher import LaunchRequest, launch
from brownout.engines.memory import SharedMemory
from brownout.engines.qemu.qmp import QmpClient
from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import Board

START_TIMEOUT_S = 20.0
"""QEMU answers within 50 ms on an idle machine; this is for a busy one."""
_COMMAND_TIMEOUT_S = 10.0
_PULSE_S = 0.02
_MESSAGE_LIMIT = 400
_NOISE = re.compile(r"warning: nic \S+ has no peer")
_PORT = re.compile(r"tcp:127\.0\.0\.1:([0-9]+)")
_DOORBELL = "doorbell"
_UPLINK = "uplink"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """Bytes that memory at `address` holds when the processor starts."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What does not change from one process to the next."""

    program: str
    board: Board
    flash: SharedMemory
    extra: tuple[str, ...] = ()


class QemuProcess:
    """A running QEMU, stopped before the first instruction until go().

    Attributes: `ports` maps UART roles to pyserial URLs, `doorbell` is the socket whose bytes are flash
    commands.
    """

    def __init__(self, machine: Machine, fills: tuple[Fill, ...]) -> None:
        """Start QEMU with memory filled. Raises EngineError with what QEMU printed.

        QEMU ends with the calling thread (see launcher.py).
        """
        self.ports: Mapping[str, str] = {}
        self._ended = threading.Event()
        self._output = SharedMemory("qemu-output", 0x1000)
        self._scratch = SharedMemory("qemu-scratch", 0x1000)
        control, control_child = socket.socketpair()
        self.doorbell, doorbell_child = socket.socketpair()
        self._memories = [SharedMemory("fill", len(fill.data), fill.data) for fill in fills]
        os.ftruncate(self._output.fd, 0)
        arguments = command_line(
            machine,
            control=control_child.fileno(),
            doorbell=doorbell_child.fileno(),
            fills=[(fill.address, memory) for fill, memory in zip(fills, self._memories, strict=True)],
        )
        shared = [machine.flash, self._scratch, *self._memories]
        inherit = (control_child.fileno(), doorbell_child.fileno(), *(memory.fd for memory in shared))
        self._qmp = QmpClient(control)
        try:
            self._process = launch(
                LaunchRequest(arguments=tuple(arguments), inherit=inherit, output=self._output.fd)
            )
        except OSError as error:
            self._close()
            raise EngineError(f"{machine.program}: cannot be started ({error.strerror})") from error
        finally:
            # QEMU must hold the only other ends, or its end would go unnoticed.
            control_child.close()
            doorbell_child.close()
        try:
            self._meet(machine.board)
        except BaseException as error:
            self.kill()
            self.wait()
            message = self.describe_end() if isinstance(error, EngineError) else ""
            self._close()
            if message:
                raise EngineError(f"{machine.program} did not start: {message} ({error})") from error
            raise

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What QEMU printed so far."""
        size = os.fstat(self._output.fd).st_size
        text = os.pread(self._output.fd, size, 0).decode(errors="replace")
        return "".join(line for line in text.splitlines(keepends=True) if not _NOISE.search(line))

    def go(self, connected: frozenset[str] = frozenset()) -> None:
        """Let the processor run once the UARTs in `connected` are. Raises EngineError."""
        self._await_connections(connected)
        self._qmp.execute("cont", _deadline())
        threading.Thread(target=self._pulse, name="brownout-qemu-pulse", daemon=True).start()

    def read_memory(self, address: int, size: int) -> bytes:
        """Physical memory, read while the processor runs on. Raises EngineError."""
        self._qmp.execute(
            "pmemsave", _deadline(), {"val": address, "size": size, "filename": self._scratch.path}
        )
        return os.pread(self._scratch.fd, size, 0)

    def monitor(self, line: str) -> str:
        """What QEMU's own monitor says to a line. Raises EngineError."""
        return str(self._qmp.execute("human-monitor-command", _deadline(), {"command-line": line}))

    def kill(self) -> None:
        """Stop at once, as a power cut does; wait() tells when it is over."""
        self._process.kill()

    def wait(self) -> str:
        """Wait for the end of the process; the reason that QEMU gave for it, '' for none."""
        self._process.wait()
        self._ended.set()
        self._qmp.join(_COMMAND_TIMEOUT_S)
        return self._qmp.shutdown_reason()

    def describe_end(self) -> str:
        """How the process ended, in one line with what it printed. Call it after wait()."""
        code = self._process.returncode
        if code is not None and code < 0:
            how = f"killed by signal {-code} ({signal.Signals(-code).name})"
        else:
            how = f"exit code {code}"
        said = " | ".join(line.strip() for line in self.output.splitlines() if line.strip())
        if len(said) > _MESSAGE_LIMIT:
            said = f"{said[:_MESSAGE_LIMIT]}..."
        return f"{how}; stderr: {said or 'empty'}"

    def finish(self) -> str:
        """Give all back after wait(); what QEMU printed."""
        output = self.output
        self._close()
        return output

    def _await_connections(self, wanted: frozenset[str]) -> None:
        """A connect() returns before QEMU accepts; until then QEMU drops what the UART sends."""
        deadline = _deadline()
        while True:
            listing = self._qmp.execute("query-chardev", deadline)
            waiting = {
                _role(item.get("label"))
                for item in (listing if isinstance(listing, list) else [])
                if str(item.get("filename")).startswith("disconnected:")
            }
            if not waiting & wanted:
                return

    def _pulse(self) -> None:
        """Wake QEMU's main loop now and then.

        It does not notice that the firmware enabled a UART's receiver, and would leave bytes waiting in the
        socket until something else wakes it.
        """
        try:
            while not self._ended.wait(_PULSE_S):
                self._qmp.execute("query-status", _deadline())
        except EngineError:
            return

    def _meet(self, board: Board) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        self._qmp.handshake(deadline)
        listing = self._qmp.execute("query-chardev", deadline)
        for memory in self._memories:  # QEMU has read them by now
            memory.close()
        self.ports = _ports(listing, board)

    def _close(self) -> None:
        for memory in (*self._memories, self._output, self._scratch):
            memory.close()
        self._qmp.close()
        with contextlib.suppress(OSError):
            self.doorbell.close()


def command_line(
    machine: Machine, *, control: int, doorbell: int, fills: list[tuple[int, SharedMemory]]
) -> list[str]:
    """QEMU's command line; `control` and `doorbell` are inherited descriptors of sockets."""
    board, settings = machine.board, machine.board.engine.qemu
    if settings is None:
        raise EngineError(f"board '{board.name}' has no [engine.qemu]: choose another engine")
    arguments = [
        machine.program,
        "-S",
        "-display",
        "none",
        "-nodefaults",
        "-no-user-config",
        "-monitor",
        "none",
    ]
    arguments += ["-machine", f"{settings.machine},memory-backend=flash"]
    arguments += [
        "-object",
        f"memory-backend-file,id=flash,size={settings.backend_size},share=on,mem-path={machine.flash.path}",
    ]
    arguments += ["-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control"]
    # A reset ends the process: QEMU does not notice that the harness changes code it has translated already.
    arguments += ["-action", "reboot=shutdown"]
    # The multiplexer holds 32 bytes for the UART, which alone takes the next one only when the firmware has
    # read the one before and QEMU's main loop has come round. What came before the firmware enabled the
    # receiver stays there until it reads the data register or another byte comes: so it is for the uplink
    # alone. Its escape character must not be a byte.
    arguments += ["-echr", "0x100"]
    by_index = {uart.index: name for name, uart in board.uart.items()}
    for index in range(max(by_index) + 1):
        name = by_index.get(index)
        if name is None:
            arguments += ["-serial", "null"]
            continue
        where = (
            f"fd={doorbell}" if name == _DOORBELL else "host=127.0.0.1,port=0,server=on,wait=off,nodelay=on"
        )
        where += ",mux=on" if name == _UPLINK else ""
        arguments += ["-chardev", f"socket,id={name},{where}", "-serial", f"chardev:{name}"]
    for address, memory in fills:
        arguments += ["-device", f"loader,file={memory.path},addr={address:#x},force-raw=on"]
    return [*arguments, *machine.extra]


def _ports(listing: object, board: Board) -> dict[str, str]:
    ports: dict[str, str] = {}
    for item in listing if isinstance(listing, list) else []:
        name, where = _role(item.get("label")), _PORT.search(str(item.get("filename")))
        if where is not None and name in board.uart:
            ports[name] = f"socket://127.0.0.1:{where[1]}"
    missing = [name for name in board.uart if name not in ports and name != _DOORBELL]
    if missing:
        raise EngineError(f"QEMU reported no TCP port for UART {', '.join(missing)}: found {listing}")
    return ports


def _role(label: object) -> str:
    """The UART whose socket has this label: QEMU gives what is behind a multiplexer a name of its own."""
    return str(label).removesuffix("-base")


def _deadline() -> float:
    return time.monotonic() + _COMMAND_TIMEOUT_S


__all__ = ["Fill", "Machine", "QemuProcess", "command_line"]
