"""The STM32H7's flash interface: two banks, the write buffer, ECC as write-once."""

from __future__ import annotations

import dataclasses

import pytest

from brownout.board import FlashSettings, load_board
from brownout.engines.unicorn.bench_bus import BenchBus
from brownout.engines.unicorn.controllers import stm32h7 as h7
from brownout.engines.unicorn.controllers.stm32h7 import Stm32H7Flash
from brownout.engines.unicorn.interface import AccessFaultError
from brownout.flash import Erase, Phase, Program, ViolationKind

FLASH = load_board("stm32h7-nucleo").flash
KEYS = (0x45670123, 0xCDEF89AB)
OPTION_KEYS = (0x08192A3B, 0x4C5D6E7F)
BANK = 0x100000


class Bench:
    """The controller on a bus without a machine, unlocked."""

    def __init__(self, flash: FlashSettings = FLASH) -> None:
        self.bus = BenchBus(flash=flash)
        self.flash = self.bus.attach(Stm32H7Flash(self.bus, flash))
        for bank in (0, 1):
            self.unlock(bank)

    def unlock(self, bank: int) -> None:
        for key in KEYS:
            self.flash.write(Stm32H7Flash.KEYR + 0x100 * bank, 4, key)

    def control(self, value: int, bank: int = 0) -> None:
        self.flash.write(Stm32H7Flash.CR + 0x100 * bank, 4, value)

    def status(self, bank: int = 0) -> int:
        return self.flash.read(Stm32H7Flash.SR + 0x100 * bank, 4)

    def store_words(self, offset: int, count: int, value: int = 0x11223344) -> None:
        for number in range(count):
            self.flash.store(offset + 4 * number, 4, value)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.mark.parametrize("bank", [0, 1])
def test_eight_words_make_a_flash_word(bench: Bench, bank: int) -> None:
    bench.control(h7.PG, bank)
    bench.store_words(bank * BANK + 0x40, 7)
    assert (bench.status(bank), bench.status(1 - bank), bench.bus.operations) == (h7.WBNE, 0, [])
    state = bench.flash.save()
    bench.store_words(bank * BANK + 0x5C, 1)
    expected = [Program(offset=bank * BANK + 0x40, data=bytes.fromhex("44332211") * 8)]
    assert (bench.status(bank), bench.bus.operations) == (0, expected)
    bench.flash.load(state)
    assert bench.status(bank) == h7.WBNE


def test_force_write_fills_up_with_ones(bench: Bench) -> None:
    bench.control(h7.PG)
    bench.flash.store(0x62, 2, 0xAABB)
    bench.flash.store(0x7F, 1, 0x01)
    bench.control(h7.PG | h7.FW)
    data = b"\xff\xff\xbb\xaa" + b"\xff" * 27 + b"\x01"
    assert bench.bus.operations == [Program(offset=0x60, data=data)]
    assert bench.flash.read(Stm32H7Flash.CR, 4) == h7.PG
    bench.control(h7.PG | h7.FW)
    assert len(bench.bus.operations) == 1


def test_a_second_program_is_refused_and_told_as_an_ecc_error(bench: Bench) -> None:
    bench.control(h7.PG)
    bench.store_words(0x20, 8)
    bench.store_words(0x20, 8, 0)
    assert bytes(bench.bus.array[0x20:0x24]) == bytes.fromhex("44332211")
    assert [violation.kind for violation in bench.bus.violations] == [ViolationKind.WRITE_ONCE]
    assert (bench.status(), bench.flash.read(Stm32H7Flash.ECC_FA, 4)) == (h7.DBECCERR, 1)
    bench.flash.write(Stm32H7Flash.CCR, 4, h7.DBECCERR)
    assert bench.status() == 0


