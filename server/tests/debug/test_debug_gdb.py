"""A stock gdb-multiarch against the RSP server, the simulated device behind it."""

import asyncio
import contextlib
import re
import shutil
from collections.abc import Awaitable, Callable

import pytest

from fieldlink import debug_messages as messages
from fieldlink.debug import GdbService, SessionFacts, open_client
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.testing.debug_agent import COUNTER, ENTRY

GDB = shutil.which("gdb-multiarch")
pytestmark = pytest.mark.skipif(GDB is None, reason="gdb-multiarch is not installed (ci/setup.sh does)")
FACTS = SessionFacts(device="dev-1", manifest_digest=bytes(32))
PROMPT = b"(gdb) "


class Gdb:
    """An interactive GDB."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.log = ""

    async def read_prompt(self, timeout_s: float = 15.0) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(timeout_s):
            try:
                text = (await self._process.stdout.readuntil(PROMPT)).decode(errors="replace")
            except asyncio.IncompleteReadError as error:
                text = error.partial.decode(errors="replace")
        self.log += text
        return text

    def send(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(command.encode() + b"\n")

    async def __call__(self, command: str) -> str:
        self.send(command)
        return await self.read_prompt()

    def interrupt(self) -> None:
        self._process.send_signal(2)


def with_gdb(bench, scenario: Callable[..., Awaitable[None]], *, attach: bool = True) -> None:
    async def everything() -> None:
        async with (
            asyncio.timeout(60),
            bench.serving(),
            open_client(bench.config()) as client,
            GdbService(client.target, FACTS, client.ended).listening(0) as service,
            gdb_process() as gdb,
        ):
            if attach:
                answer = await gdb(f"target remote 127.0.0.1:{service.port}")
                assert "0x" in answer, answer
            await scenario(gdb, client, service)

    asyncio.run(everything())


@contextlib.asynccontextmanager
async def gdb_process():
    process = await asyncio.create_subprocess_exec(
        str(GDB), "-q", "-nx", "-iex", "set width 0", "-iex", "set confirm off",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    gdb = Gdb(process)
    try:
        await gdb.read_prompt()
        yield gdb
    finally:
        print(gdb.log)  # noqa: T201 - what pytest shows of a failure
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def test_registers_memory_and_monitor(bench):
    async def scenario(gdb, client, service) -> None:
        registers = await gdb("info registers")
        assert re.search(rf"r1 +{COUNTER:#x}", registers)
        assert "xpsr" in registers
        assert "loop" not in registers
        memory = await gdb(f"x/4xw {COUNTER:#x}")
        assert f"{COUNTER:#x}:" in memory
        assert "adds\tr0, #1" in await gdb(f"x/i {ENTRY:#x} | 1".replace(" | 1", ""))
        status = await gdb("monitor status")
        assert "device dev-1" in status
        assert "app is stopped" in status
        assert "permissions" in await gdb("monitor help")
        assert "read,write,control,reset" in await gdb("monitor permissions")
        assert "Cannot access memory" in await gdb("x/xw 0x20000000")
        assert "unknown: nonsense" in await gdb("monitor nonsense")
        assert "restarted" in await gdb("monitor reset app")
        await gdb(f"set var *(int *){COUNTER:#x} = 77")
        assert f"{COUNTER:#x}:\t77" in await gdb(f"x/dw {COUNTER:#x}")
        await gdb("set $r0 = 5")
        assert "= 5" in await gdb("print $r0")

    with_gdb(bench, scenario)


def test_breakpoint_step_and_finish_at_the_right_place(bench):
    async def scenario(gdb, client, service) -> None:
        await gdb("set arm force-mode thumb")
        await gdb(f"break *{ENTRY + 2:#x}")
        assert "Breakpoint 1" in await gdb("continue")
        assert f"{ENTRY + 2:#x}" in await gdb("info registers pc")
        first = await gdb("print $r0")
        spent = client.target.round_trips
        assert f"{ENTRY + 4:#x}" in await gdb("stepi")
        assert client.target.round_trips - spent == 1
        spent = client.target.round_trips
        assert "Breakpoint 1" in await gdb("continue")
        assert client.target.round_trips - spent == 1
        spent = client.target.round_trips
        assert "Breakpoint 1" in await gdb("continue")  # from the breakpoint itself
        assert client.target.round_trips - spent == 2
        assert await gdb("print $r0") != first
        await gdb("delete")
        await gdb(f"hbreak *{ENTRY:#x}")
        assert "Breakpoint 2" in await gdb("continue")

    with_gdb(bench, scenario)


def test_a_plain_step_costs_one_round_trip(bench):
    async def scenario(gdb, client, service) -> None:
        await gdb("set arm force-mode thumb")
        await gdb("stepi")
        spent = client.target.round_trips
        for _ in range(5):
            await gdb("stepi")
        assert client.target.round_trips - spent == 5

    with_gdb(bench, scenario)


def test_watchpoint_shows_old_and_new_value(bench):
    async def scenario(gdb, client, service) -> None:
        await gdb("set arm force-mode thumb")
        await gdb(f"watch *(int *){COUNTER:#x}")
        answer = await gdb("continue")
        assert "Hardware watchpoint 1" in answer
        old, new = (int(value) for value in re.findall(r"value = (\d+)", answer))
        assert new == old + 1

    with_gdb(bench, scenario)


def test_interrupt_output_and_detach(bench):
    async def scenario(gdb, client, service) -> None:
        gdb.send("continue")
        await bench.until(lambda: bench.end.agent.running)
        bench.end.agent.print(b"hello from the app\r\n")
        gdb.interrupt()
        answer = await gdb.read_prompt()
        assert "SIGINT" in answer
        assert "hello from the app" in answer
        await gdb(f"break *{ENTRY:#x}")
        assert "Breakpoint 1" in await gdb("continue")
        assert "detached" in await gdb("detach")
        await bench.until(lambda: bench.end.agent.running and not bench.end.agent.points)
        again = await gdb(f"target remote 127.0.0.1:{service.port}")
        assert "0x" in again
        assert "killed" in await gdb("kill")
        await bench.until(lambda: bench.end.agent.running)

    with_gdb(bench, scenario)


def test_run_starts_the_app_from_its_entry(bench):
    """`monitor reset` leaves GDB with the registers it knows; `run` does not, and needs extended-remote."""

    async def scenario(gdb, client, service) -> None:
        assert "0x" in await gdb(f"target extended-remote 127.0.0.1:{service.port}")
        await gdb("set arm force-mode thumb")
        for _ in range(5):
            await gdb("stepi")
        await gdb("set $r0 = 500")
        assert f"{ENTRY:#x}" in await gdb("starti")
        assert f"{ENTRY:#x}" in await gdb("info registers pc")
        assert "= 0" in await gdb("print $r0")
        await gdb(f"break *{ENTRY + 2:#x}")
        for _ in range(2):
            await gdb("set $r0 = 500")
            assert "Breakpoint 1" in await gdb("run")
            assert "= 1" in await gdb("print $r0")
        assert "killed" in await gdb("kill")
        await bench.until(lambda: bench.end.agent.running and not bench.end.agent.points)
        assert "Breakpoint 1" in await gdb("run")  # the connection is still there
        assert "detached" in await gdb("detach")
        await bench.until(lambda: bench.end.agent.running and not bench.end.agent.points)

    with_gdb(bench, scenario, attach=False)


def test_run_needs_the_permission_to_reset(bench):
    bench.permissions = Permission.READ | Permission.WRITE | Permission.CONTROL

    async def scenario(gdb, client, service) -> None:
        await gdb(f"target extended-remote 127.0.0.1:{service.port}")
        assert "failed" in await gdb("run")
        assert "not being run" not in await gdb("monitor status")
        assert not any(isinstance(request, messages.Reset) for request in bench.end.agent.requests)

    with_gdb(bench, scenario, attach=False)


def test_a_fault_is_a_signal_with_its_reason(bench):
    async def scenario(gdb, client, service) -> None:
        await gdb("set arm force-mode thumb")
        await gdb("set $r1 = 0")
        answer = await gdb("continue")
        assert "bus fault at 0x" in answer
        assert "SIGSEGV" in answer

    with_gdb(bench, scenario)


def test_a_gdb_that_dies_leaves_the_app_running(bench):
    async def scenario(gdb, client, service) -> None:
        async with gdb_process() as other:
            assert "0x" not in await other(f"target remote 127.0.0.1:{service.port}")  # one at a time
        await gdb(f"break *{ENTRY:#x}")
        await gdb("continue")
        assert bench.end.agent.points
        gdb._process.kill()
        await bench.until(lambda: bench.end.agent.running and not bench.end.agent.points)

    with_gdb(bench, scenario)


def test_a_server_that_dies_frees_gdb(bench):
    async def scenario(gdb, client, service) -> None:
        gdb.send("continue")
        await bench.until(lambda: bench.end.agent.running)
        await bench.cut()
        answer = await gdb.read_prompt()
        assert "link to the device or the server was lost" in answer
        assert (await client.ended).reason == EndReason.LINK_LOST

    with_gdb(bench, scenario)


def test_a_refused_continue_leaves_gdb_at_its_prompt(bench):
    async def scenario(gdb, client, service) -> None:
        client.target.permissions &= ~Permission.CONTROL
        answer = await gdb("continue")
        assert "continue: the token does not permit it" in answer
        assert "sp" in await gdb("info registers sp")

    with_gdb(bench, scenario)


def test_a_read_only_token_lets_gdb_look_at_the_running_app(bench):
    bench.permissions = Permission.READ

    async def scenario(gdb, client, service) -> None:
        first = await gdb(f"x/dw {COUNTER:#x}")
        assert f"{COUNTER:#x}:" in first
        await bench.until(lambda: bench.machine.registers[0] > 1000)
        assert await gdb(f"x/dw {COUNTER:#x}") != first  # nothing is kept of an app that runs
        assert "the token does not permit it" in await gdb("continue")
        assert "Cannot" in await gdb(f"set var *(int *){COUNTER:#x} = 1")
        await gdb(f"break *{ENTRY:#x}")
        assert re.search("Cannot insert breakpoint|does not permit", await gdb("continue"))
        assert bench.end.agent.running
        assert bench.end.agent.points == set()

    with_gdb(bench, scenario)
