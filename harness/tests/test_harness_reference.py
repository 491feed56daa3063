"""What the harness knows of the reference firmware: logs, flag, sets, factory images, oracles, conditions."""

from __future__ import annotations

import dataclasses
import struct
import zlib
from typing import TYPE_CHECKING

import pytest

from brownout.errors import ImageError, ViolationError
from brownout.flash import Erase, FlashModel, Phase, Program, Region, Violation, ViolationKind
from brownout.power import ArmedCut, Cut, FiredCut, parse_cut
from brownout.reference import (
    FlagState,
    Recovery,
    UpgradeFlag,
    check_recovery,
    current_record,
    factory_image,
    raise_for_findings,
    read_flag,
    read_identity,
    read_progress,
    read_set,
    read_state,
    reference_conditions,
)
from brownout.reference.record_log import encode_record
from fieldlink.keys import KeyPair, KeyUse
from fieldlink.manifest import Manifest, Module, ModuleKind, digest, installed_manifest_region, sign_manifest
from fieldlink.provision import DeviceKeys, TrustedKeys, identity_blob

if TYPE_CHECKING:
    from brownout.board import Board

RELEASE = KeyPair.generate(KeyUse.RELEASE)
OTHER = KeyPair.generate(KeyUse.RELEASE)
IDENTITY = identity_blob(
    device_id="dev-1",
    keys=DeviceKeys.generate(),
    trusted=TrustedKeys(server=b"S" * 32, release=RELEASE.public, fleet=b"F" * 32),
)
OLD = {"kernel": b"old kernel" * 50, "app": b"old app" * 40, "assets": b"old assets" * 30}
NEW = {"kernel": b"new kernel!" * 60, "app": b"new app" * 44, "assets": OLD["assets"]}


def envelope_of(board: Board, images: dict[str, bytes], sequence: int, key: KeyPair = RELEASE) -> bytes:
    modules = []
    for name, data in images.items():
        place = board.modules[name]
        region = board.flash.regions[place.region]
        modules.append(
            Module(
                id=place.id,
                kind=ModuleKind(place.kind),
                version=1 << 24,
                region_offset=region.offset,
                region_size=region.size,
                image_size=len(data),
                digest=digest(data),
            )
        )
    manifest = Manifest(sequence=sequence, board=board.name, modules=tuple(modules), key_id=bytes(16))
    return sign_manifest(manifest, key.private)


@pytest.fixture
def old(board: Board) -> bytes:
    return envelope_of(board, OLD, 1)


@pytest.fixture
def new(board: Board) -> bytes:
    return envelope_of(board, NEW, 2)


@pytest.fixture
def image(board: Board, old: bytes) -> bytes:
    return factory_image(board, identity=IDENTITY, envelope=old, modules=OLD)


def put(image: bytes, board: Board, region: str, data: bytes, at: int = 0) -> bytes:
    offset = board.flash.regions[region].offset + at
    return image[:offset] + data + image[offset + len(data) :]


# -- record logs -------------------------------------------------------------------------------------------


def test_a_record_has_the_layout_of_the_specification() -> None:
    record = encode_record(7, b"payload")
    assert len(record) == 64
    assert record[:8] == b"RLOG" + struct.pack("<I", 7)
    assert record[8:60] == b"payload".ljust(52, b"\xff")
    assert record[60:] == struct.pack("<I", zlib.crc32(record[:60]))


def test_the_highest_generation_is_current_wherever_it_lies() -> None:
    region = bytearray(b"\xff" * 0x2000)
    assert current_record(bytes(region)) is None
    region[0:64] = encode_record(5, b"first")
    region[64:128] = encode_record(6, b"ghost")
    region[0x1000:0x1040] = encode_record(7, b"second")
    found = current_record(bytes(region))
    assert found is not None
    assert (found.offset, found.generation, found.payload[:6]) == (0x1000, 7, b"second")
    region[0x1010] ^= 1
    found = current_record(bytes(region))
    assert found is not None
    assert found.generation == 6


def test_the_flag_reads_as_the_firmware_reads_it() -> None:
    blank = b"\xff" * 0x2000
    assert read_flag(blank) == UpgradeFlag(state=FlagState.CLEAR)
    flag = UpgradeFlag(state=FlagState.COPYING, module_mask=6, floor=3, manifest_digest=b"d" * 32)
    assert read_flag(encode_record(2, flag.encode()) + blank[64:]) == flag
    unknown = struct.pack("<I", 0x12345678) + flag.encode()[4:]
    assert read_flag(encode_record(2, unknown) + blank[64:]).state is FlagState.CLEAR


