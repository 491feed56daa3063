"""Peripherals of the STM32F4 and H7, and the register table under them."""

from __future__ import annotations

import binascii

import pytest

from brownout.board import PeripheralSettings
from brownout.engines.unicorn.bench_bus import BenchBus
from brownout.engines.unicorn.peripherals import stm32f4, stm32f4_io, stm32h7
from brownout.engines.unicorn.peripherals.registers import GenericRegisters, Register, StorageBlock

HZ = 168_000_000


def settings(kind: str, *, irq: int | None = None, **options: int) -> PeripheralSettings:
    return PeripheralSettings(kind=kind, base=0x4000_0000, irq=irq, options=options)


@pytest.fixture
def bus() -> BenchBus:
    return BenchBus(clock_hz=HZ)


def test_a_table_says_what_registers_do(bus: BenchBus) -> None:
    table = {
        0x00: Register(reset=0x80, writable=0xFF, ready=((1, 8),)),
        0x04: Register(reset=0xF0, writable=0x0F, cleared=0xC0),
        0x08: Register(sets=0x10),
        0x0C: Register(clears=0x10),
        0x14: Register(reset=5, retained=True),
    }
    block = bus.attach(StorageBlock(bus, settings("test"), table=table, default=9))
    block.write(0x00, 4, 0xFFFF_FF01)
    block.write(0x04, 4, 0x4A)
    block.write(0x08, 4, 6)
    block.write(0x0C, 4, 2)
    block.write(0x14, 4, 6)
    values = [block.read(offset, 4) for offset in (0x00, 0x04, 0x08, 0x0C, 0x10, 0x14, 0x18)]
    assert values == [0x101, 0xBA, 0xD, 0xD, 0xD, 6, 9]
    block.write(0x19, 1, 0xEE)
    assert (block.read(0x18, 4), block.read(0x19, 1)) == (0xEE09, 0xEE)
    state = block.save()
    block.reset()
    assert [block.read(offset, 4) for offset in (0x00, 0x14, 0x18)] == [0x80, 6, 9]
    block.power_on()
    block.reset()
    assert block.read(0x14, 4) == 5
    block.load(state)
    assert block.read(0x18, 4) == 0xEE09


def test_a_board_can_describe_registers_alone(bus: BenchBus) -> None:
    plain = bus.attach(GenericRegisters(bus, settings("registers", at_10=0x1234)))
    fixed = bus.attach(GenericRegisters(bus, settings("registers", constant=1, default=0xFFFFFFFF, at_4=1)))
    for block in (plain, fixed):
        block.write(0x10, 4, 7)
    assert (plain.read(0x10, 4), plain.read(0x14, 4)) == (7, 0)
    assert (fixed.read(0x10, 4), fixed.read(0x04, 4)) == (0xFFFFFFFF, 1)
    plain.reset()
    assert plain.read(0x10, 4) == 0x1234
    kept = bus.attach(GenericRegisters(bus, settings("registers", retained=1, at_50=5, fixed_c=0x67)))
    for offset in (0x50, 0x54, 0x0C):
        kept.write(offset, 4, 0x80)
    kept.reset()
    assert [kept.read(offset, 4) for offset in (0x50, 0x54, 0x0C)] == [0x80, 0x80, 0x67]
    kept.power_on()
    kept.reset()
    assert [kept.read(offset, 4) for offset in (0x50, 0x54, 0x0C)] == [5, 0, 0x67]


def test_f4_clocks_are_ready_when_they_are_on(bus: BenchBus) -> None:
    rcc = bus.attach(stm32f4.RccF4(bus, settings("stm32f4-rcc")))
    assert rcc.read(0x00, 4) == 0x83
    rcc.write(0x00, 4, 0x0101_0001)
    assert rcc.read(0x00, 4) == 0x0303_0003
    rcc.write(0x00, 4, 0x0201_0001)
    assert rcc.read(0x00, 4) == 0x0003_0003, "PLLRDY follows PLLON, whatever was stored there"
    rcc.write(0x08, 4, 2)
    assert rcc.read(0x08, 4) == 0xA
    rcc.write(0x74, 4, 1)
    assert rcc.read(0x74, 4) == 0x0E00_0003
    power = bus.attach(stm32f4.PwrF4(bus, settings("stm32f4-pwr")))
    power.write(0x04, 4, 0)
    assert power.read(0x04, 4) == 0x4000


