"""Fixtures: a small fleet with a store, keys and releases."""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from fieldlink.gateway import Gateway, GatewayConfig, GatewayEvent
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.layout import Layout, ModuleRegion
from fieldlink.manifest import ModuleKind
from fieldlink.provision import ProvisionedDevice, TrustedKeys, provision_device
from fieldlink.publish import ModuleImage, publish_release
from fieldlink.store import ReleaseRecord, Store
from fieldlink.testing import SimulatedDevice

BOARD = "test-board"

LAYOUT = Layout(
    modules=(
        ModuleRegion(name="kernel", id=1, kind=ModuleKind.XIP, region_offset=0x20000, region_size=0x20000),
        ModuleRegion(name="app", id=2, kind=ModuleKind.RAM, region_offset=0x40000, region_size=0x10000),
        ModuleRegion(name="assets", id=3, kind=ModuleKind.DATA, region_offset=0x50000, region_size=0x10000),
    )
)


def image(name: str, version: str, size: int) -> bytes:
    """Bytes that differ for every name and version."""
    pattern = f"{name} {version} ".encode()
    return (pattern * (size // len(pattern) + 1))[:size]


def images(kernel: str = "1.0.0", app: str = "1.0.0", assets: str = "1.0.0") -> list[ModuleImage]:
    sizes = {"kernel": (kernel, 20_000), "app": (app, 9_000), "assets": (assets, 4096)}
    return [
        ModuleImage(name=name, version=version, image=image(name, version, size))
        for name, (version, size) in sizes.items()
    ]


@dataclass(frozen=True)
class Fleet:
    """A store, the vendor's keys, and shorthands."""

    store: Store
    server: KeyPair
    release: KeyPair
    fleet: KeyPair

    def publish(self, sequence: int, modules: Sequence[ModuleImage] | None = None) -> ReleaseRecord:
        return publish_release(
            self.store,
            board=BOARD,
            sequence=sequence,
            release_key=self.release,
            layout=LAYOUT,
            images=images() if modules is None else modules,
        )

    def provision(self, device_id: str = "dev-1") -> ProvisionedDevice:
        trusted = TrustedKeys(server=self.server.public, release=self.release.public, fleet=self.fleet.public)
        return provision_device(self.store, device_id=device_id, board=BOARD, trusted=trusted)

    def device(self, device_id: str = "dev-1") -> SimulatedDevice:
        return SimulatedDevice(
            self.provision(device_id),
            server_public=self.server.public,
            release_public=self.release.public,
        )

    def config(self, **changes: object) -> GatewayConfig:
        return GatewayConfig(server_key=self.server, **changes)  # type: ignore[arg-type]


@pytest.fixture
def fleet(tmp_path: Path) -> Iterator[Fleet]:
    store = Store.open(tmp_path / "store", create=True)
    yield Fleet(
        store=store,
        server=KeyPair.generate(KeyUse.SERVER),
        release=KeyPair.generate(KeyUse.RELEASE),
        fleet=KeyPair.generate(KeyUse.FLEET),
    )
    store.close()


class EventLog:
    """Collects a gateway's events, and waits for one without sleeping."""

    def __init__(self, gateway: Gateway) -> None:
        self.events: list[GatewayEvent] = []
        self._changed = asyncio.Event()
        gateway.subscribe(self._on_event)

    def _on_event(self, event: GatewayEvent) -> None:
        self.events.append(event)
        self._changed.set()

    async def wait(self, wanted: Callable[[GatewayEvent], bool], timeout_s: float = 10.0) -> GatewayEvent:
        async with asyncio.timeout(timeout_s):
            while True:
                for event in self.events:
                    if wanted(event):
                        return event
                self._changed.clear()
                await self._changed.wait()

    def of(self, kind: type) -> list[GatewayEvent]:
        return [event for event in self.events if isinstance(event, kind)]


@pytest.fixture
def event_log() -> type[EventLog]:
    return EventLog


@pytest.fixture
def make_images() -> Callable[..., list[ModuleImage]]:
    return images


@pytest.fixture
def layout() -> Layout:
    return LAYOUT
