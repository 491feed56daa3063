"""The examples are accepted, survive a sampled sweep, and notice what they should; mutants do not rot."""

from __future__ import annotations

import shutil
import struct
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sweep_mutants
from sweep_mutants import (
    BASELINE,
    MUTANTS,
    ROOT,
    MutantError,
    Verdict,
    exit_code,
    read_all,
    read_mutant,
)

from brownout.cli import main
from brownout.flash import OperationLog
from brownout.sweep import ALL_TORN, SweepPlan, run_sweep
from brownout.target.model import HookContext

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from brownout.target import Target

# One worker builds and sweeps, so that what is built is built once.
pytestmark = pytest.mark.xdist_group("examples")

PATCHES = sorted(MUTANTS.glob("*.patch"))
QUICK = ("copy-not-retried", "finished-by-header", "request-cleared-early")
SAMPLE = SweepPlan(points=10, live=0)

HEADER = "Removes: a protection\n  in two lines\nSweep: cuts\n\n"
DIFF = "--- a/examples/x.c\n+++ b/examples/x.c\n@@ -1,2 +1 @@\n one\n-two\n"


# -- the target files --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["swap", "reference"])
def test_target_file_is_accepted(
    name: str, request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]
) -> None:
    path = request.getfixturevalue(f"{name}_file")
    with pytest.raises(SystemExit) as ended:
        main(["target", "check", str(path)])
    said = capsys.readouterr()
    assert ended.value.code == 0, said.err
    for hook in request.getfixturevalue(name).hooks:
        assert hook in said.out


# -- the mutants -------------------------------------------------------------------------------------------


def test_there_are_enough_of_them() -> None:
    assert len(PATCHES) >= 20
    assert len({path.read_text().partition("\n--- a/")[2] for path in PATCHES}) == len(PATCHES)


@pytest.mark.parametrize("path", PATCHES, ids=lambda path: path.stem)
def test_patch_applies_and_has_a_header(path: Path, tmp_path: Path) -> None:
    mutant = read_mutant(path)
    for target in mutant.targets:
        assert target.startswith("examples/nrf52840-swap/")
        copy = tmp_path / target
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / target, copy)
    mutant.apply(tmp_path)
    for target in mutant.targets:
        assert (tmp_path / target).read_bytes() != (ROOT / target).read_bytes()


@pytest.mark.parametrize("name", QUICK)
def test_mutant_is_killed(name: str, tmp_path: Path) -> None:
    mutant = read_mutant(MUTANTS / f"{name}.patch")
    verdict = sweep_mutants.sweep(mutant, mutant.sweep, tmp_path, mutant.seed)
    assert verdict.verdict == "killed", verdict
    assert verdict.cut.startswith("nrf52840-swap:unicorn:1:op=")


@pytest.mark.parametrize("kind", ["cuts", "unstable", "faults"])
def test_example_as_it_is_survives(kind: str, small_swap: Target) -> None:
    plan = sweep_mutants.PLANS[kind]
    points = sweep_mutants.SHARES[0][0]
    result = run_sweep(small_swap, replace(plan, points=points))
    assert not result.findings
    assert result.depths[0].fired == result.depths[0].requested >= points


def test_example_may_repair_its_last_seal_late(small_swap: Target) -> None:
    """A half-way bit of the seal reads right at the recovery, and wrong at one of the boots after it."""
    count = len(run_sweep(small_swap, SweepPlan(live=0, points=1, phases=("before",))).operations)
    plan = SweepPlan(live=0, phases=("torn",), torn=ALL_TORN, operations=((count - 3, None),))
    result = run_sweep(small_swap, plan)
    assert not result.findings
    assert result.depths[0].fired == 4 * len(ALL_TORN)


def test_header_is_read(tmp_path: Path) -> None:
    patch = tmp_path / "good.patch"
    patch.write_text(HEADER + DIFF)
    mutant = read_mutant(patch)
    assert (mutant.name, mutant.removes, mutant.sweep) == ("good", "a protection in two lines", "cuts")
    assert mutant.targets == ("examples/x.c",)
    assert mutant.seed is None
    patch.write_text(HEADER.replace("cuts\n", "cuts\nSeed: 44\n") + DIFF)
    assert read_mutant(patch).seed == 44


@pytest.mark.parametrize(
    "text",
    [
        DIFF,
        HEADER,
        HEADER.replace("Sweep: cuts\n", "") + DIFF,
        HEADER.replace("cuts", "all") + DIFF,
        HEADER.replace("cuts", "cuts\nSeed: x") + DIFF,
        HEADER.replace("cuts", "cuts\nSweep: faults") + DIFF,
    ],
    ids=["no header", "no diff", "no plan", "unknown plan", "bad seed", "two plans"],
)
def test_bad_header_is_an_error(text: str, tmp_path: Path) -> None:
    patch = tmp_path / "bad.patch"
    patch.write_text(text)
    with pytest.raises(MutantError, match=r"bad\.patch: "):
        read_mutant(patch)


