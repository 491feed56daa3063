"""GDB's TCP port: the RSP core on one side, the target on the other."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from fieldlink import debug_messages as messages
from fieldlink.debug import rsp
from fieldlink.debug.errors import DebugError, RequestRefusedError, SessionEndedError
from fieldlink.debug.monitor import SessionFacts, run_monitor
from fieldlink.debug.stops import describe_stop, stop_report
from fieldlink.debug.target import Target, TargetEvent
from fieldlink.debug_messages import Permission, ReplyStatus
from fieldlink.errors import FieldlinkError

_LOG = logging.getLogger("fieldlink.debug")
_READ_SIZE: Final = 16384
_WRITE_TIMEOUT_S: Final = 10.0
_BACKLOG_LIMIT: Final = 256 * 1024
"""Bytes that GDB has not taken before console output is dropped."""
_ERRORS: Final = {
    ReplyStatus.NOT_PERMITTED: rsp.ErrorNumber.NOT_PERMITTED,
    ReplyStatus.BAD_ADDRESS: rsp.ErrorNumber.BAD_ADDRESS,
    ReplyStatus.NO_RESOURCES: rsp.ErrorNumber.NO_RESOURCES,
    ReplyStatus.WRONG_STATE: rsp.ErrorNumber.BUSY,
}


def error_number(error: FieldlinkError) -> rsp.ErrorNumber:
    """GDB's number for a failure."""
    if isinstance(error, RequestRefusedError):
        return next(
            (code for status, code in _ERRORS.items() if status == error.status), rsp.ErrorNumber.INVALID
        )
    return rsp.ErrorNumber.IO


