"""The device's side of a debug session (PROTOCOL.md, sections 7 and 8) on a toy machine. Sans-IO.

The machine executes a handful of Thumb instructions, enough for GDB to break, step, watch and interrupt.
"""

import struct
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from fieldlink import debug_messages as messages
from fieldlink.debug.e2e import E2eChannel, prologue
from fieldlink.debug.session import AgentInfo
from fieldlink.debug_messages import EndReason, Permission, ReplyStatus, StopReason
from fieldlink.errors import RemoteProtocolError
from fieldlink.noise import Role

CODE_BASE: Final = 0x20020000
DATA_BASE: Final = 0x20030000
FLASH_BASE: Final = 0x21040000
REGION_SIZE: Final = 0x10000
PROGRAM: Final = struct.pack("<4H", 0x3001, 0x6008, 0xBF00, 0xE7FB)
"""loop: adds r0, #1; str r0, [r1]; nop; b loop."""
ENTRY: Final = CODE_BASE + 0x40
COUNTER: Final = DATA_BASE + 0x100

_SP, _PC = 13, 15
_INFO: Final = AgentInfo(
    version=1,
    stopped=False,
    hardware_breakpoints=False,
    hardware_watchpoints=False,
    code_base=CODE_BASE,
    code_size=REGION_SIZE,
    data_base=DATA_BASE,
    data_size=REGION_SIZE,
)


@dataclass(slots=True)
class ToyMachine:
    """Registers and three memories: code, data, flash."""

    registers: list[int] = field(default_factory=lambda: [0] * 17)
    memory: dict[int, bytearray] = field(
        default_factory=lambda: {base: bytearray(REGION_SIZE) for base in (CODE_BASE, DATA_BASE, FLASH_BASE)}
    )

    def __post_init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """The app from its start."""
        self.memory[CODE_BASE][0x40 : 0x40 + len(PROGRAM)] = PROGRAM
        self.registers[:] = [0] * 17
        self.registers[1], self.registers[_SP], self.registers[_PC] = COUNTER, DATA_BASE + 0x2000, ENTRY
        self.registers[16] = 0x01000000

    def view(self, address: int, length: int) -> memoryview | None:
        """The bytes, None outside the three memories."""
        for base, content in self.memory.items():
            if base <= address and address + length <= base + REGION_SIZE:
                return memoryview(content)[address - base : address - base + length]
        return None

    def store_ahead(self) -> tuple[int, int] | None:
        """Address and size of the store that comes next, if one does."""
        code = self.view(self.registers[_PC], 2)
        return (self.registers[1], 4) if code is not None and bytes(code) == b"\x08\x60" else None

    def step(self) -> StopReason | None:
        """Executes one instruction. A reason when it faults."""
        code = self.view(self.registers[_PC], 2)
        if code is None:
            return StopReason.MEMORY_FAULT
        match int.from_bytes(code, "little"):
            case 0x3001:
                self.registers[0] = (self.registers[0] + 1) & 0xFFFFFFFF
            case 0x6008:
                target = self.view(self.registers[1], 4)
                if target is None:
                    return StopReason.BUS_FAULT
                target[:] = self.registers[0].to_bytes(4, "little")
            case 0xBF00:
                pass
            case 0xE7FB:
                self.registers[_PC] -= 8
            case _:
                return StopReason.USAGE_FAULT
        self.registers[_PC] += 2
        return None