def test_patch_that_does_not_apply_is_an_error(tmp_path: Path) -> None:
    patch = tmp_path / "stale.patch"
    patch.write_text(HEADER + DIFF)
    tree = tmp_path / "tree"
    (tree / "examples").mkdir(parents=True)
    (tree / "examples" / "x.c").write_text("three\nfour\n")
    with pytest.raises(MutantError, match=r"stale\.patch: does not apply"):
        read_mutant(patch).apply(tree)


@pytest.mark.parametrize(
    ("baseline", "mutant", "code"),
    [
        ("survived", "killed", 0),
        ("survived", "survived", 1),
        ("killed", "killed", 1),
        ("survived", "error", 2),
        ("error", "killed", 2),
    ],
)
def test_exit_code(baseline: str, mutant: str, code: int) -> None:
    verdicts = [
        Verdict(name=name, removes="x", sweep="cuts", verdict=verdict, seconds=0.0)
        for name, verdict in ((BASELINE, baseline), ("defect", mutant))
    ]
    assert exit_code(verdicts) == code


def test_every_mutant_is_in_the_guide() -> None:
    guide = (ROOT / "docs" / "mutants.md").read_text()
    missing = [mutant.name for mutant in read_all() if f"| `{mutant.name}` |" not in guide]
    assert not missing, "docs/mutants.md, Sweep mutants: no row for these"


# -- the reference firmware --------------------------------------------------------------------------------


def test_reference_firmware_survives_a_sample(reference: Target) -> None:
    result = run_sweep(reference, SAMPLE)
    assert not result.findings
    assert result.clean_outcome == "new"
    assert len({point.operation for point in result.points}) == 10
    assert result.depths[0].fired == result.depths[0].requested == 50


def test_reference_firmware_survives_a_sample_of_pairs(reference: Target) -> None:
    result = run_sweep(reference, SweepPlan(points=2, pairs=3, depth=2, live=0))
    assert not result.findings
    assert [depth.depth for depth in result.depths] == [1, 2]
    assert result.depths[1].fired == result.depths[1].requested == 15


# -- the hooks ---------------------------------------------------------------------------------------------


def at_first(target: Target) -> bytearray:
    """The flash array as the target file fills it."""
    flash = target.board.flash
    array = bytearray(b"\xff" * flash.size)
    for placed in target.placed:
        start = placed.address - flash.base
        if 0 <= start < flash.size:
            array[start : start + len(placed.data)] = placed.data
    return array


def broken(target: Target, flash: bytearray, before: bytearray | None = None) -> dict[str, str]:
    """What each hook that is broken says."""
    context = HookContext(
        target=target,
        flash=bytes(flash),
        before=bytes(at_first(target) if before is None else before),
        log=OperationLog(),
        outcomes=("new",),
    )
    found = {name: hook(context) for name, hook in target.hooks.items()}
    return {name: message for name, message in found.items() if message}


def place(target: Target, flash: bytearray, name: str, content: bytes) -> None:
    """Let a region hold `content`, and nothing behind it."""
    region = target.region_names[name]
    flash[region.start : region.end] = content.ljust(region.end - region.start, b"\xff")


def region_of(target: Target, flash: bytearray, name: str) -> bytes:
    region = target.region_names[name]
    return bytes(flash[region.start : region.end])


def record(state: int, image: bytes, counter: int, generation: int = 9) -> bytes:
    """An entry of the nRF52840 example's journal (common/journal.h)."""
    body = struct.pack("<4I", 0x4E4A0000 | state, generation, 0, counter) + image[32:40]
    return body + struct.pack("<II", zlib.crc32(body), 0x5EA1ED00)


def after_upgrade(target: Target) -> bytearray:
    """The nRF52840 example's flash when v2 has confirmed itself."""
    flash = at_first(target)
    old, new = (region_of(target, flash, name) for name in ("primary", "secondary"))
    place(target, flash, "primary", new)
    place(target, flash, "secondary", old)
    place(target, flash, "journal", record(1, new, 2))
    return flash


def after_revert(target: Target) -> bytearray:
    """The same when v2 has been taken back."""
    flash = at_first(target)
    place(target, flash, "journal", record(1, region_of(target, flash, "secondary"), 1))
    return flash


