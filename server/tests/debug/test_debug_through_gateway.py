"""The client through the real gateway, to a simulated device that speaks the real link."""

import asyncio
import time

import pytest

from fieldlink import debug_messages as messages
from fieldlink.debug import ClientConfig, SessionEndedError, open_client
from fieldlink.debug_messages import EndReason, Permission
from fieldlink.gateway import CheckReceived, DebugBackend, Gateway
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import digest
from fieldlink.store import ClientRecord
from fieldlink.testing import SimulatedDevice
from fieldlink.testing.debug_agent import COUNTER, DeviceEnd, ToyMachine
from fieldlink.token import ALL_PERMISSIONS, issue_token, open_token

HOST = "127.0.0.1"
SLOTS = 2
"""Sessions that a device takes, as the firmware does; one is not for readers."""
SECRET = b"plaintext of the session"


class Device:
    """Joins `SimulatedDevice` and the simulated agent."""

    def __init__(self, device: SimulatedDevice, fleet_public: bytes) -> None:
        self.device = device
        self.machine = ToyMachine()
        self.end: DeviceEnd | None = None
        self.ends: dict[int, DeviceEnd] = {}
        self._permissions: dict[int, Permission] = {}  # of the sessions in `ends`
        self._fleet_public = fleet_public
        device.debug = self._on_frame

    def _on_frame(self, frame: messages.DebugFrame) -> list[messages.DebugFrame]:
        if isinstance(frame, messages.OpenDevice):
            token = open_token(frame.token, self._fleet_public)
            taken = [self._permissions[session] for session in self.open_sessions()]
            only_reads = token.permissions == Permission.READ
            if len(taken) == SLOTS or (only_reads and taken.count(Permission.READ) == SLOTS - 1):
                return [messages.Ended(session=frame.session, reason=EndReason.BUSY)]
            self._permissions[frame.session] = token.permissions
            self.end = self.ends[frame.session] = DeviceEnd(
                session=frame.session,
                session_id=frame.session_id,
                device_id=b"dev-1",
                permissions=token.permissions,
                manifest=digest(self.device.flash.envelope),
                debug_private=self.device.provisioned.keys.debug.private,
                client_public=token.client,
                machine=self.machine,
            )
            return []
        assert isinstance(frame, messages.Relay | messages.Ended)
        end = self.ends.get(frame.session)
        return [] if end is None else end.receive(frame)

    def open_sessions(self) -> list[int]:
        return [session for session, end in self.ends.items() if not end.over]


class Site:
    def __init__(self, fleet) -> None:
        self.fleet = fleet
        self.link = KeyPair.generate(KeyUse.CLIENT)
        self.e2e = KeyPair.generate(KeyUse.CLIENT)
        fleet.store.clients.add(
            ClientRecord(name="alice", link_public=self.link.public, e2e_public=self.e2e.public)
        )
        self.device = Device(fleet.device(), fleet.fleet.public)
        backend = DebugBackend(
            clients=fleet.store.clients, audit=fleet.store.audit, fleet_public=fleet.fleet.public
        )
        self.gateway = Gateway(
            config=fleet.config(), registry=fleet.store, releases=fleet.store, debug=backend
        )

    def config(self, **changes: object) -> ClientConfig:
        permissions = changes.pop("permissions", ALL_PERMISSIONS)
        assert isinstance(permissions, Permission)
        fields: dict[str, object] = {
            "host": HOST,
            "port": self.gateway.port,
            "server_public": self.fleet.server.public,
            "client_private": self.link.private,
            "client_name": "alice",
            "e2e_private": self.e2e.private,
            "device_id": b"dev-1",
            "device_public": self.device.device.provisioned.record.debug_public,
            "permissions": permissions,
            "token": issue_token(
                self.fleet.fleet,
                client=self.e2e.public,
                device_id=b"",
                permissions=permissions,
                expires=int(time.time()) + 1000,
            ),
        }
        return ClientConfig(**(fields | changes))  # type: ignore[arg-type]


def through_gateway(fleet, event_log, scenario, *, online: bool = True) -> None:
    async def everything() -> None:
        site = Site(fleet)
        async with asyncio.timeout(40), site.gateway as gateway:
            log = event_log(gateway)
            life = asyncio.create_task(asyncio.sleep(0))
            if online:
                life = asyncio.create_task(
                    site.device.device.run(HOST, gateway.port, until=lambda _it: False, timeout_s=30)
                )
                await log.wait(lambda event: isinstance(event, CheckReceived))
            try:
                await scenario(site)
            finally:
                life.cancel()
                await asyncio.gather(life, return_exceptions=True)

    asyncio.run(everything())


def test_a_session_through_the_gateway(fleet, event_log):
    async def scenario(site: Site) -> None:
        async with open_client(site.config()) as client:
            await client.target.halt()
            await client.target.write_memory(COUNTER, SECRET)
            assert await client.target.fetch_memory(COUNTER, len(SECRET)) == SECRET
            assert len(await client.target.fetch_memory(COUNTER, 9000)) == 9000
            end = site.device.end
            assert any(SECRET in plaintext for plaintext in end.plaintexts)
            assert SECRET not in bytes(site.device.device.raw_out)
        assert end.agent.points == set()

    through_gateway(fleet, event_log, scenario)


def test_one_controls_others_may_read(fleet, event_log):
    async def scenario(site: Site) -> None:
        async with open_client(site.config()):
            with pytest.raises(SessionEndedError, match="another session controls") as caught:
                async with open_client(site.config()):
                    pass
            assert caught.value.reason == EndReason.BUSY

    through_gateway(fleet, event_log, scenario)


def test_readers_do_not_lock_out_who_controls(fleet, event_log):
    async def scenario(site: Site) -> None:
        async with open_client(site.config(permissions=Permission.READ)):
            for _ in range(2):
                with pytest.raises(SessionEndedError, match="as many read-only sessions as") as caught:
                    async with open_client(site.config(permissions=Permission.READ)):
                        pass
                assert caught.value.reason == EndReason.BUSY
            async with open_client(site.config()) as client:
                await client.target.halt()
        async with asyncio.timeout(10):
            while site.device.open_sessions():  # until the device has heard of the end
                await asyncio.sleep(0)
        async with open_client(site.config(permissions=Permission.READ)):
            pass

    through_gateway(fleet, event_log, scenario)


def test_unknown_and_offline_devices(fleet, event_log):
    async def scenario(site: Site) -> None:
        for device_id, text in ((b"nobody", "no such device"), (b"dev-1", "is offline")):
            with pytest.raises(SessionEndedError, match=text):
                async with open_client(site.config(device_id=device_id)):
                    pass

    through_gateway(fleet, event_log, scenario, online=False)


def test_a_token_of_another_fleet(fleet, event_log):
    async def scenario(site: Site) -> None:
        token = issue_token(
            KeyPair.generate(KeyUse.FLEET),
            client=site.e2e.public,
            device_id=b"dev-1",
            permissions=ALL_PERMISSIONS,
            expires=int(time.time()) + 100,
        )
        with pytest.raises(SessionEndedError, match="not authorised"):
            async with open_client(site.config(token=token)):
                pass

    through_gateway(fleet, event_log, scenario)
