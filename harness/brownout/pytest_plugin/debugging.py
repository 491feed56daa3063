"""A debug session in plain calls: fieldlink's client with an event loop of its own in a thread."""

from __future__ import annotations

import asyncio
import struct
import threading
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, TypeVar

from brownout.errors import BrownoutError, DeadlineError
from fieldlink.debug import GdbService, SessionFacts, open_client
from fieldlink.debug.elf import check_code, check_flash, load_elf
from fieldlink.debug.profile import client_config, load_profile
from fieldlink.debug.rsp import REGISTER_NAMES
from fieldlink.debug.stops import describe_stop, reason_name
from fieldlink.debug_messages import Output, ResetTarget
from fieldlink.errors import FieldlinkError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping
    from pathlib import Path
    from types import TracebackType

    from brownout.lab import DebugKit
    from fieldlink.debug import Target
    from fieldlink.debug_messages import Stop

_TIMEOUT_S: Final = 30.0
_BREAKPOINT: Final = (0, 2)
"""Kind and length of a breakpoint on a Thumb instruction."""
_WATCHPOINTS: Final = {"write": 2, "read": 3, "access": 4}
_REGISTERS: Final = struct.Struct("<17I")
_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugStop:
    """Why and where the app stopped. `reason` is such as "breakpoint", "halted", "memory-fault"."""

    reason: str
    address: int
    registers: Mapping[str, int]
    detail: str

    @property
    def pc(self) -> int:
        """The program counter."""
        return self.registers["pc"]