def test_hooks_accept_an_upgrade_and_a_revert(swap: Target) -> None:
    assert broken(swap, after_upgrade(swap)) == {}
    assert broken(swap, after_revert(swap)) == {}


def test_hooks_notice_a_damaged_image(swap: Target) -> None:
    for name in ("primary", "secondary"):
        flash = after_upgrade(swap)
        flash[swap.region_names[name].start + 0x1234] ^= 0x10
        assert broken(swap, flash)["both_images_are_whole"] == f"the {name} slot holds no whole image"


def test_hooks_notice_a_lost_image(swap: Target) -> None:
    flash = after_upgrade(swap)
    place(swap, flash, "secondary", region_of(swap, flash, "primary"))
    assert broken(swap, flash) == {
        "both_images_are_whole": "the slots do not hold the two images any more",
    }


@pytest.mark.parametrize(
    ("state", "name"), [(2, "requested"), (3, "swapping"), (4, "testing"), (5, "reverting")]
)
def test_hooks_notice_a_journal_that_is_not_at_rest(swap: Target, state: int, name: str) -> None:
    flash = after_upgrade(swap)
    place(swap, flash, "journal", record(state, region_of(swap, flash, "primary"), 2))
    assert broken(swap, flash) == {"journal_is_at_rest": f"the journal is {name}, expected idle"}
    assert swap.state_of is not None
    assert swap.state_of(bytes(flash)) == name


def test_hooks_notice_a_journal_that_forgot_the_update(swap: Target) -> None:
    flash = after_upgrade(swap)
    place(swap, flash, "journal", record(1, region_of(swap, flash, "secondary"), 2))
    assert broken(swap, flash) == {"journal_is_at_rest": "the journal names another image than the update"}


def test_hooks_see_only_whole_entries(swap: Target) -> None:
    flash = after_upgrade(swap)
    assert swap.state_of is not None
    flash[swap.region_names["journal"].start + 4] ^= 1
    assert swap.state_of(bytes(flash)) == "no entry"
    assert set(broken(swap, flash)) == {"journal_is_at_rest", "counter_fits"}


@pytest.mark.parametrize(
    ("made", "counter", "message"),
    [
        (after_upgrade, 1, "the counter is 1, that of the image that runs is 2"),
        (after_revert, 2, "the counter is 2, that of the image that runs is 1"),
        (after_revert, 0, "the counter fell from 1 to 0"),
    ],
    ids=["does not rise", "rises too early", "falls"],
)
def test_hooks_notice_a_wrong_counter(
    swap: Target, made: Callable[[Target], bytearray], counter: int, message: str
) -> None:
    flash = made(swap)
    place(swap, flash, "journal", record(1, region_of(swap, at_first(swap), "secondary"), counter))
    assert broken(swap, flash) == {"counter_fits": message}


MODULES = ("kernel", "app", "assets")


def installed(target: Target, name: str) -> bytearray:
    """The reference device's flash when boot is done and the set `name` runs."""
    flash = at_first(target)
    outcome = next(outcome for outcome in target.outcomes if outcome.name == name)
    base = target.board.flash.base
    for part in outcome.flash:
        region = next(key for key, area in target.region_names.items() if area.start == part.address - base)
        place(target, flash, region, part.data)
    place(target, flash, "flag", b"")
    return flash


@pytest.mark.parametrize("name", ["old", "new"])
def test_oracles_accept_a_whole_set(reference: Target, name: str) -> None:
    assert broken(reference, installed(reference, name)) == {}


@pytest.mark.parametrize("module", MODULES)
def test_oracles_notice_a_mixed_set(reference: Target, module: str) -> None:
    flash = installed(reference, "new")
    place(reference, flash, module, region_of(reference, installed(reference, "old"), module))
    assert set(broken(reference, flash)) >= {"set_is_old_or_new"}


def test_oracles_notice_a_damaged_manifest(reference: Target) -> None:
    flash = installed(reference, "new")
    flash[reference.region_names["manifest"].start + 40] ^= 1
    assert "manifest_matches_and_flag_is_clear" in broken(reference, flash)


def test_oracles_notice_a_flag_that_is_still_set(reference: Target) -> None:
    flash = installed(reference, "new")
    place(reference, flash, "flag", region_of(reference, at_first(reference), "flag"))
    assert set(broken(reference, flash)) == {"manifest_matches_and_flag_is_clear"}
    assert reference.state_of is not None
    assert reference.state_of(bytes(flash)) == "requested"


def test_oracles_notice_a_counter_that_fell(reference: Target) -> None:
    found = broken(reference, installed(reference, "old"), before=installed(reference, "new"))
    assert set(found) == {"counter_never_falls"}
