"""Manifests, signatures, encryption and wrapping."""

import contextlib
import zlib
from pathlib import Path

import cbor2
import pycddl
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldlink import cose, manifest, release
from fieldlink.errors import ConfigError, ManifestError, RemoteProtocolError
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import Dependency, Manifest, Module, ModuleKind
from fieldlink.provision import DeviceKeys, TrustedKeys, identity_blob
from fieldlink.version import format_version, pack_version

CDDL = (Path(__file__).parents[1] / "cddl" / "manifest.cddl").read_text()
ENVELOPE = pycddl.Schema(CDDL)
MANIFEST = pycddl.Schema("start-rule = manifest-map\n" + CDDL)
KEY = KeyPair.from_private(KeyUse.RELEASE, bytes(range(32)))

u32 = st.integers(0, 2**32 - 1)


@st.composite
def modules(draw: st.DrawFn, module_id: int) -> Module:
    size = draw(st.integers(1, 2**32 - 1))
    return Module(
        id=module_id,
        kind=draw(st.sampled_from(ModuleKind)),
        version=draw(u32),
        region_offset=draw(u32),
        region_size=draw(st.integers(size, 2**32 - 1)),
        image_size=size,
        digest=draw(st.binary(min_size=32, max_size=32)),
        dependencies=tuple(
            draw(st.lists(st.builds(Dependency, module_id=u32, minimum_version=u32), max_size=4))
        ),
    )


@st.composite
def manifests(draw: st.DrawFn) -> Manifest:
    ids = sorted(draw(st.sets(u32, min_size=1, max_size=4)))
    return Manifest(
        sequence=draw(u32),
        board=draw(st.text(st.characters(codec="ascii"), min_size=1, max_size=32)),
        modules=tuple(draw(modules(module_id)) for module_id in ids),
        key_id=draw(st.binary(min_size=16, max_size=16)),
    )


@settings(max_examples=60)
@given(manifests())
def test_manifests_pass_the_cddl_and_come_back(value):
    MANIFEST.validate_cbor(value.encode())
    envelope = manifest.sign_manifest(value, KEY.private)
    ENVELOPE.validate_cbor(envelope)
    assert manifest.open_envelope(envelope, KEY.public) == value
    assert envelope == manifest.sign_manifest(value, KEY.private)


def sample(**changes: object) -> Manifest:
    module = Module(
        id=1,
        kind=ModuleKind.XIP,
        version=pack_version("1.2.3"),
        region_offset=0x20000,
        region_size=0x20000,
        image_size=100,
        digest=bytes(32),
    )
    fields: dict[str, object] = {"sequence": 7, "board": "board", "modules": (module,), "key_id": bytes(16)}
    return Manifest(**(fields | changes))  # type: ignore[arg-type]


def test_the_signature_covers_rfc_9052_sig_structure():
    envelope = cbor2.loads(manifest.sign_manifest(sample(), KEY.private))
    assert envelope.tag == 18
    protected, unprotected, payload, signature = envelope.value
    assert protected == bytes.fromhex("a10127")
    assert unprotected == {}
    signed = b"\x84\x6aSignature1\x43\xa1\x01\x27\x40" + cbor2.dumps(payload)
    Ed25519PublicKey.from_public_bytes(KEY.public).verify(signature, signed)


def test_every_changed_byte_of_an_envelope_is_refused():
    envelope = manifest.sign_manifest(sample(), KEY.private)
    for index in range(len(envelope)):
        for flip in (0x01, 0x80):
            changed = envelope[:index] + bytes([envelope[index] ^ flip]) + envelope[index + 1 :]
            with pytest.raises(ManifestError) as caught:
                manifest.open_envelope(changed, KEY.public)
            assert "\n" not in str(caught.value)


