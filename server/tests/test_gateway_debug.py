"""Debug sessions through a real gateway over TCP: who gets one, what is relayed and recorded."""

import asyncio
import logging
import os

import pytest

from fieldlink import debug_messages as debug
from fieldlink import link as links
from fieldlink.audit import AuditEvent, mac_key
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.errors import StoreError
from fieldlink.gateway import (
    ClientOffline,
    ClientOnline,
    DebugSessionEnded,
    DebugSessionOpened,
    DebugSessionRefused,
    Gateway,
    HandshakeRejected,
)
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import digest
from fieldlink.store import ClientRecord

from .debug_site import HOST, LINK, Site, echo, entries, is_ended, is_opened, run, site, until


def test_a_session_through_the_gateway(fleet, event_log):
    sent = [os.urandom(size) for size in (1, 500, 992)] * 10

    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            device.debug = echo
            async with made.client() as client:
                request = made.open(session=77)
                client.send(request)
                opened = await client.wait_for(is_opened)
                assert opened == debug.Opened(session=77, manifest=digest(device.flash.envelope))
                client.send(*(debug.Relay(session=77, payload=payload) for payload in sent))
                await until(lambda: len(client.received) == 1 + len(sent))
                answers = [frame.payload for frame in client.received[1:]]
                assert answers == [payload[::-1] for payload in sent]
                asked, *relayed = device.debug_received
                assert asked == debug.OpenDevice(
                    session=1, session_id=request.session_id, token=request.token
                )
                assert [frame.payload for frame in relayed] == sent
                client.send(debug.Ended(session=77, reason=0))
                ended = await made.log.wait(lambda event: isinstance(event, DebugSessionEnded))
                assert (ended.client, ended.device_id, ended.ended_by) == ("alice", "dev-1", "client")
                assert (ended.frames_to_device, ended.bytes_to_device) == (30, sum(map(len, sent)))
                await until(lambda: debug.Ended(session=1, reason=0) in device.debug_received)
            await made.log.wait(lambda event: isinstance(event, ClientOffline))
            assert len(made.log.of(ClientOnline)) == len(made.log.of(DebugSessionOpened)) == 1

    run(scenario())
    opened, ended = entries(fleet)
    assert (opened.event, ended.event) == (AuditEvent.OPENED, AuditEvent.ENDED)
    assert (ended.client, ended.device_id, ended.permissions) == ("alice", "dev-1", 15)
    assert (ended.to_device.frames, ended.to_client.frames) == (30, 30)
    assert ended.session_id == opened.session_id
    assert fleet.store.audit.verify(mac_key(fleet.server.private)).count == 2


def test_the_right_device_of_many_is_debugged(fleet, event_log):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            devices = [await made.online(f"dev-{number}") for number in range(3)]
            async with made.client() as client:
                client.send(made.open(session=5, device_id=b"dev-1"))
                await client.wait_for(is_opened)
                client.send(debug.Relay(session=5, payload=b"only for dev-1"))
                await until(lambda: len(devices[1].debug_received) == 2)
                assert devices[1].debug_received[1].payload == b"only for dev-1"
                assert devices[0].debug_received == devices[2].debug_received == []

    run(scenario())


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"device_id": b"dev-2"}, EndReason.OFFLINE),
        ({"device_id": b"dev-9"}, EndReason.NO_SUCH_DEVICE),
        ({"device_id": b"\xff\xfe"}, EndReason.NO_SUCH_DEVICE),
        ({"client": LINK.public}, EndReason.NOT_AUTHORISED),
        ({"fleet": KeyPair.generate(KeyUse.FLEET)}, EndReason.NOT_AUTHORISED),
        ({"expires": 1_000_000}, EndReason.EXPIRED),
    ],
)
def test_refusals_reach_the_client_and_the_log(fleet, event_log, changes, reason):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            fleet.provision("dev-2")
            async with made.client() as client:
                client.send(made.open(**changes))
                refused = await client.wait_for(is_ended)
                assert refused == debug.Ended(session=1, reason=reason)
                assert device.debug_received == []
                # The client stays, and gets what it may have.
                client.send(made.open(session=2))
                await client.wait_for(is_opened)
            (event,) = made.log.of(DebugSessionRefused)
            assert event.reason == reason

    run(scenario())
    assert [(item.event, item.reason) for item in entries(fleet)][:2] == [
        (AuditEvent.REFUSED, reason),
        (AuditEvent.OPENED, None),
    ]


