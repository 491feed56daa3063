"""Who is let in, who is online, and how connections end; over real TCP, with simulated devices."""

import asyncio
import socket
from dataclasses import replace

import pytest

from fieldlink.errors import GatewayError
from fieldlink.framing import FrameDecoder, encode_frame
from fieldlink.gateway import (
    CheckReceived,
    DeviceOffline,
    DeviceOnline,
    Gateway,
    HandshakeRejected,
    ReportCode,
    ReportReceived,
    TelemetryReceived,
    event_to_dict,
)
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.link.constants import FrameType
from fieldlink.mux import Channel
from fieldlink.testing import Installed, SimulatedDevice

HOST = "127.0.0.1"


def run(coroutine):
    async def limited():
        async with asyncio.timeout(30):
            await coroutine

    asyncio.run(limited())


def gateway_for(fleet, releases=None, **changes) -> Gateway:
    return Gateway(config=fleet.config(**changes), registry=fleet.store, releases=releases or fleet.store)


def is_report(code: int):
    return lambda event: isinstance(event, ReportReceived) and event.code == code


def test_a_stranger_and_a_borrowed_id_get_no_answer(fleet, event_log):
    fleet.publish(1)
    known = fleet.device("dev-1")
    other = fleet.device("dev-2")
    stranger = fleet.device("dev-3")
    stranger.provisioned = replace(
        stranger.provisioned,
        keys=replace(stranger.provisioned.keys, link=KeyPair.generate(KeyUse.DEVICE)),
    )
    borrower = fleet.device("dev-4")
    borrower.provisioned = replace(borrower.provisioned, keys=other.provisioned.keys)

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            for device, reason in ((stranger, "unknown key"), (borrower, "another device id")):
                with pytest.raises(TimeoutError):
                    await device.run(HOST, gateway.port, timeout_s=0.5)
                event = log.of(HandshakeRejected)[-1]
                assert reason in event.reason
                assert device.sessions == 0
            await known.run(HOST, gateway.port)
            assert gateway.counters("dev-3").sessions == gateway.counters("dev-2").sessions == 0

    run(scenario())
    assert known.flash.sequence() == 1


def test_a_device_with_another_servers_key_gets_no_session(fleet, event_log):
    device = fleet.device()
    device._server_public = KeyPair.generate(KeyUse.SERVER).public

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            with pytest.raises(TimeoutError):
                await device.run(HOST, gateway.port, timeout_s=0.5)
            assert log.of(DeviceOnline) == []

    run(scenario())


def test_a_replayed_handshake_does_not_displace_a_live_device(fleet, event_log):
    fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            stop = asyncio.Event()
            task = asyncio.create_task(device.run(HOST, gateway.port, until=lambda _it: stop.is_set()))
            await log.wait(is_report(ReportCode.INSTALLING))
            recorded = bytes(device.raw_out)
            message_1 = next(frame for frame in FrameDecoder().feed(recorded) if frame)
            assert message_1[0] == FrameType.HANDSHAKE_1
            for replayed in (b"\x00" + encode_frame(message_1), recorded):
                reader, writer = await asyncio.open_connection(HOST, gateway.port)
                writer.write(replayed)
                frame = await reader.readuntil(b"\x00")
                assert FrameDecoder().feed(frame)[0][0] == FrameType.HANDSHAKE_2
                writer.close()
            assert gateway.online_devices() == {"dev-1"}
            assert log.of(DeviceOffline) == []
            assert len(log.of(DeviceOnline)) == 1
            assert gateway.counters("dev-1").sessions == 1
            # A genuine second connection of the device does take over.
            twin = SimulatedDevice(
                device.provisioned,
                server_public=fleet.server.public,
                release_public=fleet.release.public,
                flash=Installed(),
            )
            await twin.run(HOST, gateway.port, until=lambda it: it.data_messages > 0)
            offline = await log.wait(lambda event: isinstance(event, DeviceOffline))
            assert "newer connection" in offline.reason
            order = [type(event) for event in log.events if isinstance(event, DeviceOnline | DeviceOffline)]
            assert order[:3] == [DeviceOnline, DeviceOffline, DeviceOnline]
            await task  # its connection was closed

    run(scenario())
    assert any("reason 1" in down or "closed by the server" in down for down in device.downs)