def test_another_key_is_refused():
    envelope = manifest.sign_manifest(sample(), KEY.private)
    with pytest.raises(ManifestError, match="release key"):
        manifest.open_envelope(envelope, KeyPair.generate(KeyUse.RELEASE).public)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_manifest_error_or_a_manifest(data):
    for parse in (manifest.decode, manifest.read_unverified):
        with contextlib.suppress(ManifestError):
            parse(data)


def test_inconsistent_manifests_are_refused():
    module = sample().modules[0]
    bad = [
        sample(modules=(module, module)),
        sample(modules=()),
        sample(key_id=b"short"),
        sample(board=""),
        sample(sequence=2**32),
    ]
    for value in bad:
        with pytest.raises(ManifestError):
            value.encode()
    with pytest.raises(ManifestError):
        cose.sign(bytes(1901), KEY.private)


def test_unmet_dependencies_are_named():
    needing = sample().modules[0]
    for dependency, has in (((2, 0), "no such module"), ((1, pack_version("1.2.4")), "1.2.3")):
        module = Module(
            id=1,
            kind=needing.kind,
            version=needing.version,
            region_offset=0,
            region_size=100,
            image_size=1,
            digest=bytes(32),
            dependencies=(Dependency(module_id=dependency[0], minimum_version=dependency[1]),),
        )
        with pytest.raises(ManifestError, match=has):
            manifest.check_dependencies(sample(modules=(module,)))


def test_a_manifest_region_has_magic_and_length():
    assert manifest.installed_manifest_region(b"envelope") == b"MANF\x08\x00\x00\x00envelope"
    with pytest.raises(ManifestError):
        manifest.installed_manifest_region(b"")


CHUNK = release.CHUNK_SIZE
SIZES = [1, 15, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 3 * CHUNK + 7]


@pytest.mark.parametrize("size", SIZES)
def test_images_come_back_chunk_by_chunk(size):
    image = bytes(index * 7 % 256 for index in range(size))
    key = bytes(range(32))
    blob = release.encrypt_image(image, module_id=2, sequence=5, content_key=key)
    assert len(blob) == release.blob_size(size)
    plain = b""
    for chunk in range(release.chunk_count(size)):
        sealed = release.blob_chunk(blob, size, chunk)
        plain += release.open_chunk(
            sealed, module_id=2, chunk=chunk, sequence=5, image_size=size, content_key=key
        )
    assert plain == image
    assert image[:64] not in blob or size < 8


def test_a_chunk_opens_only_as_what_it_is():
    size = 2 * CHUNK
    key = bytes(range(32))
    blob = release.encrypt_image(bytes(size), module_id=2, sequence=5, content_key=key)
    right: dict[str, object] = {
        "module_id": 2,
        "chunk": 0,
        "sequence": 5,
        "image_size": size,
        "content_key": key,
    }
    sealed = release.blob_chunk(blob, size, 0)
    assert release.open_chunk(sealed, **right) == bytes(CHUNK)  # type: ignore[arg-type]
    wrongs: list[dict[str, object]] = [
        {"module_id": 3},
        {"chunk": 1},
        {"sequence": 6},
        {"image_size": size - 1},
        {"content_key": bytes(32)},
    ]
    for wrong in wrongs:
        with pytest.raises(RemoteProtocolError):
            release.open_chunk(sealed, **(right | wrong))  # type: ignore[arg-type]
    with pytest.raises(RemoteProtocolError):
        release.open_chunk(sealed[:-1], **right)  # type: ignore[arg-type]


def test_nonce_and_associated_data_are_what_the_protocol_says():
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    blob = release.encrypt_image(b"image", module_id=2, sequence=5, content_key=bytes(32))
    nonce = bytes.fromhex("020000000000000000000000")
    associated = bytes.fromhex("05000000020000000000000005000000")
    assert ChaCha20Poly1305(bytes(32)).decrypt(nonce, blob, associated) == b"image"


