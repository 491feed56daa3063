"""Boards as data: `platform/<board>/board.toml`, its checks, and what is generated from it."""

from brownout.board.export import FORMATS, export_board, export_renode
from brownout.board.loader import find_platform, list_boards, load_board, load_board_file
from brownout.board.model import (
    Board,
    Controller,
    Cpu,
    Engines,
    FlashSettings,
    Memory,
    Module,
    PeripheralSettings,
    QemuSettings,
    Region,
    RenodeScript,
    RenodeSettings,
    Uart,
    UnicornSettings,
)
from brownout.board.validate import board_problems

__all__ = [
    "FORMATS",
    "Board",
    "Controller",
    "Cpu",
    "Engines",
    "FlashSettings",
    "Memory",
    "Module",
    "PeripheralSettings",
    "QemuSettings",
    "Region",
    "RenodeScript",
    "RenodeSettings",
    "Uart",
    "UnicornSettings",
    "board_problems",
    "export_board",
    "export_renode",
    "find_platform",
    "list_boards",
    "load_board",
    "load_board_file",
]
