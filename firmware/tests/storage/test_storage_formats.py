"""CRC, identity, manifests, flash writes and progress, each checked against its own description."""

import struct
import zlib
from dataclasses import replace
from pathlib import Path

import cbor2
import pytest
from storage_build import HostBuild, run
from storage_world import NEW, OLD, RELEASE_KEY, WRONG_KEY, World, identity_blob, region


@pytest.mark.parametrize("content", [b"", b"\0", b"123456789", bytes(range(256)) * 5])
def test_crc32_is_zlibs(host_build: HostBuild, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "content"
    path.write_bytes(content)
    done = run([host_build.program("storage_probe.c"), "crc", path])
    assert int(done.stdout, 16) == zlib.crc32(content)


def identity_status(host_build: HostBuild, folder: Path, blob: bytes) -> str:
    path = folder / "identity"
    path.write_bytes(blob)
    return run([host_build.program("storage_probe.c"), "identity", path]).stdout.strip()


def test_identity_needs_magic_version_and_checksum(host_build: HostBuild, tmp_path: Path) -> None:
    good = identity_blob()
    assert len(good) == 256
    assert identity_status(host_build, tmp_path, good) == "ok"
    assert identity_status(host_build, tmp_path, b"\xff" * 256) == "not found"
    for position in (5, 8, 60, 120, 251, 252, 255):
        broken = bytearray(good)
        broken[position] ^= 0x40
        assert identity_status(host_build, tmp_path, bytes(broken)) == "malformed"
    version_2 = good[:4] + struct.pack("<I", 2) + good[8:252]
    version_2 += struct.pack("<I", zlib.crc32(version_2))
    assert identity_status(host_build, tmp_path, version_2) == "malformed"


def manifest_lines(host_build: HostBuild, folder: Path, envelope: bytes) -> list[str]:
    path, key = folder / "envelope", folder / "key"
    path.write_bytes(envelope)
    key.write_bytes(RELEASE_KEY.public_key().public_bytes_raw())
    return run([host_build.program("storage_probe.c"), "manifest", path, key]).stdout.splitlines()


def test_a_manifest_says_in_c_what_was_signed(host_build: HostBuild, tmp_path: Path) -> None:
    release = replace(NEW, dependencies={"app": [[1, NEW.version], [3, 1]]})
    status, sequence, *modules = manifest_lines(host_build, tmp_path, release.envelope())
    assert (status, sequence) == ("ok", "sequence 6")
    for line, name in zip(modules, release.images, strict=True):
        entry = release.module(name)
        digest = entry[7]
        assert isinstance(digest, bytes)
        assert line == (
            f"module {entry[1]} kind {entry[2]} version {entry[3]} region {entry[4]}+{entry[5]} "
            f"size {entry[6]} dependencies {2 if name == 'app' else 0} digest {digest[0]:02x}{digest[31]:02x}"
        )


WRONG_MANIFESTS = {
    "another key": (replace(NEW, key=WRONG_KEY), "bad signature"),
    "another board": (replace(NEW, board="smal"), "wrong board or region"),
    "a longer board name": (replace(NEW, board="small2"), "wrong board or region"),
    "a region elsewhere": (replace(NEW, changes={"app": {4: 0x9000}}), "wrong board or region"),
    "a region of another size": (replace(NEW, changes={"app": {5: 0x2000}}), "wrong board or region"),
    "an image larger than its region": (replace(NEW, changes={"app": {6: 0x1001}}), "malformed"),
    "an empty image": (replace(NEW, changes={"app": {6: 0}}), "malformed"),
    "a wrong kind": (replace(NEW, changes={"app": {2: 1}}), "malformed"),
    "an unknown module": (replace(NEW, changes={"assets": {1: 4}}), "malformed"),
    "the boot ROM as a module": (replace(NEW, changes={"kernel": {1: 0}}), "malformed"),
    "a module twice": (replace(NEW, changes={"assets": {1: 2}}), "malformed"),
    "modules out of order": (
        replace(NEW, images={name: NEW.images[name] for name in ("kernel", "assets", "app")}),
        "malformed",
    ),
    "no kernel": (replace(NEW, images={"app": NEW.images["app"]}), "malformed"),
    "no module": (replace(NEW, images={}), "malformed"),
    "a dependency on a missing module": (
        replace(NEW, images={"kernel": b"k"}, dependencies={"kernel": [[2, 0]]}),
        "dependency not met",
    ),
    "a dependency on a newer version": (
        replace(NEW, dependencies={"app": [[1, NEW.version + 1]]}),
        "dependency not met",
    ),
    "five dependencies": (replace(NEW, dependencies={"app": [[1, 0]] * 5}), "malformed"),
    "a short digest": (replace(NEW, changes={"app": {7: bytes(31)}}), "malformed"),
    "a number beyond 32 bits": (replace(NEW, sequence=1 << 32), "malformed"),
}


@pytest.mark.parametrize("what", WRONG_MANIFESTS)
def test_a_wrong_manifest_is_refused(host_build: HostBuild, tmp_path: Path, what: str) -> None:
    release, status = WRONG_MANIFESTS[what]
    assert manifest_lines(host_build, tmp_path, release.envelope()) == [status]


def test_no_changed_byte_of_an_envelope_is_accepted(host_build: HostBuild, tmp_path: Path) -> None:
    good = NEW.envelope()
    for position in range(0, len(good), 7):
        changed = bytearray(good)
        changed[position] ^= 0x04
        assert manifest_lines(host_build, tmp_path, bytes(changed))[0] in ("malformed", "bad signature")


def test_cut_and_extended_envelopes_are_malformed(host_build: HostBuild, tmp_path: Path) -> None:
    good = NEW.envelope()
    for envelope in (b"", good[:1], good[:40], good[:-1], good + b"\0", good + good, b"\xff" * 3000):
        assert manifest_lines(host_build, tmp_path, envelope) == ["malformed"]


def test_a_signed_payload_with_a_tail_is_malformed(host_build: HostBuild, tmp_path: Path) -> None:
    protected, payload = cbor2.dumps({1: -8}), NEW.payload() + b"\0"
    signature = RELEASE_KEY.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    envelope = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    assert manifest_lines(host_build, tmp_path, envelope) == ["malformed"]


def test_another_algorithm_is_malformed_even_if_its_signature_holds(
    host_build: HostBuild, tmp_path: Path
) -> None:
    protected, payload = cbor2.dumps({1: -7}), NEW.payload()
    signature = RELEASE_KEY.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    envelope = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    assert manifest_lines(host_build, tmp_path, envelope) == ["malformed"]


@pytest.mark.parametrize("payload_length", [23, 24, 255, 256])
def test_small_payloads_are_signed_with_the_right_length_prefix(
    host_build: HostBuild, tmp_path: Path, payload_length: int
) -> None:
    """The signature holds, so that what fails is only the payload: its bstr head was rebuilt correctly."""
    protected, payload = cbor2.dumps({1: -8}), bytes(payload_length)
    signature = RELEASE_KEY.sign(cbor2.dumps(["Signature1", protected, b"", payload]))
    envelope = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, payload, signature]))
    assert manifest_lines(host_build, tmp_path, envelope) == ["malformed"]


