"""Peripherals of the nRF52840, as start-up code and drivers use them."""

from __future__ import annotations

import pytest

from brownout.board import PeripheralSettings, load_board
from brownout.engines.unicorn.bench_bus import BenchBus
from brownout.engines.unicorn.peripherals import nrf52_system as system
from brownout.engines.unicorn.peripherals.nrf52_base import NordicStorage
from brownout.engines.unicorn.peripherals.nrf52_gpio import Gpio
from brownout.engines.unicorn.peripherals.nrf52_ppi import Ppi
from brownout.engines.unicorn.peripherals.nrf52_timers import Rtc, Timer
from brownout.engines.unicorn.peripherals.nrf52_uart import Uarte

BOARD = load_board("nrf52840-dk")
HZ = 64_000_000
EVENTS, INTENSET, INTENCLR, SHORTS = 0x100, 0x304, 0x308, 0x200
CC, COMPARE0 = 0x540, 0x140


def settings(
    kind: str, *, irq: int | None = None, base: int = 0x4000_0000, **options: int
) -> PeripheralSettings:
    return PeripheralSettings(kind=kind, base=base, irq=irq, options=options)


@pytest.fixture
def bus() -> BenchBus:
    return BenchBus(clock_hz=HZ)


def test_ficr_tells_the_chip_and_cannot_be_written(bus: BenchBus) -> None:
    ficr = bus.attach(system.Ficr(bus, settings("nrf52-ficr", device_id=0x1122334455667788, at_404=0x320)))
    ficr.write(0x10, 4, 0)
    words = {offset: ficr.read(offset, 4) for offset in (0x10, 0x14, 0x60, 0x64, 0xA0, 0x100, 0x404, 0x50)}
    assert words == {
        0x10: 0x1000,
        0x14: 0x100,
        0x60: 0x55667788,
        0x64: 0x11223344,
        0xA0: 1,
        0x100: 0x52840,
        0x404: 0x320,
        0x50: 0xFFFFFFFF,
    }


def test_oscillators_start_at_once(bus: BenchBus) -> None:
    clock = bus.attach(system.ClockPower(bus, settings("nrf52-clock-power", irq=0)))
    clock.write(0x518, 4, 1)
    clock.write(INTENSET, 4, 2)
    clock.write(0x00, 4, 1)
    assert (clock.read(0x100, 4), clock.read(0x40C, 4), bus.irqs) == (1, 0x10001, {})
    clock.write(0x08, 4, 1)
    assert (clock.read(0x104, 4), clock.read(0x418, 4), clock.read(0x41C, 4)) == (1, 0x10001, 1)
    assert (clock.read(0x414, 4), bus.irqs) == (1, {0: True})
    clock.write(0x104, 4, 0)
    assert bus.irqs == {0: False}
    clock.write(0x0C, 4, 1)
    clock.write(0x04, 4, 1)
    assert (clock.read(0x418, 4), clock.read(0x40C, 4)) == (0, 0x10000)
    clock.write(0x10, 4, 1)
    assert clock.read(0x10C, 4) == 1


def test_power_keeps_its_retention_registers_over_a_reset(bus: BenchBus) -> None:
    power = bus.attach(system.ClockPower(bus, settings("nrf52-clock-power", irq=0)))
    assert power.read(0x400, 4) == 0
    power.write(0x51C, 4, 0xB1)
    power.write(0x578, 4, 1)
    power.reset()
    assert (power.read(0x51C, 4), power.read(0x578, 4), power.read(0x400, 4)) == (0xB1, 0, 4)
    power.blame_watchdog()
    state = power.save()
    power.reset()
    assert power.read(0x400, 4) == 6
    power.write(0x400, 4, 4)
    assert power.read(0x400, 4) == 2
    power.load(state)
    power.reset()
    assert power.read(0x400, 4) == 6
    power.power_on()
    power.reset()
    assert (power.read(0x51C, 4), power.read(0x400, 4)) == (0, 0)


def test_ram_power_is_set_and_cleared(bus: BenchBus) -> None:
    power = bus.attach(system.ClockPower(bus, settings("nrf52-clock-power")))
    power.write(0x918, 4, 0x00FF)
    power.write(0x914, 4, 0x000F)
    assert [power.read(offset, 4) for offset in (0x910, 0x914, 0x918, 0x920)] == [0xFF0F] * 3 + [0xFFFF]


