"""The E2E channel through a real gateway: the client's sessions work, and the gateway learns nothing."""

import asyncio
import gc
import os

from fieldlink import debug_messages as debug
from fieldlink.debug.client import ClientConfig, open_client
from fieldlink.debug.e2e import E2eChannel, prologue
from fieldlink.gateway import DebugSessionEnded
from fieldlink.manifest import digest
from fieldlink.noise import Role
from fieldlink.testing import SimulatedDevice
from fieldlink.testing.debug_agent import DATA_BASE, DeviceEnd, ToyMachine

from .debug_site import E2E, EVERYTHING, HOST, LINK, is_opened, run, site, until


def e2e_device(device: SimulatedDevice) -> list[DeviceEnd]:
    """Gives a device an agent behind a real E2E channel; the result grows by one for each session."""
    ends: list[DeviceEnd] = []

    def handle(frame: debug.DebugFrame) -> list[debug.DebugFrame]:
        if not isinstance(frame, debug.OpenDevice):
            return ends[-1].receive(frame)
        end = DeviceEnd(
            session=frame.session,
            session_id=frame.session_id,
            device_id=b"dev-1",
            permissions=EVERYTHING,
            manifest=digest(device.flash.envelope),
            debug_private=device.provisioned.keys.debug.private,
            client_public=E2E.public,
            machine=ToyMachine(),
        )
        ends.append(end)
        return []

    device.debug = handle
    return ends


def test_the_debug_client_works_through_the_gateway(fleet, event_log):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            e2e_device(device)
            config = ClientConfig(
                host=HOST,
                port=made.gateway.port,
                server_public=fleet.server.public,
                client_private=LINK.private,
                client_name="alice",
                e2e_private=E2E.private,
                device_id=b"dev-1",
                device_public=device.provisioned.record.debug_public,
                token=made.token(),
                permissions=EVERYTHING,
            )
            for _ in range(2):  # and once more with a new session
                async with open_client(config) as client:
                    written = await client.submit(debug.WriteMemory(address=DATA_BASE, data=b"written"))
                    read = await client.submit(debug.ReadMemory(address=DATA_BASE, length=7))
                    assert (written.status, read.data) == (0, b"written")
            await until(lambda: len(made.log.of(DebugSessionEnded)) == 2)
            assert [event.reason for event in made.log.of(DebugSessionEnded)] == [0, 0]

    run(scenario())


def test_the_gateways_objects_hold_no_plaintext_and_no_e2e_key(fleet, event_log):
    """A real E2E channel: the marker is found at both ends, and in nothing that the gateway has."""
    marker = b"plaintext of this very session"

    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            ends = e2e_device(device)
            seen: list[bytes] = []
            async with made.client() as client:
                request = made.open()
                client.send(request)
                opened = await client.wait_for(is_opened)
                channel = E2eChannel(
                    role=Role.INITIATOR,
                    static_private=E2E.private,
                    remote_public=device.provisioned.record.debug_public,
                    prologue_bytes=prologue(
                        device_id=b"dev-1",
                        session_id=request.session_id,
                        permissions=int(EVERYTHING),
                        manifest=opened.manifest,
                    ),
                )

                async def exchange(payload: bytes) -> None:
                    count = len(client.received)
                    client.send(debug.Relay(session=1, payload=payload))
                    await until(lambda: len(client.received) > count)
                    plaintext, _ = channel.receive(client.received[-1].payload)
                    if plaintext is not None:
                        seen.append(plaintext)

                await exchange(channel.start())
                await exchange(channel.seal(debug.encode(debug.Hello())))
                address = DATA_BASE
                await exchange(channel.seal(debug.encode(debug.WriteMemory(address=address, data=marker))))
                await exchange(
                    channel.seal(debug.encode(debug.ReadMemory(address=address, length=len(marker))))
                )
                assert any(marker in plaintext for plaintext in seen)
                assert any(marker in plaintext for plaintext in ends[0].plaintexts)
                held = b"".join(reachable_bytes(made.gateway))
                assert request.token in held or request.session_id in held  # the search does find things
                assert marker not in held
                assert E2E.private not in held
                assert device.provisioned.keys.debug.private not in held

    run(scenario())


def reachable_bytes(root: object):
    """Every bytes object of our own that can be reached from `root`."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, type | type(os)):
            continue
        seen.add(id(item))
        if isinstance(item, bytes | bytearray):
            yield bytes(item)
        elif isinstance(item, asyncio.AbstractEventLoop | asyncio.Task) or callable(item):
            continue  # leads to the test itself
        else:
            waiting.extend(gc.get_referents(item))