class DebugSession:
    """An open session with the app of a device. WHERE is an address, or the name of a symbol of its ELF.

    Calls raise BrownoutError when device or server refuse, or do not answer in time.
    """

    def __init__(self, kit: DebugKit) -> None:
        """Open it; GDB may attach to `gdb_port` at once."""
        self.device_id: Final = kit.device_id
        self.elf: Final[Path] = kit.elf
        self._symbols: Final = load_elf(kit.elf).symbols
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._output: list[bytes] = []
        self._thread = threading.Thread(target=self._loop.run_forever, name="brownout-debug", daemon=True)
        self._thread.start()
        ready: Future[tuple[Target, int]] = Future()
        self._session = asyncio.run_coroutine_threadsafe(self._serve(kit, ready), self._loop)
        self._session.add_done_callback(lambda done: _pass_failure(done, ready))
        try:
            self._target, self._port = _told(lambda: ready.result(_TIMEOUT_S))
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the session: no breakpoints are left, the app runs. Later calls do nothing."""
        if not self._thread.is_alive():
            return
        self._loop.call_soon_threadsafe(self._over.set)
        try:
            self._session.exception(_TIMEOUT_S)
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(_TIMEOUT_S)
            self._loop.close()

    # -- facts ---------------------------------------------------------------------------------------------

    @property
    def gdb_port(self) -> int:
        """Port on 127.0.0.1 where GDB's `target remote` is served."""
        return self._port

    @property
    def running(self) -> bool:
        """The app runs, as far as this session knows."""
        return self._target.running

    @property
    def output(self) -> str:
        """What the app has printed since the session was opened."""
        return b"".join(self._output).decode(errors="replace")

    def address(self, where: int | str) -> int:
        """Address of a symbol."""
        return self._locate(where)[0]

    # -- memory and registers ------------------------------------------------------------------------------

    def read_memory(self, where: int | str, size: int | None = None) -> bytes:
        """Bytes as the device has them now; without a size those of the symbol, or 4."""
        address, length = self._locate(where)
        return self._call(self._target.fetch_memory(address, length if size is None else size))

    def read_word(self, where: int | str) -> int:
        """The 32-bit word there."""
        return int.from_bytes(self.read_memory(where, 4), "little")

    def write_memory(self, where: int | str, data: bytes) -> None:
        """Change memory of the app."""
        self._call(self._target.write_memory(self._locate(where)[0], data))

    def registers(self) -> Mapping[str, int]:
        """r0 to r12, sp, lr, pc and xpsr by name."""
        return _named(self._call(self._target.registers()))

    def write_register(self, name: str, value: int) -> None:
        """Change a register of the stopped app."""
        if name not in REGISTER_NAMES:
            raise BrownoutError(f"register '{name}': expected one of {', '.join(REGISTER_NAMES)}")
        number = REGISTER_NAMES.index(name)
        self._call(self._target.write_register(number, value.to_bytes(4, "little")))

    # -- run control ---------------------------------------------------------------------------------------

    def halt(self) -> DebugStop:
        """Stop the app."""
        return _stop(self._call(self._target.halt()))

    def resume(self) -> None:
        """Let the app run, and do not wait."""
        self._call(self._target.resume())

    def step(self, timeout: float = _TIMEOUT_S) -> DebugStop:
        """Execute one instruction."""
        return self._go(step=True, timeout=timeout)

    def run_until_stop(self, timeout: float = _TIMEOUT_S) -> DebugStop:
        """Let the app run until it stops by itself: at a breakpoint, a watchpoint or a fault."""
        return self._go(step=False, timeout=timeout)

    def reset_app(self) -> None:
        """Start the app from its beginning; stopped again if it was stopped."""
        self._call(self._target.reset(ResetTarget.APP))

    def set_breakpoint(self, where: int | str) -> None:
        """Stop before the instruction there."""
        kind, length = _BREAKPOINT
        self._call(self._target.insert((kind, self._locate(where)[0] & ~1, length)))

    def remove_breakpoint(self, where: int | str) -> None:
        """Take it back."""
        kind, length = _BREAKPOINT
        self._call(self._remove((kind, self._locate(where)[0] & ~1, length)))

    def set_watchpoint(self, where: int | str, size: int | None = None, *, on: str = "write") -> None:
        """Stop before an access to these bytes; `on` is "write", "read" or "access"."""
        address, length = self._locate(where)
        self._call(self._target.insert((_watch(on), address, length if size is None else size)))

    def remove_watchpoint(self, where: int | str, size: int | None = None, *, on: str = "write") -> None:
        """Take it back."""
        address, length = self._locate(where)
        self._call(self._remove((_watch(on), address, length if size is None else size)))

    # -- inside --------------------------------------------------------------------------------------------

    async def _serve(self, kit: DebugKit, ready: Future[tuple[Target, int]]) -> None:
        profile = load_profile(kit.profile)
        async with open_client(client_config(profile, kit.device_id)) as client:
            target = client.target
            if target is None:
                raise await client.ended
            elf = load_elf(kit.elf)
            if profile.app_flash is not None:
                await check_flash(elf, target, profile.app_flash)
            target.trust(await check_code(elf, target))
            target.subscribe(self._note)
            facts = SessionFacts(device=kit.device_id, manifest_digest=client.manifest, envelope=b"")
            service = GdbService(target, facts, client.ended, rom=profile.rom)
            async with service.listening(0):
                ready.set_result((target, service.port))
                await self._over.wait()

    def _note(self, event: object) -> None:
        if isinstance(event, Output):
            self._output.append(event.data)

    def _go(self, *, step: bool, timeout: float) -> DebugStop:
        async def go() -> Stop:
            # Who waits is there before the stop can come.
            stop = asyncio.ensure_future(self._target.next_stop(timeout))
            try:
                await asyncio.sleep(0)
                await self._target.resume(step=step)
                return await stop
            finally:
                stop.cancel()

        return _stop(self._call(go(), timeout + _TIMEOUT_S))

    async def _remove(self, point: tuple[int, int, int]) -> None:
        self._target.remove(point)

    def _call(self, work: Coroutine[object, object, _Result], timeout: float = _TIMEOUT_S) -> _Result:
        if not self._thread.is_alive():
            work.close()
            raise BrownoutError(f"{self.device_id}: the debug session is closed")
        asked = asyncio.run_coroutine_threadsafe(work, self._loop)
        return _told(lambda: asked.result(timeout))

    def _locate(self, where: int | str) -> tuple[int, int]:
        if isinstance(where, int):
            return where, 4
        if where not in self._symbols:
            raise BrownoutError(f"symbol '{where}': not in {self.elf}")
        address, size = self._symbols[where]
        return address, size or 4


def _watch(on: str) -> int:
    if on not in _WATCHPOINTS:
        raise BrownoutError(f"watchpoint: on '{on}': expected one of {', '.join(_WATCHPOINTS)}")
    return _WATCHPOINTS[on]


def _stop(stop: Stop) -> DebugStop:
    return DebugStop(
        reason=reason_name(stop),
        address=stop.address,
        registers=_named(stop.registers),
        detail=describe_stop(stop),
    )


def _named(registers: bytes) -> dict[str, int]:
    return dict(zip(REGISTER_NAMES, _REGISTERS.unpack(registers), strict=True))


def _told(work: Callable[[], _Result]) -> _Result:
    """fieldlink's errors and a wait that is too long, as the harness's own."""
    try:
        return work()
    except FieldlinkError as error:
        raise BrownoutError(f"debug session: {error}") from error
    except FutureTimeoutError as error:
        raise DeadlineError("debug session: no answer in time") from error


def _pass_failure(done: Future[None], ready: Future[tuple[Target, int]]) -> None:
    if ready.done():
        return
    error = None if done.cancelled() else done.exception()
    ready.set_exception(error or BrownoutError("debug session: it ended before it was open"))
