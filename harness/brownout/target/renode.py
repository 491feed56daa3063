"""`[engine.renode]` of a target file: a machine of the user's own, held against the board."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from brownout.board import RenodeScript

if TYPE_CHECKING:
    from brownout.target.placing import Places
    from brownout.target.schema import TargetFile

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*")
_KINDS: Final = (".resc", ".repl")


def read_renode(places: Places, file: TargetFile) -> RenodeScript | None:
    """The machine of the user's own, None without one. Raises TargetError."""
    entry = file.engine.renode
    if entry is None:
        return None
    key, board = "engine.renode", places.board
    if board.flash.controller.kind != "reference":
        raise places.error(
            key,
            f"board '{board.name}': flash controller '{board.flash.controller.kind}', expected reference",
        )
    path = places.file(f"{key}.script", entry.script).absolute()
    if path.suffix not in _KINDS:
        raise places.error(
            f"{key}.script", f"{path}: expected a script ({_KINDS[0]}) or a platform ({_KINDS[1]})"
        )
    names = {"flash": entry.flash, "doorbell": entry.doorbell, "cpu": entry.cpu}
    names |= {f"uarts.{role}": name for role, name in entry.uarts.items()}
    for which, name in names.items():
        if not _NAME.fullmatch(name.removeprefix("sysbus.")):
            raise places.error(
                f"{key}.{which}", f"'{name}': expected the name of a peripheral, such as uart0"
            )
    roles = [role for role, uart in board.uart.items() if uart.base != board.flash.controller.doorbell]
    for role in entry.uarts:
        if role not in roles:
            raise places.error(
                f"{key}.uarts.{role}",
                f"board '{board.name}' has no such UART; it has {', '.join(roles) or 'none'}",
            )
    return RenodeScript(
        path=path,
        flash=entry.flash.removeprefix("sysbus."),
        doorbell=entry.doorbell.removeprefix("sysbus."),
        cpu=entry.cpu.removeprefix("sysbus."),
        uarts={role: name.removeprefix("sysbus.") for role, name in entry.uarts.items()},
    )
