"""How debug sessions through a real gateway end: losses, silence, expiry, misbehaviour."""

import asyncio
import time

import pytest

from fieldlink import debug_messages as debug
from fieldlink.audit import AuditEvent
from fieldlink.debug_messages import EndReason
from fieldlink.gateway import DebugSessionEnded, DeviceOffline, TelemetryReceived

from .debug_site import entries, is_ended, is_opened, run, site, until


def test_the_loss_of_the_device_is_reported_at_once(fleet, event_log):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            async with made.client() as client:
                client.send(made.open())
                await client.wait_for(is_opened)
                before = time.monotonic()
                await made.power_off(device)
                assert await client.wait_for(is_ended) == debug.Ended(session=1, reason=EndReason.LINK_LOST)
                assert time.monotonic() - before < 2
                client.send(made.open(session=2))
                await client.wait_for(lambda frame: frame == debug.Ended(session=2, reason=1))

    run(scenario())
    assert [item.ended_by for item in entries(fleet) if item.event is AuditEvent.ENDED] == ["device"]


@pytest.mark.parametrize("side", ["device", "client"])
def test_a_side_that_falls_silent_is_reported_within_the_liveness_limit(fleet, event_log, side):
    """The TCP connection stays, nothing comes any more: as when a cable is pulled."""

    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            async with made.client() as client:
                client.send(made.open())
                await client.wait_for(is_opened)
                before = time.monotonic()
                if side == "device":
                    task = made.tasks["dev-1"]
                    device._receive = lambda *_: asyncio.Event().wait()  # stops reading and pinging
                    device.wake()
                    assert (await client.wait_for(is_ended)).reason == EndReason.LINK_LOST
                    task.cancel()
                else:
                    client._link.data_to_send = lambda: b""
                    lost = debug.Ended(session=1, reason=EndReason.LINK_LOST)
                    await until(lambda: lost in device.debug_received)
                assert 3 < time.monotonic() - before < 8

    run(scenario())


def test_a_token_that_expires_ends_its_session(fleet, event_log):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            async with made.client() as client:
                client.send(made.open(expires=int(time.time()) + 2))
                await client.wait_for(is_opened)
                assert await client.wait_for(is_ended) == debug.Ended(session=1, reason=EndReason.EXPIRED)
                await until(lambda: debug.Ended(session=1, reason=5) in device.debug_received)

    run(scenario())


def test_shutting_down_tells_both_sides_why(fleet, event_log):
    client_box = []

    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            client = made.client()
            client_box.extend([client, device])
            await client.__aenter__()
            client.send(made.open())
            await client.wait_for(is_opened)
            await made.gateway.close()
            assert await client.wait_for(is_ended) == debug.Ended(session=1, reason=EndReason.SHUTTING_DOWN)
            await client.wait_down()
            await until(lambda: debug.Ended(session=1, reason=8) in device.debug_received)
            await client.drop()

    run(scenario())
    assert entries(fleet)[-1].reason == EndReason.SHUTTING_DOWN  # written before `close` returned
    fleet.store.audit.verify()


@pytest.mark.parametrize("side", ["client", "device"])
@pytest.mark.parametrize("payload", [b"\xff", debug.encode(debug.Opened(session=1, manifest=bytes(32)))])
def test_a_malformed_frame_ends_that_link_only(fleet, event_log, side, payload):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            async with made.client() as client:
                client.send(made.open())
                await client.wait_for(is_opened)
                if side == "client":
                    client.send_raw(payload)
                    assert "RESET" in await client.wait_down()
                    await until(lambda: debug.Ended(session=1, reason=7) in device.debug_received)
                    assert device.downs == []
                else:

                    class Raw:
                        pass

                    original = debug.encode
                    device.debug_out.append(Raw())
                    try:
                        debug.encode = lambda frame: payload if isinstance(frame, Raw) else original(frame)
                        device.wake()
                        assert (await client.wait_for(is_ended)).reason == EndReason.LINK_LOST
                    finally:
                        debug.encode = original
                    assert client.downs == []

    run(scenario())


def test_a_stuck_client_does_not_stall_the_devices_other_channels(fleet, event_log):
    """The device floods a client that gives no credit back: telemetry flows on, and the session ends."""

    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            async with made.client() as client:
                client.send(made.open())
                await client.wait_for(is_opened)
                client.consume = False
                device.debug_out.extend(debug.Relay(session=1, payload=bytes(900)) for _ in range(100))
                device.wake()
                await until(lambda: len(client.received) >= 3)
                before = len(made.log.of(TelemetryReceived))
                device.telemetry_due = 5
                device.wake()
                await until(lambda: len(made.log.of(TelemetryReceived)) == before + 5)
                assert made.log.of(DebugSessionEnded) == []  # all that while the session is stuck
                assert device.debug_out
                ended = await made.log.wait(lambda event: isinstance(event, DebugSessionEnded))
                assert (ended.reason, ended.ended_by) == (EndReason.LINK_LOST, "server")
                assert len(client.received) < 20
                assert made.log.of(DeviceOffline) == []
                assert made.gateway.online_devices() == {"dev-1"}
                await until(lambda: debug.Ended(session=1, reason=7) in device.debug_received)

    run(scenario())