def operations(host_build: HostBuild, offset: int, length: int) -> list[str]:
    return run([host_build.program("storage_probe.c"), "write", hex(offset), str(length)]).stdout.splitlines()


def test_flash_write_uses_few_operations_and_pads_the_tail(host_build: HostBuild) -> None:
    assert operations(host_build, 0x1000, 0) == ["ok"]
    assert operations(host_build, 0x1000, 512) == [
        "program 4096 256 last 00",
        "program 4352 256 last 00",
        "ok",
    ]
    assert operations(host_build, 0x10F8, 17) == ["program 4344 8 last 00", "program 4352 12 last ff", "ok"]
    assert operations(host_build, 0x1000, 255) == ["program 4096 256 last ff", "ok"]


def test_flash_write_refuses_what_is_not_in_the_array(host_build: HostBuild) -> None:
    assert operations(host_build, 0x1001, 4) == ["invalid argument"]
    assert operations(host_build, 0xFFFC, 8) == ["out of range"]
    assert operations(host_build, 0xFFFFFFFC, 8) == ["out of range"]


def test_progress_lies_where_the_specification_says(host_build: HostBuild, tmp_path: Path) -> None:
    world = World()
    world.install(OLD)
    result = tmp_path / "result"
    path = world.save(tmp_path / "world")
    done = run([host_build.program("storage_probe.c"), "progress", path, result])
    assert done.stdout.splitlines() == ["before 0", "same 1"]
    record = result.read_bytes()[region("progress")[0] :][:64]
    body = b"RLOG" + struct.pack("<I", 2) + b"\xab" * 32 + struct.pack("<4I", 0, 3, 2, 1) + b"\xff" * 4
    assert record == body + struct.pack("<I", zlib.crc32(body))
