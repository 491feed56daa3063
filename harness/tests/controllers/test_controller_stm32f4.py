"""The STM32F4's flash interface: keys, widths, sectors, error flags."""

from __future__ import annotations

import pytest

from brownout.board import load_board
from brownout.engines.unicorn.bench_bus import BenchBus
from brownout.engines.unicorn.controllers import stm32f4 as f4
from brownout.engines.unicorn.controllers.stm32f4 import Stm32F4Flash
from brownout.engines.unicorn.interface import AccessFaultError
from brownout.flash import Erase, Phase, Program, ViolationKind

FLASH = load_board("stm32f4-discovery").flash
KEYS = (0x45670123, 0xCDEF89AB)
OPTION_KEYS = (0x08192A3B, 0x4C5D6E7F)
BYTE, HALF, WORD, DOUBLE = (size << 8 for size in range(4))


class Bench:
    """The controller on a bus without a machine."""

    def __init__(self, *, unlocked: bool = True) -> None:
        self.bus = BenchBus(flash=FLASH)
        self.flash = self.bus.attach(Stm32F4Flash(self.bus, FLASH))
        if unlocked:
            self.unlock()

    def unlock(self) -> None:
        for key in KEYS:
            self.flash.write(Stm32F4Flash.KEYR, 4, key)

    def control(self, value: int) -> None:
        self.flash.write(Stm32F4Flash.CR, 4, value)

    @property
    def status(self) -> int:
        return self.flash.read(Stm32F4Flash.SR, 4)


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_control_is_locked_until_both_keys_came() -> None:
    bench = Bench(unlocked=False)
    bench.control(f4.PG)
    assert bench.flash.read(Stm32F4Flash.CR, 4) == f4.LOCK
    bench.unlock()
    bench.control(f4.PG)
    assert bench.flash.read(Stm32F4Flash.CR, 4) == f4.PG
    bench.control(f4.LOCK)
    bench.control(f4.PG)
    assert bench.flash.read(Stm32F4Flash.CR, 4) == f4.LOCK
    bench.unlock()
    assert bench.flash.read(Stm32F4Flash.CR, 4) == 0


@pytest.mark.parametrize("keys", [(0x45670124,), (KEYS[0], KEYS[0]), (KEYS[1],)])
def test_a_wrong_key_locks_until_the_next_reset(keys: tuple[int, ...]) -> None:
    bench = Bench(unlocked=False)
    for key in keys[:-1]:
        bench.flash.write(Stm32F4Flash.KEYR, 4, key)
    with pytest.raises(AccessFaultError, match="locked until the next reset"):
        bench.flash.write(Stm32F4Flash.KEYR, 4, keys[-1])
    state = bench.flash.save()
    with pytest.raises(AccessFaultError):
        bench.unlock()
    bench.flash.reset()
    bench.unlock()
    assert bench.flash.read(Stm32F4Flash.CR, 4) == 0
    bench.flash.load(state)
    with pytest.raises(AccessFaultError):
        bench.unlock()


@pytest.mark.parametrize(("psize", "size"), [(BYTE, 1), (HALF, 2), (WORD, 4)])
def test_a_store_as_wide_as_psize_is_programmed(bench: Bench, psize: int, size: int) -> None:
    bench.control(f4.PG | psize)
    bench.flash.store(0x4008, size, 0x12345678 & ((1 << 8 * size) - 1))
    assert bench.bus.operations == [Program(offset=0x4008, data=bytes.fromhex("78563412")[:size])]
    assert bench.status == 0


def test_a_double_word_comes_in_two_stores(bench: Bench) -> None:
    bench.control(f4.PG | DOUBLE)
    bench.flash.store(0x4008, 4, 0x11111111)
    assert bench.bus.operations == []
    state = bench.flash.save()
    bench.flash.store(0x4018, 4, 0)
    bench.flash.load(state)
    bench.flash.store(0x400C, 4, 0x22222222)
    assert bench.bus.operations == [Program(offset=0x4008, data=b"\x11" * 4 + b"\x22" * 4)]
    bench.flash.store(0x4014, 4, 0)
    assert bench.status == f4.PGAERR


