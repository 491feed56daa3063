"""The Renode engine: one process for many power sessions, the flash's doorbell served over named pipes."""

from brownout.engines.renode.engine import RenodeEngine
from brownout.engines.renode.network import LISTENERS_VARIABLE
from brownout.engines.renode.process import find_renode

__all__ = ["LISTENERS_VARIABLE", "RenodeEngine", "find_renode"]