def test_a_content_key_unwraps_for_its_device_and_release_only():
    wrap = KeyPair.generate(KeyUse.DEVICE)
    content = release.ContentKey.generate()
    wrapped = release.wrap_key(content, wrap_public=wrap.public, device_id=b"dev-1", sequence=9)
    assert len(wrapped) == 80
    right: dict[str, object] = {
        "wrap_private": wrap.private,
        "device_id": b"dev-1",
        "sequence": 9,
        "key_id": content.key_id,
    }
    assert release.unwrap_key(wrapped, **right) == content.key  # type: ignore[arg-type]
    wrongs: list[dict[str, object]] = [
        {"device_id": b"dev-2"},
        {"sequence": 8},
        {"key_id": bytes(16)},
        {"wrap_private": KeyPair.generate(KeyUse.DEVICE).private},
    ]
    for wrong in wrongs:
        with pytest.raises(RemoteProtocolError):
            release.unwrap_key(wrapped, **(right | wrong))  # type: ignore[arg-type]
    for index in range(80):
        changed = wrapped[:index] + bytes([wrapped[index] ^ 1]) + wrapped[index + 1 :]
        with pytest.raises(RemoteProtocolError):
            release.unwrap_key(changed, **right)  # type: ignore[arg-type]
    again = release.wrap_key(content, wrap_public=wrap.public, device_id=b"dev-1", sequence=9)
    assert again != wrapped
    assert content.key.hex() not in repr(content)


def test_wrapping_follows_the_protocols_formula():
    """Recomputed here from the text of PROTOCOL.md section 5, with fixed keys."""
    import hashlib

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    e = X25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
    w = X25519PrivateKey.from_private_bytes(bytes(range(60, 92)))
    e_public, w_public = e.public_key().public_bytes_raw(), w.public_key().public_bytes_raw()
    secret = w.exchange(e.public_key())
    kek = hashlib.blake2b(b"fieldlink-wrap-1" + e_public + w_public, key=secret, digest_size=32).digest()
    aad = b"dev-1" + bytes(11) + (9).to_bytes(4, "little") + bytes(16)
    expected = e_public + ChaCha20Poly1305(kek).encrypt(bytes(12), b"k" * 32, aad)
    content = release.ContentKey(key=b"k" * 32, key_id=bytes(16))
    assert expected == release.wrap_key(
        content, wrap_public=w_public, device_id=b"dev-1", sequence=9, ephemeral=bytes(range(1, 33))
    )


def test_the_identity_blob_has_the_layout_of_the_specification():
    keys = DeviceKeys.generate()
    trusted = TrustedKeys(server=b"S" * 32, release=b"R" * 32, fleet=b"F" * 32)
    blob = identity_blob(device_id="dev-1", keys=keys, trusted=trusted)
    assert len(blob) == 256
    assert blob[:8] == bytes.fromhex("4255494401000000")
    assert blob[8:24] == b"dev-1".ljust(16, b"\x00")
    assert blob[24:56] == keys.link.private
    assert blob[56:88] == keys.wrap.private
    assert blob[88:184] == b"S" * 32 + b"R" * 32 + b"F" * 32
    assert blob[184:216] == keys.debug.private
    assert blob[216:252] == b"\xff" * 36
    assert int.from_bytes(blob[252:], "little") == zlib.crc32(blob[:252])


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 65535))
def test_versions_pack_in_order_and_come_back(major, minor, patch):
    packed = pack_version(f"{major}.{minor}.{patch}")
    assert packed == major << 24 | minor << 16 | patch
    assert format_version(packed) == f"{major}.{minor}.{patch}"


@pytest.mark.parametrize(
    "text", ["", "1", "1.2", "1.2.3.4", "256.0.0", "0.256.0", "0.0.65536", "1.2.x", "-1.0.0", "\uff11.0.0"]
)
def test_bad_versions_are_refused(text):
    with pytest.raises(ConfigError, match=r"MAJOR\.MINOR\.PATCH"):
        pack_version(text)
