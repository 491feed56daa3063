"""Kinds of peripherals and flash controllers, as board.toml names them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from brownout.engines.unicorn.controllers.nvmc import Nvmc
from brownout.engines.unicorn.controllers.reference import ReferenceController
from brownout.engines.unicorn.controllers.stm32f4 import Stm32F4Flash
from brownout.engines.unicorn.controllers.stm32h7 import Stm32H7Flash
from brownout.engines.unicorn.peripherals import (
    cmsdk_uart,
    nrf52_base,
    nrf52_gpio,
    nrf52_ppi,
    nrf52_system,
    nrf52_timers,
    nrf52_uart,
    registers,
    stm32f4,
    stm32f4_io,
    stm32h7,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from brownout.board import FlashSettings, PeripheralSettings
    from brownout.engines.unicorn.interface import Bus, ControllerBus, FlashControllerPeripheral, Peripheral


class PeripheralFactory(Protocol):
    """Makes a peripheral; usually its class."""

    def __call__(self, bus: Bus, settings: PeripheralSettings, /) -> Peripheral:
        """Make one."""


class ControllerFactory(Protocol):
    """Makes a flash controller; usually its class."""

    def __call__(self, bus: ControllerBus, flash: FlashSettings, /) -> FlashControllerPeripheral:
        """Make one."""


PERIPHERALS: Final[Mapping[str, PeripheralFactory]] = {
    "cmsdk-uart": cmsdk_uart.CmsdkUart,
    "nrf52-clock-power": nrf52_system.ClockPower,
    "nrf52-egu": nrf52_system.Egu,
    "nrf52-ficr": nrf52_system.Ficr,
    "nrf52-gpio": nrf52_gpio.Gpio,
    "nrf52-ppi": nrf52_ppi.Ppi,
    "nrf52-rng": nrf52_system.Rng,
    "nrf52-rtc": nrf52_timers.Rtc,
    "nrf52-storage": nrf52_base.NordicStorage,
    "nrf52-temp": nrf52_system.Temp,
    "nrf52-timer": nrf52_timers.Timer,
    "nrf52-uarte": nrf52_uart.Uarte,
    "nrf52-uicr": nrf52_system.Uicr,
    "nrf52-wdt": nrf52_system.Watchdog,
    "registers": registers.GenericRegisters,
    "stm32-crc": stm32f4.Crc,
    "stm32-gpio": stm32f4.Gpio,
    "stm32-iwdg": stm32f4_io.Iwdg,
    "stm32-rng": stm32f4_io.Rng,
    "stm32f4-pwr": stm32f4.PwrF4,
    "stm32f4-rcc": stm32f4.RccF4,
    "stm32f4-usart": stm32f4_io.Usart,
    "stm32h7-pwr": stm32h7.PwrH7,
    "stm32h7-rcc": stm32h7.RccH7,
    "stm32h7-usart": stm32h7.UsartH7,
}
CONTROLLERS: Final[Mapping[str, ControllerFactory]] = {
    "nrf52-nvmc": Nvmc,
    "reference": ReferenceController,
    "stm32f4-flash": Stm32F4Flash,
    "stm32h7-flash": Stm32H7Flash,
}
