"""The nRF52840's NVMC: what is programmed, erased, refused, and what UICR and ACL have to do with it."""

from __future__ import annotations

import pytest

from brownout.board import load_board
from brownout.engines.unicorn.bench_bus import BenchBus
from brownout.engines.unicorn.controllers.nvmc import Nvmc
from brownout.engines.unicorn.interface import AccessFaultError
from brownout.engines.unicorn.peripherals.nrf52_system import Uicr
from brownout.flash import Erase, Phase, Program, ViolationKind

BOARD = load_board("nrf52840-dk")
FLASH = BOARD.flash
READ_ONLY, WRITE, ERASE = 0, 1, 2


class Bench:
    """The controller with its UICR on a bus without a machine."""

    def __init__(self) -> None:
        self.bus = BenchBus(flash=FLASH)
        self.uicr = self.bus.attach(Uicr(self.bus, BOARD.peripheral["uicr"]))
        self.nvmc = self.bus.attach(Nvmc(self.bus, FLASH))

    def config(self, mode: int) -> None:
        self.nvmc.write(Nvmc.CONFIG, 4, mode)

    def word(self, offset: int) -> int:
        return int.from_bytes(self.bus.array[offset : offset + 4], "little")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_word_is_programmed_while_writing_is_enabled(bench: Bench) -> None:
    bench.config(WRITE)
    bench.nvmc.store(0x1000, 4, 0x12345678)
    assert bench.bus.operations == [Program(offset=0x1000, data=bytes.fromhex("78563412"))]
    assert bench.word(0x1000) == 0x12345678
    assert (bench.nvmc.read(Nvmc.READY, 4), bench.nvmc.read(Nvmc.READYNEXT, 4)) == (1, 1)


@pytest.mark.parametrize(
    ("mode", "offset", "size"),
    [(READ_ONLY, 0, 4), (ERASE, 0, 4), (WRITE, 0, 1), (WRITE, 2, 2), (WRITE, 2, 4)],
)
def test_a_store_that_is_not_allowed_is_a_fault(bench: Bench, mode: int, offset: int, size: int) -> None:
    bench.config(mode)
    with pytest.raises(AccessFaultError, match=r"CONFIG is not Wen|whole aligned words"):
        bench.nvmc.store(0x1000 + offset, size, 0)
    assert bench.bus.operations == []


def test_stores_without_writing_enabled_can_be_ignored_instead() -> None:
    import dataclasses

    controller = dataclasses.replace(FLASH.controller, options={"ignore_disabled_stores": 1})
    bus = BenchBus(flash=FLASH)
    nvmc = bus.attach(Nvmc(bus, dataclasses.replace(FLASH, controller=controller)))
    nvmc.store(0x1000, 4, 0)
    assert bus.operations == []
    assert "not Wen" in bus.messages[0]


def test_a_page_is_erased_while_erasing_is_enabled(bench: Bench) -> None:
    bench.config(WRITE)
    bench.nvmc.store(0x1FFC, 4, 0)
    bench.nvmc.write(Nvmc.ERASEPAGE, 4, 0x1000)
    assert bench.word(0x1FFC) == 0
    bench.config(ERASE)
    bench.nvmc.write(Nvmc.ERASEPAGE, 4, 0x1000)
    assert bench.word(0x1FFC) == 0xFFFFFFFF
    assert bench.bus.operations[1:] == [Erase(offset=0x1000, length=0x1000)]
    bench.nvmc.write(Nvmc.ERASEPAGE, 4, 0x0010_0000)
    assert len(bench.bus.operations) == 2
    assert "not in the flash" in bench.bus.messages[-1]


