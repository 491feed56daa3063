"""`fieldlink devices`."""

from datetime import UTC, datetime
from pathlib import Path

import click

from fieldlink.cli.common import database_option, json_option, say, store_option
from fieldlink.gateway import ReportCode
from fieldlink.store import DeviceRecord, DeviceState, Store
from fieldlink.version import format_version


@click.command()
@store_option
@database_option
@json_option
def devices(store_path: Path, database_url: str | None, as_json: bool) -> None:
    """List devices and what was last heard of them.

    \b
    Examples:
      fieldlink devices --store store
    """
    with Store.open(store_path, database_url=database_url) as store:
        found = store.list_devices()
    lines = [_line(device, state) for device, state in found]
    say(as_json, [_fields(device, state) for device, state in found], "\n".join(lines) or "no devices")


def _line(device: DeviceRecord, state: DeviceState) -> str:
    if state.last_seen is None:
        return f"{device.device_id}  {device.board}  never seen"
    seen = datetime.fromtimestamp(state.last_seen, UTC).isoformat(timespec="seconds")
    installed = "nothing" if state.installed_sequence is None else str(state.installed_sequence)
    report = "" if state.report_code is None else f"  last report: {_report(state)}"
    boot = "" if state.boot_version is None else f"  boot {format_version(state.boot_version)}"
    telemetry = f"telemetry {state.telemetry_count}"
    return f"{device.device_id}  {device.board}  seen {seen}  runs {installed}{boot}{report}  {telemetry}"


def _report(state: DeviceState) -> str:
    try:
        what = ReportCode(state.report_code or 0).name.lower().replace("_", " ")
    except ValueError:
        what = f"code {state.report_code}"
    return f"{what} (release {state.report_sequence})"


def _fields(device: DeviceRecord, state: DeviceState) -> dict[str, object]:
    last = state.telemetry_last
    return {
        "device_id": device.device_id,
        "board": device.board,
        "link_public": device.link_public.hex(),
        "debug_public": device.debug_public.hex(),
        "last_seen": state.last_seen,
        "boot_version": state.boot_version,
        "installed_sequence": state.installed_sequence,
        "report_sequence": state.report_sequence,
        "report_code": state.report_code,
        "telemetry_count": state.telemetry_count,
        "telemetry_last": None if last is None else last.hex(),
        "stream_bytes_in": state.stream_bytes_in,
        "stream_bytes_out": state.stream_bytes_out,
    }
