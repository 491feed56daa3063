"""Engines that run a board's firmware: common interface here, one package for each engine."""

from brownout.engines.base import (
    Engine,
    PowerEvent,
    PowerEventKind,
    PowerListener,
    PowerProtocol,
    PowerState,
)
from brownout.engines.controller import FlashController, Ring

__all__ = [
    "Engine",
    "FlashController",
    "PowerEvent",
    "PowerEventKind",
    "PowerListener",
    "PowerProtocol",
    "PowerState",
    "Ring",
]
