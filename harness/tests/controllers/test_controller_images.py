"""Each flash controller on the real machine: bare-metal code erases, programs, reads back, is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

from brownout.engines.unicorn.interface import StopKind
from brownout.flash import Erase, Program, ViolationKind

if TYPE_CHECKING:
    from conftest import RigFactory


def test_nrf52840_comes_up_and_writes_its_flash(rig: RigFactory) -> None:
    nrf = rig("nrf52840-dk", "nvmc")
    nrf.power_on()
    stop = nrf.run_to_the_end()
    assert nrf.output == (
        "reset=0 pages=100 flash=8080808 rtc=21 "
        "reset=4 pages=100 gpregret=b1 customer=ffff1234 flash=1010101 exception=3 "
    )
    assert (stop.kind, nrf.machine.resets) == (StopKind.SPIN, 1)
    words = [Program(offset=0x40000 + 4 * n, data=bytes([n + 1]) * 4) for n in range(8)]
    assert nrf.port.operations == [Erase(offset=0x40000, length=0x1000), *words]
    assert bytes(nrf.machine.array) == bytes(nrf.port.model.shadow)
    assert nrf.port.model.violations == ()
    # The clock of the RTC is the virtual time's: 33 counts of 32768 Hz.
    assert stop.time > 33 * 64_000_000 // 32768


def test_nrf52840_does_the_same_again_after_a_power_loss(rig: RigFactory) -> None:
    nrf = rig("nrf52840-dk", "nvmc")
    nrf.power_on()
    first, output = nrf.run_to_the_end(), nrf.output
    nrf.port.model.power_off()
    nrf.power_on()
    assert (nrf.run_to_the_end(), nrf.output) == (first, output)


def test_stm32f407_writes_every_width(rig: RigFactory) -> None:
    f4 = rig("stm32f4-discovery", "stm32f4")
    f4.power_on()
    stop = f4.run_to_the_end()
    assert f4.output == (
        "reset=e status=40 status=0 "
        "flash=1234ff5a flash=89abcdef flash=89abcdef flash=1234567 flash=ffffffff "
        "reset=2e exception=3 "
    )
    assert (stop.kind, f4.machine.resets) == (StopKind.SPIN, 1)
    assert f4.port.operations == [
        Erase(offset=0x20000, length=0x20000),
        Program(offset=0x20000, data=b"\x5a"),
        Program(offset=0x20002, data=b"\x34\x12"),
        Program(offset=0x20004, data=bytes.fromhex("efcdab89")),
        Program(offset=0x20008, data=bytes.fromhex("efcdab8967452301")),
    ]
    assert bytes(f4.machine.array) == bytes(f4.port.model.shadow)


def test_stm32h743_writes_flash_words_once(rig: RigFactory) -> None:
    h7 = rig("stm32h7-nucleo", "stm32h7")
    h7.power_on()
    stop = h7.run_to_the_end()
    assert h7.output == (
        "status=0 again=4000000 disabled=4040000 cleared=0 flash=17 flash=77 flash=ffffffff "
    )
    assert stop.kind is StopKind.SPIN
    assert h7.port.operations == [
        Erase(offset=0x120000, length=0x20000),
        Program(offset=0x120000, data=b"".join((0x10 + n).to_bytes(4, "little") for n in range(8))),
        Program(offset=0x120020, data=b"\x77\0\0\0" + b"\xff" * 28),
        Program(offset=0x120000, data=b"".join(n.to_bytes(4, "little") for n in range(8))),
    ]
    assert [violation.kind for violation in h7.port.model.violations] == [ViolationKind.WRITE_ONCE]
    assert bytes(h7.machine.array) == bytes(h7.port.model.shadow)