def test_partial_erases_add_up(bench: Bench) -> None:
    bench.config(ERASE)
    bench.nvmc.write(Nvmc.ERASEPAGEPARTIALCFG, 4, 50)
    bench.nvmc.write(Nvmc.ERASEPAGEPARTIAL, 4, 0x2000)
    assert bench.bus.operations == []
    state = bench.nvmc.save()
    bench.nvmc.write(Nvmc.ERASEPAGEPARTIAL, 4, 0x3000)
    bench.nvmc.load(state)
    bench.nvmc.write(Nvmc.ERASEPAGEPARTIAL, 4, 0x3000)
    assert bench.bus.operations == []
    bench.nvmc.write(Nvmc.ERASEPAGEPARTIAL, 4, 0x2000)
    assert bench.bus.operations == [Erase(offset=0x2000, length=0x1000)]


def test_everything_is_erased_up_to_a_cut(bench: Bench) -> None:
    bench.config(WRITE)
    bench.uicr.write(0x80, 4, 0x1234)
    bench.config(ERASE)
    bench.nvmc.write(Nvmc.ERASEALL, 4, 1)
    assert [operation.offset for operation in bench.bus.operations] == list(range(0, 0x100000, 0x1000))
    assert bench.uicr.read(0x80, 4) == 0xFFFFFFFF
    other = Bench()
    other.config(ERASE)
    other.bus.cut = Phase.BEFORE
    other.nvmc.write(Nvmc.ERASEALL, 4, 1)
    assert len(other.bus.operations) == 1


def test_a_third_program_of_a_word_is_recorded(bench: Bench) -> None:
    bench.config(WRITE)
    for value in (0xFFFFFF00, 0xFFFF0000, 0xFF000000):
        bench.nvmc.store(0x1000, 4, value)
    (violation,) = bench.bus.violations
    assert (violation.kind, violation.offset) == (ViolationKind.TOO_OFTEN, 0x1000)
    assert bench.word(0x1000) == 0xFF000000


def test_uicr_is_flash_that_lives_through_a_reset(bench: Bench) -> None:
    with pytest.raises(AccessFaultError):
        bench.uicr.write(0x80, 4, 18)
    bench.config(WRITE)
    bench.uicr.write(0x80, 4, 0xFFFFFF12)
    bench.uicr.write(0x80, 4, 0xFFFFFF21)
    with pytest.raises(AccessFaultError):
        bench.uicr.write(0x80, 1, 0)
    assert bench.uicr.read(0x80, 4) == 0xFFFFFF00
    bench.uicr.reset()
    assert bench.uicr.read(0x80, 1) == 0
    bench.config(ERASE)
    bench.nvmc.write(Nvmc.ERASEUICR, 4, 1)
    assert bench.uicr.read(0x80, 4) == 0xFFFFFFFF


def test_uicr_comes_back_at_power_on_as_the_factory_left_it(bench: Bench) -> None:
    bench.uicr.preload(0x14, b"\x00\x00\x0f\x00")
    bench.uicr.power_on()
    assert bench.uicr.read(0x14, 4) == 0x000F0000
    bench.config(WRITE)
    bench.uicr.write(0x14, 4, 0)
    bench.uicr.power_on()
    assert bench.uicr.read(0x14, 4) == 0x000F0000


def test_acl_protects_from_writing_until_a_reset(bench: Bench) -> None:
    for offset, value in ((0x00, 0x4000), (0x04, 0x2000), (0x08, 2)):
        bench.nvmc.write(Nvmc.ACL + offset, 4, value)
    bench.nvmc.write(Nvmc.ACL + 8, 4, 0)
    bench.config(WRITE)
    for offset in (0x3FFC, 0x4000, 0x5FFC, 0x6000):
        bench.nvmc.store(offset, 4, 0)
    bench.config(ERASE)
    bench.nvmc.write(Nvmc.ERASEPAGE, 4, 0x5000)
    assert [operation.offset for operation in bench.bus.operations] == [0x3FFC, 0x6000]
    bench.nvmc.reset()
    bench.config(ERASE)
    bench.nvmc.write(Nvmc.ERASEPAGE, 4, 0x5000)
    assert len(bench.bus.operations) == 3


def test_a_reset_disables_writing(bench: Bench) -> None:
    bench.config(WRITE)
    bench.nvmc.reset()
    with pytest.raises(AccessFaultError):
        bench.nvmc.store(0, 4, 0)
