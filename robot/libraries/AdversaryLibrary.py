"""Keywords that attack an upgrade: a server that lies, a flash that was written behind boot."""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import TYPE_CHECKING

import cbor2
from robot.api.deco import keyword, library

from brownout.errors import StateError, ViolationError
from brownout.flash import LogRecord, Region
from brownout.reference import FlagState, UpgradeFlag
from brownout.reference.record_log import encode_record
from brownout.reference.sets import digest_of
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import Dependency, installed_manifest_region, read_unverified, sign_manifest
from fieldlink.publish import ModuleImage
from fieldlink.release import chunk_count, encrypt_image
from lab_keywords import HOLDER, find_module

if TYPE_CHECKING:
    from brownout.lab import Lab, Unit
    from fieldlink.manifest import Manifest
    from fieldlink.store import ModuleRecord, ReleaseRecord

DEVICE = "dev-1"
MODULES = ("kernel", "app", "assets")
_COSE_TAG = 18
_ASSETS_TABLE_OFFSET = 16


@library(scope="SUITE", auto_keywords=False)
class AdversaryLibrary:
    """Works on the lab of UpgradeLibrary, which the suite imports too."""

    @keyword
    def publish_tampered_release(self, *modules: str) -> None:
        """Publishes release 2 with these modules in version 1.1.0, and hides it until it is tampered with."""
        lab = self._lab
        lab.desk.pin(1)
        HOLDER.mark = lab.server.mark()
        lab.publish(2, {name: "1.1.0" if name in modules else "1.0.0" for name in MODULES})

    @keyword
    def publish_release_with_other_assets(self, sequence: int) -> None:
        """Publishes a set whose assets are neither those of 1.0.0 nor those of 1.1.0."""
        lab = self._lab
        assets = bytearray(lab.builds.version("1.1.0").image("assets"))
        (table,) = struct.unpack_from("<I", assets, _ASSETS_TABLE_OFFSET)
        assets[table] ^= 1
        HOLDER.mark = lab.server.mark()
        other = ModuleImage(name="assets", version="1.2.0", image=bytes(assets))
        lab.publish(sequence, {"kernel": "1.0.0", "app": "1.0.0", "assets": other})

    # -- a server that lies --------------------------------------------------------------------------------

    @keyword
    def server_offers_release(self, sequence: int) -> None:
        """The server offers this release although newer ones are published: a replay.

        Events before it do not count any more.
        """
        HOLDER.mark = self._lab.server.mark()
        self._lab.desk.pin(sequence)

    @keyword
    def server_flips_bit_in_chunk(self, module: str, chunk: int = 0) -> None:
        """One bit of an encrypted chunk changes on its way; chunk -1 is the last one."""
        record = self._module(module)
        blob = bytearray(self._lab.store.read_blob(record.blob))
        if chunk < 0:
            chunk += chunk_count(record.image_size)
        blob[chunk * (4096 + 16) + 5] ^= 0x10
        self._lab.desk.change_blob(record.blob, bytes(blob))
        self._lab.desk.unpin()

    @keyword
    def server_swaps_module_content(self, module: str) -> None:
        """The module is replaced by other content of the same size, encrypted with the right content key.

        Only the digest in the signed manifest can tell.
        """
        release, record = self._release(), self._module(module)
        other = bytes(
            255 - byte for byte in self._lab.builds.version("1.1.0").image(module)[: record.image_size]
        )
        blob = encrypt_image(
            other.ljust(record.image_size, b"\x00"),
            module_id=record.module_id,
            sequence=release.sequence,
            content_key=release.content_key.key,
        )
        self._lab.desk.change_blob(record.blob, blob)
        self._lab.desk.unpin()

    @keyword
    def server_changes_manifest(self, sequence: int) -> None:
        """The manifest claims another sequence; the signature is the one of the original."""
        tag = cbor2.loads(self._release().envelope)
        protected, unprotected, payload, signature = tag.value
        manifest = cbor2.loads(payload)
        manifest[2] = sequence
        changed = [protected, unprotected, cbor2.dumps(manifest, canonical=True), signature]
        self._offer_envelope(cbor2.dumps(cbor2.CBORTag(_COSE_TAG, changed), canonical=True))

    @keyword
    def server_signs_manifest_with_another_key(self) -> None:
        """The same manifest, signed with a release key that the device does not know."""
        stranger = KeyPair.generate(KeyUse.RELEASE)
        self._offer_envelope(sign_manifest(self._manifest(), stranger.private))

    @keyword
    def server_offers_set_for_another_board(self) -> None:
        """A manifest with a good signature, for another board."""
        self._offer(replace(self._manifest(), board="other-board"))

    @keyword
    def server_offers_module_in_another_region(self, module: str) -> None:
        """A manifest with a good signature that puts a module where this board has something else."""
        manifest = self._manifest()
        identifier = self._lab.board.modules[module].id
        moved = tuple(
            replace(entry, region_offset=entry.region_offset + 0x1000) if entry.id == identifier else entry
            for entry in manifest.modules
        )
        self._offer(replace(manifest, modules=moved))

    @keyword
    def server_offers_content_key_of_another_release(self) -> None:
        """A manifest with a good signature that names another content key than the server wraps."""
        self._offer(replace(self._manifest(), key_id=bytes(16)))

    @keyword
    def server_offers_set_with_unmet_dependency(self, module: str) -> None:
        """A manifest with a good signature whose ``module`` needs a newer kernel than the set has."""
        manifest, modules = self._manifest(), self._lab.board.modules
        newer = Dependency(module_id=modules["kernel"].id, minimum_version=0xFF000000)
        needy = tuple(
            replace(entry, dependencies=(newer,)) if entry.id == modules[module].id else entry
            for entry in manifest.modules
        )
        self._offer(replace(manifest, modules=needy))

    @keyword
    def server_behaves(self) -> None:
        """The server hands out what is in its store again."""
        self._lab.desk.behave()

    # -- devices that should not be served -----------------------------------------------------------------

    @keyword
    def add_device_that_trusts_another_server(self, device: str) -> None:
        """Provisions a registered device with another server's public key."""
        stranger = KeyPair.generate(KeyUse.SERVER)
        self._lab.add_unit(device, trusted=self._lab.trusted_keys(server=stranger.public))

    @keyword
    def forget_device(self, device: str) -> None:
        """Registers other keys under the device's id: the server no longer knows the device's own."""
        unit = HOLDER.unit(device)
        record = replace(unit.provisioned.record, link_public=KeyPair.generate(KeyUse.DEVICE).public)
        self._lab.store.add_device(record, replace=True)

    # -- a flash that was written behind boot --------------------------------------------------------------

    @keyword
    def flip_bit_in_flash(self, region: str, offset: int = 100, device: str = DEVICE) -> None:
        """Changes one bit of a region while the power is off, as decay or an attacker would."""
        flash = HOLDER.unit(device).device.flash
        place = self._lab.board.flash.regions[region]
        byte = flash.image()[place.offset + offset]
        flash.load(place.offset + offset, bytes([byte ^ 1]))

    @keyword
    def write_staged_manifest_into_flash(self, sequence: int, device: str = DEVICE) -> None:
        """Replaces the manifest in staging by another published one, and leaves the upgrade flag as it is."""
        place = self._lab.board.flash.regions["staged_manifest"]
        content = installed_manifest_region(self._find(sequence).envelope)
        HOLDER.unit(device).device.flash.load(place.offset, content.ljust(place.size, b"\xff"))

    @keyword
    def write_staged_release_into_flash(self, sequence: int, device: str = DEVICE) -> None:
        """Puts a whole published set into staging and sets the upgrade flag, behind the kernel's back."""
        lab, unit = self._lab, HOLDER.unit(device)
        release = self._find(sequence)
        regions, flash = lab.board.flash.regions, unit.device.flash
        mask = 0
        for record in release.modules:
            place = lab.board.modules[record.name]
            flash.load(regions[place.staged_region].offset, lab.image(sequence, record.name))
            mask |= 1 << record.module_id
        flash.load(regions["staged_manifest"].offset, installed_manifest_region(release.envelope))
        flag = UpgradeFlag(
            state=FlagState.REQUESTED,
            module_mask=mask,
            floor=unit.installed_sequence(),
            manifest_digest=digest_of(release.envelope),
        )
        flash.load(regions["flag"].offset, encode_record(1000, flag.encode()))

    # -- an app that goes where it must not ----------------------------------------------------------------

    @keyword
    def publish_rogue_app(self, target: str, access: str) -> None:
        """Publishes release 2 with an app that reads, writes or sends what is at ``target``.

        ``access`` is read, write, or send: then it asks the kernel to read there for it.

        ``target`` is a name: kernel-ram, identity-keys, flash-controller, installed-manifest, own-code.
        """
        lab, board = self._lab, self._lab.board
        regions, base = board.flash.regions, board.flash.base
        addresses = {
            "kernel-ram": board.memory["kernel_ram"].base,
            "identity-keys": base + regions["identity"].offset + 24,
            "flash-controller": board.flash.controller.command_block,
            "installed-manifest": base + regions["manifest"].offset,
            "own-code": board.memory["app_code"].base + 128,
        }
        order = struct.pack("<II", addresses[target], {"read": 0, "write": 1, "send": 2}[access])
        assets = bytearray(lab.image(1, "assets"))
        (table,) = struct.unpack_from("<I", assets, _ASSETS_TABLE_OFFSET)
        assets[table : table + len(order)] = order
        rogue = lab.builds.root / "rogue" / "app.bin"
        lab.publish(
            2,
            {
                "kernel": "1.0.0",
                "app": ModuleImage(name="app", version="6.6.6", image=rogue.read_bytes()),
                "assets": ModuleImage(name="assets", version="6.6.6", image=bytes(assets)),
            },
        )

    # -- what must not have happened -----------------------------------------------------------------------

    @keyword
    def installed_regions_should_be_untouched(self, device: str = DEVICE) -> None:
        """No flash operation touched a region of the installed set since the factory."""
        unit = HOLDER.unit(device)
        names = ["manifest", *(place.region for place in self._lab.board.modules.values())]
        for name in names:
            touched = _operations(unit, name)
            if touched:
                raise ViolationError(
                    f"region {name}: expected no operation, found {len(touched)}, first "
                    f"{touched[0].kind.value} at {touched[0].offset:#x}"
                )

    @keyword
    def upgrade_flag_should_never_have_been_set(self, device: str = DEVICE) -> None:
        """No operation touched the upgrade flag since the factory."""
        unit = HOLDER.unit(device)
        touched = _operations(unit, "flag")
        if touched:
            raise ViolationError(f"upgrade flag: expected no operation, found {len(touched)}")

    # -- inside --------------------------------------------------------------------------------------------

    @property
    def _lab(self) -> Lab:
        return HOLDER.lab

    def _release(self) -> ReleaseRecord:
        release = self._lab.store.newest_release(self._lab.board.name)
        if release is None:
            raise StateError("no release is published")
        return release

    def _find(self, sequence: int) -> ReleaseRecord:
        for release in self._lab.store.list_releases():
            if release.sequence == sequence:
                return release
        raise StateError(f"release {sequence} is not published")

    def _manifest(self) -> Manifest:
        return read_unverified(self._release().envelope)

    def _module(self, name: str) -> ModuleRecord:
        return find_module(self._release(), name)

    def _offer(self, manifest: Manifest) -> None:
        self._offer_envelope(sign_manifest(manifest, self._lab.keys[KeyUse.RELEASE].private))

    def _offer_envelope(self, envelope: bytes) -> None:
        self._lab.desk.offer_envelope(envelope)
        self._lab.desk.unpin()


def _operations(unit: Unit, region: str) -> tuple[LogRecord, ...]:
    """Flash operations that touched a region since the flash was last restored."""
    place = unit.device.board.flash.regions[region]
    return unit.device.flash.model.log.touching(Region(offset=place.offset, size=place.size))
