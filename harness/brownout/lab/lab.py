"""The lab: keys, store, server, releases and devices, made fresh and taken down together."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING, Final, Self

from brownout.board import export_board, load_board
from brownout.device import Device
from brownout.files import write_atomic
from brownout.lab.debugging import DebugKit
from brownout.lab.firmware import MODULES, FirmwareBuilds
from brownout.lab.releases import ReleaseDesk
from brownout.lab.server import LabServer
from brownout.lab.story import server_story
from brownout.lab.unit import Unit
from brownout.reference import factory_image, reference_conditions
from fieldlink.gateway import DebugBackend
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.layout import load_layout
from fieldlink.provision import TrustedKeys, provision_device
from fieldlink.publish import ModuleImage, publish_release
from fieldlink.store import Store

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from brownout.lab.lying_relay import LyingRelay
    from fieldlink.store import ReleaseRecord

FACTORY_VERSION: Final = "1.0.0"
FACTORY_SEQUENCE: Final = 1
CHECK_INTERVAL_MS: Final = 400
"""Short, so that a scenario does not wait for the device to ask."""


class Lab:
    """A server and its devices in one folder. Use it as a context manager.

    Everything random in the devices comes from `seed`; without one it is drawn. Release 1 is the factory
    set: all modules of firmware 1.0.0.
    """

    def __init__(
        self,
        folder: Path,
        *,
        board: str = "mps2-an385",
        engine: str = "qemu",
        builds: FirmwareBuilds | None = None,
        seed: int | None = None,
        relay: LyingRelay | None = None,
    ) -> None:
        """Make keys and store, publish the factory set, start the server (with `relay`, one that can lie)."""
        self.folder: Final = folder
        self.board: Final = load_board(board)
        self.engine: Final = engine
        self.builds: Final = builds or FirmwareBuilds.find()
        self.seed: Final = secrets.randbelow(2**32) if seed is None else seed
        self.keys: Final = {use: KeyPair.generate(use) for use in KeyUse}
        self.relay: Final = relay
        self.units: Final[dict[str, Unit]] = {}
        self._images: dict[int, dict[str, bytes]] = {}
        self._stack = contextlib.ExitStack()
        with contextlib.ExitStack() as undo:
            self.store: Final = undo.enter_context(Store.open(folder / "store", create=True))
            layout_file = folder / "layout.toml"
            write_atomic(layout_file, export_board(self.board, "layout").encode())
            self.layout: Final = load_layout(layout_file)
            self.desk: Final = ReleaseDesk(self.store)
            self.factory_release: Final = self.publish(
                FACTORY_SEQUENCE, dict.fromkeys(MODULES, FACTORY_VERSION)
            )
            self.server: Final = LabServer(
                server_key=self.keys[KeyUse.SERVER],
                registry=self.store,
                releases=self.desk,
                debug=DebugBackend(clients=self.store.clients, audit=self.store.audit, tap=relay),
            )
            self.server.start()
            undo.callback(self.server.stop)
            self._stack = undo.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Take down devices, server and store; later calls do nothing."""
        self._stack.close()

    # -- releases ------------------------------------------------------------------------------------------

    def publish(
        self,
        sequence: int,
        modules: Mapping[str, str | ModuleImage],
        *,
        release_key: KeyPair | None = None,
        depends: Mapping[str, Mapping[str, str]] | None = None,
    ) -> ReleaseRecord:
        """Publish a set. `modules`: a version to take from the builds, or an image, for each module name."""
        images = []
        for name, what in modules.items():
            if isinstance(what, ModuleImage):
                images.append(what)
                continue
            image = self.builds.version(what).image(name)
            needs = (depends or {}).get(name, {})
            images.append(ModuleImage(name=name, version=what, image=image, dependencies=needs))
        release = publish_release(
            self.store,
            board=self.board.name,
            sequence=sequence,
            release_key=release_key or self.keys[KeyUse.RELEASE],
            layout=self.layout,
            images=images,
        )
        self._images[sequence] = {image.name: image.image for image in images}
        return release

    def image(self, sequence: int, module: str) -> bytes:
        """Image of a module in a release that this lab published."""
        return self._images[sequence][module]

    def envelopes(self, **sequences: int) -> dict[str, bytes]:
        """Envelopes of published releases by the names given, as the oracles take them."""
        published = {release.sequence: release.envelope for release in self.store.list_releases()}
        return {name: published[sequence] for name, sequence in sequences.items()}

    # -- devices -------------------------------------------------------------------------------------------

    def add_unit(
        self,
        device_id: str,
        *,
        check_interval_ms: int = CHECK_INTERVAL_MS,
        trusted: TrustedKeys | None = None,
        capture: bool = True,
    ) -> Unit:
        """Provision a device with the factory set and put it on the engine, without power."""
        provisioned = provision_device(
            self.store,
            device_id=device_id,
            board=self.board.name,
            trusted=trusted or self.trusted_keys(),
            check_interval_ms=check_interval_ms,
        )
        factory = factory_image(
            self.board,
            identity=provisioned.identity,
            envelope=self.factory_release.envelope,
            modules=self._images[FACTORY_SEQUENCE],
        )
        device = self._stack.enter_context(
            Device(
                self.board,
                self.builds.version(FACTORY_VERSION).boot,
                engine=self.engine,
                seed=self.seed + len(self.units),
                conditions=reference_conditions(self.board),
                elf_files=sorted(self.builds.root.glob("*/*.elf")),
            )
        )
        modem = device.attach_uplink(self.server.address, capture=capture)
        unit = Unit(
            device,
            modem,
            provisioned=provisioned,
            factory=factory,
            release_public_key=self.keys[KeyUse.RELEASE].public,
        )
        self.units[device_id] = unit
        return unit

    def add_debug_client(self, name: str, device_id: str) -> DebugKit:
        """Register a debug client and give it a token with all permissions for a device."""
        return DebugKit(
            self,
            self.folder / "clients" / name,
            name=name,
            device_id=device_id,
            elf=self.builds.version(FACTORY_VERSION).elf("app"),
        )

    def trusted_keys(self, **other: bytes) -> TrustedKeys:
        """Public keys that a device of this lab is born with; `server`, `release` or `fleet` replace one."""
        keys = {
            "server": self.keys[KeyUse.SERVER].public,
            "release": self.keys[KeyUse.RELEASE].public,
            "fleet": self.keys[KeyUse.FLEET].public,
        }
        return TrustedKeys(**(keys | other))

    def save_evidence(self, folder: Path, *, command: str = "") -> None:
        """Write the evidence of every device into a folder of its own; `command` does it again."""
        events = self.server.everything()
        for device_id, unit in self.units.items():
            unit.device.save_evidence(
                folder / device_id,
                subject=device_id,
                others=server_story(events, device_id),
                command=command,
            )