def test_rtc_counts_virtual_time_and_wakes_for_a_compare(bus: BenchBus) -> None:
    rtc = bus.attach(Rtc(bus, settings("nrf52-rtc", irq=11)))
    rtc.write(0x508, 4, 32)
    rtc.write(CC, 4, 10)
    rtc.write(INTENSET, 4, 1 << 16)
    rtc.write(0x00, 4, 1)
    step = HZ * 33 / 32768
    bus.advance(int(step * 9.5))
    assert (rtc.read(0x504, 4), rtc.read(COMPARE0, 4), bus.irqs) == (9, 0, {})
    bus.advance(int(step))
    assert bus.irqs == {11: True}, "woken, not only noticed at the next look"
    assert (rtc.read(0x504, 4), rtc.read(COMPARE0, 4)) == (10, 1)
    rtc.write(0x508, 4, 0)
    bus.advance(int(step))
    assert (rtc.read(0x504, 4), rtc.read(0x508, 4)) == (11, 32), "PRESCALER is taken while it stands"
    rtc.write(0x04, 4, 1)
    bus.advance(HZ)
    assert rtc.read(0x504, 4) == 11
    rtc.write(0x08, 4, 1)
    assert rtc.read(0x504, 4) == 0


def test_rtc_makes_events_only_where_asked(bus: BenchBus) -> None:
    rtc = bus.attach(Rtc(bus, settings("nrf52-rtc")))
    rtc.write(CC + 4, 4, 5)
    rtc.write(0x00, 4, 1)
    bus.advance(HZ)
    assert rtc.read(COMPARE0 + 4, 4) == 0
    rtc.write(0x08, 4, 1)
    rtc.write(0x344, 4, 2 << 16 | 1)
    bus.advance(HZ)
    assert (rtc.read(COMPARE0 + 4, 4), rtc.read(0x100, 4), rtc.read(0x340, 4)) == (1, 1, 0x20001)
    rtc.write(0x348, 4, 2 << 16)
    assert rtc.read(0x340, 4) == 1


