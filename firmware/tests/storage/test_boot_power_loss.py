"""The boot policy under power loss: every operation, phase and nesting, on the host, with real signatures."""

from dataclasses import replace
from pathlib import Path

import pytest
from storage_build import HostBuild, Mutation, run
from storage_world import NEW, OLD, WRONG_KEY, World

# Torn seeds a cut, torn-and-torn seeds a pair of cuts (0: no pairs), random lives with up to six cuts.
THOROUGH = ("16", "1", "3000")
QUICK = ("4", "0", "500")
MUTANT = ("8", "0", "20000")


def test_an_upgrade_survives_every_cut(host_build: HostBuild, world: World, tmp_path: Path) -> None:
    mask = world.stage(NEW)
    program = host_build.program("policy_sweep.c")
    done = run([program, world.save(tmp_path / "world"), hex(mask), "new", *THOROUGH])
    assert "boots held" in done.stdout


def test_an_upgrade_of_some_modules_survives_every_cut(
    host_build: HostBuild, world: World, tmp_path: Path
) -> None:
    release = replace(NEW, images={**NEW.images, "kernel": OLD.images["kernel"]})
    mask = world.stage(release, only=("app", "assets"))
    program = host_build.program("policy_sweep.c")
    run([program, world.save(tmp_path / "world"), hex(mask), "new", *QUICK])


def test_a_new_manifest_without_changed_modules_survives_every_cut(
    host_build: HostBuild, world: World, tmp_path: Path
) -> None:
    mask = world.stage(replace(OLD, sequence=9), only=())
    run([host_build.program("policy_sweep.c"), world.save(tmp_path / "w"), hex(mask), "new", *QUICK])


def tampered(world: World) -> int:
    mask = world.stage(NEW)
    content = bytearray(NEW.images["app"])
    content[100] ^= 1
    world.put("staged_app", bytes(content))
    return mask


def older(world: World) -> int:
    return world.stage(replace(NEW, sequence=OLD.sequence - 1))


def same_counter(world: World) -> int:
    return world.stage(replace(NEW, sequence=OLD.sequence))


def wrongly_signed(world: World) -> int:
    return world.stage(replace(NEW, key=WRONG_KEY))


def incomplete(world: World) -> int:
    world.stage(NEW)
    return 1 << 2  # the kernel changed, too, but was not staged


REFUSED = [tampered, older, same_counter, wrongly_signed, incomplete]


@pytest.mark.parametrize("stage", REFUSED)
def test_a_bad_set_is_refused_at_every_cut(
    host_build: HostBuild, world: World, tmp_path: Path, stage: object
) -> None:
    assert callable(stage)
    mask = stage(world)
    run([host_build.program("policy_sweep.c"), world.save(tmp_path / "w"), hex(mask), "old", *QUICK])


POWER_LOSS_MUTANTS = {
    "COPYING is not written again before the copy goes on": Mutation(
        source="boot/policy.c",
        old="    status = upgrade_flag_write(log, &copying);",
        new="    status = flag->state == UPGRADE_COPYING ? STATUS_OK : upgrade_flag_write(log, &copying);",
    ),
    "a module that compares equal is not copied again": Mutation(
        source="boot/policy.c",
        old="    RETURN_IF_ERROR(flash_region_erase(policy->flash, to));",
        new="    if (manifest_module_verify(policy->flash, to, module) == STATUS_OK) return STATUS_OK;\n"
        "    RETURN_IF_ERROR(flash_region_erase(policy->flash, to));",
    ),
    "the flag is cleared before the copy": Mutation(
        source="boot/policy.c",
        old="    status = STATUS_FLASH;\n    for",
        new="    flag_clear(policy, log, &copying, STATUS_OK);\n    status = STATUS_FLASH;\n    for",
    ),
    "the flag stays REQUESTED during the copy": Mutation(
        source="boot/policy.c",
        old="    copying.state = UPGRADE_COPYING;",
        new="    copying.state = UPGRADE_REQUESTED;",
    ),
    "COPYING without a staged set halts although the installed set is complete": Mutation(
        source="boot/policy.c",
        old="    RETURN_IF_ERROR(installed_verify(policy, &set));\n    if (set_is",
        new="    RETURN_IF_ERROR(status);\n    if (set_is",
    ),
    "the first write of a session takes the next generation": Mutation(
        source="lib/record_log.c",
        old="#define RECORD_GENERATION_STEP 2u",
        new="#define RECORD_GENERATION_STEP 1u",
    ),
    "the record that was read is not settled before the other sector is erased": Mutation(
        source="lib/record_log.c",
        old="        RETURN_IF_ERROR(record_settle(log, current->offset));",
        new="        (void)record_settle;",
    ),
    "records have no checksum": Mutation(
        source="lib/record_log.c",
        old="bytes_load_le32(&record[RECORD_CRC_OFFSET]) == crc32_compute(record, RECORD_CRC_OFFSET)",
        new="1",
    ),
}


@pytest.mark.parametrize("protection", POWER_LOSS_MUTANTS)
def test_each_protection_against_power_loss_is_needed(
    host_build: HostBuild, world: World, tmp_path: Path, protection: str
) -> None:
    mask = world.stage(NEW)
    program = host_build.program("policy_sweep.c", POWER_LOSS_MUTANTS[protection])
    done = run([program, world.save(tmp_path / "world"), hex(mask), "new", *MUTANT], check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "violation: " in done.stdout


REFUSAL_MUTANTS = {
    "no digest check": (
        tampered,
        Mutation(
            source="lib/manifest.c",
            old="    return digest_equal(digest, module->digest) ? STATUS_OK : STATUS_BAD_DIGEST;",
            new="    return STATUS_OK;",
        ),
    ),
    "no counter check": (
        older,
        Mutation(
            source="boot/policy.c",
            old="    if (set->manifest.sequence <= floor) {",
            new="    if (0) {",
        ),
    ),
    "counter may stay": (
        same_counter,
        Mutation(
            source="boot/policy.c",
            old="    if (set->manifest.sequence <= floor) {",
            new="    if (set->manifest.sequence < floor) {",
        ),
    ),
    "no signature check": (
        wrongly_signed,
        Mutation(
            source="lib/manifest.c",
            old="    RETURN_IF_ERROR(signature_check(&cose, public_key));",
            new="    (void)signature_check;",
        ),
    ),
    "modules outside the mask are not checked": (
        incomplete,
        Mutation(
            source="boot/policy.c",
            old="        RETURN_IF_ERROR(manifest_module_verify(policy->flash, region, module));",
            new="        if (staged) RETURN_IF_ERROR(manifest_module_verify(policy->flash, region, module));",
        ),
    ),
}


@pytest.mark.parametrize("protection", REFUSAL_MUTANTS)
def test_each_check_of_the_staged_set_is_needed(
    host_build: HostBuild, world: World, tmp_path: Path, protection: str
) -> None:
    stage, mutation = REFUSAL_MUTANTS[protection]
    mask = stage(world)
    program = host_build.program("policy_sweep.c", mutation)
    done = run([program, world.save(tmp_path / "w"), hex(mask), "old", *QUICK], check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "violation: " in done.stdout
