"""What boot says and leaves behind, seen from Python: events, the flag record, the installed set."""

import hashlib
import struct
import zlib
from dataclasses import dataclass, replace
from pathlib import Path

from storage_build import HostBuild, run
from storage_world import MODULES, NEW, OLD, WRONG_KEY, Release, World, region

CLEAR = 0xC1EA0000
BAD_SIGNATURE, BAD_DIGEST, WRONG_BOARD, ROLLBACK, DEPENDENCY, NOT_FOUND, MALFORMED = 7, 8, 9, 10, 11, 4, 6
REQUESTED = 0x5E7F1A60


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """The current record of the flag log."""

    generation: int
    state: int
    mask: int
    floor: int
    digest: bytes
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """What one boot did."""

    status: str
    events: list[tuple[str, int]]
    flash: bytes

    @property
    def flag(self) -> Flag:
        """Read the flag as firmware/SPEC.md sections 3 and 4 say, independently of the C code."""
        offset, size = region("flag")
        records = []
        for slot in range(offset, offset + size, 64):
            body = self.flash[slot : slot + 60]
            (crc,) = struct.unpack_from("<I", self.flash, slot + 60)
            if body[:4] == b"RLOG" and crc == zlib.crc32(body):
                assert body[56:] == b"\xff" * 4
                fields = struct.unpack("<4xIIII32sI4x", body)
                records.append(fields)
        generation, state, mask, floor, digest, reason = max(records)
        return Flag(generation=generation, state=state, mask=mask, floor=floor, digest=digest, reason=reason)

    def installed(self, release: Release) -> bool:
        """Whether exactly this set is in place."""
        places = {"manifest": struct.pack("<4sI", b"MANF", len(release.envelope())) + release.envelope()}
        places |= release.images
        return all(self.flash[region(name)[0] :].startswith(content) for name, content in places.items())


def boot(host_build: HostBuild, world: World, mask: int, folder: Path) -> Booted:
    result = folder / "result"
    program = host_build.program("storage_probe.c")
    lines = run([program, "boot", world.save(folder / "world"), hex(mask), result]).stdout.splitlines()
    events = [(name, int(value)) for name, value in (line.split() for line in lines[:-1])]
    return Booted(status=lines[-1], events=events, flash=result.read_bytes())


def test_a_good_set_is_installed_and_the_flag_says_which(
    host_build: HostBuild, world: World, tmp_path: Path
) -> None:
    booted = boot(host_build, world, world.stage(NEW), tmp_path)
    assert booted.status == "ok"
    assert booted.events == [
        ("flag_read", REQUESTED),
        ("staged_accepted", 6),
        ("copying", 1),
        ("copying", 2),
        ("copying", 3),
        ("manifest_replaced", 6),
        ("flag_cleared", 0),
        ("set_verified", 6),
    ]
    assert booted.installed(NEW)
    digest = hashlib.blake2b(NEW.envelope(), digest_size=32).digest()
    # REQUESTED was generation 2; COPYING, the session's first write, 4; CLEAR 5.
    assert booted.flag == Flag(generation=5, state=CLEAR, mask=0, floor=5, digest=digest, reason=0)


def assert_dropped(booted: Booted, staged: Release, reason: int) -> None:
    assert booted.status == "ok"
    assert booted.events == [
        ("flag_read", REQUESTED),
        ("staged_dropped", reason),
        ("flag_cleared", 0),
        ("set_verified", OLD.sequence),
    ]
    assert booted.installed(OLD)
    assert booted.flag.state == CLEAR
    assert booted.flag.reason == reason
    assert booted.flag.mask == 0
    assert booted.flag.digest == hashlib.blake2b(staged.envelope(), digest_size=32).digest()


def test_a_dropped_set_is_remembered_with_its_reason(
    host_build: HostBuild, world: World, tmp_path: Path
) -> None:
    base, release = world.stage, NEW
    mask = base(release)
    world.put("staged_assets", b"tampered")
    assert_dropped(boot(host_build, world, mask, tmp_path), release, BAD_DIGEST)


def test_each_reason_to_drop_a_set(host_build: HostBuild, tmp_path: Path) -> None:
    cases = {
        BAD_SIGNATURE: replace(NEW, key=WRONG_KEY),
        ROLLBACK: replace(NEW, sequence=OLD.sequence),
        WRONG_BOARD: replace(NEW, board="other"),
        DEPENDENCY: replace(NEW, dependencies={"app": [[1, 0x02000000]]}),
        MALFORMED: replace(NEW, changes={"app": {6: 0}}),
    }
    for reason, release in cases.items():
        world = World()
        world.install(OLD)
        assert_dropped(boot(host_build, world, world.stage(release), tmp_path), release, reason)


def test_a_mask_with_a_module_that_the_set_lacks_is_refused(
    host_build: HostBuild, world: World, tmp_path: Path
) -> None:
    release = replace(NEW, images={name: NEW.images[name] for name in ("kernel", "app")})
    world.stage(release, only=("kernel", "app"))
    assert_dropped(boot(host_build, world, 0b1110, tmp_path), release, MALFORMED)


def test_a_module_region_has_nothing_but_the_new_image(
    host_build: HostBuild, world: World, tmp_path: Path
) -> None:
    world.put("app", b"\x00" * region("app")[1])
    world.put("app", OLD.images["app"])
    booted = boot(host_build, world, world.stage(NEW), tmp_path)
    offset, size = region("app")
    assert booted.flash[offset : offset + size] == NEW.images["app"].ljust(size, b"\xff")


def test_a_broken_installed_set_is_never_started(host_build: HostBuild, world: World, tmp_path: Path) -> None:
    for name in MODULES:
        broken = World()
        broken.install(OLD)
        broken.put(name, b"broken")
        booted = boot(host_build, broken, 0, tmp_path)
        assert booted.status == "bad digest"
        assert "set_verified" not in dict(booted.events)
    world.put("manifest", b"\x00" * 16)
    assert boot(host_build, world, 0, tmp_path).status == "not found"
