"""Target files: what they give, and the one line that each mistake gets."""

from __future__ import annotations

import pickle
from typing import TYPE_CHECKING

import pytest

from brownout.errors import BrownoutError, SettingsError, TargetError
from brownout.sweep.rules import RULES
from brownout.target import AddressRange, load_target

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import ElfBuilder, TargetFolder

FLASH = 0x2100_0000
SLOT0, SLOT1 = FLASH + 0x20000, FLASH + 0x40000


def test_a_target_is_what_its_file_says(folder: TargetFolder) -> None:
    target = load_target(folder.write(more="[boot]\nbudget = 1000\nclean_boots = 5"))
    assert target.name == folder.path.name
    assert target.board.name == "mps2-an385"
    assert [(item.address, len(item.data)) for item in target.placed[-2:]] == [
        (SLOT0, 0x1000),
        (SLOT1, 0x1800),
    ]
    assert target.placed[0].address == 0
    assert target.region_names["slot0"] == AddressRange(start=0x20000, end=0x22000)
    assert "kernel" in target.region_names  # the board's
    assert (target.boot_budget, target.clean_boots) == (1000, 5)
    new, old = target.outcomes
    assert new.pc == AddressRange(start=SLOT0, end=SLOT0 + 0x2000)
    assert new.flash[0].data == b"\x22" * 0x1800
    assert new.vector_table == SLOT0
    assert old.flash[0].data == b"\x11" * 0x1000 + b"\xff" * 0x1000
    assert target.elf is not None
    assert old.pc == AddressRange(
        start=target.elf.symbols["jump_to_app"] & ~1, end=(target.elf.symbols["jump_to_app"] & ~1) + 2
    )
    assert old.marker == {target.elf.symbols["boot_result"]: 0x600D}
    assert target.rules == set(RULES)