class SimulatedAgent:
    """Executes requests. `run_some` is the app's time."""

    def __init__(self, machine: ToyMachine, permissions: Permission) -> None:
        self.machine = machine
        self.running = True
        self.points: set[tuple[int, int, int]] = set()
        self.requests: list[messages.DebugRequest] = []
        self.detached = False
        self.resetting = False
        self._dead = False  # exited: nothing but a reset makes the app run again
        self._permissions = permissions
        self._told_pc: int | None = None
        self._watched = 0
        self._out: deque[messages.DebugResponse] = deque()

    def take(self) -> list[messages.DebugResponse]:
        """What is to be sent."""
        out, self._out = list(self._out), deque()
        return out

    def handle(self, request: messages.DebugRequest) -> None:
        """One request."""
        self.requests.append(request)
        needed = _NEEDS.get(type(request), Permission.READ)
        if isinstance(request, messages.Insert) and request.kind < 2:
            needed |= Permission.WRITE
        if needed not in self._permissions:
            self._reply(ReplyStatus.NOT_PERMITTED)
            return
        match request:
            case messages.Hello():
                self._reply(
                    ReplyStatus.DONE, _INFO.encode()[:1] + bytes([not self.running]) + _INFO.encode()[2:]
                )
            case messages.ReadMemory() | messages.WriteMemory():
                self._memory(request)
            case messages.ReadRegisters() | messages.WriteRegisters():
                self._registers(request)
            case messages.Insert(kind=kind, address=address, length=length):
                full = len(self.points) >= 8
                self._reply(ReplyStatus.NO_RESOURCES if full else ReplyStatus.DONE)
                if not full:
                    self.points.add((kind, address, length))
            case messages.Remove(kind=kind, address=address, length=length):
                self.points.discard((kind, address, length))
                self._reply(ReplyStatus.DONE)
            case messages.Detach():
                self._reply(ReplyStatus.DONE)
                self.end()
                self.detached = True
            case _:
                self._control(request)

    def end(self) -> None:
        """The session is over: nothing stays."""
        self.points.clear()
        self.running = True

    def _control(self, request: messages.DebugRequest) -> None:
        match request:
            case messages.Halt():
                self._reply(ReplyStatus.DONE)
                self._stop(StopReason.HALTED)  # also of an app that is stopped, as the firmware does
            case messages.Resume() | messages.Step() if self.running or self._dead:
                self._reply(ReplyStatus.WRONG_STATE)
            case messages.Resume():
                self._reply(ReplyStatus.DONE)
                self.running = True
                reason = self._execute()  # off a breakpoint
                if reason is not None:
                    self._stop(reason)
            case messages.Step():
                self._reply(ReplyStatus.DONE)
                self._stop(self._execute() or StopReason.STEP)
            case messages.Reset(target=target):
                self._reply(ReplyStatus.DONE)
                self.resetting = target == messages.ResetTarget.DEVICE
                self.machine.restart()
                self._dead = False  # and a stopped one stays stopped
            case messages.Status():
                breaks = sum(kind < 2 for kind, _, _ in self.points)
                counts = bytes([not self.running, 0, breaks, len(self.points) - breaks])
                self._reply(ReplyStatus.DONE, counts + bytes(8))
            case _:
                self._reply(ReplyStatus.UNKNOWN_REQUEST)

    def _memory(self, request: messages.ReadMemory | messages.WriteMemory) -> None:
        length = request.length if isinstance(request, messages.ReadMemory) else len(request.data)
        view = self.machine.view(request.address, length)
        if view is None or length > messages.REPLY_LIMIT:
            self._reply(ReplyStatus.BAD_ADDRESS)
        elif isinstance(request, messages.ReadMemory):
            self._reply(ReplyStatus.DONE, bytes(view))
        else:
            view[:] = request.data
            self._reply(ReplyStatus.DONE)

    def _registers(self, request: messages.ReadRegisters | messages.WriteRegisters) -> None:
        if isinstance(request, messages.ReadRegisters):
            self._reply(ReplyStatus.DONE, struct.pack("<17I", *self.machine.registers))
        elif self.running:
            self._reply(ReplyStatus.WRONG_STATE)
        else:
            self.machine.registers[:] = struct.unpack("<17I", request.registers)
            self._reply(ReplyStatus.DONE)

    def _reply(self, status: ReplyStatus, data: bytes = b"") -> None:
        self._out.append(messages.Reply(status=status, data=data))

    # ---- the app

    def app_exits(self) -> None:
        """The app has come to its end."""
        self._dead = True
        self._stop(StopReason.EXITED)

    def run_some(self, instructions: int = 200) -> None:
        """Lets the app execute, until something stops it."""
        for _ in range(instructions):
            if not self.running:
                return
            pc = self.machine.registers[_PC]
            if any(kind < 2 and address == pc for kind, address, _ in self.points):
                self._stop(StopReason.BREAKPOINT)
                return
            reason = self._execute()
            if reason is not None:
                self._stop(reason)

    def _execute(self) -> StopReason | None:
        """One instruction; a watchpoint stops before it, once."""
        ahead, pc = self.machine.store_ahead(), self.machine.registers[_PC]
        if ahead is not None and self._told_pc != pc:
            start, size = ahead
            for kind, address, length in self.points:
                if kind in (2, 4) and address < start + size and start < address + length:
                    self._told_pc, self._watched = pc, address
                    return StopReason.WATCH_WRITE if kind == 2 else StopReason.WATCH_ACCESS
        self._told_pc = None
        return self.machine.step()

    def _stop(self, reason: StopReason) -> None:
        self.running = False
        registers = self.machine.registers
        address = self._watched if reason in _WATCHES else registers[_PC]
        stack = self.machine.view(registers[_SP], 256)
        code_address = registers[_PC] - 32
        code = self.machine.view(code_address, 64)
        self._out.append(
            messages.Stop(
                reason=reason,
                address=address,
                registers=struct.pack("<17I", *registers),
                stack_address=registers[_SP],
                stack=b"" if stack is None else bytes(stack),
                code_address=code_address & 0xFFFFFFFF,
                code=b"" if code is None else bytes(code),
            )
        )

    def print(self, text: bytes) -> None:
        """The app writes to its console."""
        self._out.append(messages.Output(data=text))