class GdbConnection:
    """One GDB from its connection to its end. Leaves the app running and without breakpoints."""

    def __init__(
        self,
        target: Target,
        facts: SessionFacts,
        regions: tuple[rsp.MemoryRegion, ...],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._target = target
        self._facts = facts
        self._reader = reader
        self._writer = writer
        self._core = rsp.RspServer(regions)
        self._read: asyncio.Task[bytes] | None = None
        self._interrupted = False
        self._done = False

    async def serve(self, ended: "asyncio.Future[SessionEndedError]") -> None:
        """Until GDB goes or the session ends."""
        unsubscribe = self._target.subscribe(self._on_event)
        ended.add_done_callback(self._stop_reading)
        try:
            while not self._done and not ended.done() and (data := await self._receive(ended)):
                self._core.receive_data(data)
                await self._handle_commands()
                await self._flush()
            if ended.done():
                await self._say_goodbye(ended.result())
        finally:
            unsubscribe()
            ended.remove_done_callback(self._stop_reading)
            if not ended.done():
                with contextlib.suppress(DebugError):
                    await self._target.release()

    async def _receive(self, ended: "asyncio.Future[SessionEndedError]") -> bytes:
        """Bytes from GDB; b"" when it has gone or the session has ended."""
        self._read = asyncio.ensure_future(self._reader.read(_READ_SIZE))
        try:
            return await self._read
        except asyncio.CancelledError:
            if not ended.done():
                raise
            return b""

    def _stop_reading(self, _ended: "asyncio.Future[SessionEndedError]") -> None:
        if self._read is not None:
            self._read.cancel()

    async def _say_goodbye(self, error: SessionEndedError) -> None:
        """GDB shows console text only while it waits for a stop; otherwise the closed port has to do."""
        self._core.console(f"{error}\n".encode())
        self._core.resume_failed(rsp.ErrorNumber.IO)
        await self._flush()

    async def _flush(self) -> None:
        data = self._core.data_to_send()
        if data:
            self._writer.write(data)
            async with asyncio.timeout(_WRITE_TIMEOUT_S):
                await self._writer.drain()

    # ---- from the device

    def _on_event(self, event: TargetEvent) -> None:
        """Passed on at once: a step is too short to wait for a turn of the loop."""
        if isinstance(event, messages.Output) and self._backlog() > _BACKLOG_LIMIT:
            return  # GDB does not read
        match event:
            case messages.Stop():
                if describe_stop(event) and self._core.running:
                    self._core.console(f"{describe_stop(event)}\n".encode())
                self._core.stopped(stop_report(event, self._target, interrupted=self._interrupted))
                self._interrupted = False
            case messages.Output(data=data):
                self._core.console(data)
            case messages.Notice(code=code):
                what = "an upgrade waits for the end of this session" if code == 1 else f"notice {code}"
                self._core.console(f"[device: {what}]\n".encode())
        self._writer.write(self._core.data_to_send())

    def _backlog(self) -> int:
        return self._writer.transport.get_write_buffer_size()

    # ---- from GDB

    async def _handle_commands(self) -> None:
        while not self._done and (command := self._core.next_command()) is not None:
            try:
                await self._handle(command)
            except FieldlinkError as error:
                _LOG.warning("%s", error)
                if isinstance(command, rsp.Resume):
                    await self._resume_failed(error)
                elif isinstance(command, rsp.QueryStop):
                    self._done = True  # GDB takes no error here: it would wait for ever
                elif not isinstance(command, rsp.Interrupt | rsp.Restart):
                    self._core.answer_error(error_number(error))

    async def _resume_failed(self, error: FieldlinkError) -> None:
        """GDB waits for a stop, and takes nothing else: the app has stopped where it was."""
        self._core.console(f"{error}\n".encode())
        try:
            registers = await self._target.registers()
        except DebugError:
            self._core.resume_failed(error_number(error))
        else:
            self._core.stopped(rsp.StopReport(signal=rsp.Signal.NONE, registers=registers))

    async def _handle(self, command: rsp.Command) -> None:
        target, core = self._target, self._core
        match command:
            case rsp.ReadMemory(address=address, length=length):
                core.answer_bytes(await target.read_memory(address, min(length, rsp.PACKET_LIMIT // 2)))
            case rsp.WriteMemory(address=address, data=data):
                await target.write_memory(address, data)
                core.answer_ok()
            case rsp.ReadAllRegisters():
                core.answer_bytes(await target.registers())
            case rsp.ReadRegister(number=number):
                core.answer_bytes((await target.registers())[4 * number : 4 * number + 4])
            case rsp.WriteAllRegisters(data=data):
                await target.write_registers(data)
                core.answer_ok()
            case rsp.WriteRegister(number=number, data=data):
                await target.write_register(number, data)
                core.answer_ok()
            case rsp.InsertPoint(kind=kind, address=address, length=length):
                await target.insert((kind, address, length))
                core.answer_ok()
            case rsp.RemovePoint(kind=kind, address=address, length=length):
                target.remove((kind, address, length))
                core.answer_ok()
            case rsp.Monitor(text=text):
                core.answer_monitor(await run_monitor(text, target, self._facts))
            case _:
                await self._control(command)

    async def _control(self, command: rsp.Command) -> None:
        target, core = self._target, self._core
        match command:
            case rsp.QueryStop():
                core.answer_stop(await self._stop_at_attach())
            case rsp.Resume(step=step, address=address):
                if address is not None:
                    await target.write_register(rsp.REGISTER_NAMES.index("pc"), address.to_bytes(4, "little"))
                await target.resume(step=step)
            case rsp.Interrupt():
                self._interrupted = True
                target.request_halt()
            case rsp.Restart():
                await target.reset(messages.ResetTarget.APP)
            case rsp.Run():
                await target.halt()  # one that is stopped stays so at its entry
                await target.reset(messages.ResetTarget.APP)
                core.answer_stop(stop_report(await target.halt(), target, interrupted=False))
            case rsp.Detach():
                await target.release()
                core.answer_ok()
                self._done = not core.extended
            case rsp.Kill(wants_answer=wants_answer):
                await self._kill()
                if wants_answer:
                    core.answer_ok()
                self._done = not core.extended
            case _:
                pass

    async def _stop_at_attach(self) -> rsp.StopReport:
        if self._target.allows(Permission.CONTROL):
            return stop_report(await self._target.halt(), self._target, interrupted=False)
        _LOG.warning(
            "the token does not permit to stop the app: GDB shows it as it runs, and cannot control it"
        )
        return rsp.StopReport(signal=rsp.Signal.TRAP, registers=await self._target.registers())

    async def _kill(self) -> None:
        """The nearest thing to killing an app that is the device's only one: it starts afresh."""
        await self._target.release()
        if self._target.allows(Permission.RESET):
            await self._target.reset(messages.ResetTarget.APP)


class GdbService:
    """Listens on loopback. One GDB at a time; the next may come when it has gone."""

    def __init__(
        self,
        target: Target,
        facts: SessionFacts,
        ended: "asyncio.Future[SessionEndedError]",
        rom: tuple[rsp.MemoryRegion, ...] = (),
    ) -> None:
        self._target = target
        self._facts = facts
        self._ended = ended
        agent = target.agent
        self._regions = (
            rsp.MemoryRegion(kind="ram", base=agent.code_base, size=agent.code_size),
            rsp.MemoryRegion(kind="ram", base=agent.data_base, size=agent.data_size),
            *rom,
        )
        self._tasks: set[asyncio.Task[None]] = set()
        self._busy = False
        self.port = 0

    @asynccontextmanager
    async def listening(self, port: int) -> AsyncIterator["GdbService"]:
        """Accepts GDB on 127.0.0.1:`port` (0: a free one, see `port`). DebugError when it is taken."""
        try:
            server = await asyncio.start_server(self._on_connection, "127.0.0.1", port)
        except OSError as error:
            raise DebugError(f"port {port} on 127.0.0.1: {error.strerror}; choose another, or 0") from error
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            # A GDB that is attached gets its closed port before the device's session is given up.
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _on_connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        try:
            if self._busy:
                _LOG.warning("another GDB is attached already: connection refused")
                return
            self._busy = True
            try:
                await self._serve(reader, writer)
            finally:
                self._busy = False
        finally:
            with contextlib.suppress(OSError):
                writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = writer.get_extra_info("socket")
        if connection is not None:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _LOG.info("GDB attached")
        try:
            await GdbConnection(self._target, self._facts, self._regions, reader, writer).serve(self._ended)
        except OSError as error:
            _LOG.warning("GDB's connection was lost: %s", error)
        except asyncio.CancelledError:
            pass  # the service ends
        _LOG.info("GDB has gone; the app runs on")