def test_many_devices_at_once(fleet, event_log):
    fleet.publish(1)
    devices = [fleet.device(f"dev-{number}") for number in range(12)]

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            async with asyncio.TaskGroup() as group:
                for device in devices:
                    group.create_task(device.run(HOST, gateway.port))
            for number in range(12):
                name = f"dev-{number}"
                await log.wait(
                    lambda event, name=name: (
                        is_report(ReportCode.INSTALLING)(event) and event.device_id == name
                    )
                )
            assert len(log.of(ReportReceived)) == 12

    run(scenario())
    assert all(device.flash.sequence() == 1 for device in devices)


def test_garbage_and_floods_do_not_hurt_other_connections(fleet, event_log):
    fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            writers = []
            for garbage in (
                b"\x00" * 10_000,
                b"\xff" * 50_000,
                bytes(range(256)) * 100,
                b"GET / HTTP/1.0\r\n\r\n",
            ):
                _, writer = await asyncio.open_connection(HOST, gateway.port)
                writer.write(garbage)
                writers.append(writer)
            await device.run(HOST, gateway.port)
            for writer in writers:
                writer.close()

    run(scenario())
    assert device.flash.sequence() == 1


def test_a_malformed_request_ends_the_session_only(fleet, event_log):
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            log = event_log(gateway)
            sent = []
            original = device._send

            def bad(link, request):
                if not sent:
                    link.send(Channel.UPGRADE, b"\xff\xff")
                    sent.append(True)
                else:
                    original(link, request)

            device._send = bad
            await device.run(HOST, gateway.port, until=lambda it: bool(it.refused))
            assert "unknown" in log.of(DeviceOffline)[0].reason or "CBOR" in log.of(DeviceOffline)[0].reason
            assert len(log.of(DeviceOnline)) == 2

    run(scenario())
    assert device.sessions == 2


def test_shutting_down_says_goodbye_and_leaves_nothing(fleet, event_log):
    device = fleet.device()

    async def scenario() -> None:
        gateway = gateway_for(fleet)
        await gateway.start()
        port = gateway.port
        log = event_log(gateway)
        task = asyncio.create_task(device.run(HOST, port, until=lambda it: bool(it.downs)))
        await log.wait(lambda event: isinstance(event, CheckReceived))
        await gateway.close()
        await gateway.close()
        await task
        assert device.downs[0] == "closed by the peer, reason 0"
        assert log.of(DeviceOffline)[0].reason == "the gateway shuts down"
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # Refused; or reset, by another test's server that has got the port meanwhile.
        with pytest.raises((ConnectionRefusedError, ConnectionResetError)):
            await asyncio.open_connection(HOST, port)

    run(scenario())


def test_a_port_in_use_is_one_line(fleet):
    async def scenario() -> None:
        with socket.socket() as taken:
            taken.bind((HOST, 0))
            taken.listen()
            port = taken.getsockname()[1]
            with pytest.raises(GatewayError, match=f"{port}: the port is in use"):
                await gateway_for(fleet, port=port).start()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(scenario())


def test_a_connection_that_never_becomes_a_device_is_closed(fleet):
    async def scenario() -> None:
        async with gateway_for(fleet, idle_timeout_s=0.1) as gateway:
            reader, writer = await asyncio.open_connection(HOST, gateway.port)
            assert await reader.read() == b""
            writer.close()

    run(scenario())


def test_connections_are_limited(fleet):
    async def scenario() -> None:
        async with gateway_for(fleet, connections_limit=1) as gateway:
            _, first = await asyncio.open_connection(HOST, gateway.port)
            reader, second = await asyncio.open_connection(HOST, gateway.port)
            assert await reader.read() == b""
            first.close()
            second.close()

    run(scenario())


def test_an_observer_that_fails_does_no_harm(fleet, event_log):
    fleet.publish(1)
    device = fleet.device()

    async def scenario() -> None:
        async with gateway_for(fleet) as gateway:
            gateway.subscribe(lambda _event: 1 / 0)
            log = event_log(gateway)
            await device.run(HOST, gateway.port)
            await log.wait(is_report(ReportCode.INSTALLING))

    run(scenario())


def test_events_are_json_ready():
    event = TelemetryReceived(device_id="dev-1", payload=b"\x01\x02")
    assert event_to_dict(event) == {"event": "telemetry_received", "device_id": "dev-1", "payload": "0102"}