_WATCHES: Final = (StopReason.WATCH_WRITE, StopReason.WATCH_READ, StopReason.WATCH_ACCESS)
_NEEDS: Final[dict[type[messages.DebugRequest], Permission]] = {
    messages.Halt: Permission.CONTROL,
    messages.Resume: Permission.CONTROL,
    messages.Step: Permission.CONTROL,
    messages.WriteRegisters: Permission.WRITE,
    messages.WriteMemory: Permission.WRITE,
    messages.Insert: Permission.CONTROL,
    messages.Remove: Permission.CONTROL,
    messages.Reset: Permission.RESET,
}


class DeviceEnd:
    """One session on the device: E2E channel and agent. Frames of the device's link in and out."""

    def __init__(
        self,
        *,
        session: int,
        session_id: bytes,
        device_id: bytes,
        permissions: Permission,
        manifest: bytes,
        debug_private: bytes,
        client_public: bytes,
        machine: ToyMachine,
    ) -> None:
        self.session = session
        self.agent = SimulatedAgent(machine, permissions)
        self.over = False
        self.plaintexts: list[bytes] = []
        self._proved = False
        self._channel = E2eChannel(
            role=Role.RESPONDER,
            static_private=debug_private,
            remote_public=client_public,
            prologue_bytes=prologue(
                device_id=device_id, session_id=session_id, permissions=int(permissions), manifest=manifest
            ),
        )

    def receive(self, frame: messages.Relay | messages.Ended) -> list[messages.DebugFrame]:
        """Frames to send back."""
        if isinstance(frame, messages.Ended):
            self._over()
            return []
        try:
            plaintext, answer = self._channel.receive(frame.payload)
            if plaintext is not None:
                self.plaintexts.append(plaintext)
                self._on_request(messages.decode_request(plaintext))
        except RemoteProtocolError:
            return [self.fail(EndReason.E2E_FAILED)]
        if answer is not None:
            return [messages.Relay(session=self.session, payload=answer)]
        return self.outgoing()

    def _on_request(self, request: messages.DebugRequest) -> None:
        if not self._proved and not isinstance(request, messages.Hello):
            raise RemoteProtocolError("the first request is not hello")
        self._proved = True
        self.agent.handle(request)

    def outgoing(self) -> list[messages.DebugFrame]:
        """Answers and events."""
        frames: list[messages.DebugFrame] = []
        if not self.over and self._channel.is_open and self._proved:
            for response in self.agent.take():
                sealed = self._channel.seal(messages.encode(response))
                frames.append(messages.Relay(session=self.session, payload=sealed))
            if self.agent.detached or self.agent.resetting:
                reason = EndReason.DEVICE_RESETTING if self.agent.resetting else EndReason.CLOSED
                frames.append(self.fail(reason))
        return frames

    def fail(self, reason: EndReason) -> messages.Ended:
        """Ends the session from here."""
        self._over()
        return messages.Ended(session=self.session, reason=reason)

    def _over(self) -> None:
        self.over = True
        self.agent.end()
