"""The client over real TCP, against a simulated device behind a minimal server."""

import asyncio
import struct
from dataclasses import replace

import pytest

from fieldlink import debug_messages as messages
from fieldlink.debug import DebugError, RequestRefusedError, SessionEndedError, open_client
from fieldlink.debug.stops import stop_report
from fieldlink.debug_messages import EndReason, Permission, StopReason
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.testing.debug_agent import CODE_BASE, COUNTER, DATA_BASE, ENTRY, FLASH_BASE


def run(coroutine):
    async def limited():
        async with asyncio.timeout(30):
            await coroutine

    asyncio.run(limited())


def pc_of(registers: bytes) -> int:
    return struct.unpack("<17I", registers)[15]


def test_a_session_halts_reads_steps_and_leaves_the_app_running(bench):
    async def scenario() -> None:
        async with bench.serving():
            async with open_client(bench.config()) as client:
                target = client.target
                assert target.agent.code_base == CODE_BASE
                assert target.running
                stop = await target.halt()
                assert stop.reason == StopReason.HALTED
                before = pc_of(await target.registers())
                stopped = asyncio.ensure_future(target.next_stop())
                await asyncio.sleep(0)
                await target.resume(step=True)
                assert (await stopped).reason == StopReason.STEP
                assert pc_of(await target.registers()) != before
            (end,) = bench.ends
            assert end.over
            assert end.agent.running

    run(scenario())