@pytest.mark.parametrize(
    ("control", "offset", "size", "flag"),
    [
        (0, 0x4000, 4, f4.PGSERR),
        (f4.PG | BYTE, 0x4000, 4, f4.PGPERR),
        (f4.PG | WORD, 0x4000, 1, f4.PGPERR),
        (f4.PG | WORD, 0x4002, 4, f4.PGAERR),
    ],
)
def test_a_wrong_store_sets_its_flag_and_programs_nothing(
    bench: Bench, control: int, offset: int, size: int, flag: int
) -> None:
    bench.control(control)
    bench.flash.store(offset, size, 0)
    assert (bench.status, bench.bus.operations) == (flag, [])
    bench.flash.write(Stm32F4Flash.SR, 4, 0)
    assert bench.status == flag
    bench.flash.write(Stm32F4Flash.SR, 4, flag)
    assert bench.status == 0


@pytest.mark.parametrize(
    ("sector", "offset", "size"),
    [(0, 0, 0x4000), (4, 0x10000, 0x10000), (5, 0x20000, 0x20000), (11, 0xE0000, 0x20000)],
)
def test_a_sector_is_erased_by_number(bench: Bench, sector: int, offset: int, size: int) -> None:
    bench.control(f4.SER | sector << 3)
    assert bench.bus.operations == []
    bench.control(f4.SER | sector << 3 | f4.STRT)
    assert bench.bus.operations == [Erase(offset=offset, length=size)]
    assert (bench.status, bench.flash.read(Stm32F4Flash.CR, 4) & f4.STRT) == (0, 0)


def test_an_erase_of_nothing_is_a_sequence_error(bench: Bench) -> None:
    bench.control(f4.STRT)
    assert bench.status == f4.PGSERR
    bench.flash.write(Stm32F4Flash.SR, 4, f4.PGSERR)
    bench.control(f4.SER | 12 << 3 | f4.STRT)
    assert (bench.status, bench.bus.operations) == (f4.PGSERR, [])


def test_mass_erase_stops_with_the_power(bench: Bench) -> None:
    bench.control(f4.MER | f4.STRT)
    assert len(bench.bus.operations) == 12
    other = Bench()
    other.bus.cut = Phase.TORN
    other.control(f4.MER | f4.STRT)
    assert len(other.bus.operations) == 1


def test_end_of_operation_is_told_where_its_interrupt_is_enabled(bench: Bench) -> None:
    bench.control(f4.PG | BYTE)
    bench.flash.store(0, 1, 0)
    assert (bench.status, bench.bus.irqs) == (0, {})
    bench.control(f4.PG | BYTE | f4.EOPIE)
    bench.flash.store(1, 1, 0)
    assert (bench.status, bench.bus.irqs) == (f4.EOP, {4: True})
    bench.flash.write(Stm32F4Flash.SR, 4, f4.EOP)
    assert (bench.status, bench.bus.irqs) == (0, {4: False})


def test_a_failing_flash_is_told(bench: Bench) -> None:
    bench.bus.fail = Phase.BEFORE
    bench.control(f4.PG | BYTE)
    bench.flash.store(0, 1, 0)
    assert bench.status == f4.WRPERR
    bench.control(f4.SER | f4.STRT | f4.ERRIE)
    assert (bench.status, bench.bus.irqs) == (f4.WRPERR | f4.OPERR, {4: True})


def test_option_bytes_protect_sectors(bench: Bench) -> None:
    bench.flash.write(Stm32F4Flash.OPTCR, 4, 0)
    assert bench.flash.read(Stm32F4Flash.OPTCR, 4) == 0x0FFFAAED
    for key in OPTION_KEYS:
        bench.flash.write(Stm32F4Flash.OPTKEYR, 4, key)
    bench.flash.write(Stm32F4Flash.OPTCR, 4, 0x0FFFAAEC & ~(1 << 17))
    bench.control(f4.PG | BYTE)
    bench.flash.store(0x4000, 1, 0)
    bench.control(f4.SER | 1 << 3 | f4.STRT)
    bench.control(f4.MER | f4.STRT)
    assert (bench.status, bench.bus.operations) == (f4.WRPERR, [])
    bench.control(f4.PG | BYTE)
    bench.flash.store(0x8000, 1, 0)
    assert len(bench.bus.operations) == 1


def test_bits_are_cleared_only(bench: Bench) -> None:
    bench.control(f4.PG | BYTE)
    bench.flash.store(0x10, 1, 0x0F)
    bench.flash.store(0x10, 1, 0xF1)
    assert bench.bus.array[0x10] == 0x01
    assert [violation.kind for violation in bench.bus.violations] == [ViolationKind.SETS_BIT]