def test_a_second_controller_is_refused_until_the_first_is_gone(fleet, event_log):
    bob_link, bob_e2e = KeyPair.generate(KeyUse.CLIENT), KeyPair.generate(KeyUse.CLIENT)
    fleet.store.clients.add(ClientRecord(name="bob", link_public=bob_link.public, e2e_public=bob_e2e.public))

    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            device = await made.online()
            async with made.client(bob_link) as bob:
                async with made.client() as alice:
                    alice.send(made.open())
                    await alice.wait_for(is_opened)
                    bob.send(made.open(session=1, client=bob_e2e.public))
                    assert await bob.wait_for(is_ended) == debug.Ended(session=1, reason=EndReason.BUSY)
                    bob.send(made.open(session=2, client=bob_e2e.public, permissions=Permission.READ))
                    await bob.wait_for(is_opened)
                # Alice's connection was dropped: the device hears of it, bob may control.
                lost = debug.Ended(session=1, reason=EndReason.LINK_LOST)
                await until(lambda: lost in device.debug_received)
                bob.send(made.open(session=3, client=bob_e2e.public))
                await bob.wait_for(lambda frame: is_opened(frame) and frame.session == 3)

    run(scenario())


def test_keys_of_devices_and_clients_open_no_session_of_the_other_kind(fleet, event_log):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            provisioned = fleet.provision("dev-1")
            device_as_client = made.client(provisioned.keys.link)
            await device_as_client.start()
            await made.log.wait(lambda event: isinstance(event, HandshakeRejected))
            assert "unknown client key" in made.log.of(HandshakeRejected)[0].reason
            assert not device_as_client.is_up
            await device_as_client.drop()
            _, writer = await asyncio.open_connection(HOST, made.gateway.port)
            client_as_device = links.Initiator(
                static_private=LINK.private, remote_public=fleet.server.public, device_id=b"dev-1", now=0.0
            )
            client_as_device.poll(0.0)
            writer.write(client_as_device.data_to_send())
            await made.log.wait(
                lambda event: isinstance(event, HandshakeRejected) and event.reason.startswith("unknown key")
            )
            writer.close()

    run(scenario())


def test_without_a_debug_service_clients_get_no_answer(fleet, event_log):
    async def scenario() -> None:
        gateway = Gateway(config=fleet.config(), registry=fleet.store, releases=fleet.store)
        async with gateway:
            log = event_log(gateway)
            client = Site(fleet, gateway, log).client()
            await client.start()
            event = await log.wait(lambda event: isinstance(event, HandshakeRejected))
            assert "no debug service" in event.reason
            await client.drop()

    run(scenario())


def test_a_removed_client_opens_nothing_more(fleet, event_log):
    async def scenario() -> None:
        async with site(fleet, event_log) as made:
            await made.online()
            async with made.client() as client:
                fleet.store.clients.remove("alice")
                client.send(made.open())
                refused = await client.wait_for(is_ended)
                assert refused.reason == EndReason.NOT_AUTHORISED

    run(scenario())


def test_what_cannot_be_recorded_is_not_granted(fleet, event_log, caplog):
    class Full:
        def append(self, _entry, _key=None):
            raise StoreError("store: the disk is full")

    async def scenario() -> None:
        async with site(fleet, event_log, audit=Full()) as made:
            device = await made.online()
            async with made.client() as client:
                client.send(made.open())
                assert (await client.wait_for(is_ended)).reason == EndReason.UNAVAILABLE
                assert device.debug_received == []

    with caplog.at_level(logging.ERROR):
        run(scenario())
    assert "the disk is full" in caplog.text
