"""What stands in for Renode where it is not needed: a program that plays its monitor, .NET for its script."""

from __future__ import annotations

import contextlib
import os
import re
import select
import struct
import sys
import textwrap
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from brownout.board.export import export_renode
from brownout.engines.renode import network, process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from brownout.board import Board

TIMEOUT_S = 60.0

MONITOR = '''\
#!{python}
"""Plays Renode's monitor."""
import os, pathlib, signal, socket, sys, time

pathlib.Path({pid!r}).write_text(str(os.getpid()))
keep = []


def say(text):
    print(text, flush=True)


def hang():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(60)


def listen(host, kind=socket.SOCK_STREAM, family=socket.AF_INET):
    server = socket.socket(family, kind)
    server.bind((host, 0))
    if kind == socket.SOCK_STREAM:
        server.listen()
    keep.append(server)
    say(f"port {{server.getsockname()[1]}}")


def version():
    say("Renode, version 1.16.1 (0123abcd-202602161200)")


def other(line):
    pass


{changes}

while True:
    line = sys.stdin.readline()
    if not line:
        break
    line = line.strip()
    if line == "version":
        version()
    elif line.startswith('echo "'):
        say(line[6:-1])
    elif line == "quit":
        break
    else:
        other(line)
'''


TERMINALS = """
    def other(line):
        # Pseudo-terminals, as CreateUartPtyTerminal "NAME" "PATH" true makes them.
        if "CreateUartPtyTerminal" in line:
            ends = os.openpty()
            keep.extend(ends)
            os.symlink(os.ttyname(ends[1]), line.split('"')[3])
"""
"""Changes: what a board's load needs of it."""


class FakeFactory(Protocol):
    """Makes a program that plays Renode; `changes` is Python that redefines what it does."""

    def __call__(self, changes: str = "") -> FakeRenode: ...


class FakeRenode:
    """A program that plays Renode's monitor."""

    def __init__(self, folder: Path, changes: str) -> None:
        self.program = folder / "renode"
        self._pid_file = folder / "renode.pid"
        self.program.write_text(
            MONITOR.format(python=sys.executable, pid=str(self._pid_file), changes=textwrap.dedent(changes))
        )
        self.program.chmod(0o755)

    def behind_launcher(self) -> Path:
        """A launcher that starts it and waits for it, as Renode's Debian package has one."""
        launcher = self.program.with_name("launcher")
        launcher.write_text(f'#!/bin/sh\n"{self.program}" "$@"\nexit $?\n')
        launcher.chmod(0o755)
        return launcher

    @property
    def pid(self) -> int:
        return int(self._pid_file.read_text())

    def is_gone(self) -> bool:
        """Whether it has ended, or was ended before it came to life."""
        return not self._pid_file.exists() or ended(self.pid)


def ended(pid: int) -> bool:
    """Whether a process ends soon; one that only waits for its parent to look counts."""
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([watch], [], [], TIMEOUT_S)[0])
    finally:
        os.close(watch)


@pytest.fixture
def fake_renode(tmp_path: Path) -> FakeFactory:
    folder = tmp_path / "fake"
    folder.mkdir()
    return lambda changes="": FakeRenode(folder, changes)


@pytest.fixture
def shared_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system that gives Renode no network of its own."""
    monkeypatch.setattr(process, "private_network", tuple)


@pytest.fixture
def own_network() -> None:
    if not network.private_network():
        pytest.skip("needs a system where unshare may give a process a network of its own")


@pytest.fixture(autouse=True)
def _temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Logs that are kept on purpose are kept where pytest removes them."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    folder = tmp_path / "scratch"
    folder.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    return folder


def log_of(message: str) -> Path:
    """The log that an error names."""
    found = re.search(r"\(log: ([^)]+)\)", message)
    assert found is not None, message
    assert "\n" not in message
    return Path(found[1])


# -- .NET, as far as the doorbell's script uses it ----------------------------------------------------


class Byte:
    """System.Byte, the type."""


class NetBytes(bytearray):
    """A System.Byte[]."""

    @property
    def Length(self) -> int:  # noqa: N802 - .NET's name
        return len(self)


class _ArrayMaker:
    def __getitem__(self, kind: type) -> type[NetBytes]:
        assert kind is Byte
        return NetBytes

    def CreateInstance(self, kind: type, count: int) -> NetBytes:  # noqa: N802 - .NET's name
        assert kind is Byte
        return NetBytes(count)


class FileStream:
    """System.IO.FileStream without a buffer."""

    def __init__(self, path: str, mode: str, access: str, share: str, size: int) -> None:
        assert (mode, share, size) == ("Open", "ReadWrite", 1)
        self._descriptor = os.open(path, {"Read": os.O_RDONLY, "Write": os.O_WRONLY}[access])

    def Read(self, data: NetBytes, start: int, count: int) -> int:  # noqa: N802 - .NET's name
        got = os.read(self._descriptor, count)
        data[start : start + len(got)] = got
        return len(got)

    def Write(self, data: NetBytes, start: int, count: int) -> None:  # noqa: N802 - .NET's name
        view = memoryview(bytes(data[start : start + count]))
        while view:
            view = view[os.write(self._descriptor, view) :]

    def Flush(self) -> None:  # noqa: N802 - .NET's name
        pass

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


class Int64:
    """A System.Int64: Python may convert it, and nothing else is sure."""

    def __init__(self, value: int) -> None:
        self._value = value

    def __int__(self) -> int:
        return self._value


class Bus:
    """Memories of a board behind Renode's system bus."""

    def __init__(self, board: Board) -> None:
        flash = board.flash
        places = [(memory.base, memory.size) for memory in board.memory.values()]
        places += [(flash.base, flash.size), (flash.controller.command_block, 0x1000)]
        self._memories = {base: NetBytes(size) for base, size in places}

    def _at(self, address: int, count: int) -> tuple[NetBytes, slice]:
        for base, memory in self._memories.items():
            if base <= address and address + count <= base + len(memory):
                return memory, slice(address - base, address - base + count)
        raise AssertionError(f"nothing at {address:#x}..+{count:#x}")

    def ReadBytes(self, address: int, count: int) -> NetBytes:  # noqa: N802 - Renode's name
        memory, place = self._at(address, count)
        return NetBytes(memory[place])

    def WriteBytes(self, data: NetBytes, address: int) -> None:  # noqa: N802 - Renode's name
        assert isinstance(data, NetBytes)
        memory, place = self._at(address, len(data))
        memory[place] = data

    def ReadDoubleWord(self, address: int) -> int:  # noqa: N802 - Renode's name
        return int(struct.unpack("<I", self.ReadBytes(address, 4))[0])

    def WriteDoubleWord(self, address: int, value: int) -> None:  # noqa: N802 - Renode's name
        self.WriteBytes(NetBytes(struct.pack("<I", value)), address)