def test_each_misuse_has_its_flag(bench: Bench) -> None:
    bench.flash.store(0, 4, 0)
    assert bench.status() == h7.PGSERR
    bench.flash.write(Stm32H7Flash.CCR, 4, h7.PGSERR)
    bench.control(h7.PG)
    bench.flash.store(0, 4, 0)
    bench.flash.store(2, 2, 0)
    assert bench.status() == h7.STRBERR | h7.WBNE
    bench.flash.write(Stm32H7Flash.CCR, 4, h7.STRBERR)
    bench.flash.store(0x20, 4, 0)
    assert bench.status() == h7.INCERR
    bench.control(h7.START)
    assert bench.status() == h7.INCERR | h7.PGSERR
    assert bench.bus.operations == []


@pytest.mark.parametrize(("bank", "sector"), [(0, 0), (0, 7), (1, 0), (1, 3)])
def test_a_sector_is_erased_by_bank_and_number(bench: Bench, bank: int, sector: int) -> None:
    bench.control(h7.SER | sector << 8 | h7.START, bank)
    assert bench.bus.operations == [Erase(offset=bank * BANK + sector * 0x20000, length=0x20000)]
    assert bench.flash.read(Stm32H7Flash.CR + 0x100 * bank, 4) & h7.START == 0


def test_a_bank_and_both_banks_are_erased(bench: Bench) -> None:
    bench.control(h7.BER | h7.START, 1)
    assert [operation.offset for operation in bench.bus.operations] == list(range(BANK, 2 * BANK, 0x20000))
    bench.flash.write(Stm32H7Flash.OPTCR, 4, 0x10)
    assert len(bench.bus.operations) == 8
    for key in OPTION_KEYS:
        bench.flash.write(Stm32H7Flash.OPTKEYR + 0x100, 4, key)
    bench.flash.write(Stm32H7Flash.OPTCR + 0x100, 4, 0x10)
    assert len(bench.bus.operations) == 24
    bench.bus.cut = Phase.AFTER
    bench.control(h7.BER | h7.START, 0)
    assert len(bench.bus.operations) == 25


def test_keys_are_for_a_bank_each_and_a_wrong_one_locks_it() -> None:
    bench = Bench()
    bench.control(h7.LOCK, 1)
    assert bench.flash.read(Stm32H7Flash.CR, 4) & h7.LOCK == 0
    with pytest.raises(AccessFaultError):
        bench.flash.write(Stm32H7Flash.KEYR + 0x100, 4, 1)
    with pytest.raises(AccessFaultError):
        bench.unlock(1)
    bench.control(h7.PG, 1)
    bench.flash.store(BANK, 4, 0)
    assert bench.status(1) == h7.PGSERR
    bench.flash.reset()
    bench.unlock(1)
    assert bench.flash.read(Stm32H7Flash.CR + 0x100, 4) == 0x30


def test_end_of_operation_and_failures_interrupt_where_enabled(bench: Bench) -> None:
    bench.control(h7.PG | h7.EOP)
    bench.store_words(0, 8)
    assert (bench.status(), bench.bus.irqs) == (h7.EOP, {4: True})
    bench.flash.write(Stm32H7Flash.CCR, 4, h7.EOP)
    assert bench.bus.irqs == {4: False}
    bench.bus.fail = Phase.BEFORE
    bench.control(h7.PG | h7.OPERR, 1)
    bench.store_words(BANK, 8)
    assert (bench.status(1), bench.bus.irqs) == (h7.OPERR, {4: True})


def test_protected_sectors_are_neither_programmed_nor_erased() -> None:
    controller = dataclasses.replace(FLASH.controller, options={"protected_sectors": 1 << 9 | 1 << 2})
    flash = dataclasses.replace(FLASH, controller=controller)
    bench = Bench(flash)
    bench.control(h7.PG, 1)
    bench.store_words(BANK + 0x20000, 8)
    assert (bench.status(1), bench.bus.operations) == (h7.WRPERR, [])
    bench.control(h7.BER | h7.START, 0)
    assert (bench.status(0), bench.bus.operations) == (h7.WRPERR, [])
    bench.store_words(BANK + 0x40000, 8)
    bench.control(h7.SER | h7.START, 0)
    assert len(bench.bus.operations) == 2