def test_files_are_relative_to_the_target_file(folder: TargetFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    file = folder.write()
    monkeypatch.chdir(folder.path.parent)
    assert load_target(file.relative_to(folder.path.parent)).expected == "new"


def test_words_hex_and_elf_files_are_placed(folder: TargetFolder, build_elf: ElfBuilder) -> None:
    build_elf(folder.path / "app.elf", origin=FLASH + 0x60000)
    data = bytes(range(16))
    record = bytes([16, 0x00, 0x10, 0]) + data
    upper = bytes([2, 0, 0, 4, 0x21, 0x08])
    lines = [f":{(r + bytes([-sum(r) & 0xFF])).hex().upper()}" for r in (upper, record)]
    (folder.path / "settings.hex").write_text("\n".join([*lines, ":00000001FF", ""]))
    more = f"""
[[image]]
file = "app.elf"
[[image]]
file = "settings.hex"
[[word]]
address = {FLASH + 0x70000:#x}
values = [0x12345678, 0xffffffff]
"""
    placed = {item.address: item.data for item in load_target(folder.write(more=more)).placed}
    assert FLASH + 0x60000 in placed
    assert placed[0x2108_0010] == data
    assert placed[FLASH + 0x70000] == bytes.fromhex("78563412ffffffff")


def test_a_target_travels_to_a_worker(folder: TargetFolder) -> None:
    (folder.path / "hooks.py").write_text("def fine(context): ...\ndef state(flash): return 'idle'\n")
    target = load_target(
        folder.write(more='[hooks]\nfile = "hooks.py"\ninvariants = ["fine"]\nstate = "state"')
    )
    copy = pickle.loads(pickle.dumps(target))  # noqa: S301 - our own
    assert copy.hooks.keys() == {"fine"}
    assert copy.state_of(b"") == "idle"


@pytest.mark.parametrize(
    ("core", "flags", "board_core", "message"),
    [
        ("cortex-m4", "", "cortex-m0plus", "built for ARMv7E-M, the board's cortex-m0plus cannot run that"),
        ("cortex-m3", "", "cortex-m0", "built for ARMv7-M, the board's cortex-m0 cannot run that"),
        ("cortex-m33", "", "cortex-m7", "built for ARMv8-M.mainline, the board's cortex-m7 cannot run that"),
        ("cortex-r5", "", "cortex-m4", "built for ARMv7-R, the board's cortex-m4 cannot run that"),
    ],
)
def test_an_elf_for_another_core_is_refused(
    folder: TargetFolder, build_elf: ElfBuilder, core: str, flags: str, board_core: str, message: str
) -> None:
    build_elf(folder.path / "boot.elf", core=core, flags=flags)
    board = folder.board(('core = "cortex-m3"', f'core = "{board_core}"'))
    file = folder.write(('board = "mps2-an385"', f'board = "{board}"'))
    with pytest.raises(TargetError, match="elf: ") as caught:
        load_target(file)
    assert message in str(caught.value)
    assert f"build it with -mcpu={board_core}" in str(caught.value)


@pytest.mark.parametrize(
    ("core", "board_core"),
    [("cortex-m0", "cortex-m33"), ("cortex-m3", "cortex-m4"), ("cortex-m4", "cortex-m7")],
)
def test_an_elf_for_a_smaller_core_runs(
    folder: TargetFolder, build_elf: ElfBuilder, core: str, board_core: str
) -> None:
    build_elf(folder.path / "boot.elf", core=core)
    board = folder.board(('core = "cortex-m3"', f'core = "{board_core}"'))
    assert (
        load_target(folder.write(('board = "mps2-an385"', f'board = "{board}"'))).board.cpu.core == board_core
    )


def test_floats_in_registers_need_an_fpu(folder: TargetFolder, build_elf: ElfBuilder) -> None:
    build_elf(folder.path / "boot.elf", flags="-mfloat-abi=hard -mfpu=fpv4-sp-d16 -mcpu=cortex-m4")
    board = folder.board(('core = "cortex-m3"', 'core = "cortex-m0"'))
    with pytest.raises(TargetError, match=r"ARMv7E-M"):
        load_target(folder.write(('board = "mps2-an385"', f'board = "{board}"')))


MISTAKES = [
    ([('elf = "boot.elf"', 'elff = "boot.elf"')], "elff: unknown key; did you mean 'elf'?"),
    (
        [('pc = { region = "slot0" }', 'pc = { regin = "slot0" }')],
        "outcome.0.pc.regin: unknown key; did you mean 'region'?",
    ),
    ([('board = "mps2-an385"', 'board = "mps2-an386"')], "board: board 'mps2-an386': not found in"),
    ([('board = "mps2-an385"', 'board = "none/board.toml"')], "none/board.toml: cannot be read"),
    (
        [('elf = "boot.elf"', 'elf = "missing.elf"')],
        "missing.elf: there is no such file: build the bootloader first",
    ),
    ([('elf = "boot.elf"', 'elf = "v1.bin"')], "elf: "),
    ([('file = "v1.bin"', 'file = "v3.bin"')], "image.0.file: "),
    ([("size = 0x2000", "size = 0x800")], "image.0: v1.bin has 4096 bytes, region 'slot0' has room for 2048"),
    (
        [(f"address = {SLOT1:#x}\n\n[[out", f"address = {SLOT1 + 0x1000:#x}\n\n[[out")],
        "v2.bin has 6144 bytes, region 'slot1' has room for 4096",
    ),
    (
        [(f"address = {SLOT1:#x}\n\n[[out", "address = 0x30000000\n\n[[out")],
        "v2.bin: 0x30000000..0x300017ff is not in flash or ROM; expected in flash 0x21000000",
    ),
    (
        [(f"address = {SLOT1:#x}\n\n[[out", "address = 0x20000000\n\n[[out")],
        "is in RAM (kernel_ram), which is empty at power-on",
    ),
    (
        [(f"address = {SLOT1:#x}\n\n[[out", f"address = {SLOT0 + 0x800:#x}\n\n[[out")],
        "v2.bin overlaps v1.bin at 0x21020800..0x21020fff",
    ),
    (
        [('region = "slot0"\n\n[[image]]', 'region = "slot9"\n\n[[image]]')],
        "image.0.region: no region 'slot9'; known: ",
    ),
    (
        [('region = "slot0"\n\n[[image]]', "\n[[image]]")],
        "v1.bin: is a raw binary: expected address or region",
    ),
    ([("size = 0x2000", "size = 0x2000000")], "regions.slot0: "),
    ([('expected = "new"', 'expected = "newer"')], "expected: no outcome 'newer'; expected one of new, old"),
    ([('expected = "new"\n', "")], "expected: missing: expected the outcome without a cut, one of new, old"),
    ([('name = "old"', 'name = "new"')], "outcome.1.name: 'new' is there twice"),
    ([('pc = { region = "slot0" }\n', "")], "outcome.0: expected pc or marker"),
    ([('symbol = "jump_to_app"', 'symbol = "jump"')], "has no symbol 'jump'"),
    ([('pc = { region = "slot0" }', "pc = { start = 8, end = 4 }")], "outcome.0.pc: expected start and end"),
    (
        [('pc = { region = "slot0" }', "pc = { start = 0x40000000, end = 0x40000004 }")],
        "is not in one memory of board",
    ),
    (
        [('{ symbol = "boot_result", value', "{ address = 0x21000000, value")],
        "expected an aligned word of RAM",
    ),
    ([("value = 0x600d", "value = 0x1_0000_0000")], "expected a value of 32 bits"),
    ([(f"vector_table = {SLOT0:#x}", "vector_table = 0x21020004")], "expected a multiple of 128 (VTOR)"),
    ([("unchanged = true", "unchanged = false")], "expected one of file, values, or unchanged = true"),
    (
        [('{ region = "slot0", file = "v2.bin" }', '{ region = "flag", file = "big.bin" }')],
        "sticks out of region 'flag'",
    ),
]


@pytest.mark.parametrize(("changes", "message"), MISTAKES, ids=[message[:40] for _, message in MISTAKES])
def test_each_mistake_is_one_clear_line(
    folder: TargetFolder, changes: list[tuple[str, str]], message: str
) -> None:
    (folder.path / "big.bin").write_bytes(bytes(0x3000))
    file = folder.write(*changes)
    with pytest.raises(BrownoutError) as caught:
        load_target(file)
    assert isinstance(caught.value, TargetError | SettingsError)
    assert message in str(caught.value)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ("[boot]\nbudget = 0", "boot.budget: 0: expected 1 to"),
        ("[boot]\nclean_boots = 0", "boot.clean_boots: 0: expected 1 to"),
        ("[[word]]\naddress = 0x21000002\nvalue = 1", "word.0.address: 0x21000002: expected a multiple of 4"),
        ("[[word]]\naddress = 0x21000000", "word.0: expected value (one word) or values"),
        (
            "[[word]]\naddress = 0x21020000\nvalue = 1",
            "word.0 (1 word(s)) overlaps v1.bin at 0x21020000..0x21020003",
        ),
        (
            "[boot]\nvector_table = 0x21300000",
            "boot.vector_table: nothing lies at 0x21300000, where the core starts",
        ),
        (
            "[boot]\nvector_table = 0x21040000",
            "v2.bin has the reset vector 0x22222222 at 0x21040004: expected an odd address",
        ),
    ],
)
def test_mistakes_in_tables_that_may_be_left_out(folder: TargetFolder, more: str, message: str) -> None:
    with pytest.raises(TargetError) as caught:
        load_target(folder.write(more=more))
    assert message in str(caught.value)


