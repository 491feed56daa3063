"""What a gateway tells its observers."""

import re
from dataclasses import dataclass, fields

_WORD = re.compile(r"(?<!^)(?=[A-Z])")


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOnline:
    """A device has proved itself on a new session."""

    device_id: str
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceOffline:
    """That session is over."""

    device_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeRejected:
    """A handshake got no answer."""

    peer: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckReceived:
    """A device told what it runs. Sequences are None for "nothing valid" and "nothing published"."""

    device_id: str
    boot_version: int
    installed_sequence: int | None
    current_sequence: int | None
    wanted: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleRequested:
    """A module starts to travel, from `first_chunk` on."""

    device_id: str
    sequence: int
    module_id: int
    first_chunk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleServed:
    """The last piece of a module was handed to the link."""

    device_id: str
    sequence: int
    module_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchRefused:
    """A request was refused; codes in PROTOCOL.md, section 4."""

    device_id: str
    module_id: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportReceived:
    """A device reported; codes in PROTOCOL.md, section 4."""

    device_id: str
    sequence: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryReceived:
    """A message on the application channel."""

    device_id: str
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFault:
    """The store could not answer a device."""

    device_id: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOnline:
    """A debug client has proved itself on a new session."""

    client: str
    peer: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOffline:
    """That session is over."""

    client: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugSessionOpened:
    """A client debugs a device from now on. `permissions` as in its token."""

    client: str
    device_id: str
    session_id: bytes
    permissions: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugSessionRefused:
    """A client asked for a debug session and got none; reasons in PROTOCOL.md, section 6."""

    client: str
    device_id: str
    session_id: bytes
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugSessionEnded:
    """A debug session is over. `ended_by`: client, device or server; frames and bytes that were relayed."""

    client: str
    device_id: str
    session_id: bytes
    reason: int
    ended_by: str
    frames_to_device: int
    bytes_to_device: int
    frames_to_client: int
    bytes_to_client: int


GatewayEvent = (
    DeviceOnline
    | DeviceOffline
    | HandshakeRejected
    | CheckReceived
    | ModuleRequested
    | ModuleServed
    | FetchRefused
    | ReportReceived
    | TelemetryReceived
    | StoreFault
    | ClientOnline
    | ClientOffline
    | DebugSessionOpened
    | DebugSessionRefused
    | DebugSessionEnded
)


def event_to_dict(event: GatewayEvent) -> dict[str, object]:
    """JSON-ready form: `event` names the kind in snake case, bytes are hex."""
    values: dict[str, object] = {"event": _WORD.sub("_", type(event).__name__).lower()}
    for item in fields(event):
        value = getattr(event, item.name)
        values[item.name] = value.hex() if isinstance(value, bytes) else value
    return values
