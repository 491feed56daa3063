"""Published vectors against the firmware's primitives, on the host and on the emulated device."""

import hashlib
import itertools
from collections.abc import Callable, Iterator

import cryptography_vectors
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

Ask = Callable[[str], list[str]]

OK = "=0"
BAD_SIGNATURE = "=7"
AUTHENTICATION = "=12"

GROUP_ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD_PRIME = 2**255 - 19


def _lines(path: str) -> list[str]:
    with cryptography_vectors.open_vector_file(path, "r") as file:
        return [str(line).strip() for line in file]


def _records(path: str, separator: str = "=") -> list[dict[str, str]]:
    """NIST-style records: name and value a line, blank lines between."""
    records: list[dict[str, str]] = []
    for is_text, lines in itertools.groupby(_lines(path), key=bool):
        pairs = [line.partition(separator) for line in lines if is_text and not line.startswith("#")]
        if pairs:
            records.append({name.strip(): value.strip() for name, _, value in pairs})
    return records


def _hex(data: bytes) -> str:
    return data.hex() or "-"


def _quoted(value: str) -> bytes:
    return value.strip('"').encode("ascii") if value.startswith('"') else bytes.fromhex(value)


def _ed25519_vectors() -> list[tuple[str, str, str]]:
    """(signature, public key, message) in hex; RFC 8032's own vectors are among them."""
    vectors = []
    for line in _lines("asymmetric/Ed25519/sign.input"):
        _, public_key, message, signed, _ = line.split(":")
        vectors.append((signed[:128], public_key, message or "-"))
    return vectors


@pytest.fixture
def sample(
    request: pytest.FixtureRequest,
) -> Callable[[list[tuple[str, str, str]]], list[tuple[str, str, str]]]:
    """All vectors on the host; on the device the first, the last and every 32nd."""
    on_device = request.node.callspec.params["ask"] == "emulated"
    return lambda vectors: [*vectors[:8], *vectors[8:-1:32], vectors[-1]] if on_device else vectors


def test_ed25519_accepts_the_published_signatures_and_nothing_next_to_them(
    ask: Ask, sample: Callable[[list[tuple[str, str, str]]], list[tuple[str, str, str]]]
) -> None:
    vectors = _ed25519_vectors()
    assert len(vectors) == 1024
    for number, (signature, key, message) in enumerate(sample(vectors)):
        assert ask(f"ed25519 {signature} {key} 4096 {message}") == [OK], (number, message)
        damaged = bytearray.fromhex(signature)
        damaged[number % 64] ^= 1 << (number % 8)
        assert ask(f"ed25519 {damaged.hex()} {key} 4096 {message}") == [BAD_SIGNATURE], (number, message)
        longer = message.strip("-") + "00"
        assert ask(f"ed25519 {signature} {key} 4096 {longer}") == [BAD_SIGNATURE], (number, message)


def test_ed25519_takes_the_message_in_any_pieces(ask: Ask) -> None:
    signature, key, message = _ed25519_vectors()[200]
    assert len(message) == 400
    for span in (4, 63, 64, 65, 127, 128, 129, 199, 200, 201):
        assert ask(f"ed25519 {signature} {key} {span} {message}") == [OK], span


def test_ed25519_refuses_the_malleable_twin_of_a_signature(ask: Ask) -> None:
    for signature, key, message in _ed25519_vectors()[:4]:
        s = int.from_bytes(bytes.fromhex(signature)[32:], "little")
        for multiple in range(1, 15):  # s + 15 L no longer fits 32 bytes for every s
            twin = signature[:64] + (s + multiple * GROUP_ORDER).to_bytes(32, "little").hex()
            assert ask(f"ed25519 {twin} {key} 4096 {message}") == [BAD_SIGNATURE], multiple