def test_two_outcomes_must_differ(folder: TargetFolder) -> None:
    text = folder.write().read_text()
    head, new, _ = text.split("[[outcome]]")
    with pytest.raises(TargetError, match="'other' asks for the same as 'new': expected a difference"):
        load_target(folder.write(text=f"{head}[[outcome]]{new}[[outcome]]{new.replace('new', 'other', 1)}"))


def test_one_outcome_is_the_expected_one(folder: TargetFolder) -> None:
    head, new, _ = folder.write(('expected = "new"\n', "")).read_text().split("[[outcome]]")
    assert load_target(folder.write(text=f"{head}[[outcome]]{new}")).expected == "new"


def test_a_file_without_anything_to_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "target.toml"
    file.write_text('board = "mps2-an385"\n[[outcome]]\nname = "up"\npc = { region = "kernel" }\n')
    with pytest.raises(TargetError, match=r"elf: missing, and there is no \[\[image\]\]"):
        load_target(file)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (":10001000", "line 1: is no Intel HEX record with a right checksum"),
        (":00000001FE", "line 1: is no Intel HEX record with a right checksum"),
        ("", "is empty, expected an image"),
        (":0100000041BE", "has no end record: it is truncated"),
        (":00000001FF", "has no data record"),
    ],
)
def test_damaged_hex_files_are_refused(folder: TargetFolder, text: str, message: str) -> None:
    (folder.path / "bad.hex").write_text(text)
    with pytest.raises(TargetError) as caught:
        load_target(folder.write(more='[[image]]\nfile = "bad.hex"'))
    assert message in str(caught.value)
