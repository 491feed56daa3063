"""A machine from somebody's own script or platform description: loaded, and held against the board."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from brownout.board.export import export_doorbell, start_address
from brownout.engines.renode.doorbell import Happened
from brownout.engines.renode.process import monitor_path
from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from types import TracebackType

    from brownout.board import Board, RenodeScript
    from brownout.engines.renode.doorbell import DoorbellPipes
    from brownout.engines.renode.process import RenodeProcess

_LOAD_TIMEOUT_S: Final = 60.0
_JOIN_TIMEOUT_S: Final = 20.0
_PERIPHERAL: Final = re.compile(r"(\S+) (\w+) <(0x[0-9A-Fa-f]+), (0x[0-9A-Fa-f]+)>")
_NO_MACRO: Final = "No such variable"
_DOORBELL_CLASS: Final = "PythonPeripheral"
_MONITOR: Final = '''\
def mc_brownout_look():
    """Names, classes and addresses of what is on the machine's bus."""
    for entry in self.Machine.GetRegisteredPeripherals():
        print("%s %s %s" % (entry.Name, entry.Type.Name, entry.RegistrationPoint))
'''


@dataclass(frozen=True, slots=True, kw_only=True)
class _Peripheral:
    """On the bus, from `start` up to and including `last`."""

    kind: str
    start: int
    last: int


def load_script(
    process: RenodeProcess, pipes: DoorbellPipes, board: Board, script: RenodeScript, folder: Path
) -> None:
    """Load `script` into a Renode without a machine; `folder` is this process's. It stands still afterwards.

    Raises EngineError: the script is refused, or what it made does not fit the board.
    """
    (folder / "look.py").write_text(_MONITOR)
    process.execute(f"include {monitor_path(folder / 'look.py')}")
    with _Attendant(pipes) as attendant:
        _include(process, board, script)
        found = _look(process, script)
        if script.doorbell not in found and script.path.suffix == ".repl":
            path, doorbell = folder / "flash_doorbell.py", board.flash.controller.doorbell
            path.write_text(export_doorbell(board))
            process.execute(
                f'machine PyDevFromFile {monitor_path(path)} {doorbell:#x} 0x1000 True "{script.doorbell}"'
            )
            found = _look(process, script)
        problem = next(_problems(board, script, found), "")
        if problem:
            raise process.error(f"{script.path}: {problem}")
        if _NO_MACRO in process.ask("runMacro $reset"):
            process.execute(f'macro reset "{set_vectors(board, script)}"')
        process.execute("machine Reset")
        if not attendant.saw_reset:
            raise process.error(
                f"{script.path}: engine.renode.doorbell: '{script.doorbell}' did not tell of a reset: it "
                "must run flash_doorbell.py of `brownout board export --engine renode`, with initable true"
            )


def set_vectors(board: Board, script: RenodeScript) -> str:
    """The monitor's command that makes the core start where the board does."""
    return f"sysbus.{script.cpu} VectorTableOffset {start_address(board):#x}"


def _include(process: RenodeProcess, board: Board, script: RenodeScript) -> None:
    path = monitor_path(script.path)
    if script.path.suffix == ".repl":
        process.execute(f'mach create "{board.name}"')
        process.execute(f"machine LoadPlatformDescription {path}", _LOAD_TIMEOUT_S)
        return
    process.execute(f"include {path}", _LOAD_TIMEOUT_S)
    process.execute("pause")  # many scripts end with `start`


def _look(process: RenodeProcess, script: RenodeScript) -> dict[str, _Peripheral]:
    """Peripherals by name. Raises EngineError: there is no machine."""
    said = process.ask("brownout_look")
    if "NoneType" in said:
        raise process.error(
            f"{script.path}: makes no machine, or ends with none selected: expected mach create"
        )
    found: dict[str, _Peripheral] = {}
    for line in said.splitlines():
        match = _PERIPHERAL.fullmatch(line.strip())
        if match is not None:
            found[match[1]] = _Peripheral(kind=match[2], start=int(match[3], 16), last=int(match[4], 16))
        elif line.split() and line.split()[0] == script.cpu:
            found[script.cpu] = _Peripheral(kind=line.split()[1], start=-1, last=-1)
    return found


def _problems(board: Board, script: RenodeScript, found: Mapping[str, _Peripheral]) -> Iterator[str]:
    """What the script names and the machine has not, or has elsewhere than the board."""
    flash, controller = board.flash, board.flash.controller
    named = {"flash": script.flash, "doorbell": script.doorbell, "cpu": script.cpu}
    named |= {f"uarts.{role}": name for role, name in script.uarts.items()}
    for key, name in named.items():
        if name not in found:
            known = ", ".join(sorted(found)) or "nothing"
            yield f"engine.renode.{key}: '{name}': the machine has no such peripheral; it has {known}"
    if not {script.flash, script.doorbell} <= found.keys():
        return
    array, doorbell = found[script.flash], found[script.doorbell]
    if array.start != flash.base or array.last < flash.end - 1:
        yield (
            f"engine.renode.flash: '{script.flash}' lies at {array.start:#x}..{array.last:#x}, board "
            f"'{board.name}' has its flash at {flash.base:#x}..{flash.end - 1:#x}"
        )
    if doorbell.kind != _DOORBELL_CLASS:
        yield (
            f"engine.renode.doorbell: '{script.doorbell}' is a {doorbell.kind}, expected a {_DOORBELL_CLASS}"
        )
    if not doorbell.start <= controller.doorbell <= doorbell.last:
        yield (
            f"engine.renode.doorbell: '{script.doorbell}' lies at {doorbell.start:#x}..{doorbell.last:#x}, "
            f"board '{board.name}' has its doorbell at {controller.doorbell:#x}"
        )
    needed = {"flash.controller.command_block": (controller.command_block, controller.command_block)}
    needed |= {f"memory.{name}": (memory.base, memory.end - 1) for name, memory in board.memory.items()}
    for key, (first, last) in needed.items():
        for address in (first, last):
            if not any(item.start <= address <= item.last for item in found.values()):
                yield f"nothing lies at {address:#x}, where board '{board.name}' has {key}"


class _Attendant:
    """Answers the doorbell while nobody has a flash yet: a script may start its machine at once."""

    def __init__(self, pipes: DoorbellPipes) -> None:
        self.saw_reset = False
        self._pipes = pipes
        self._thread = threading.Thread(target=self._run, name="brownout-renode-attendant", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pipes.wake()
        self._thread.join(_JOIN_TIMEOUT_S)
        self._pipes.rearm()

    def _run(self) -> None:
        try:
            while True:
                self.saw_reset |= self._pipes.wait() is Happened.RESET
                # A command is left undone: firmware that has rung waits until it is reset.
                self._pipes.go_on()
        except EngineError:
            return  # closed, or Renode is stuck: who gave it the command hears of that


__all__ = ["load_script", "set_vectors"]
