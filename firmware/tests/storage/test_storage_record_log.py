"""The record log under power loss and flash errors: random lives against the values that a read may give."""

import pytest
from storage_build import HostBuild, Mutation, run

SOURCE = "lib/record_log.c"

MUTANTS = {
    "generation step 1": Mutation(
        source=SOURCE, old="#define RECORD_GENERATION_STEP 2u", new="#define RECORD_GENERATION_STEP 1u"
    ),
    "no settling": Mutation(
        source=SOURCE,
        old="        RETURN_IF_ERROR(record_settle(log, current->offset));",
        new="        (void)record_settle;",
    ),
    "append after a failed write": Mutation(
        source=SOURCE, old="    log->fresh = false;\n    if (!append)", new="    if (!append)"
    ),
    "append in a sector of an earlier session": Mutation(
        source=SOURCE,
        old="    if (!append) {",
        new="    if (!append && current.valid && (current.offset + 64u) % 4096u != 0) {\n"
        "        log->next_offset = current.offset + 64u;\n"
        "        append = true;\n"
        "    }\n"
        "    if (!append) {",
    ),
    "the wrong sector is erased": Mutation(
        source=SOURCE,
        old="        if (current->offset < log->region.offset + sector_size) {",
        new="        if (current->offset >= log->region.offset + sector_size) {",
    ),
    "no checksum": Mutation(
        source=SOURCE,
        old="bytes_load_le32(&record[RECORD_CRC_OFFSET]) == crc32_compute(record, RECORD_CRC_OFFSET)",
        new="1",
    ),
}


def test_reads_give_what_was_written_last_or_interrupted_since(host_build: HostBuild) -> None:
    done = run([host_build.program("record_log_sweep.c"), "0", "4000"])
    assert "held" in done.stdout


@pytest.mark.parametrize("protection", MUTANTS)
def test_each_rule_of_the_log_is_needed(host_build: HostBuild, protection: str) -> None:
    program = host_build.program("record_log_sweep.c", MUTANTS[protection])
    done = run([program, "0", "20000"], check=False)
    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith("seed ")
