"""Debug sessions through a real gateway over TCP: who gets one, what is relayed, how it ends."""

import asyncio
import gc
import logging
import os
import time
from contextlib import asynccontextmanager

import pytest

from fieldlink import debug_messages as debug
from fieldlink import link as links
from fieldlink.audit import AuditEvent, mac_key
from fieldlink.debug.client import ClientConfig, open_client
from fieldlink.debug.e2e import E2eChannel, prologue
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.errors import StoreError
from fieldlink.gateway import (
    CheckReceived,
    ClientOffline,
    ClientOnline,
    DebugBackend,
    DebugSessionEnded,
    DebugSessionOpened,
    DebugSessionRefused,
    DeviceOffline,
    Gateway,
    HandshakeRejected,
    TelemetryReceived,
)
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import digest
from fieldlink.noise import Role
from fieldlink.store import ClientRecord
from fieldlink.testing import FrameClient, SimulatedDevice
from fieldlink.testing.debug_agent import DATA_BASE, DeviceEnd, ToyMachine
from fieldlink.token import issue_token

HOST = "127.0.0.1"
LINK = KeyPair.from_private(KeyUse.CLIENT, bytes(range(32)))
E2E = KeyPair.from_private(KeyUse.CLIENT, bytes(range(40, 72)))
EVERYTHING = Permission.READ | Permission.WRITE | Permission.CONTROL | Permission.RESET


def run(coroutine):
    async def limited():
        async with asyncio.timeout(40):
            await coroutine

    asyncio.run(limited())


class Site:
    """A gateway with debug service, and shorthands for its clients and devices."""

    def __init__(self, fleet, gateway: Gateway, log) -> None:
        self.fleet = fleet
        self.gateway = gateway
        self.log = log
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.stopped: set[str] = set()

    async def online(self, name: str = "dev-1") -> SimulatedDevice:
        """A device that stays until `power_off`."""
        device = self.fleet.device(name)
        run_it = device.run(HOST, self.gateway.port, until=lambda _it: name in self.stopped, timeout_s=35)
        self.tasks[name] = asyncio.create_task(run_it)
        await self.log.wait(lambda event: isinstance(event, CheckReceived) and event.device_id == name)
        return device

    async def power_off(self, device: SimulatedDevice) -> None:
        name = device.provisioned.record.device_id
        self.stopped.add(name)
        device.wake()
        await self.tasks.pop(name)

    def client(self, key: KeyPair = LINK) -> FrameClient:
        return FrameClient(HOST, self.gateway.port, key=key, server_public=self.fleet.server.public)

    def token(self, permissions: Permission = EVERYTHING, device_id: bytes = b"dev-1", **changes) -> bytes:
        fields = {"client": E2E.public, "expires": int(time.time()) + 1000} | changes
        key = fields.pop("fleet", self.fleet.fleet)
        return issue_token(key, device_id=device_id, permissions=permissions, **fields)

    def open(self, session: int = 1, device_id: bytes = b"dev-1", **changes) -> debug.Open:
        token = self.token(**({"device_id": device_id} | changes))
        return debug.Open(session=session, device_id=device_id, session_id=os.urandom(16), token=token)


@asynccontextmanager
async def site(
    fleet, event_log, *, fleet_key: bool = True, clients=None, audit=None, register=True, **config
):
    if register:
        fleet.store.clients.add(ClientRecord(name="alice", link_public=LINK.public, e2e_public=E2E.public))
    backend = DebugBackend(
        clients=clients or fleet.store.clients,
        audit=audit or fleet.store.audit,
        fleet_public=fleet.fleet.public if fleet_key else None,
    )
    gateway = Gateway(
        config=fleet.config(**config), registry=fleet.store, releases=fleet.store, debug=backend
    )
    async with gateway:
        made = Site(fleet, gateway, event_log(gateway))
        try:
            yield made
        finally:
            for task in made.tasks.values():
                task.cancel()
            await asyncio.gather(*made.tasks.values(), return_exceptions=True)


def is_opened(frame: debug.DebugFrame) -> bool:
    return isinstance(frame, debug.Opened)


def is_ended(frame: debug.DebugFrame) -> bool:
    return isinstance(frame, debug.Ended)


def echo(frame: debug.DebugFrame) -> list[debug.DebugFrame]:
    """A device that returns every E2E frame, its bytes reversed."""
    if isinstance(frame, debug.Relay):
        return [debug.Relay(session=frame.session, payload=frame.payload[::-1])]
    return []


async def until(condition, timeout_s: float = 10.0) -> None:
    """For conditions that the event loop's own work makes true, with nothing to wait on."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0)


def entries(fleet):
    return [item.entry for item in fleet.store.audit.entries()]


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