def test_progress() -> None:
    assert not read_progress(b"\xff" * 0x2000).active
    record = encode_record(2, b"d" * 32 + struct.pack("<4I", 0, 3, 2, 1))
    progress = read_progress(record + b"\xff" * (0x2000 - 64))
    assert progress.active
    assert progress.chunks == (0, 3, 2, 1)


# -- images ------------------------------------------------------------------------------------------------


def test_a_factory_image_reads_back(board: Board, image: bytes, old: bytes) -> None:
    state = read_state(board, image)
    assert state.identity is not None
    assert (state.identity.device_id, state.identity.server_public_key) == ("dev-1", b"S" * 32)
    assert state.installed is not None
    assert (state.installed.signed, state.installed.complete) == (True, True)
    assert state.installed.envelope == old
    assert state.staged is None
    assert state.flag.state is FlagState.CLEAR
    assert len(image) == board.flash.size
    used = [board.flash.regions[name] for name in ("identity", "manifest", "kernel", "app", "assets")]
    outside = bytearray(image)
    for region in used:
        outside[region.offset : region.end] = b"\xff" * region.size
    assert set(outside) == {0xFF}


def test_a_staged_set_is_looked_for_in_staging(board: Board, image: bytes, new: bytes) -> None:
    image = put(image, board, "staged_manifest", installed_manifest_region(new))
    image = put(image, board, "staged_kernel", NEW["kernel"])
    staged = read_set(board, image, staged=True, release_public_key=RELEASE.public)
    assert staged.signed
    assert {state.name: state.matches for state in staged.modules} == {
        "kernel": True,
        "app": False,
        "assets": False,
    }


def test_damage_is_reported_not_hidden(board: Board, image: bytes) -> None:
    damaged = put(put(image, board, "identity", b"X", 100), board, "manifest", b"\xff" * 8)
    state = read_state(board, damaged)
    assert state.identity is None
    assert state.installed is None
    assert any("its CRC is wrong" in problem for problem in state.problems)
    with pytest.raises(ImageError, match="flash image: 10 bytes, expected 4194304"):
        read_state(board, bytes(10))
    with pytest.raises(ImageError, match="was the device provisioned"):
        read_identity(b"\xff" * 4096)