def test_h7_clocks_are_ready_when_they_are_on(bus: BenchBus) -> None:
    rcc = bus.attach(stm32h7.RccH7(bus, settings("stm32h7-rcc")))
    assert rcc.read(0x00, 4) == 0xC025
    rcc.write(0x00, 4, 0x1501_1081)
    assert rcc.read(0x00, 4) == 0x3F03_F1A5
    rcc.write(0x10, 4, 3)
    assert rcc.read(0x10, 4) == 0x1B
    power = bus.attach(stm32h7.PwrH7(bus, settings("stm32h7-pwr")))
    power.write(0x18, 4, 0xC000)
    assert (power.read(0x18, 4), power.read(0x04, 4)) == (0xE000, 0x6000)


@pytest.mark.parametrize(
    ("kind", "offset", "power_on", "software", "watchdog", "remove"),
    [
        (stm32f4.RccF4, 0x74, 0x0E00_0000, 0x1E00_0000, 0x3E00_0000, 1 << 24),
        (stm32h7.RccH7, 0xD0, 0x00FE_0000, 0x01FE_0000, 0x05FE_0000, 1 << 16),
    ],
)
def test_rcc_tells_the_reason_of_a_reset(
    bus: BenchBus,
    kind: type[stm32f4.RccF4],
    offset: int,
    power_on: int,
    software: int,
    watchdog: int,
    remove: int,
) -> None:
    rcc = bus.attach(kind(bus, settings("rcc")))
    assert rcc.read(offset, 4) == power_on
    rcc.reset()
    assert rcc.read(offset, 4) == software
    rcc.blame_watchdog()
    rcc.reset()
    assert rcc.read(offset, 4) == watchdog
    rcc.write(offset, 4, remove)
    assert rcc.read(offset, 4) & 0xFFFE_0000 == 0
    rcc.power_on()
    rcc.reset()
    assert rcc.read(offset, 4) == power_on


def test_gpio_pins(bus: BenchBus) -> None:
    port = bus.attach(stm32f4.Gpio(bus, settings("stm32-gpio", moder=0xA800_0000, low=1)))
    assert (port.read(0x00, 4), port.read(0x10, 4)) == (0xA800_0000, 0xFFFE)
    port.write(0x0C, 4, 2 << 4)
    assert port.read(0x10, 4) == 0xFFFA
    port.write(0x00, 4, 1 << 4 | 1 << 6)
    port.write(0x18, 4, 1 << 2 | 1 << 19 | 1 << 18)
    assert (port.read(0x14, 4), port.read(0x10, 4)) == (1 << 2, 0xFFF6)
    port.write(0x18, 4, 1 << 18)
    assert port.read(0x14, 4) == 0


def test_crc_is_the_reference_manuals_and_ethernets(bus: BenchBus) -> None:
    crc = bus.attach(stm32f4.Crc(bus, settings("stm32-crc")))
    crc.write(0x00, 4, 0x3132_3334)
    first = crc.read(0x00, 4)
    crc.write(0x08, 4, 1)
    assert crc.read(0x00, 4) == 0xFFFF_FFFF
    for byte in b"1234":
        crc.write(0x00, 1, byte)
    assert crc.read(0x00, 4) == first
    crc.write(0x08, 4, 0x80 | 1 << 5 | 1)
    for byte in b"123456789":
        crc.write(0x00, 1, byte)
    assert crc.read(0x00, 4) ^ 0xFFFF_FFFF == binascii.crc32(b"123456789")
    crc.write(0x10, 4, 0)
    crc.write(0x14, 4, 0x1021)
    crc.write(0x08, 4, 1 << 3 | 1)
    for byte in b"123456789":
        crc.write(0x00, 1, byte)
    assert crc.read(0x00, 4) == binascii.crc_hqx(b"123456789", 0)


