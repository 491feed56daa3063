"""The app under debug as awaitable operations, with the cache in front of the round trips."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from fieldlink import debug_messages as messages
from fieldlink.debug.cache import LINE_SIZE, Extent, StopCache, pieces
from fieldlink.debug.errors import DebugError, RequestRefusedError
from fieldlink.debug.session import AgentInfo
from fieldlink.debug_messages import Permission, ReplyStatus

STOP_TIMEOUT_S: Final = 5.0
"""How long a halted app may take to report its stop."""

Point = tuple[int, int, int]
"""Kind, address, length of a breakpoint or watchpoint."""

_WATCH_WRITE: Final = 2
"""The first kind that is a watchpoint."""

TargetEvent = messages.Stop | messages.Output | messages.Notice


class Requester(Protocol):
    """Carries requests to the device."""

    def submit(self, request: messages.DebugRequest) -> "asyncio.Future[messages.Reply]":
        """Queues a request; the future has its reply, or a DebugError when the session ends first."""
        ...


def check(reply: messages.Reply, what: str) -> bytes:
    """The reply's bytes. RequestRefusedError unless it says done."""
    if reply.status != ReplyStatus.DONE:
        raise RequestRefusedError(reply.status, what)
    return reply.data


class Target:
    """One app. `on_event` takes what the device says by itself; `subscribe` passes it on."""

    def __init__(self, requester: Requester, *, agent: AgentInfo, permissions: Permission) -> None:
        self._requester = requester
        self._cache = StopCache()
        self._points: set[Point] = set()
        self._removed: set[Point] = set()
        self._dirty = False
        self._resuming: asyncio.Future[messages.Reply] | None = None
        self._stop_waiters: list[asyncio.Future[messages.Stop]] = []
        self._observers: list[Callable[[TargetEvent], None]] = []
        self.agent = agent
        self.permissions = permissions
        # Who may not control the app is not told when it goes on: it counts as running, and nothing is kept.
        self.running = not agent.stopped or Permission.CONTROL not in permissions
        self.last_stop: messages.Stop | None = None
        self.round_trips = 0
        """Requests sent so far."""

    # ---- events

    def subscribe(self, observer: Callable[[TargetEvent], None]) -> Callable[[], None]:
        """Calls `observer` for each event; the returned function ends that."""
        self._observers.append(observer)
        return lambda: self._observers.remove(observer)

    def on_event(self, event: TargetEvent) -> None:
        """Something that the device said by itself."""
        if isinstance(event, messages.Stop) and self.allows(Permission.CONTROL):
            if self._resuming is not None and not self._resuming.done():
                return  # of a halt that crossed a stop: the app has been told to go on since
            self.running = False
            self._dirty = False
            self.last_stop = event
            self._cache.load(event)
            waiters, self._stop_waiters = self._stop_waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(event)
        for observer in tuple(self._observers):
            observer(event)

    async def next_stop(self, timeout_s: float | None = STOP_TIMEOUT_S) -> messages.Stop:
        """The next stop. DebugError when there is none in time."""
        waiter: asyncio.Future[messages.Stop] = asyncio.get_running_loop().create_future()
        self._stop_waiters.append(waiter)
        try:
            async with asyncio.timeout(timeout_s):
                return await waiter
        except TimeoutError as error:
            raise DebugError(f"the app has not stopped within {timeout_s:g} s") from error

    # ---- requests

    def _submit(self, request: messages.DebugRequest) -> "asyncio.Future[messages.Reply]":
        self.round_trips += 1
        future = self._requester.submit(request)
        future.add_done_callback(_retrieve)
        return future

    def allows(self, *wanted: Permission) -> bool:
        """Whether the token has all of these."""
        return all(permission in self.permissions for permission in wanted)

    def _require(self, what: str, *wanted: Permission) -> None:
        if not self.allows(*wanted):  # the device would refuse; this saves the round trip
            raise RequestRefusedError(ReplyStatus.NOT_PERMITTED, what)

    async def status(self) -> bytes:
        """The agent's status bytes."""
        return check(await self._submit(messages.Status()), "status")

    # ---- memory

    def trust(self, constant: Sequence[Extent]) -> None:
        """Read-only bytes of the ELF that were verified against the device."""
        self._cache.trust(constant)

    async def read_memory(self, address: int, length: int) -> bytes:
        """Bytes at `address`. RequestRefusedError when one of them is not readable."""
        known = self._cache.read(address, length)
        if known is not None:
            return known
        start, size = self._line(address, length)
        data = await self.fetch_memory(start, size)
        if not self.running:
            self._cache.store(start, data)
        return data[address - start : address - start + length]

    def _line(self, address: int, length: int) -> tuple[int, int]:
        """The range to fetch for a read: whole lines inside the app's own memory."""
        if self.running or length >= LINE_SIZE:
            return address, length
        for base, size in (
            (self.agent.code_base, self.agent.code_size),
            (self.agent.data_base, self.agent.data_size),
        ):
            if base <= address and address + length <= base + size:
                start = max(base, address - address % LINE_SIZE)
                end = min(base + size, -(-(address + length) // LINE_SIZE) * LINE_SIZE)
                return start, end - start
        return address, length

    async def fetch_memory(self, address: int, length: int) -> bytes:
        """Bytes as the device has them now, whatever is cached. The requests are pipelined."""
        futures = [
            (start, size, self._submit(messages.ReadMemory(address=start, length=size)))
            for start, size in pieces(address, length)
        ]
        out = bytearray()
        for start, size, future in futures:
            data = check(await future, f"read {size} bytes at {start:#010x}")
            if len(data) != size:
                raise DebugError(
                    f"read at {start:#010x}: the device sent {len(data)} bytes instead of {size}"
                )
            out += data
        return bytes(out)

    async def write_memory(self, address: int, data: bytes) -> None:
        """Changes memory of the app."""
        self._require(f"write at {address:#010x}", Permission.WRITE)
        self._cache.written(address, len(data))
        futures = [
            self._submit(
                messages.WriteMemory(address=start, data=data[start - address : start - address + size])
            )
            for start, size in pieces(address, len(data), messages.WRITE_LIMIT)
        ]
        for future in futures:
            check(await future, f"write {len(data)} bytes at {address:#010x}")

    # ---- registers

    async def registers(self) -> bytes:
        """All 68 bytes; of a running app what they were a moment ago."""
        if self._cache.registers is None:
            data = check(await self._submit(messages.ReadRegisters()), "read registers")
            if len(data) != messages.REGISTERS_SIZE:
                raise DebugError(f"the device sent {len(data)} bytes of registers")
            if self.running:
                return data
            self._cache.registers = data
        return self._cache.registers

    async def write_register(self, number: int, value: bytes) -> None:
        """Changes one register; the device is told before the app runs on."""
        registers = bytearray(await self.registers())
        registers[4 * number : 4 * number + 4] = value
        await self.write_registers(bytes(registers))

    async def write_registers(self, registers: bytes) -> None:
        """Changes all registers; the device is told before the app runs on."""
        self._require("write registers", Permission.WRITE)
        if self.running:
            raise RequestRefusedError(ReplyStatus.WRONG_STATE, "write registers")
        self._cache.registers = registers
        self._dirty = True

    # ---- run control

    async def resume(self, *, step: bool = False) -> None:
        """Lets the app run, or execute one instruction; the stop comes as an event."""
        what = "step" if step else "continue"
        self._require(what, Permission.CONTROL)
        if self.running:
            raise RequestRefusedError(ReplyStatus.WRONG_STATE, what)
        await self.flush_registers()
        self._tell_removed(before_step=step)
        registers = self._cache.registers
        self._cache.forget()
        self.running = True  # before the reply: the stop may follow it in the same packet
        try:
            self._resuming = self._submit(messages.Step() if step else messages.Resume())
            check(await self._resuming, what)
        except RequestRefusedError:
            self.running = False
            self._cache.registers = registers
            raise

    def _tell_removed(self, *, before_step: bool = False) -> None:
        """Sends the removals that wait, ahead of what is sent next.

        A step needs no removed breakpoint to be gone: it executes what is under the patch at pc, and ends
        at a patched instruction as at any other. GDB steps off a breakpoint and then sets it again, which
        cancels the removal. A watchpoint would stop the step.
        """
        told = sorted(point for point in self._removed if not before_step or point[0] >= _WATCH_WRITE)
        for kind, address, length in told:
            self._submit(messages.Remove(kind=kind, address=address, length=length))
        self._points.difference_update(told)
        self._removed.difference_update(told)

    async def flush_registers(self) -> None:
        """Tells the device of changed registers."""
        if self._dirty and self._cache.registers is not None:
            request = messages.WriteRegisters(registers=self._cache.registers)
            check(await self._submit(request), "write registers")
            self._dirty = False

    async def halt(self) -> messages.Stop:
        """Stops the app, unless it is stopped. Returns the stop."""
        if not self.running and self.last_stop is not None:
            return self.last_stop
        self._require("halt", Permission.CONTROL)
        stop = asyncio.ensure_future(self.next_stop())
        try:
            await asyncio.sleep(0)  # the waiter is registered before the stop can come
            self.request_halt()
            return await stop
        finally:
            stop.cancel()

    def request_halt(self) -> None:
        """Asks for a stop without waiting for it."""
        self._require("halt", Permission.CONTROL)
        self._submit(messages.Halt())

    async def reset(self, target: messages.ResetTarget) -> None:
        """Restarts the app or the device. The app is halted again if a debugger had it stopped."""
        self._require("reset", Permission.RESET)
        was_stopped = not self.running
        self._cache.forget()
        self._dirty = False
        check(await self._submit(messages.Reset(target=target)), "reset")
        if target is messages.ResetTarget.APP:
            self.running, self.last_stop = True, None
            if was_stopped and self.allows(Permission.CONTROL):
                await self.halt()

    # ---- breakpoints and watchpoints

    def has_point(self, kind: int, address: int) -> bool:
        """Whether a debugger has set one there."""
        return any(
            point[0] == kind and point[1] == address and point not in self._removed for point in self._points
        )

    async def insert(self, point: Point) -> None:
        """Sets a breakpoint or watchpoint."""
        if point in self._points:  # GDB removes all at each stop and sets them again before it goes on
            self._removed.discard(point)
            return
        kind, address, length = point
        what = f"{'breakpoint' if kind < 2 else 'watchpoint'} at {address:#010x}"
        # A breakpoint is a patch of the code.
        self._require(what, Permission.CONTROL, *([Permission.WRITE] if kind < 2 else []))
        request = messages.Insert(kind=kind, address=address, length=length)
        reply = await self._submit(request)
        if reply.status == ReplyStatus.NO_RESOURCES and self._removed:
            self._tell_removed()  # they still take up room at the device
            reply = await self._submit(request)
        check(reply, what)
        self._points.add(point)

    def remove(self, point: Point) -> None:
        """Removes one; the device is told before the app runs on, see `_tell_removed`."""
        if point in self._points:
            self._removed.add(point)

    async def release(self) -> None:
        """As if no debugger had been here: no breakpoints, and the app runs."""
        if not self.allows(Permission.CONTROL):
            return
        await self.flush_registers()
        futures = [
            self._submit(messages.Remove(kind=kind, address=address, length=length))
            for kind, address, length in self._points
        ]
        self._points.clear()
        self._removed.clear()
        for future in futures:
            check(await future, "remove a breakpoint")
        if not self.running:
            await self._let_go()

    async def _let_go(self) -> None:
        try:
            await self.resume()
        except RequestRefusedError:
            # It exited, or lost its stack: only a start from the beginning makes it run. Without that
            # permission the device starts it again when the session ends.
            if self.allows(Permission.RESET):
                await self.reset(messages.ResetTarget.APP)
                await self.resume()


def _retrieve(future: "asyncio.Future[messages.Reply]") -> None:
    """A reply that nobody waits for must not be reported as an exception never retrieved."""
    if not future.cancelled():
        future.exception()
