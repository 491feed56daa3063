"""Decoding of next pc and memory accesses against what a Cortex-M3 (Unicorn) really does."""

import random
from collections.abc import Callable

import pytest
from firmware.tests.debug.debug_machine import Access, Machine, it_of, size_at, with_it
from firmware.tests.debug.debug_world import CODE, DATA, OK, PC, SIZE, THUMB, XPSR, World

ROUNDS = 400
AT = CODE + 0x4000
MIDDLE = DATA + 0x8000

Template = Callable[[random.Random], list[int]]


def wide(first: int, second: int) -> list[int]:
    return [first, second]


def bits(r: random.Random, count: int) -> int:
    return r.getrandbits(count)


def low(r: random.Random) -> int:
    return r.randrange(8)


def list16(r: random.Random, allowed: int) -> int:
    """A register list of at least two."""
    while True:
        chosen = bits(r, 16) & allowed
        if chosen.bit_count() >= 2:
            return chosen


def multiple(r: random.Random) -> list[int]:
    """LDM and STM, both directions, with and without pc; the base is not in the list."""
    base = r.randrange(13)
    operation = r.choice((0xE880, 0xE890, 0xE900, 0xE910))
    allowed = 0x5FFF if operation & 0x10 == 0 else r.choice((0x5FFF, 0x9FFF))
    return wide(operation | r.choice((0, 0x20)) | base, list16(r, allowed & ~(1 << base)))


def load_wide(r: random.Random, *, target: int | None = None) -> list[int]:
    """Single loads and stores of all sizes and addressing modes."""
    size = 2 if target is not None else r.randrange(3)
    is_load = target is not None or r.random() < 0.5
    signed = 0x100 if is_load and size < 2 and r.random() < 0.3 else 0
    n = r.choice([n for n in range(13) if n != 3])
    t = 3 if target is None else target
    first = 0xF800 | signed | size << 5 | (0x10 if is_load else 0)
    form = r.randrange(4 if is_load else 3)
    if form == 0:
        return wide(first | 0x80 | n, t << 12 | bits(r, 12))
    if form == 1:
        p, w = r.choice(((1, 0), (1, 1), (0, 1)))
        u = 0 if (p, w) == (1, 0) else r.randrange(2)
        return wide(first | n, t << 12 | 0x800 | p << 10 | u << 9 | w << 8 | bits(r, 8))
    if form == 2:
        return wide(first | n, t << 12 | r.randrange(4) << 4 | r.choice((4, 5, 6)))
    return wide(first | r.choice((0, 0x80)) | 15, t << 12 | bits(r, 12) & ~3)


def dual(r: random.Random) -> list[int]:
    """LDRD and STRD."""
    p, w = r.choice(((1, 0), (1, 1), (0, 1)))
    load = r.choice((0, 0x10))
    n = r.choice((4, 5, 6, 7))
    return wide(0xE840 | p << 8 | r.choice((0, 0x80)) | w << 5 | load | n, 0x0100 | 0x2000 | bits(r, 8))


ELSEWHERE: dict[str, Template] = {
    "B<c>": lambda r: [0xD000 | r.randrange(14) << 8 | bits(r, 8)],
    "B": lambda r: [0xE000 | bits(r, 11)],
    "B<c>.W": lambda r: wide(0xF000 | bits(r, 1) << 10 | r.randrange(14) << 6 | 0, 0x8000 | bits(r, 12)),
    "B.W near": lambda r: wide(0xF000, 0x9000 | 0x2800 | bits(r, 11)),
    "B.W back": lambda r: wide(0xF7FF, 0x9000 | 0x2800 | bits(r, 11)),
    "B.W": lambda r: wide(0xF000 | bits(r, 11), 0x9000 | bits(r, 1) << 13 | bits(r, 12)),
    "BL": lambda r: wide(0xF000 | bits(r, 11), 0xD000 | bits(r, 1) << 13 | bits(r, 12)),
    "CBZ, CBNZ": lambda r: [0xB100 | r.choice((0, 0x800)) | bits(r, 1) << 9 | bits(r, 8)],
    "BX": lambda r: [0x4700 | r.randrange(15) << 3],
    "BLX": lambda r: [0x4780 | r.randrange(15) << 3],
    "MOV pc": lambda r: [0x4687 | r.randrange(15) << 3],
    "ADD pc": lambda r: [0x4487 | r.randrange(15) << 3],
    "POP pc": lambda r: [0xBD00 | bits(r, 8)],
    "LDR pc": lambda r: load_wide(r, target=15),
    "TBB": lambda r: wide(0xE8D0 | r.choice((4, 5, 6, 15)), 0xF000 | r.choice((0, 1, 2))),
    "TBH": lambda r: wide(0xE8D0 | r.choice((4, 5, 6, 15)), 0xF010 | r.choice((0, 1, 2))),
    "LDM with pc": lambda r: wide(r.choice((0xE890, 0xE8B0, 0xE910, 0xE930)) | 7, 0x8000 | list16(r, 0x1F7F)),
}

