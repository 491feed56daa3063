"""What a lab's server saw of one device, in words, for the timeline of its evidence."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from brownout.diary import OtherEvent
from brownout.errors import BrownoutError
from brownout.evidence import Lane, TimelineKind
from brownout.lab.telemetry import decode_telemetry
from fieldlink.debug_values import EndReason
from fieldlink.gateway import (
    CheckReceived,
    ClientOffline,
    ClientOnline,
    DebugSessionEnded,
    DebugSessionOpened,
    DebugSessionRefused,
    DeviceOffline,
    DeviceOnline,
    FetchRefused,
    HandshakeRejected,
    ModuleRequested,
    ModuleServed,
    ReportCode,
    ReportReceived,
    StoreFault,
    TelemetryReceived,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from enum import IntEnum

    from brownout.lab.server import TimedEvent
    from fieldlink.gateway import GatewayEvent

_UP: Final = (Lane.DEVICE, Lane.SERVER)
_DOWN: Final = (Lane.SERVER, Lane.DEVICE)
_IN: Final = (Lane.CLIENT, Lane.SERVER)
_OUT: Final = (Lane.SERVER, Lane.CLIENT)
_HERE: Final = (Lane.SERVER, Lane.SERVER)


def server_story(events: Iterable[TimedEvent], device_id: str) -> Iterator[OtherEvent]:
    """Events about a device, and those about nobody in particular (clients, refused handshakes)."""
    for timed in events:
        if getattr(timed.event, "device_id", device_id) != device_id:
            continue
        (source, target), text = _words(timed.event)
        kind = TimelineKind.NOTE if source is target else TimelineKind.MESSAGE
        yield OtherEvent(moment_s=timed.time_s, kind=kind, source=source, target=target, text=text)


def _words(event: GatewayEvent) -> tuple[tuple[Lane, Lane], str]:
    match event:
        case DeviceOnline():
            return _UP, "handshake: proved itself, online"
        case DeviceOffline(reason=reason):
            return _HERE, f"device offline: {reason}"
        case HandshakeRejected(reason=reason):
            return _HERE, f"handshake rejected: {reason}"
        case CheckReceived(installed_sequence=installed, current_sequence=current):
            return _UP, f"check: runs release {installed}, {current} is published"
        case ModuleRequested(module_id=module, first_chunk=chunk):
            return _UP, f"asks for module {module} from chunk {chunk}"
        case ModuleServed(module_id=module):
            return _DOWN, f"module {module}: last piece"
        case FetchRefused(module_id=module, code=code):
            return _DOWN, f"module {module} refused, code {code}"
        case ReportReceived(sequence=sequence, code=code):
            return _UP, f"reports release {sequence}: {_named(ReportCode, code)}"
        case TelemetryReceived(payload=payload):
            return _UP, _measurement(payload)
        case StoreFault(reason=reason):
            return _HERE, f"store: {reason}"
        case _:
            return _debug_words(event)


def _debug_words(event: GatewayEvent) -> tuple[tuple[Lane, Lane], str]:
    match event:
        case ClientOnline(client=client):
            return _IN, f"client {client} online"
        case ClientOffline(client=client, reason=reason):
            return _IN, f"client {client} offline: {reason}"
        case DebugSessionOpened(client=client):
            return _IN, f"{client} opens a debug session, relayed unread"
        case DebugSessionRefused(client=client, reason=reason):
            return _OUT, f"{client}: debug session refused: {_named(EndReason, reason)}"
        case DebugSessionEnded() as ended:
            return _OUT, (
                f"debug session ended by {ended.ended_by}: {_named(EndReason, ended.reason)}; "
                f"{ended.bytes_to_device} bytes to the device, {ended.bytes_to_client} to the client"
            )
    return _HERE, type(event).__name__


def _named(names: type[IntEnum], number: int) -> str:
    return names(number).name.lower().replace("_", " ") if number in set(names) else f"code {number}"


def _measurement(payload: bytes) -> str:
    try:
        return f"measurement {decode_telemetry(payload).counter}"
    except BrownoutError:
        return f"{len(payload)} bytes of the application"