class Machine:
    """Renode's machine and the peripheral `self` of the script in one."""

    def __init__(self, board: Board) -> None:
        self.SystemBus = Bus(board)
        self.pauses: list[bool] = []

    def GetMachine(self) -> Machine:  # noqa: N802 - Renode's name
        return self

    def PauseAndRequestEmulationPause(self, precise: bool = False) -> None:  # noqa: N802 - Renode's name
        self.pauses.append(precise)


class DoorbellScript:
    """The generated script, run at each access as Renode does it; `old` is the request of 1.16.0."""

    def __init__(self, board: Board, *, old: bool = False, folder: Path | None = None) -> None:
        self.machine = Machine(board)
        self._old = old
        self._folder = folder
        self._code = compile(export_renode(board)["flash_doorbell.py"], "flash_doorbell.py", "exec")
        self.scope: dict[str, Any] = {"self": self.machine, "size": 0x1000}

    def access(self, kind: str, offset: int = 0) -> None:
        """`kind` is init, read, write or user."""
        if self._old:
            names = {f"is{name.title()}": name == kind for name in ("init", "read", "write", "user")}
            request = types.SimpleNamespace(**names, offset=Int64(offset), value=0, length=4)
        else:
            names = {f"Is{name.title()}": name == kind for name in ("init", "read", "write", "user")}
            request = types.SimpleNamespace(
                **names, Offset=Int64(offset), Value=0, Length=4, Absolute=0, Counter=0, Type=kind.upper()
            )
        self.scope["request"] = request
        exec(self._code, self.scope)  # noqa: S102 - what Renode does

    def environment(self, name: str) -> str | None:
        return str(self._folder) if name == "BROWNOUT_DOORBELL" and self._folder is not None else None

    def close(self) -> None:
        for stream in self.scope.get("pipes") or ():
            stream.close()


class ScriptFactory(Protocol):
    """Makes scripts of a board, closed at the end."""

    def __call__(self, board: Board, *, old: bool = False, folder: Path | None = None) -> DoorbellScript: ...


@pytest.fixture
def make_script(monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptFactory]:
    made: list[DoorbellScript] = []
    system: Any = types.ModuleType("System")
    system.Array, system.Byte = _ArrayMaker(), Byte
    system.BitConverter = types.SimpleNamespace(
        ToUInt32=lambda data, at: int.from_bytes(data[at : at + 4], "little")
    )
    system.Environment = types.SimpleNamespace(GetEnvironmentVariable=lambda name: made[-1].environment(name))
    io: Any = types.ModuleType("System.IO")
    io.FileStream = FileStream
    io.FileMode = types.SimpleNamespace(Open="Open")
    io.FileAccess = types.SimpleNamespace(Read="Read", Write="Write")
    io.FileShare = types.SimpleNamespace(ReadWrite="ReadWrite")
    system.IO = io
    monkeypatch.setitem(sys.modules, "System", system)
    monkeypatch.setitem(sys.modules, "System.IO", io)

    def make(board: Board, *, old: bool = False, folder: Path | None = None) -> DoorbellScript:
        made.append(DoorbellScript(board, old=old, folder=folder))
        return made[-1]

    yield make
    for script in made:
        script.close()
