"""Clocks, power and USART of the STM32H743 (RM0433), as far as start-up code looks at them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.peripherals.registers import Register, StorageBlock
from brownout.engines.unicorn.peripherals.stm32f4 import Rcc, ResetFlags
from brownout.engines.unicorn.peripherals.stm32f4_io import Usart

if TYPE_CHECKING:
    from brownout.board import PeripheralSettings
    from brownout.engines.unicorn.interface import Bus


class RccH7(Rcc):
    """Kind "stm32h7-rcc" (RM0433, section 8.7): oscillators and PLLs are ready as soon as they are on."""

    _TABLE: Final = {
        # CR: HSI (RDY two above ON), HSI's divider, CSI, HSI48, both domain clocks, HSE, PLL1..3.
        0x00: Register(
            reset=0xC025,
            writable=~0xE124 & 0xFFFF_FFFF,
            ready=((1, 2), (1 << 7, 1), (1 << 12, 1), *((1 << bit, 1) for bit in (16, 24, 26, 28))),
        ),
        0x04: Register(reset=0x4000_0000),  # HSICFGR
        0x10: Register(ready=((7, 3),)),  # CFGR: SWS follows SW
        0x28: Register(reset=0x0202_0200),  # PLLCKSELR
        0x2C: Register(reset=0x01FF_0000),  # PLLCFGR
        0x30: Register(reset=0x0101_0280),  # PLL1DIVR
        0x38: Register(reset=0x0101_0280),  # PLL2DIVR
        0x40: Register(reset=0x0101_0280),  # PLL3DIVR
        0x70: Register(ready=((1, 1),), retained=True),  # BDCR: LSE
        0x74: Register(ready=((1, 1),)),  # CSR: LSI
        0xD0: Register(reset=0x00FE_0000, writable=0, retained=True),  # RSR
    }
    _FLAGS: Final = ResetFlags(
        offset=0xD0,
        remove=1 << 16,
        software=1 << 24 | 1 << 22 | 1 << 17,
        watchdog=1 << 26 | 1 << 22 | 1 << 17,
        all=0xFFFE_0000,
    )

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        super().__init__(bus, settings, table=self._TABLE, flags=self._FLAGS)


class PwrH7(StorageBlock):
    """Kind "stm32h7-pwr" (RM0433, section 6.8): every voltage is ready at once."""

    _READY: Final = 1 << 13

    def __init__(self, bus: Bus, settings: PeripheralSettings) -> None:
        table = {
            0x00: Register(reset=0xF000_C000),  # CR1
            0x04: Register(reset=0x4000 | self._READY, writable=0),  # CSR1: ACTVOS, ACTVOSRDY
            0x0C: Register(reset=0x6),  # CR3
            0x18: Register(reset=0x4000 | self._READY, writable=~self._READY & 0xFFFF_FFFF),  # D3CR: VOSRDY
        }
        super().__init__(bus, settings, table=table)


class UsartH7(Usart):
    """Kind "stm32h7-usart" (RM0433, section 48.7): TEACK and REACK follow TE and RE while the USART is on."""

    flags_at = 0x1C
    receive_at = 0x24
    transmit_at = 0x28
    control_at = 0x00
    _CLEAR: Final = 0x20
    _REQUEST: Final = 0x18

    @property
    def flags(self) -> int:
        """The F4's flags, and the acknowledges."""
        control = self.peek(self.control_at)
        enabled = control & 1
        acknowledges = (control >> 3 & enabled) << 21 | (control >> 2 & enabled) << 22
        return super().flags | acknowledges

    def write_word(self, offset: int, value: int, lanes: int) -> None:
        """ICR clears flags; requests need nothing done."""
        if offset == self._CLEAR:
            self.clear_flags(value)
            self._update_irq()
        elif offset not in (self._REQUEST, self.flags_at):
            super().write_word(offset, value, lanes)