@pytest.mark.parametrize(
    ("kind", "flags", "receive", "transmit", "control"),
    [(stm32f4_io.Usart, 0x00, 0x04, 0x04, 0x0C), (stm32h7.UsartH7, 0x1C, 0x24, 0x28, 0x00)],
)
def test_usart_sends_and_receives(
    bus: BenchBus, kind: type[stm32f4_io.Usart], flags: int, receive: int, transmit: int, control: int
) -> None:
    usart = bus.attach(kind(bus, settings("usart", irq=38)))
    usart.write(control, 4, 1 << 5)
    usart.write(transmit, 1, ord("a"))
    usart.write(transmit, 4, ord("b"))
    assert (usart.sent, usart.read(flags, 4) & 0xE0, bus.irqs) == (b"ab", 0xC0, {})
    usart.feed(b"xy")
    state = usart.save()
    assert bus.irqs == {38: True}
    assert (usart.read(receive, 1), usart.read(flags, 4) >> 5 & 1) == (ord("x"), 1)
    assert (usart.read(receive, 1), usart.read(flags, 4) >> 5 & 1) == (ord("y"), 0)
    assert bus.irqs == {38: False}
    usart.load(state)
    assert usart.read(receive, 1) == ord("x")
    usart.power_on()
    usart.reset()
    assert (usart.sent, usart.read(flags, 4) & 0xE0) == (b"", 0xC0)


def test_h7_usart_acknowledges_and_clears(bus: BenchBus) -> None:
    usart = bus.attach(stm32h7.UsartH7(bus, settings("stm32h7-usart", irq=39)))
    usart.write(0x00, 4, 1 << 3 | 1 << 2)
    assert usart.read(0x1C, 4) >> 21 & 3 == 0
    usart.write(0x00, 4, 1 << 6 | 1 << 3 | 1)
    assert (usart.read(0x1C, 4) >> 21 & 3, bus.irqs) == (1, {39: True})
    usart.write(0x20, 4, 1 << 6)
    assert (usart.read(0x1C, 4) & 0x40, bus.irqs) == (0, {39: False})


def test_watchdog_resets_unless_it_is_reloaded(bus: BenchBus) -> None:
    rcc = bus.attach(stm32f4.RccF4(bus, settings("stm32f4-rcc")))
    iwdg = bus.attach(stm32f4_io.Iwdg(bus, settings("stm32-iwdg")))
    iwdg.write(0x08, 4, 7)
    assert iwdg.read(0x08, 4) == 0xFFF, "locked"
    iwdg.write(0x00, 4, 0xCCCC)
    iwdg.write(0x00, 4, 0x5555)
    iwdg.write(0x04, 4, 3)
    iwdg.write(0x08, 4, 999)
    iwdg.write(0x00, 4, 0xAAAA)
    bus.advance(HZ * 9 // 10)
    iwdg.write(0x00, 4, 0xAAAA)
    bus.advance(HZ * 9 // 10)
    state = iwdg.save()
    assert bus.resets == 0
    bus.advance(HZ // 5)
    assert bus.resets == 1
    rcc.reset()
    assert rcc.read(0x74, 4) >> 29 & 1
    iwdg.reset()
    bus.advance(2 * HZ)
    assert bus.resets == 1
    iwdg.load(state)
    bus.advance(HZ // 20)
    assert bus.resets == 1
    bus.advance(HZ // 10)
    assert bus.resets == 2


def test_rng_is_ready_while_enabled(bus: BenchBus) -> None:
    rng = bus.attach(stm32f4_io.Rng(bus, settings("stm32-rng", seed=3)))
    assert (rng.read(0x04, 4), rng.read(0x08, 4)) == (0, 0)
    rng.write(0x00, 4, 4)
    first = [rng.read(0x08, 4) for _ in range(100)]
    assert (rng.read(0x04, 4), len(set(first))) == (1, 100)
    rng.power_on()
    rng.reset()
    rng.write(0x00, 4, 4)
    assert [rng.read(0x08, 4) for _ in range(100)] == first
