"""The agent's test program, joined to a Cortex-M3 that runs the app whenever the agent lets it."""

import os
import selectors
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cbor2
from firmware.tests.debug.debug_machine import Fault, Machine

CODE = 0x20020000
DATA = 0x20030000
SIZE = 0x10000
STACK_TOP = DATA + 0x2000
SP, LR, PC, XPSR = 13, 14, 15, 16
THUMB = 0x01000000

READ, WRITE, CONTROL, RESET = 1, 2, 4, 8
ALL = READ | WRITE | CONTROL | RESET

HALTED, BREAKPOINT, STEP, WATCH_WRITE, WATCH_READ, WATCH_ACCESS, MEMORY_FAULT = range(1, 8)
USAGE_FAULT, STACK_OVERFLOW, EXITED = 9, 11, 12

DONE, NOT_PERMITTED, BAD_ADDRESS, NO_RESOURCES, WRONG_STATE, UNKNOWN = range(6)

OK, NOT_FOUND, MALFORMED, STATE, WOULD_BLOCK = 0, 4, 6, 14, 15

ANSWER_DEADLINE_S = 20.0


class AgentProgram:
    """A process that answers lines on stdin with lines on stdout."""

    def __init__(self, program: Path) -> None:
        self._process = subprocess.Popen(
            [str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
        )
        self._received = b""

    def ask(self, line: str) -> tuple[list[str], int]:
        """The words of the answer to `line`, and its status."""
        assert self._process.stdin is not None
        self._process.stdin.write(line.encode("ascii") + b"\n")
        words = self._read_line(line).split()
        return words[:-1], int(words[-1].removeprefix("="))

    def _read_line(self, line: str) -> str:
        assert self._process.stdout is not None
        deadline = time.monotonic() + ANSWER_DEADLINE_S
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            while b"\n" not in self._received:
                assert selector.select(max(0.0, deadline - time.monotonic())), f"no answer to {line[:80]!r}"
                data = os.read(self._process.stdout.fileno(), 65536)
                assert data, f"died at {line[:200]!r}\n{self._report()}"
                self._received += data
        answer, _, self._received = self._received.partition(b"\n")
        return answer.decode("ascii")

    def _report(self) -> str:
        assert self._process.stderr is not None
        self._process.wait(timeout=ANSWER_DEADLINE_S)
        return self._process.stderr.read().decode(errors="replace")[-4000:]

    def close(self) -> None:
        """End the process, whatever it is doing."""
        self._process.kill()
        self._process.wait(timeout=ANSWER_DEADLINE_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """A `stop` message, or the agent's state when one was due."""

    reason: int
    address: int
    registers: tuple[int, ...]
    stack_address: int
    stack: bytes
    code_address: int
    code: bytes


@dataclass(slots=True)
class World:
    """One agent, one app. `sent[i]` are the decoded messages to session i that nobody has taken."""

    program: AgentProgram
    sent: list[list[list[object]]] = field(default_factory=lambda: [[], []])
    resets: list[str] = field(default_factory=list)
    machine: Machine = field(default_factory=Machine)

    def __post_init__(self) -> None:
        self.command("init")
        self.set_registers(sp=STACK_TOP, pc=CODE, xpsr=THUMB)

    # -- the program

    def command(self, line: str) -> int:
        """Run a command; messages and memory writes that it caused are taken from the answer."""
        return self.ask(line)[1]

    def ask(self, line: str) -> tuple[list[str], int]:
        """The same; returns the other words of the answer too."""
        words, status = self.program.ask(line)
        rest: list[str] = []
        queue = iter(words)
        for word in queue:
            if word == "sent":
                self.sent[int(next(queue))].append(cbor2.loads(bytes.fromhex(next(queue))))
            elif word == "wrote":
                address, data = int(next(queue), 16), next(queue, "")
                self.machine.write(address, bytes.fromhex(data))
            elif word == "reset":
                self.resets.append(next(queue))
            else:
                rest.append(word)
        return rest, status

    # -- the app

    def poke(self, address: int, data: bytes) -> None:
        """Write memory as the app itself would."""
        for start in range(0, len(data), 2048):
            part = data[start : start + 2048]
            assert self.command(f"poke {address + start:x} {part.hex()}") == OK
        self.machine.write(address, data)

    def peek(self, address: int, length: int) -> bytes:
        """What is really in memory."""
        words, status = self.ask(f"peek {address:x} {length:x}")
        assert status == OK
        return bytes.fromhex(words[0])

    def set_registers(self, values: Sequence[int] = (), **named: int) -> None:
        """Set all registers; `named` ones replace those of `values`."""
        registers = list(values) or [0] * 17
        for name, value in named.items():
            index = {"sp": SP, "lr": LR, "pc": PC, "xpsr": XPSR}.get(name)
            registers[int(name[1:]) if index is None else index] = value
        self.command("registers " + " ".join(f"{value:x}" for value in registers))

    def registers(self) -> list[int]:
        """All registers."""
        return [int(word, 16) for word in self._state()[1:18]]

    def is_running(self) -> bool:
        """Whether the agent lets the app run."""
        return self._state()[0] == "running"

    def areas(self) -> list[tuple[int, int, bool]]:
        """Armed watch areas: base, size, whether reads are stopped too."""
        words = self._state()[18:]
        return [
            (int(words[i + 1], 16), int(words[i + 2], 16), words[i + 3] == "1")
            for i in range(0, len(words), 4)
        ]

    def _state(self) -> list[str]:
        return self.ask("state")[0]

    def trap(self, reason: int, address: int = 0) -> bool:
        """The app trapped; returns whether the agent deals with it."""
        return self.command(f"trap {reason:x} {address:x}") == OK

    def run(self, limit: int = 100_000) -> list[int]:
        """Let the app run until the agent keeps it or `limit` instructions; returns their addresses."""
        trace: list[int] = []
        traps = 0
        while self.is_running() and len(trace) < limit:
            traps += 1
            assert traps < 2 * limit + 10, "the app traps and gets nowhere"
            self.machine.registers = self.registers()
            fault = self.machine.run(self.areas(), limit - len(trace), trace)
            for address, data in self.machine.take_writes():
                self.command(f"poke {address:x} {data.hex()}")
            self.set_registers(self.machine.registers)
            match fault:
                case Fault(kind="breakpoint"):
                    assert self.trap(BREAKPOINT), "nobody deals with the app's trap"
                case Fault(kind="memory"):
                    assert self.trap(MEMORY_FAULT, fault.address), "nobody deals with the app's trap"
        return trace

    # -- sessions

    def attach(self, permissions: int = ALL, session: int = 0) -> int:
        """Open a session."""
        return self.command(f"attach {session} {permissions:x}")

    def request(self, *message: object, session: int = 0) -> int:
        """Send a request; returns the agent's status."""
        return self.command(f"request {session} {cbor2.dumps(list(message)).hex()}")

    def call(self, *message: object, session: int = 0) -> tuple[int, bytes]:
        """Send a request; returns its reply's status and bytes."""
        before = len(self.sent[session])
        assert self.request(*message, session=session) == OK
        assert len(self.sent[session]) > before, "no reply"
        number, status, data = self.sent[session].pop(before)
        assert number == 1, f"expected a reply, found {number}"
        assert isinstance(status, int)
        assert isinstance(data, bytes)
        return status, data

    def done(self, *message: object) -> bytes:
        """Send a request that must be done; returns the reply's bytes."""
        status, data = self.call(*message)
        assert status == DONE, f"{message}: reply status {status}"
        return data

    def take_stop(self, session: int = 0) -> Stop:
        """The only message that waits, which is a stop."""
        (message,) = self.sent[session]
        self.sent[session].clear()
        return decode_stop(message)

    def halt(self) -> Stop:
        """Stop the app."""
        self.done(1)
        return self.take_stop()

    def resume(self, limit: int = 100_000) -> Stop | None:
        """Let the app run; the stop that ended that, if any."""
        self.done(2)
        self.run(limit)
        return self.take_stop() if self.sent[0] else None

    def step(self) -> Stop:
        """One instruction."""
        self.done(3)
        self.run()
        return self.take_stop()


def decode_stop(message: list[object]) -> Stop:
    """A stop message."""
    number, reason, address, registers, stack_address, stack, code_address, code = message
    assert number == 2
    assert isinstance(registers, bytes)
    assert len(registers) == 68
    assert isinstance(stack, bytes)
    assert isinstance(code, bytes)
    assert isinstance(reason, int)
    assert isinstance(address, int)
    assert isinstance(stack_address, int)
    assert isinstance(code_address, int)
    words = [int.from_bytes(registers[i : i + 4], "little") for i in range(0, 68, 4)]
    return Stop(
        reason=reason,
        address=address,
        registers=tuple(words),
        stack_address=stack_address,
        stack=stack,
        code_address=code_address,
        code=code,
    )