def test_a_stop_serves_registers_stack_and_code_without_a_round_trip(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            stop = await target.halt()
            spent = target.round_trips
            await target.registers()
            await target.read_memory(pc_of(stop.registers), 4)
            await target.read_memory(stop.stack_address, 256)
            assert target.round_trips == spent
            await target.read_memory(COUNTER, 4)
            await target.read_memory(COUNTER + 4, 4)
            assert target.round_trips == spent + 1
            await target.write_memory(COUNTER, b"\x07\0\0\0")
            assert await target.read_memory(COUNTER, 4) == b"\x07\0\0\0"
            assert target.round_trips == spent + 3

    run(scenario())


def test_a_large_read_is_split_and_pipelined(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            bench.machine.memory[FLASH_BASE][:5000] = bytes(range(250)) * 20
            data = await client.target.read_memory(FLASH_BASE, 5000)
            assert data == bytes(range(250)) * 20
            lengths = [r.length for r in bench.end.agent.requests if isinstance(r, messages.ReadMemory)]
            assert lengths == [900] * 5 + [500]

    run(scenario())


def test_a_point_that_is_removed_and_set_again_costs_nothing(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            await target.halt()
            point = (0, ENTRY, 2)
            await target.insert(point)
            spent = target.round_trips
            target.remove(point)
            await target.insert(point)
            assert target.round_trips == spent
            stopped = asyncio.ensure_future(target.next_stop())
            await asyncio.sleep(0)
            await target.resume()
            assert (await stopped).reason == StopReason.BREAKPOINT
            assert target.round_trips == spent + 1

    run(scenario())


async def go_on(target, *, step: bool = False) -> messages.Stop:
    stopped = asyncio.ensure_future(target.next_stop())
    await asyncio.sleep(0)
    await target.resume(step=step)
    return await stopped


def test_going_on_from_a_breakpoint_costs_a_step_and_a_resume(bench):
    """What GDB does: remove, step, insert, continue."""

    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            await target.halt()
            for address in (ENTRY, ENTRY + 2):
                await target.insert((0, address, 2))
            await go_on(target)
            for _ in range(3):
                spent = target.round_trips
                pc = pc_of(await target.registers())
                for address in (ENTRY, ENTRY + 2):
                    target.remove((0, address, 2))
                stop = await go_on(target, step=True)
                # Also at the next breakpoint, which is removed as far as GDB knows.
                assert stop.reason == StopReason.STEP
                assert stop_report(stop, target, interrupted=False).cause is None
                assert pc_of(stop.registers) != pc
                for address in (ENTRY, ENTRY + 2):
                    await target.insert((0, address, 2))
                await go_on(target)
                assert target.round_trips == spent + 2

    run(scenario())


def test_a_removed_breakpoint_is_gone_before_the_app_runs_and_a_watchpoint_before_a_step(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            await target.halt()
            kept, removed, watched = (0, ENTRY + 2, 2), (0, ENTRY, 2), (2, COUNTER, 4)
            for point in (kept, removed, watched):
                await target.insert(point)
            target.remove(removed)
            target.remove(watched)
            for _ in range(5):  # past the store that was watched
                assert (await go_on(target, step=True)).reason == StopReason.STEP
            assert bench.end.agent.points == {kept, removed}
            assert not target.has_point(0, ENTRY)
            stop = await go_on(target)
            assert (stop.reason, pc_of(stop.registers)) == (StopReason.BREAKPOINT, ENTRY + 2)
            assert bench.end.agent.points == {kept}

    run(scenario())


def test_letting_go_removes_what_was_still_patched(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            await target.halt()
            await target.insert((0, ENTRY, 2))
            target.remove((0, ENTRY, 2))
            await go_on(target, step=True)
            assert bench.end.agent.points
            await target.release()
            assert (bench.end.agent.points, bench.end.agent.running) == (set(), True)

    run(scenario())


def test_removed_points_make_room_for_new_ones(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            await target.halt()
            points = [(0, CODE_BASE + 0x200 + 2 * i, 2) for i in range(9)]
            for point in points[:8]:  # all that the simulated device has
                await target.insert(point)
            with pytest.raises(RequestRefusedError):
                await target.insert(points[8])
            target.remove(points[0])
            await target.insert(points[8])
            assert bench.end.agent.points == set(points[1:])

    run(scenario())


def test_changed_registers_reach_the_device_before_the_app_runs(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            await target.halt()
            await target.write_register(0, (1000).to_bytes(4, "little"))
            await target.write_register(15, ENTRY.to_bytes(4, "little"))
            stopped = asyncio.ensure_future(target.next_stop())
            await asyncio.sleep(0)
            await target.resume(step=True)
            registers = struct.unpack("<17I", (await stopped).registers)
            assert (registers[0], registers[15]) == (1001, ENTRY + 2)

    run(scenario())


@pytest.mark.parametrize("permissions", [Permission(15), Permission(7)], ids=["may reset", "may not reset"])
def test_an_app_that_exited_is_let_go(bench, permissions):
    bench.permissions = permissions

    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            await target.halt()
            agent = bench.ends[0].agent
            stopped = asyncio.ensure_future(target.next_stop())
            agent.app_exits()
            await target.status()  # what the agent has to say comes with an answer
            assert (await stopped).reason == StopReason.EXITED
            await target.release()
            assert agent.running is bool(permissions & Permission.RESET)

    run(scenario())


def test_a_read_only_token_neither_writes_nor_stops(bench):
    bench.permissions = Permission.READ

    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            target = client.target
            assert len(await target.read_memory(COUNTER, 4)) == 4
            for forbidden in (
                target.write_memory(COUNTER, b"x"),
                target.halt(),
                target.insert((0, ENTRY, 2)),
            ):
                with pytest.raises(RequestRefusedError, match="token does not permit"):
                    await forbidden
            # and the device does not rely on our manners
            reply = await client.submit(messages.WriteMemory(address=COUNTER, data=b"x"))
            assert reply.status == messages.ReplyStatus.NOT_PERMITTED

    run(scenario())


def test_bad_addresses_are_refused_without_harm(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            with pytest.raises(RequestRefusedError, match=r"0x20000000: bad address"):
                await client.target.read_memory(0x20000000, 4)
            with pytest.raises(RequestRefusedError, match="bad address"):
                await client.target.read_memory(DATA_BASE + 0xFFFC, 8)
            assert len(await client.target.read_memory(DATA_BASE, 4)) == 4

    run(scenario())


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        (EndReason.OFFLINE, "device is offline"),
        (EndReason.NO_SUCH_DEVICE, "no such device"),
        (EndReason.BUSY, "another session controls"),
        (EndReason.NOT_AUTHORISED, "not authorised"),
        (EndReason.EXPIRED, "token has expired"),
    ],
)
def test_a_refusal_is_told_in_words(bench, reason, text):
    bench.refuse_with = reason

    async def scenario() -> None:
        async with bench.serving():
            with pytest.raises(SessionEndedError, match=text) as caught:
                async with open_client(bench.config()):
                    pass
            assert caught.value.reason == reason

    run(scenario())


def test_a_server_that_is_not_there(bench):
    async def scenario() -> None:
        async with bench.serving():
            config = bench.config()
        with pytest.raises(DebugError, match="cannot be reached"):
            async with open_client(config):
                pass

    run(scenario())


def test_a_client_key_that_the_server_does_not_know(bench, monkeypatch):
    monkeypatch.setattr("fieldlink.debug.client.OPEN_TIMEOUT_S", 0.3)

    async def scenario() -> None:
        async with bench.serving():
            stranger = KeyPair.generate(KeyUse.CLIENT)
            with pytest.raises(DebugError, match="--key registered there"):
                async with open_client(bench.config(client_private=stranger.private)):
                    pass

    run(scenario())


@pytest.mark.parametrize("which", ["device_public", "e2e_private"])
def test_another_key_than_the_device_has_ends_the_session(bench, which):
    async def scenario() -> None:
        async with bench.serving():
            stranger = KeyPair.generate(KeyUse.DEVICE)
            key = stranger.public if which == "device_public" else stranger.private
            with pytest.raises(SessionEndedError, match="end-to-end channel failed"):
                async with open_client(bench.config(**{which: key})):
                    pass
            (end,) = bench.ends
            assert end.plaintexts == []

    run(scenario())


def test_other_permissions_than_the_token_has_end_the_session(bench):
    async def scenario() -> None:
        async with bench.serving():
            config = replace(bench.config(), permissions=Permission.READ)
            with pytest.raises(SessionEndedError, match="end-to-end channel failed"):
                async with open_client(config):
                    pass

    run(scenario())


@pytest.mark.parametrize("attack", ["replay", "drop", "change"])
def test_a_server_that_tampers_ends_the_session(bench, attack):
    def tamper(number, frame):
        if number < 4 or not isinstance(frame, messages.Relay):  # open, KK 1, hello, halt
            return [frame]
        match attack:
            case "replay":
                return [frame, frame]
            case "drop":
                return [frame] if number > 4 else []
            case _:
                return [replace(frame, payload=frame.payload[:-1] + bytes([frame.payload[-1] ^ 1]))]

    bench.tamper = tamper

    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            await client.target.halt()
            with pytest.raises(SessionEndedError, match="end-to-end channel failed"):
                await asyncio.gather(*(client.target.fetch_memory(COUNTER, 4) for _ in range(3)))
            (end,) = bench.ends
            assert end.over
            assert end.agent.running

    run(scenario())


def test_a_server_that_dies_ends_every_waiting_request(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            await client.target.halt()
            waiting = asyncio.ensure_future(client.target.fetch_memory(COUNTER, 4))
            await bench.cut()
            assert (await client.ended).reason == EndReason.LINK_LOST
            (outcome,) = await asyncio.gather(waiting, return_exceptions=True)
            assert isinstance(outcome, SessionEndedError | bytes)  # the reply may have been on its way
            with pytest.raises(SessionEndedError, match=r"link .* was lost"):
                await client.target.fetch_memory(COUNTER, 4)

    run(scenario())


def test_a_device_reset_ends_the_session_in_words(bench):
    async def scenario() -> None:
        async with bench.serving(), open_client(bench.config()) as client:
            await client.target.reset(messages.ResetTarget.DEVICE)
            assert "device resets" in str(await client.ended)

    run(scenario())