@pytest.mark.parametrize(
    ("modules", "message"),
    [
        ({**OLD, "kernel": b"other"}, "module 'kernel': the image is not the one that the manifest names"),
        ({name: OLD[name] for name in ("kernel", "app")}, "module 'assets': its image was not given"),
        ({**OLD, "radio": b"x"}, "module 'radio': not on board 'mps2-an385': has kernel, app, assets"),
    ],
)
def test_a_factory_image_needs_the_modules_of_its_manifest(
    board: Board, old: bytes, modules: dict[str, bytes], message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        factory_image(board, identity=IDENTITY, envelope=old, modules=modules)


def test_a_factory_image_needs_a_manifest_that_the_device_accepts(board: Board) -> None:
    with pytest.raises(ImageError, match="signature was not made with the release key"):
        factory_image(board, identity=IDENTITY, envelope=envelope_of(board, OLD, 1, OTHER), modules=OLD)
    other = dataclasses.replace(board, name="other-board")
    with pytest.raises(ImageError, match="is for board 'mps2-an385', expected 'other-board'"):
        factory_image(other, identity=IDENTITY, envelope=envelope_of(board, OLD, 1), modules=OLD)
    part = envelope_of(board, {"kernel": OLD["kernel"]}, 1)
    with pytest.raises(ImageError, match="module 'app': the manifest does not name it"):
        factory_image(board, identity=IDENTITY, envelope=part, modules=OLD)


# -- oracles -----------------------------------------------------------------------------------------------


def recovery(board: Board, image: bytes, old: bytes, new: bytes) -> Recovery:
    return Recovery(
        board=board,
        image=image,
        sets={"old": old, "new": new},
        floor=1,
        boot_time_s=0.5,
        boot_budget_s=2.0,
        release_public_key=RELEASE.public,
    )


def broken(recovered: Recovery) -> list[int]:
    findings = check_recovery(recovered)
    if findings:
        with pytest.raises(ViolationError, match=f"oracle {findings[0].oracle}: "):
            raise_for_findings(findings)
    return [finding.oracle for finding in findings]


def test_the_old_and_the_new_set_are_both_well(board: Board, image: bytes, old: bytes, new: bytes) -> None:
    assert broken(recovery(board, image, old, new)) == []
    installed = factory_image(board, identity=IDENTITY, envelope=new, modules=NEW)
    assert broken(recovery(board, installed, old, new)) == []


def test_a_mix_breaks_oracles_1_and_2(board: Board, image: bytes, old: bytes, new: bytes) -> None:
    mixed = put(image, board, "kernel", NEW["kernel"])
    assert broken(recovery(board, mixed, old, new)) == [1, 2]
    finding = check_recovery(recovery(board, mixed, old, new))[0]
    assert "not old: kernel differ; not new: app differ" in str(finding)


def test_a_manifest_of_the_other_set_breaks_oracle_2(
    board: Board, image: bytes, old: bytes, new: bytes
) -> None:
    swapped = put(image, board, "manifest", installed_manifest_region(new))
    assert broken(recovery(board, swapped, old, new)) == [2]


def test_a_manifest_that_is_gone_breaks_oracles_2_and_3(
    board: Board, image: bytes, old: bytes, new: bytes
) -> None:
    assert broken(recovery(board, put(image, board, "manifest", b"\xff" * 8), old, new)) == [2, 3]


def test_a_foreign_manifest_breaks_oracle_2_twice(board: Board, image: bytes, old: bytes, new: bytes) -> None:
    foreign = put(image, board, "manifest", installed_manifest_region(envelope_of(board, OLD, 1, OTHER)))
    assert broken(recovery(board, foreign, old, new)) == [2, 2]


def test_a_flag_that_is_set_breaks_oracle_2(board: Board, image: bytes, old: bytes, new: bytes) -> None:
    record = encode_record(2, UpgradeFlag(state=FlagState.REQUESTED).encode())
    assert broken(recovery(board, put(image, board, "flag", record), old, new)) == [2]


def test_a_counter_that_fell_breaks_oracle_3(board: Board, image: bytes, old: bytes, new: bytes) -> None:
    assert broken(dataclasses.replace(recovery(board, image, old, new), floor=2)) == [3]


def test_the_application_must_be_reached_in_time(board: Board, image: bytes, old: bytes, new: bytes) -> None:
    good = recovery(board, image, old, new)
    assert broken(dataclasses.replace(good, boot_time_s=None)) == [4]
    assert broken(dataclasses.replace(good, boot_time_s=2.5)) == [4]
    assert broken(dataclasses.replace(good, power_losses=1)) == [4]


def test_flash_violations_and_cuts_that_did_not_fire(
    board: Board, image: bytes, old: bytes, new: bytes
) -> None:
    good = recovery(board, image, old, new)
    violation = Violation(kind=ViolationKind.BYPASS, session=1, sequence=1, offset=0, length=4, detail="x")
    assert broken(dataclasses.replace(good, violations=[violation])) == [5]
    waiting = ArmedCut(parse_cut("op=1/torn"), {}, {})
    assert broken(dataclasses.replace(good, cuts=[waiting])) == [6]


# -- conditions --------------------------------------------------------------------------------------------


def fires(board: Board, text: str, operations: list[Program | Erase]) -> FiredCut | None:
    regions = {name: Region(offset=r.offset, size=r.size) for name, r in board.flash.regions.items()}
    from brownout.engines.controller import geometry_of

    model = FlashModel(geometry_of(board.flash), seed=1)
    model.power_on()
    cut: Cut = parse_cut(text)
    armed = ArmedCut(cut, regions, reference_conditions(board))
    for operation in operations:
        if armed.decide(model, operation):
            model.apply(operation, cut=Phase.BEFORE)
            armed.power_is_off()
            return armed.fired
        model.apply(operation)
    return None


def flag_write(board: Board, slot: int, state: FlagState) -> Program:
    data = encode_record(2 + slot, UpgradeFlag(state=state).encode())
    return Program(offset=board.flash.regions["flag"].offset + 64 * slot, data=data)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("at=flag-requested/torn", 1),
        ("at=flag-copying/torn", 3),
        ("after=flag-copying#2/torn", 5),
        ("at=kernel-erase/torn", 4),
        ("at=kernel-program/torn", 5),
        ("at=flag-clear/torn", 6),
        ("after=flag-requested/torn", 2),
    ],
)
def test_conditions_name_the_moments_of_an_upgrade(board: Board, text: str, number: int) -> None:
    kernel = board.flash.regions["kernel"].offset
    operations: list[Program | Erase] = [
        flag_write(board, 0, FlagState.REQUESTED),
        flag_write(board, 0, FlagState.REQUESTED),  # settles what it found: not a new flag
        flag_write(board, 1, FlagState.COPYING),
        Erase(offset=kernel, length=0x1000),
        Program(offset=kernel, data=bytes(256)),
        flag_write(board, 2, FlagState.CLEAR),
    ]
    fired = fires(board, text, operations)
    assert fired is not None
    assert fired.ordinal == number


def test_settling_a_record_is_no_second_write_of_the_flag(board: Board) -> None:
    operations: list[Program | Erase] = [flag_write(board, 0, FlagState.REQUESTED)] * 3
    assert fires(board, "at=flag-requested#2/torn", operations) is None