def test_ed25519_takes_a_scalar_just_below_the_group_order_for_a_number(ask: Ask) -> None:
    """With the neutral element as key and R, the equation holds for S = 0 only; L would be 0 again."""
    neutral = (1).to_bytes(32, "little").hex()
    results = {}
    for name, s in {"0": 0, "1": 1, "L-1": GROUP_ORDER - 1, "L": GROUP_ORDER, "L+1": GROUP_ORDER + 1}.items():
        (results[name],) = ask(f"ed25519 {neutral}{s.to_bytes(32, 'little').hex()} {neutral} 4096 61")
    assert results == {
        "0": OK,
        "1": BAD_SIGNATURE,
        "L-1": BAD_SIGNATURE,
        "L": BAD_SIGNATURE,
        "L+1": BAD_SIGNATURE,
    }


@pytest.mark.parametrize(
    "encoding",
    [
        pytest.param((1 + FIELD_PRIME).to_bytes(32, "little"), id="y = p + 1 for 1"),
        pytest.param((1 | 1 << 255).to_bytes(32, "little"), id="minus zero x at y = 1"),
        pytest.param(((1 + FIELD_PRIME) | 1 << 255).to_bytes(32, "little"), id="both"),
    ],
)
def test_ed25519_refuses_other_encodings_of_a_point(ask: Ask, encoding: bytes) -> None:
    """All of them mean the neutral element, for which S = 0 is a valid signature of anything."""
    neutral = (1).to_bytes(32, "little").hex()
    zero = bytes(32).hex()
    assert ask(f"ed25519 {neutral}{zero} {neutral} 4096 61") == [OK]
    assert ask(f"ed25519 {encoding.hex()}{zero} {neutral} 4096 61") == [BAD_SIGNATURE]
    assert ask(f"ed25519 {neutral}{zero} {encoding.hex()} 4096 61") == [BAD_SIGNATURE]


def test_ed25519_refuses_minus_zero_at_the_point_of_order_two(ask: Ask) -> None:
    order_two = FIELD_PRIME - 1
    key = (1).to_bytes(32, "little").hex()
    plus = order_two.to_bytes(32, "little").hex()
    minus = (order_two | 1 << 255).to_bytes(32, "little").hex()
    assert ask(f"ed25519 {plus}{bytes(32).hex()} {key} 4096 61") == [OK]  # the check is cofactored
    assert ask(f"ed25519 {minus}{bytes(32).hex()} {key} 4096 61") == [BAD_SIGNATURE]


def test_ed25519_agrees_with_another_implementation(ask: Ask) -> None:
    for number in range(12):
        seed = hashlib.sha256(b"key %d" % number).digest()
        message = hashlib.shake_256(seed).digest(number * 171)
        private = Ed25519PrivateKey.from_private_bytes(seed)
        signature, key = private.sign(message).hex(), private.public_key().public_bytes_raw().hex()
        assert ask(f"ed25519 {signature} {key} 300 {_hex(message)}") == [OK], number


def test_sha512_agrees_with_another_implementation(ask: Ask) -> None:
    for length in (0, 1, 3, 55, 111, 112, 113, 119, 127, 128, 129, 239, 240, 241, 255, 256, 257, 1000, 3000):
        message = hashlib.shake_128(b"%d" % length).digest(length)
        for step in (1, 7, 64, 128, 3000):
            assert ask(f"sha512 {step} {_hex(message)}") == [hashlib.sha512(message).hexdigest(), OK], length


def test_sha512_of_nist_examples(ask: Ask) -> None:
    """FIPS 180-4's one-block and two-block messages."""
    two_blocks = (
        b"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrs"
        b"mnopqrstnopqrstu"
    )
    assert ask(f"sha512 99 {b'abc'.hex()}")[0].startswith("ddaf35a193617abacc417349ae204131")
    assert ask(f"sha512 99 {two_blocks.hex()}")[0].startswith("8e959b75dae313da8cf4f72814fc143f")