ACCESSES: dict[str, Template] = {
    "LDR literal": lambda r: [0x4800 | bits(r, 11)],
    "register": lambda r: [
        0x5000 | bits(r, 3) << 9 | r.choice((0, 1, 2)) << 6 | r.choice((4, 5, 6)) << 3 | 3
    ],
    "immediate": lambda r: [r.choice((0x6000, 0x7000, 0x8000)) | bits(r, 12)],
    "SP": lambda r: [0x9000 | bits(r, 12)],
    "PUSH": lambda r: [0xB400 | bits(r, 9) | 1],
    "POP": lambda r: [0xBC00 | bits(r, 8) | 1],
    "LDM, STM": lambda r: [0xC000 | bits(r, 1) << 11 | 4 << 8 | list16(r, 0xEF)],
    "LDM.W, STM.W": multiple,
    "single": load_wide,
    "dual": dual,
    "LDREX": lambda r: wide(0xE850 | low(r), 0x3F00 | bits(r, 8)),
    "LDREXB, LDREXH": lambda r: wide(0xE8D0 | low(r), 0x3F40 | bits(r, 1) << 4 | 0xF),
}


@pytest.fixture
def filled(world: World) -> World:
    """Data memory full of words that are good addresses, and of small table entries."""
    r = random.Random(1)
    words = b"".join((CODE + r.randrange(SIZE) | 1).to_bytes(4, "little") for _ in range(SIZE // 4))
    world.poke(DATA, words)
    world.poke(CODE, words)
    return world


def registers_for(r: random.Random) -> list[int]:
    """r0-r2 small, r3-r7 in the middle of data or zero, others anywhere in it or in code; any flags."""
    registers = [r.choice((0, 1, r.randrange(64))) for _ in range(3)]
    registers += [MIDDLE + 4 * r.randrange(-1000, 1000) if r.random() < 0.9 else 0 for _ in range(5)]
    registers += [r.choice((MIDDLE, CODE + 0x8000)) + 4 * r.randrange(-1000, 1000) for _ in range(5)]
    registers += [MIDDLE + 8 * r.randrange(-500, 500), CODE + r.randrange(SIZE) | 1, AT]
    return [*registers, THUMB | bits(r, 5) << 27]


def compare(world: World, registers: list[int], code: list[int], *, check_access: bool = True) -> bool:
    """Decode and execute one instruction; False when the core refuses it."""
    machine: Machine = world.machine
    data = b"".join(halfword.to_bytes(2, "little") for halfword in code)
    saved = machine.read(AT, 4)
    world.poke(AT, data)
    world.set_registers(registers)
    words, status = world.ask("decode")
    machine.registers = list(registers)
    executed = machine.execute()
    accesses = machine.accesses
    what = f"{' '.join(f'{halfword:04x}' for halfword in code)} with {[hex(value) for value in registers]}"
    machine.undo()
    world.poke(AT, saved)
    if not executed:
        return False
    assert status == OK, what
    assert int(words[0], 16) == machine.registers[PC], what
    if check_access:
        decoded = (int(words[1], 16), int(words[2], 16), words[3] == "w") if len(words) > 1 else None
        assert decoded == extent(accesses), what
    return True


def extent(accesses: list[Access]) -> tuple[int, int, bool] | None:
    """The range that all accesses of an instruction make up."""
    if not accesses:
        return None
    first = min(access.address for access in accesses)
    end = max(access.address + access.size for access in accesses)
    return first, end - first, accesses[0].is_write


@pytest.mark.parametrize("code", ["d1e8af0f", "81fa02f0"], ids=["LDA", "SADD8"])
def test_core_is_a_cortex_m3(filled: World, code: str) -> None:
    """It refuses what later cores have, or comparisons with it would say nothing about the M3."""
    machine: Machine = filled.machine
    machine.write(AT, bytes.fromhex(code))
    machine.registers = [MIDDLE] * 15 + [AT, THUMB]
    assert not machine.execute()


@pytest.mark.parametrize("name", ELSEWHERE)
def test_branches_go_where_the_core_goes(filled: World, name: str) -> None:
    r = random.Random(name)
    executed = sum(compare(filled, registers_for(r), ELSEWHERE[name](r)) for _ in range(ROUNDS))
    assert executed > ROUNDS // 5


@pytest.mark.parametrize("name", ACCESSES)
def test_accesses_are_those_of_the_core(filled: World, name: str) -> None:
    r = random.Random(name)
    executed = sum(compare(filled, registers_for(r), ACCESSES[name](r)) for _ in range(ROUNDS))
    assert executed > ROUNDS // 5


@pytest.mark.parametrize("name", ["BX", "POP pc", "LDR pc", "B", "BL", "B.W near", "TBB", "MOV pc"])
def test_last_instruction_of_an_it_block(filled: World, name: str) -> None:
    r = random.Random(name)
    executed = 0
    for _ in range(ROUNDS):
        registers = registers_for(r)
        registers[XPSR] = with_it(registers[XPSR], r.randrange(15) << 4 | 8)
        executed += compare(filled, registers, ELSEWHERE[name](r))
    assert executed > ROUNDS // 5


@pytest.mark.parametrize("name", ["register", "immediate", "LDM, STM", "single", "dual"])
def test_skipped_accesses_are_none(filled: World, name: str) -> None:
    r = random.Random(name)
    for _ in range(ROUNDS):
        registers = registers_for(r)
        registers[XPSR] = with_it(registers[XPSR], r.randrange(14) << 4 | r.choice((8, 4, 12, 2, 1)))
        compare(filled, registers, ACCESSES[name](r))
        assert it_of(registers[XPSR]) != 0


def test_random_halfwords(filled: World) -> None:
    """Whatever the core executes without a fault, in 16 bits: no encoding is forgotten."""
    r = random.Random(7)
    executed = 0
    for halfword in range(0xE800):
        top = halfword >> 8
        if top in (0xBE, 0xDE, 0xDF, 0xB6) or (top == 0xBF and halfword & 0xF):
            continue  # BKPT, UDF, SVC, CPS, IT
        if halfword & 0xFF80 == 0x4780 and halfword & 0x78 == 0x78:
            continue  # BLX pc is unpredictable
        if r.random() < 0.15:
            executed += compare(filled, registers_for(r), [halfword])
    assert executed > 2000


def test_random_pairs(filled: World) -> None:
    """The same for 32 bits, where most encodings are data processing."""
    r = random.Random(8)
    executed = 0
    for _ in range(12000):
        first = r.randrange(0xE800, 0x10000)
        second = bits(r, 16)
        if not is_predictable(first, second):
            continue
        executed += compare(filled, registers_for(r), [first, second])
    assert executed > 2000


def is_predictable(first: int, second: int) -> bool:
    """Leaves out what the architecture calls unpredictable, and system instructions."""
    n, d = first & 15, second >> 8 & 15
    if first >> 11 == 0x1E and second & 0x8000:  # branches; others are system instructions
        return second & 0x5000 in (0x1000, 0x5000) or (second & 0x5000 == 0 and first >> 6 & 15 < 14)
    if first >> 11 == 0x1E or first & 0xFE00 == 0xEA00:  # data processing
        return d not in (13, 15) and n not in (13, 15) and second & 15 not in (13, 15)
    return False  # loads and stores have templates; coprocessors do not exist


def test_size_of_instructions() -> None:
    assert [size_at(bytes((0, top))) for top in (0xE0, 0xE7, 0xE8, 0xF0, 0xFF)] == [2, 2, 4, 4, 4]


def test_unreadable_pc_and_unreadable_target(world: World) -> None:
    world.set_registers(pc=0x10000000, sp=MIDDLE, xpsr=THUMB)
    assert world.ask("decode")[1] != OK
    world.poke(AT, bytes.fromhex("00bd"))  # pop {pc}
    world.set_registers(pc=AT, sp=0x10000000, xpsr=THUMB)
    assert world.ask("decode")[1] != OK
    world.set_registers(pc=DATA + SIZE - 2, sp=MIDDLE, xpsr=THUMB)
    world.poke(DATA + SIZE - 2, bytes.fromhex("00f0"))  # half of a 32-bit instruction at the end of memory
    assert world.ask("decode")[1] != OK
