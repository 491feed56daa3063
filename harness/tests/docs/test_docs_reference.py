"""The reference has every key that the code reads."""

from __future__ import annotations

import dataclasses

import pytest
from doc_blocks import ROOT

from brownout.board import Board, Engines, FlashSettings
from brownout.board.model import (
    Controller,
    Cpu,
    Memory,
    Module,
    PeripheralSettings,
    QemuSettings,
    Region,
    RenodeSettings,
    Uart,
    UnicornSettings,
)

TABLES = {
    "top": Board,
    "engine": Engines,
    "[cpu]": Cpu,
    "[memory.NAME]": Memory,
    "[flash]": FlashSettings,
    "[flash.regions.NAME]": Region,
    "[flash.controller]": Controller,
    "[uart.NAME]": Uart,
    "[peripheral.NAME]": PeripheralSettings,
    "[modules.NAME]": Module,
    "[engine.qemu]": QemuSettings,
    "[engine.unicorn]": UnicornSettings,
    "[engine.renode]": RenodeSettings,
}


@pytest.mark.parametrize("table", TABLES)
def test_board_files(table: str) -> None:
    page = (ROOT / "docs" / "reference" / "board-file.md").read_text(encoding="utf-8")
    for field in dataclasses.fields(TABLES[table]):
        forms = (
            f"`{field.name}`",
            f"`[{field.name}]`",
            f"`[{field.name}.",
            f"`[{table.strip('[]')}.{field.name}",
        )
        assert any(form in page for form in forms), f"{table}: {field.name}"
