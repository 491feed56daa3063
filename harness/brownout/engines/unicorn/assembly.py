"""Puts the peripherals and the flash controller of a board on the bus."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.engines.unicorn.interface import Preloaded, Serial
from brownout.engines.unicorn.kinds import kind_problems
from brownout.engines.unicorn.peripherals.registry import CONTROLLERS, PERIPHERALS
from brownout.errors import EngineError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.board import Board
    from brownout.engines.unicorn.bus import Fabric
    from brownout.engines.unicorn.interface import FlashControllerPeripheral

_CONTROLLER: Final = "flash.controller"
_DOORBELL_SIZE: Final = 0x100


class Assembly:
    """What board.toml asks for, made and mapped."""

    def __init__(self, board: Board, fabric: Fabric) -> None:
        """Raises EngineError: an unknown kind, two peripherals at one place."""
        for problem in kind_problems(board):
            raise EngineError(f"board '{board.name}': {problem}")
        self._board = board
        self._fabric = fabric
        controller = board.flash.controller
        self.controller: Final[FlashControllerPeripheral] = CONTROLLERS[controller.kind](
            fabric.port(_CONTROLLER), board.flash
        )
        base, size = controller.base, controller.size
        if controller.doorbell:
            base, size = controller.doorbell, _DOORBELL_SIZE
        self.controller_span: Final = (base, base + size - 1)
        """First and last address of the controller's registers."""
        fabric.add(_CONTROLLER, self.controller, base, size)
        for name, settings in board.peripheral.items():
            made = PERIPHERALS[settings.kind](fabric.port(name), settings)
            fabric.add(name, made, settings.base, settings.size)

    def serial(self, role: str) -> Serial:
        """The UART of a role of the board: the peripheral at its base. Raises EngineError: there is none."""
        uart = self._board.uart.get(role)
        found = self._fabric.span(uart.base) if uart is not None else None
        if found is None or not isinstance(found[2], Serial):
            raise EngineError(
                f"board '{self._board.name}': has no UART '{role}' for the in-process engine: "
                "add a [peripheral] at its base"
            )
        return found[2]

    def preload(self, rom: Sequence[tuple[int, bytes]]) -> list[tuple[int, bytes]]:
        """Give peripherals the ROM contents that are for them; return the rest. Raises EngineError."""
        rest = []
        for address, data in rom:
            found = self._fabric.span(address)
            if found is None:
                rest.append((address, data))
                continue
            start, end, peripheral = found
            if not isinstance(peripheral, Preloaded) or address + len(data) > end:
                raise EngineError(
                    f"{len(data)} bytes of ROM at {address:#x}: a peripheral is there that takes no image"
                )
            peripheral.preload(address - start, data)
        return rest
