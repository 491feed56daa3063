"""`brownout uplink`: the modem between a board's UART and the server."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from brownout.errors import UplinkError
from brownout.uplink import Modem, parse_address

if TYPE_CHECKING:
    from collections.abc import Callable

_WAIT_S = 1.0
_ONCE_TIMEOUT_S = 6.0
_STEP_S = 0.1


@click.command("uplink")
@click.option(
    "--port",
    required=True,
    help="The board's UART: /dev/ttyUSB0, or a pyserial URL such as socket://HOST:PORT.",
)
@click.option("--server", required=True, help="HOST:PORT of the server.")
@click.option(
    "--baud", type=click.IntRange(min=1), default=115200, show_default=True, help="Bits per second."
)
@click.option("--once", is_flag=True, help="End with an error when the server is unreachable or lost.")
@click.option(
    "--capture", type=click.Path(path_type=Path), help="File for all bytes with their times (JSON lines)."
)
def uplink_command(port: str, server: str, baud: int, once: bool, capture: Path | None) -> None:
    """Carry bytes between a board's UART and the server until Ctrl-C.

    An unreachable server is reported on standard error and tried again, with waits from 0.1 s up to 5 s; with
    --once it ends the command. A port that cannot be opened, or is lost, always ends it.

    \b
    Examples:
      brownout uplink --port /dev/ttyUSB0 --server 192.0.2.10:7000
      brownout uplink --port socket://127.0.0.1:5555 --server 127.0.0.1:7000 --once
    """
    failures: list[str] = []
    modem = Modem(
        parse_address(server), capture=capture is not None, on_unreachable=_reporter(failures, once=once)
    )
    try:
        modem.open(port, baud=baud)
        print(f"uplink: {port} <-> {server}")
        if once:
            _first_connection(modem, failures)
        while not (once and failures):
            modem.wait_port_lost(_WAIT_S)
        raise UplinkError(failures[0])
    finally:
        modem.close()
        if capture is not None:
            modem.save_capture(capture)


def _reporter(failures: list[str], *, once: bool) -> Callable[[str], None]:
    def report(message: str) -> None:
        failures.append(message)
        if not once:
            click.echo(f"uplink: {message} Trying again.", err=True)

    return report


def _first_connection(modem: Modem, failures: list[str]) -> None:
    deadline = time.monotonic() + _ONCE_TIMEOUT_S
    while not failures and time.monotonic() < deadline:
        with contextlib.suppress(UplinkError):
            modem.wait_connected(_STEP_S)
            return
    raise UplinkError(failures[0] if failures else f"no connection within {_ONCE_TIMEOUT_S:g} s")