def test_rtc_overflows(bus: BenchBus) -> None:
    rtc = bus.attach(Rtc(bus, settings("nrf52-rtc", irq=11)))
    rtc.write(INTENSET, 4, 2)
    rtc.write(0x00, 4, 1)
    rtc.write(0x0C, 4, 1)
    assert rtc.read(0x504, 4) == 0xFFFFF0
    bus.advance(HZ * 16 // 32768 - 1)
    assert bus.irqs == {}
    bus.advance(1)
    assert (bus.irqs, rtc.read(0x504, 4), rtc.read(0x104, 4)) == ({11: True}, 0, 1)


def test_rtc_goes_on_from_a_saved_state_at_any_time(bus: BenchBus) -> None:
    rtc = bus.attach(Rtc(bus, settings("nrf52-rtc", irq=11)))
    rtc.write(CC, 4, 3)
    rtc.write(INTENSET, 4, 1 << 16)
    rtc.write(0x00, 4, 1)
    bus.advance(HZ * 2 // 32768 + 100)
    state = rtc.save()
    bus.advance(HZ)
    rtc.write(COMPARE0, 4, 0)
    assert rtc.save() != state
    rtc.load(state)
    assert rtc.save() == state
    bus.advance(3 * HZ // 32768 - (2 * HZ // 32768 + 100))
    assert not bus.irqs[11]
    bus.advance(1)
    assert bus.irqs[11]


def test_timer_counts_captures_and_repeats(bus: BenchBus) -> None:
    timer = bus.attach(Timer(bus, settings("nrf52-timer", irq=8)))
    timer.write(0x508, 4, 3)
    timer.write(CC, 4, 1000)
    timer.write(CC + 4, 4, 300)
    timer.write(SHORTS, 4, 1)
    timer.write(INTENSET, 4, 1 << 16)
    timer.write(0x00, 4, 1)
    bus.advance(64 * 999)
    timer.write(0x48, 4, 1)
    assert (timer.read(CC + 8, 4), bus.irqs, timer.read(COMPARE0 + 4, 4)) == (999, {}, 1)
    bus.advance(64)
    assert bus.irqs == {8: True}
    timer.write(COMPARE0, 4, 0)
    timer.write(COMPARE0 + 4, 4, 0)
    bus.advance(64 * 2500)
    timer.write(0x48, 4, 1)
    assert (timer.read(CC + 8, 4), bus.irqs, timer.read(COMPARE0 + 4, 4)) == (500, {8: True}, 1)


def test_timer_makes_the_events_of_periods_that_nobody_looked_at(bus: BenchBus) -> None:
    timer = bus.attach(Timer(bus, settings("nrf52-timer")))
    timer.write(CC, 4, 1000)
    timer.write(CC + 4, 4, 300)
    timer.write(SHORTS, 4, 1)
    timer.write(0x00, 4, 1)
    bus.advance(64 * 500)
    timer.write(COMPARE0 + 4, 4, 0)
    bus.advance(64 * 1600)
    timer.write(0x48, 4, 1)
    # Count 300 was reached in the second period, and not yet in the third.
    assert (timer.read(CC + 8, 4), timer.read(COMPARE0, 4), timer.read(COMPARE0 + 4, 4)) == (100, 1, 1)


def test_timer_counter_mode_width_and_stop(bus: BenchBus) -> None:
    timer = bus.attach(Timer(bus, settings("nrf52-timer")))
    timer.write(0x504, 4, 1)
    timer.write(0x508, 4, 1)
    timer.write(CC, 4, 3)
    for _ in range(259):
        timer.write(0x08, 4, 1)
    timer.write(0x44, 4, 1)
    assert (timer.read(CC + 4, 4), timer.read(COMPARE0, 4)) == (3, 1)
    timer.write(0x504, 4, 0)
    timer.write(0x508, 4, 3)
    timer.write(0x510, 4, 0)
    timer.write(0x0C, 4, 1)
    timer.write(CC, 4, 100)
    timer.write(SHORTS, 4, 1 << 8)
    timer.write(0x00, 4, 1)
    bus.advance(HZ)
    timer.write(0x44, 4, 1)
    assert timer.read(CC + 4, 4) == 100


def test_uarte_sends_and_receives_by_dma(bus: BenchBus) -> None:
    uart = bus.attach(Uarte(bus, settings("nrf52-uarte", irq=2)))
    uart.write(0x500, 4, 8)
    bus.write_memory(0x20000000, b"hello")
    uart.write(0x544, 4, 0x20000000)
    uart.write(0x548, 4, 5)
    uart.write(INTENSET, 4, 1 << 8)
    uart.write(0x08, 4, 1)
    assert (uart.sent, uart.read(0x120, 4), uart.read(0x54C, 4), bus.irqs) == (b"hello", 1, 5, {2: True})
    uart.write(0x534, 4, 0x20000100)
    uart.write(0x538, 4, 3)
    uart.write(SHORTS, 4, 1 << 5)
    uart.write(0x00, 4, 1)
    uart.write(0x534, 4, 0x20000200)
    uart.feed(b"abcd")
    assert bus.read_memory(0x20000100, 3) == b"abc"
    assert bus.read_memory(0x20000200, 1) == b"d"
    assert (uart.read(0x110, 4), uart.read(0x53C, 4), uart.read(0x14C, 4)) == (1, 3, 1)
    state = uart.save()
    uart.write(0x04, 4, 1)
    assert (uart.read(0x53C, 4), uart.read(0x144, 4)) == (1, 1)
    uart.load(state)
    uart.feed(b"ef")
    assert bus.read_memory(0x20000200, 3) == b"def"


def test_uart_without_dma(bus: BenchBus) -> None:
    uart = bus.attach(Uarte(bus, settings("nrf52-uarte", irq=2)))
    uart.write(0x500, 4, 4)
    uart.write(0x51C, 4, ord("x"))
    assert uart.sent == b"", "not before STARTTX"
    uart.write(0x08, 4, 1)
    uart.write(0x51C, 4, ord("y"))
    assert (uart.sent, uart.read(0x11C, 4)) == (b"y", 1)
    uart.feed(b"ab")
    uart.write(0x00, 4, 1)
    assert (uart.read(0x108, 4), uart.read(0x518, 4)) == (1, ord("a"))
    uart.write(0x108, 4, 0)
    assert (uart.read(0x108, 4), uart.read(0x518, 4)) == (1, ord("b"))
    uart.write(0x108, 4, 0)
    assert uart.read(0x108, 4) == 0


def test_gpio_buttons_are_not_pressed(bus: BenchBus) -> None:
    gpio = bus.attach(Gpio(bus, settings("nrf52-gpio", low_p1=1 << 8)))
    assert gpio.read(0x700, 4) == 2
    gpio.write(0x700 + 4 * 11, 4, 3 << 2)
    gpio.write(0x700 + 4 * 12, 4, 1 << 2)
    level = gpio.read(0x510, 4)
    assert (level >> 11 & 1, level >> 12 & 1, gpio.read(0x810, 4)) == (1, 0, 0xFEFF)
    gpio.write(0x518, 4, 1 << 13)
    gpio.write(0xA00, 4, 1)
    gpio.write(0x808, 4, 1)
    assert (gpio.read(0x510, 4) >> 13 & 1, gpio.read(0x700 + 4 * 13, 4), gpio.read(0x814, 4)) == (0, 3, 1)
    gpio.write(0x508, 4, 1 << 13)
    assert (gpio.read(0x510, 4) >> 13 & 1, gpio.read(0x504, 4), gpio.read(0x804, 4)) == (1, 1 << 13, 1)
    state = gpio.save()
    gpio.reset()
    assert gpio.read(0x504, 4) == 0
    gpio.load(state)
    assert gpio.read(0x504, 4) == 1 << 13


def watchdog(bus: BenchBus, **registers: int) -> system.Watchdog:
    wdt = bus.attach(system.Watchdog(bus, settings("nrf52-wdt", irq=16)))
    wdt.write(0x504, 4, 32767)
    for name, value in registers.items():
        wdt.write(int(name[1:], 16), 4, value)
    wdt.write(0x00, 4, 1)
    return wdt


def test_watchdog_resets_and_says_so(bus: BenchBus) -> None:
    power = bus.attach(system.ClockPower(bus, settings("nrf52-clock-power")))
    wdt = watchdog(bus, _304=1)
    assert (wdt.read(0x400, 4), wdt.read(0x404, 4)) == (1, 1)
    bus.advance(HZ - 3 * HZ // 32768)
    assert bus.irqs == {}
    bus.advance(2 * HZ // 32768)
    assert (bus.irqs, bus.resets) == ({16: True}, 0)
    bus.advance(HZ // 32768 + 1)
    assert bus.resets == 1
    power.reset()
    wdt.reset()
    assert (power.read(0x400, 4), wdt.read(0x400, 4)) == (2, 0)


def test_watchdog_is_reloaded_by_all_its_channels_and_outlives_a_reset(bus: BenchBus) -> None:
    wdt = watchdog(bus, _508=3)
    wdt.write(0x504, 4, 1)
    bus.advance(HZ * 9 // 10)
    wdt.write(0x600, 4, 0x6E524635)
    assert wdt.read(0x404, 4) == 2
    wdt.write(0x604, 4, 0x12345678)
    wdt.write(0x604, 4, 0x6E524635)
    assert wdt.read(0x404, 4) == 3
    bus.advance(HZ * 9 // 10)
    wdt.write(0x600, 4, 0x6E524635)
    bus.reset()
    state = wdt.save()
    assert bus.resets == 0
    bus.advance(HZ // 5)
    assert bus.resets == 1
    wdt.load(state)
    bus.advance(HZ // 20)
    assert bus.resets == 1
    bus.advance(HZ // 10)
    assert bus.resets == 2


def test_rng_is_seeded_and_stops(bus: BenchBus) -> None:
    def draw(seed: int, count: int) -> list[int]:
        rng = bus.attach(system.Rng(bus, settings("nrf52-rng", seed=seed)))
        rng.write(0x00, 4, 1)
        drawn = []
        for _ in range(count):
            assert rng.read(0x100, 4) == 1
            drawn.append(rng.read(0x508, 4))
            rng.write(0x100, 4, 0)
        return drawn

    assert draw(1, 300) == draw(1, 300)
    assert draw(1, 300) != draw(2, 300)
    assert len(set(draw(1, 300))) > 100
    rng = bus.attach(system.Rng(bus, settings("nrf52-rng")))
    rng.write(SHORTS, 4, 1)
    rng.write(0x00, 4, 1)
    rng.write(0x100, 4, 0)
    assert rng.read(0x100, 4) == 0


def test_temp_and_egu(bus: BenchBus) -> None:
    temp = bus.attach(system.Temp(bus, settings("nrf52-temp", quarter_degrees=84)))
    temp.write(0x00, 4, 1)
    assert (temp.read(0x100, 4), temp.read(0x508, 4)) == (1, 84)
    egu = bus.attach(system.Egu(bus, settings("nrf52-egu", irq=20)))
    egu.write(INTENSET, 4, 1 << 5)
    egu.write(0x14, 4, 1)
    assert (egu.read(0x114, 4), bus.irqs) == (1, {20: True})
    egu.write(INTENCLR, 4, 1 << 5)
    assert bus.irqs == {20: False}


def test_storage_sets_and_clears_through_other_registers(bus: BenchBus) -> None:
    ppi = bus.attach(NordicStorage(bus, settings("nrf52-storage", set_504=0x500, clear_508=0x500, at_510=7)))
    ppi.write(0x504, 4, 0b110)
    ppi.write(0x508, 4, 0b010)
    assert [ppi.read(offset, 4) for offset in (0x500, 0x504, 0x508, 0x510)] == [4, 4, 4, 7]
    ppi.write(0x513, 1, 0xAA)
    assert (ppi.read(0x510, 4), ppi.read(0x512, 2)) == (0xAA000007, 0xAA00)


@pytest.mark.parametrize("kind", [Rtc, Timer])
def test_an_interrupt_that_is_due_when_the_state_is_saved_is_not_lost(
    bus: BenchBus, kind: type[Rtc] | type[Timer]
) -> None:
    timer = bus.attach(kind(bus, settings("timer", irq=11)))
    timer.write(CC, 4, 3)
    timer.write(INTENSET, 4, 1 << 16)
    timer.write(0x00, 4, 1)
    bus.now += HZ // 100  # past the compare, before the machine comes to wake anybody
    state = timer.save()
    assert bus.irqs == {}, "saving changes nothing"
    timer.reset()
    timer.load(state)
    assert timer.save() == state
    bus.advance(0)
    assert bus.irqs == {11: True}


def test_ppi_stops_a_uart_at_the_end_of_a_buffer(bus: BenchBus) -> None:
    """What Zephyr's driver needs to print: ENDTX starts STOPTX, TXSTOPPED is what it waits for."""
    ppi = bus.attach(Ppi(bus, settings("nrf52-ppi", base=0x4001_F000)))
    uart = bus.attach(Uarte(bus, settings("nrf52-uarte", base=0x4000_2000)))
    uart.write(0x500, 4, 8)
    ppi.write(0x510, 4, 0x4000_2120)
    ppi.write(0x514, 4, 0x4000_200C)
    uart.write(0x08, 4, 1)
    assert uart.read(0x158, 4) == 0, "the channel is not enabled"
    ppi.write(0x504, 4, 1)
    state = ppi.save()
    uart.write(0x08, 4, 1)
    assert uart.read(0x158, 4) == 1
    uart.write(0x158, 4, 0)
    ppi.write(0x508, 4, 1)
    assert [ppi.read(offset, 4) for offset in (0x500, 0x504, 0x508)] == [0, 0, 0]
    uart.write(0x08, 4, 1)
    assert uart.read(0x158, 4) == 0
    ppi.load(state)
    uart.write(0x08, 4, 1)
    assert uart.read(0x158, 4) == 1


def test_ppi_wakes_a_timer_and_forks(bus: BenchBus) -> None:
    ppi = bus.attach(Ppi(bus, settings("nrf52-ppi", base=0x4001_F000)))
    egus = [
        bus.attach(system.Egu(bus, settings("nrf52-egu", base=0x4001_4000 + 0x1000 * n, irq=20 + n)))
        for n in range(2)
    ]
    for egu in egus:
        egu.write(INTENSET, 4, 1)
    rtc = bus.attach(Rtc(bus, settings("nrf52-rtc", base=0x4000_B000)))
    rtc.write(CC, 4, 5)
    rtc.write(0x344, 4, 1 << 16)
    rtc.write(0x00, 4, 1)
    ppi.write(0x510 + 8, 4, 0x4000_B140)
    ppi.write(0x514 + 8, 4, 0x4001_4000)
    ppi.write(0x914, 4, 0x4001_5000)
    ppi.write(0x804, 4, 2)
    ppi.write(0x008, 4, 1)
    assert ppi.read(0x500, 4) == 2
    bus.advance(HZ * 6 // 32768)
    assert bus.irqs == {20: True, 21: True}
    ppi.write(0x00C, 4, 1)
    assert ppi.read(0x500, 4) == 0
    ppi.reset()
    assert ppi.read(0x510 + 8, 4) == 0
