"""The sweep on the real machine: a bootloader in C, every point against a run from the first power-on."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from brownout.board import load_board
from brownout.elf import load_elf
from brownout.power import parse_cut
from brownout.sweep import ALL_TORN, FAULTS, LiveCheck, SweepPlan, SweepResult, run_sweep
from brownout.sweep.live import run_live
from brownout.sweep.points import cuts_of, points_of
from brownout.sweep.runtime import Runtime, Setup
from brownout.sweep.unicorn_machine import unicorn_machine
from brownout.target import AddressRange, Outcome, Placed, Target

GCC = ["arm-none-eabi-gcc", "-mcpu=cortex-m3", "-mthumb", "-std=c11", "-Os", "-nostdlib", "-ffreestanding"]
FLASH = 0x2100_0000
FLAG, INSTALLED, STAGED = 0x1000, 0x2_0000, 0x4_0000
SECTORS = 2
OLD, NEW = bytes(range(256)) * 16 * SECTORS, bytes(reversed(range(256))) * 16 * SECTORS
REQUEST = 0x600D_CAFE

SOURCE = f"""
#include <stdint.h>
#define WORD(address) (*(volatile uint32_t *)(address))
enum {{ FLASH = {FLASH:#x}, FLAG = {FLAG:#x}, INSTALLED = {INSTALLED:#x}, STAGED = {STAGED:#x} }};

volatile uint32_t arrived;
static uint32_t resets __attribute__((section(".noinit")));
void reset(void);

static uint32_t command(uint32_t code, uint32_t offset, uint32_t length)
{{
    WORD(0x21fff004u) = code;
    WORD(0x21fff008u) = offset;
    WORD(0x21fff00cu) = length;
    WORD(0x21fff000u) = 1u;
    WORD(0x40009000u) = 1u;
    while (WORD(0x21fff000u) == 1u) {{
    }}
    return WORD(0x21fff000u);
}}

static uint32_t __attribute__((noinline)) copy_sector(uint32_t sector)
{{
    if (command(2u, INSTALLED + sector, 4096u) != 0u) {{
        return 1u;
    }}
    for (uint32_t page = sector; page < sector + 4096u; page += 256u) {{
        for (uint32_t at = 0; at < 256u; at += 4u) {{
            WORD(0x21fff010u + at) = WORD(FLASH + STAGED + page + at);
        }}
        if (command(1u, INSTALLED + page, 256u) != 0u) {{
            return 1u;
        }}
    }}
    return 0u;
}}

void reset(void)
{{
    WORD(0x40009008u) = 1u;
    if (WORD(FLASH + FLAG) == {REQUEST:#x}u) {{
        for (uint32_t sector = 0; sector < {SECTORS}u * 4096u; sector += 4096u) {{
            while (copy_sector(sector) != 0u) {{
            }}
        }}
        if (resets != 0x12345678u) {{
            resets = 0x12345678u;
            WORD(0xe000ed0cu) = 0x05fa0004u;
            for (;;) {{
            }}
        }}
        (void)command(2u, FLAG, 4096u);
    }}
    arrived = WORD(FLASH + INSTALLED);
    for (;;) {{
    }}
}}
__attribute__((section(".vectors"), used)) const uintptr_t vectors[2] = {{0x2000c000u, (uintptr_t)reset}};
"""
SCRIPT = """
ENTRY(reset)
SECTIONS {
  .text 0 : { KEEP(*(.vectors)) *(.text*) *(.rodata*) }
  .bss 0x20000000 (NOLOAD) : { *(.bss*) *(COMMON) *(.noinit*) }
  /DISCARD/ : { *(.ARM.exidx*) }
}
"""


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Target:
    folder = tmp_path_factory.mktemp("loader")
    source, script, elf = folder / "boot.c", folder / "boot.ld", folder / "boot.elf"
    source.write_text(SOURCE)
    script.write_text(SCRIPT)
    subprocess.run([*GCC, "-Wall", "-Werror", "-T", str(script), str(source), "-o", str(elf)], check=True)
    image = load_elf(elf)
    arrived = image.symbol("arrived")

    def outcome(name: str, data: bytes) -> Outcome:
        return Outcome(
            name=name,
            marker={arrived: int.from_bytes(data[:4], "little")},
            flash=(Placed(address=FLASH + INSTALLED, data=data, source=name),),
            memory={},
        )

    return Target(
        path=Path("loader.toml"),
        name="loader",
        board=load_board("mps2-an385"),
        elf=image,
        placed=(
            *(Placed(address=part.address, data=part.data, source="elf") for part in image.segments),
            Placed(address=FLASH + FLAG, data=REQUEST.to_bytes(4, "little"), source="flag"),
            Placed(address=FLASH + INSTALLED, data=OLD, source="old"),
            Placed(address=FLASH + STAGED, data=NEW, source="new"),
        ),
        region_names={"flag": AddressRange(start=FLAG, end=FLAG + 0x1000)},
        boot_budget=400_000,
        clean_boots=2,
        outcomes=(outcome("new", NEW), outcome("old", OLD)),
        expected="new",
        hooks={},
        rules=frozenset(),
        state_of=None,
        seed=3,
        vector_table=0,
    )


def test_the_machine_gives_what_brute_force_gives(target: Target) -> None:
    swept, live = (Runtime(Setup(target=target, seed=3, factory=unicorn_machine)) for _ in range(2))
    try:
        trace = swept.trace(faults=True)
        # Two sectors of an erase and 16 pages, all of it again after the reset, and the flag.
        assert len(trace.operations) == 2 * 2 * 17 + 1
        assert [traced.boot for traced in trace.operations] == [1] * 34 + [2] * 35
        points = points_of(trace, SweepPlan(points=14, torn=ALL_TORN, faults=FAULTS), 3)
        for point in points:
            found, wanted = swept.assess((point.event,)), run_live(live, (point.event,)).assessment
            assert (found.verdict, found.detail, found.recovery_time) == (
                wanted.verdict,
                wanted.detail,
                wanted.recovery_time,
            ), point
            boots = [(boot.kind, boot.time, boot.operations, boot.end.key) for boot in found.boots]
            assert boots == [(b.kind, b.time, b.operations, b.end.key) for b in wanted.boots], point
        plan = SweepPlan(torn=ALL_TORN)
        first = points[5].event
        cuts = lambda number: [cut for _, _, cut in cuts_of(number, plan)]  # noqa: E731
        for second, _, found in swept.recoveries_of(first, [1, 20, 40], cuts):
            wanted = run_live(live, (first, second)).assessment
            assert (found.verdict, found.key, found.recovery_time) == (
                wanted.verdict,
                wanted.key,
                wanted.recovery_time,
            )
    finally:
        swept.close()
        live.close()


def test_how_often_the_machine_comes_back_does_not_show(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def sweep() -> SweepResult:
        result = run_sweep(target, SweepPlan(points=3, live=0))
        return replace(result, duration_s=0.0, points_per_s=0.0)

    wanted = sweep()
    monkeypatch.setattr("brownout.sweep.runs.SLICE_TIME", 97)
    assert sweep() == wanted


@pytest.mark.emulator
def test_a_sweep_accepts_late_repairs_and_qemu_leaves_the_same_flash(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENODE", "/no-renode")
    result = run_sweep(target, SweepPlan(points=12, live=4))
    assert {check.engine: (check.same, check.different) for check in result.live} == {
        "unicorn": (4, ()),
        "qemu": (4, ()),
    }
    assert {point.verdict for point in result.points} == {"new"}
    assert result.depths[0].fired == result.depths[0].requested == 12 * 5
    assert result.operations[0].symbol.startswith(("copy_sector", "command"))


@pytest.mark.emulator
def test_renode_leaves_the_same_flash(target: Target, renode: str) -> None:
    del renode
    result = run_sweep(target, SweepPlan(points=12, live=4))
    assert result.live[-1] == LiveCheck(engine="renode", sampled=4, same=4, different=())


def test_an_engine_that_fails_does_not_cost_the_sweep(
    target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RENODE", "/bin/false")
    monkeypatch.setenv("BROWNOUT_QEMU", "/no-qemu")
    result = run_sweep(target, SweepPlan(points=2, phases=("after",), live=2))
    assert {check.engine: check.sampled for check in result.live} == {"unicorn": 2, "renode": 0}
    assert "/bin/false did not start" in result.live[-1].problem
    assert len(result.points) == 2


def test_the_real_flag_can_be_read_as_gone_today_only(target: Target) -> None:
    """The last operation erases the flag; a bit on the edge brings the request back at a later boot."""
    for seed in range(3, 9):
        runtime = Runtime(Setup(target=target, seed=seed, factory=unicorn_machine))
        try:
            last = len(runtime.trace(faults=False).operations)
            found = runtime.assess([parse_cut(f"op={last}/torn/done=/half=0.01/ones")])
        finally:
            runtime.close()
        assert found.verdict == "new"
        wrote = [bool(boot.operations) for boot in found.boots]
        if any(wrote):
            # It installs once more, and that is all.
            assert wrote == [number == wrote.index(True) for number in range(wrote.index(True) + 3)]
            return
    pytest.fail("the bit never read as 0 at a clean boot")
