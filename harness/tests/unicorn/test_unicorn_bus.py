"""What a peripheral may ask of the machine: ticks, interrupts, DMA, resets, operations, refused accesses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from brownout.engines.unicorn.interface import AccessFaultError, StopKind
from brownout.engines.unicorn.peripherals import registry
from brownout.flash import Erase

from .conftest import FLASH, RAM

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus

    from .conftest import MakeRig

OPERATIONS, TICK, RESET, REFUSE, DMA = range(0, 20, 4)


class Busybody:
    """In the place of the UART: each register does one thing."""

    made: Busybody

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        del settings
        self.bus = bus
        self.ticks: list[tuple[int, str]] = []
        type(self).made = self

    def reset(self) -> None: ...

    def read(self, offset: int, size: int) -> int:
        del size
        if offset == REFUSE:
            raise AccessFaultError("not now")
        return len(self.ticks)

    def write(self, offset: int, size: int, value: int) -> None:
        del size
        if offset == OPERATIONS:
            for number in range(value):
                self.bus.operate(Erase(offset=0x1000 * number, length=0x1000))
        elif offset == TICK:
            self.bus.at(self.bus.now + value, "go")
        elif offset == RESET:
            self.bus.request_reset()
        elif offset == DMA:
            self.bus.write_memory(RAM + 0x100, self.bus.read_memory(RAM, value))
        else:
            raise AccessFaultError("never")

    def tick(self, action: str) -> None:
        self.ticks.append((self.bus.now, action))
        self.bus.set_irq(3, True)
        self.bus.set_irq(3, False)

    def save(self) -> object:
        return len(self.ticks)

    def load(self, state: object) -> None: ...


@pytest.fixture(autouse=True)
def busybody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(registry.PERIPHERALS, "cmsdk-uart", Busybody)  # type: ignore[arg-type]


SLEEPER = """
function reset
    set 0xe000e100, 8
    set 0x40004004, 5000
    wfi
    movs r0, #1
    put 0, r0
    b .
function irq3
    put 4, lr
    bx lr
"""


def test_a_tick_comes_in_time_and_wakes(make_rig: MakeRig) -> None:
    rig = make_rig(SLEEPER)
    stop = rig.run()
    assert stop.kind is StopKind.SPIN
    assert rig.words(2) == [1, 0xFFFFFFF9]
    ((time, action),) = Busybody.made.ticks
    assert action == "go"
    assert 5000 < time < 5020
    assert time < stop.time < time + 20


@pytest.mark.parametrize("how", ["power", "reset"])
def test_ticks_that_were_asked_for_before_a_reset_do_not_come(make_rig: MakeRig, how: str) -> None:
    rig = make_rig("function reset\n set 0x40004004, 5000\n1: nop\n b 1b\n")
    rig.run(100)
    (rig.power_on if how == "power" else rig.machine.reset)()
    rig.run(6000)
    assert len(Busybody.made.ticks) == 1


def test_no_operation_is_carried_out_after_the_one_that_lost_the_power(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n set 0x40004000, 3\n b .\n")
    rig.run()
    assert len(rig.port.operations) == 3
    rig.port.operations.clear()
    rig.port.lose_power_at = 1
    rig.power_on()
    assert rig.run().kind is StopKind.POWER_LOST
    assert len(rig.port.operations) == 1


def test_a_peripheral_can_reset_the_core(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n set 0x40004008, 1\n b .\n")
    assert rig.run().kind is StopKind.RESET
    assert rig.machine.resets == 1


@pytest.mark.parametrize("access", ["ldr", "str"])
def test_a_refused_access_is_a_precise_bus_fault(make_rig: MakeRig, access: str) -> None:
    rig = make_rig(
        f"function reset\n ldr r0, =0x4000400c\nhere: {access} r1, [r0]\n b .\nfunction hard\n b .\n"
    )
    stop = rig.run()
    assert stop.kind is StopKind.FAULT
    assert (
        f"refused ({'not now' if access == 'ldr' else 'never'}) at {rig.symbols['here']:#010x}" in stop.detail
    )
    assert "CFSR 0x00008200" in stop.detail
    assert int.from_bytes(rig.machine.read(0x20008000 - 8, 4), "little") == rig.symbols["here"]


def test_dma_reaches_ram_only(make_rig: MakeRig) -> None:
    rig = make_rig("function reset\n set RAM, 0x12345678\n set 0x40004010, 4\n b .\n")
    rig.run()
    assert rig.word(0x100) == 0x12345678
    for address in (0, FLASH, 0x30000000):
        with pytest.raises(LookupError):
            Busybody.made.bus.write_memory(address, b"x")
    with pytest.raises(LookupError, match="no memory at 0x30000000"):
        Busybody.made.bus.read_memory(0x30000000, 1)


def test_an_unaligned_store_comes_to_the_controller_in_bytes_only(
    make_rig: MakeRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = make_rig("function reset\n ldr r0, =0x21000101\n ldr r1, =0x44332211\n str r1, [r0]\n b .\n")
    stores: list[tuple[int, int, int]] = []

    class Recorder:
        def store(self, offset: int, size: int, value: int) -> None:
            stores.append((offset, size, value))

    monkeypatch.setattr(rig.machine._services, "controller", Recorder())
    rig.run()
    assert stores == [(0x101, 1, 0x11), (0x102, 1, 0x22), (0x103, 1, 0x33), (0x104, 1, 0x44)]
