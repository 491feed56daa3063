"""`brownout run`: a device on the desk."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brownout.board import load_board
from brownout.cli.options import board_option, engine_option, listeners_option, platform_option
from brownout.device import Device
from brownout.engines.base import PowerState
from brownout.errors import BrownoutError, CutNotFired, ReplayError
from brownout.files import read_file, write_atomic
from brownout.power import Cut, Replay, parse_cut, parse_replay
from brownout.reference import reference_conditions
from brownout.uplink import parse_address
from fieldlink.cli.program import EXIT_DONE, EXIT_INTERRUPTED

if TYPE_CHECKING:
    from brownout.board import Board

_STEP_S = 0.2


@click.command("run")
@click.option("--boot", type=click.Path(path_type=Path), required=True, help="ELF file for the board's ROM.")
@click.option(
    "--flash", "flash_file", type=click.Path(path_type=Path), help="Flash image (default: all erased)."
)
@click.option("--save", type=click.Path(path_type=Path), help="File for the flash image at the end.")
@click.option("--uplink", help="HOST:PORT of the server that the uplink UART is connected with.")
@click.option("--seed", type=int, help="Where everything random comes from (default: drawn and printed).")
@click.option(
    "--cut", "cuts", multiple=True, help="Power cut, such as op=17/torn/random; the power comes back."
)
@click.option("--replay", help="Replay id of an earlier run: its board, engine, seed and cuts.")
@click.option("--timeout", type=click.FloatRange(min=0), help="End this many seconds after power-on.")
@click.option(
    "--evidence", type=click.Path(path_type=Path), help="Folder for logs and flash image at the end."
)
@engine_option
@listeners_option
@board_option
@platform_option
def run_command(
    boot: Path,
    flash_file: Path | None,
    save: Path | None,
    uplink: str | None,
    seed: int | None,
    cuts: tuple[str, ...],
    replay: str | None,
    timeout: float | None,
    evidence: Path | None,
    engine: str | None,
    board: str,
    platform: Path | None,
) -> int:
    """Power a device on and show its console until Ctrl-C.

    Several --cut come one after the other; each is armed when the power is on again after the one before. A
    cut that has not fired at the end is an error.

    \b
    Examples:
      brownout run --boot build/boot.elf --flash build/flash.bin
      brownout run --boot boot.elf --flash flash.bin --seed 7 --cut region=kernel.erase#3/torn --timeout 10
      brownout run --boot boot.elf --engine renode
    """
    plan = _plan(replay, board, engine, seed, cuts)
    loaded = load_board(plan.board, platform)
    image = read_file(flash_file, "a flash image") if flash_file is not None else None
    if image is not None and len(image) != loaded.flash.size:
        raise BrownoutError(
            f"{flash_file}: {len(image)} bytes, expected {loaded.flash.size}, the whole flash array"
        )
    address = parse_address(uplink) if uplink is not None else None
    status = EXIT_DONE
    with _device(loaded, boot, plan) as device:
        if image is not None:
            device.load(image)
        if address is not None:
            device.attach_uplink(address, capture=evidence is not None)
        click.echo(
            f"replay {Replay(board=plan.board, engine=plan.engine, seed=device.seed, cuts=plan.cuts)}",
            err=True,
        )
        device.console.add_sink(_show)
        try:
            _run(device, plan.power_cuts, timeout)
        except KeyboardInterrupt:
            status = EXIT_INTERRUPTED
            click.echo("interrupted", err=True)
        finally:
            device.cut_power()
            if evidence is not None:
                device.save_evidence(evidence)
            if save is not None:
                write_atomic(save, device.flash.image())
        device.check()
    return status


def _plan(
    replay: str | None, board: str, engine: str | None, seed: int | None, cuts: tuple[str, ...]
) -> Replay:
    if replay is None:
        parsed = tuple(parse_cut(cut) for cut in cuts)
        drawn = Replay.new_seed() if seed is None else seed
        return Replay(board=board, engine=engine or "qemu", seed=drawn, cuts=parsed)
    if cuts or seed is not None or engine is not None:
        raise ReplayError(
            "--replay: holds seed and cuts already, and the engine; leave out --seed, --cut and --engine"
        )
    return parse_replay(replay)


def _device(board: Board, boot: Path, plan: Replay) -> Device:
    return Device(board, boot, engine=plan.engine, seed=plan.seed, conditions=reference_conditions(board))


def _run(device: Device, cuts: tuple[Cut, ...], timeout: float | None) -> None:
    waiting = list(cuts)
    armed = device.arm_cut(waiting.pop(0)) if waiting else None
    device.power_on()
    # From here on: some emulators take seconds to start.
    deadline = None if timeout is None else time.monotonic() + timeout
    while deadline is None or time.monotonic() < deadline:
        if device.engine.state is PowerState.ON:
            left = _STEP_S if deadline is None else max(0.0, min(_STEP_S, deadline - time.monotonic()))
            device.engine.wait_state(PowerState.OFF, left)
            continue
        device.engine.raise_for_failure()
        armed = device.arm_cut(waiting.pop(0)) if waiting else None
        device.power_on()
    if waiting or (armed is not None and armed.fired is None):
        missing = waiting[0] if armed is None or armed.fired is not None else armed.cut
        raise CutNotFired(f"cut {missing}: did not fire within {timeout} s: is the trigger ever reached?")


def _show(data: bytes) -> None:
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
