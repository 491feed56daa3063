"""A gateway with debug service over TCP, its clients and devices, for the tests of debug sessions."""

import asyncio
import os
import time
from contextlib import asynccontextmanager

from fieldlink import debug_messages as debug
from fieldlink.debug_messages import Permission
from fieldlink.gateway import CheckReceived, DebugBackend, Gateway
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.store import ClientRecord
from fieldlink.testing import FrameClient, SimulatedDevice
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
