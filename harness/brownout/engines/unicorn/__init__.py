"""The in-process engine: a microcontroller on Unicorn, for sweeps of thousands of power cuts."""

from brownout.engines.unicorn.core import Registers
from brownout.engines.unicorn.machine import Machine, create_machine
from brownout.engines.unicorn.state import MachineState

__all__ = ["Machine", "MachineState", "Registers", "create_machine"]
