"""`brownout board up`: a board with servers, ready to attach to, until Ctrl-C."""

from __future__ import annotations

import json
import shutil
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brownout.board import load_board
from brownout.cli.options import complete_board, engine_option, json_option, listeners_option
from brownout.engines.factory import TITLES, engine_problem
from brownout.errors import BrownoutError, EngineError
from brownout.lab import FirmwareBuilds, Lab
from fieldlink.errors import FieldlinkError
from fieldlink.gateway import CheckReceived

if TYPE_CHECKING:
    from brownout.lab import DebugKit

_CLIENT = "me"
_CHECK_TIMEOUT_S = 20.0
_WATCH_S = 0.5


@click.command("up")
@click.argument("name", shell_complete=complete_board)
@click.option("--devices", default=1, type=click.IntRange(1, 8), help="How many boards.  [default: 1]")
@click.option(
    "--firmware", type=click.Path(path_type=Path), help="Folder of builds (default: build/firmware)."
)
@click.option("--seed", type=int, help="Where everything random in the devices comes from (default: drawn).")
@click.option("--timeout", type=click.FloatRange(min=0), help="End after this many seconds.")
@engine_option
@listeners_option
@json_option
def up_command(
    name: str,
    devices: int,
    firmware: Path | None,
    seed: int | None,
    timeout: float | None,
    engine: str | None,
    as_json: bool,
) -> None:
    """Start board NAME with an upgrade and debug server; Ctrl-C takes it all down.

    Prints everything that is needed to attach a debugger. Keys, store and profiles are in a temporary
    folder that goes when the command ends.

    \b
    Examples:
      brownout board up mps2-an385
      brownout board up mps2-an385 --devices 3 --json
      brownout board up mps2-an385 --engine renode
    """
    # What cannot work is an error before anything starts.
    wanted = engine or "qemu"
    problem = engine_problem(wanted, load_board(name))
    if problem:
        raise EngineError(problem)
    builds = FirmwareBuilds.find() if firmware is None else FirmwareBuilds(root=firmware.absolute())
    folder = Path(tempfile.mkdtemp(prefix="brownout-board-"))
    try:
        with Lab(folder, board=name, engine=wanted, builds=builds, seed=seed) as lab:
            kits = [_start(lab, f"dev-{number}") for number in range(1, devices + 1)]
            print(json.dumps(_facts(lab, kits)) if as_json else _words(lab, kits), flush=True)
            _watch(lab, timeout)
    except FieldlinkError as error:
        raise BrownoutError(str(error)) from error
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start(lab: Lab, device_id: str) -> DebugKit:
    unit = lab.add_unit(device_id)
    unit.boot()
    # The server can open debug sessions once it knows what the device runs.
    lab.server.wait_for(CheckReceived, device_id, timeout=_CHECK_TIMEOUT_S)
    return lab.add_debug_client(f"{_CLIENT}-{device_id}", device_id)


def _facts(lab: Lab, kits: list[DebugKit]) -> dict[str, object]:
    host, port = lab.server.address
    return {
        "board": lab.board.name,
        "engine": lab.engine,
        "server": f"{host}:{port}",
        "store": str(lab.folder / "store"),
        "seed": lab.seed,
        "devices": [
            {
                "device_id": kit.device_id,
                "profile": str(kit.profile),
                "elf": str(kit.elf),
                "attach": f"fieldlink debug {kit.device_id} --profile {kit.profile} --gdb",
            }
            for kit in kits
        ],
    }


def _words(lab: Lab, kits: list[DebugKit]) -> str:
    host, port = lab.server.address
    lines = [
        f"board {lab.board.name} is up on {TITLES[lab.engine]}, seed {lab.seed}",
        f"server {host}:{port}, store {lab.folder / 'store'}",
    ]
    for kit in kits:
        lines += [
            "",
            f"{kit.device_id}: release 1 runs. Attach GDB:",
            f"  fieldlink debug {kit.device_id} --profile {kit.profile} --gdb",
            "or look without it:",
            f"  fieldlink debug regs {kit.device_id} --profile {kit.profile}",
            f"  fieldlink debug log {kit.device_id} --profile {kit.profile}",
        ]
    return "\n".join([*lines, "", "Ctrl-C takes it all down."])


def _watch(lab: Lab, timeout: float | None) -> None:
    """Until Ctrl-C, or `timeout` seconds. Raises EngineError when an emulator ends by itself."""
    ended, left = threading.Event(), timeout
    while left is None or left > 0:
        ended.wait(_WATCH_S)
        left = None if left is None else left - _WATCH_S
        for unit in lab.units.values():
            unit.device.engine.raise_for_failure()