def test_blake2b_published_vectors(ask: Ask) -> None:
    vectors = _records("hashes/blake2/blake2b.txt")
    assert len(vectors) >= 6
    for vector in vectors:
        message = bytes.fromhex(vector["Msg"])[: int(vector["Len"]) // 8]
        assert ask(f"blake2b 64 - {_hex(message)}") == [vector["MD"], OK]


def test_blake2b_256_plain_and_keyed(ask: Ask) -> None:
    for length in (0, 1, 127, 128, 129, 256, 3000):
        message = hashlib.shake_128(b"%d" % length).digest(length)
        plain = hashlib.blake2b(message, digest_size=32).hexdigest()
        assert ask(f"digest {_hex(message)}") == [plain, OK]
        keyed = hashlib.blake2b(message, digest_size=32, key=bytes(range(32))).hexdigest()
        assert ask(f"blake2b 32 {bytes(range(32)).hex()} {_hex(message)}") == [keyed, OK]


def test_digests_differ_by_any_bit(ask: Ask) -> None:
    digest = hashlib.sha256(b"digest").digest()
    assert ask(f"digestsequal {digest.hex()} {digest.hex()}") == ["1", OK]
    for bit in range(256):
        other = (int.from_bytes(digest, "big") ^ (1 << bit)).to_bytes(32, "big")
        assert ask(f"digestsequal {digest.hex()} {other.hex()}") == ["0", OK], bit


def test_x25519_published_vectors(ask: Ask) -> None:
    vectors = _records("asymmetric/X25519/rfc7748.txt")
    assert len(vectors) >= 3
    for vector in vectors:
        assert ask(f"x25519 {vector['INPUT_SCALAR']} {vector['INPUT_U']}") == [vector["OUTPUT_U"], OK]


def test_x25519_iterated(ask: Ask) -> None:
    """RFC 7748 section 5.2: once and a thousand times."""
    once = "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079"
    thousand = "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51"
    assert ask("x25519iterate 1") == [once, OK]
    assert ask("x25519iterate 1000") == [thousand, OK]


def _aead_vectors() -> Iterator[tuple[str, str, bytes, bytes, bytes, bool]]:
    """(key, nonce, associated data, plaintext, sealed, valid)."""
    for vector in _records("ciphers/ChaCha20Poly1305/boringssl.txt"):
        sealed = _quoted(vector["CT"]) + _quoted(vector["TAG"])
        yield vector["KEY"], vector["NONCE"], _quoted(vector["AD"]), _quoted(vector["IN"]), sealed, True
    for vector in _records("ciphers/ChaCha20Poly1305/openssl.txt"):
        sealed = bytes.fromhex(vector["Ciphertext"] + vector["Tag"])
        plain, ad = bytes.fromhex(vector["Plaintext"]), bytes.fromhex(vector["AAD"])
        yield vector["Key"], vector["IV"], ad, plain, sealed, "Result" not in vector


def test_chacha20_poly1305_published_vectors(ask: Ask) -> None:
    count = 0
    for key, nonce, ad, plain, sealed, valid in _aead_vectors():
        if len(nonce) != 24:
            continue  # ours takes RFC 8439's 96-bit nonces only
        count += 1
        opened = ask(f"open {key} {nonce} {_hex(ad)} {sealed.hex()}")
        if valid:
            assert ask(f"seal {key} {nonce} {_hex(ad)} {_hex(plain)}") == [sealed.hex(), OK]
            assert opened == [_hex(plain), OK]
        else:
            assert opened == ["a5" * len(plain), AUTHENTICATION]
    assert count >= 66


def test_aead_releases_nothing_that_does_not_authenticate(ask: Ask) -> None:
    key, nonce, ad, plain, sealed, _ = next(_aead_vectors())
    for position in range(0, len(sealed), 5):
        damaged = bytearray(sealed)
        damaged[position] ^= 0x10
        answer = ask(f"open {key} {nonce} {ad.hex()} {damaged.hex()}")
        assert answer == ["a5" * len(plain), AUTHENTICATION], position
    assert ask(f"open {key} {nonce} {ad.hex()}00 {sealed.hex()}")[-1] == AUTHENTICATION
