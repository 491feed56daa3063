"""The messages of PROTOCOL.md section 4 as values, and their CBOR (server/cddl/wire.cddl).

`encode` is deterministic; every `decode_*` raises RemoteProtocolError for whatever the CDDL does not
allow. The values check their own bounds when encoded: LocalProtocolError then.
"""

from dataclasses import dataclass
from typing import Final

from fieldlink import cbor
from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.fields import as_array, as_bytes, as_constant, as_text, as_u32, as_u32s

DEVICE_ID_LIMIT: Final = 16
CLIENT_NAME_LIMIT: Final = 32
INSTALLED_ENVELOPE_LIMIT: Final = 960
CURRENT_ENVELOPE_LIMIT: Final = 900
WRAPPED_KEY_SIZE: Final = 80
DATA_LIMIT: Final = 960

HELLO_VERSION: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHello:
    """Payload of a device's handshake message 1. `device_id`: 1 to 16 bytes."""

    device_id: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientHello:
    """Payload of a debug client's handshake message 1. `name`: 1 to 32 bytes in UTF-8, for the log only."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerHello:
    """Payload of handshake message 2. `time`: the server's, seconds since 1970."""

    time: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit:
    """Gives `amount` bytes of credit on `channel` back to the peer."""

    channel: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping:
    """Asks for a pong with the same nonce."""

    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pong:
    """Answers a ping."""

    nonce: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Close:
    """The sender ends the session. Reason 0: shutting down, 1: replaced by a newer connection."""

    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Device: what I run. `installed_envelope` may be empty (nothing valid installed)."""

    boot_version: int
    installed_envelope: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Current:
    """Server: the newest release of your board, and its content key wrapped for you."""

    envelope: bytes
    wrapped_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetch:
    """Device: send the encrypted chunks of this module, starting with `first_chunk`."""

    sequence: int
    module_id: int
    first_chunk: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Data:
    """Server: a piece of an encrypted chunk; `offset` counts bytes from the chunk's start."""

    module_id: int
    chunk: int
    offset: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Device: how it went; codes in PROTOCOL.md section 4."""

    sequence: int
    code: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Server: no data for this module; codes in PROTOCOL.md section 4."""

    module_id: int
    code: int


Hello = DeviceHello | ClientHello | ServerHello
Control = Credit | Ping | Pong | Close
UpgradeRequest = Check | Fetch | Report
UpgradeResponse = Current | Data | Refused
Message = Hello | Control | UpgradeRequest | UpgradeResponse


def encode(message: Message) -> bytes:
    """CBOR of `message`. LocalProtocolError when a field is out of its bounds."""
    try:
        return cbor.dumps(_to_array(message))
    except RemoteProtocolError as error:  # the same checks serve both directions
        raise LocalProtocolError(f"cannot encode {type(message).__name__}: {error}") from error


def _to_array(message: Message) -> list[object]:
    match message:
        case DeviceHello():
            return [HELLO_VERSION, as_bytes(message.device_id, "device id", 1, DEVICE_ID_LIMIT)]
        case ClientHello():
            return [HELLO_VERSION, as_text(message.name, "client name", 1, CLIENT_NAME_LIMIT)]
        case ServerHello():
            return as_u32s(HELLO_VERSION, message.time)
        case Credit():
            return as_u32s(1, message.channel, message.amount)
        case Ping():
            return as_u32s(2, message.nonce)
        case Pong():
            return as_u32s(3, message.nonce)
        case Close():
            return as_u32s(4, message.reason)
        case Fetch():
            return as_u32s(3, message.sequence, message.module_id, message.first_chunk)
        case Report():
            return as_u32s(5, message.sequence, message.code)
        case Refused():
            return as_u32s(7, message.module_id, message.code)
        case _:
            return _bulk_to_array(message)


def _bulk_to_array(message: Check | Current | Data) -> list[object]:
    match message:
        case Check():
            envelope = as_bytes(message.installed_envelope, "envelope", 0, INSTALLED_ENVELOPE_LIMIT)
            return [*as_u32s(1, message.boot_version), envelope]
        case Current():
            envelope = as_bytes(message.envelope, "envelope", 1, CURRENT_ENVELOPE_LIMIT)
            wrapped = as_bytes(message.wrapped_key, "wrapped key", WRAPPED_KEY_SIZE, WRAPPED_KEY_SIZE)
            return [2, envelope, wrapped]
        case Data():
            head = as_u32s(4, message.module_id, message.chunk, message.offset)
            return [*head, as_bytes(message.data, "data", 1, DATA_LIMIT)]


def decode_device_hello(payload: bytes) -> DeviceHello:
    """Payload of a device's handshake message 1."""
    version, device_id = as_array(cbor.loads(payload), "device hello", 2)
    as_constant(version, "hello version", HELLO_VERSION)
    return DeviceHello(device_id=as_bytes(device_id, "device id", 1, DEVICE_ID_LIMIT))


def decode_client_hello(payload: bytes) -> ClientHello:
    """Payload of a debug client's handshake message 1."""
    version, name = as_array(cbor.loads(payload), "client hello", 2)
    as_constant(version, "hello version", HELLO_VERSION)
    return ClientHello(name=as_text(name, "client name", 1, CLIENT_NAME_LIMIT))


def decode_server_hello(payload: bytes) -> ServerHello:
    """Payload of handshake message 2."""
    version, time = as_array(cbor.loads(payload), "server hello", 2)
    as_constant(version, "hello version", HELLO_VERSION)
    return ServerHello(time=as_u32(time, "server time"))


def _tagged(payload: bytes, kind: str) -> tuple[int, list[object]]:
    item = cbor.loads(payload)
    if not isinstance(item, list) or not item:
        raise RemoteProtocolError(f"{kind} message: expected an array with a type number first")
    return as_u32(item[0], f"{kind} message type"), item


def decode_control(payload: bytes) -> Control:
    """A message of channel 0."""
    number, item = _tagged(payload, "control")
    match number:
        case 1:
            _, channel, count = as_array(item, "credit", 3)
            return Credit(channel=as_u32(channel, "credit channel"), amount=as_u32(count, "credit bytes"))
        case 2:
            return Ping(nonce=as_u32(as_array(item, "ping", 2)[1], "ping nonce"))
        case 3:
            return Pong(nonce=as_u32(as_array(item, "pong", 2)[1], "pong nonce"))
        case 4:
            return Close(reason=as_u32(as_array(item, "close", 2)[1], "close reason"))
        case _:
            raise RemoteProtocolError(f"unknown control message {number}")


def decode_upgrade_request(payload: bytes) -> UpgradeRequest:
    """A message of channel 2 from the device."""
    number, item = _tagged(payload, "upgrade request")
    match number:
        case 1:
            _, version, envelope = as_array(item, "check", 3)
            return Check(
                boot_version=as_u32(version, "boot version"),
                installed_envelope=as_bytes(envelope, "installed envelope", 0, INSTALLED_ENVELOPE_LIMIT),
            )
        case 3:
            _, sequence, module, chunk = as_array(item, "fetch", 4)
            return Fetch(
                sequence=as_u32(sequence, "fetch sequence"),
                module_id=as_u32(module, "fetch module"),
                first_chunk=as_u32(chunk, "first chunk"),
            )
        case 5:
            _, sequence, code = as_array(item, "report", 3)
            return Report(sequence=as_u32(sequence, "report sequence"), code=as_u32(code, "report code"))
        case _:
            raise RemoteProtocolError(f"unknown upgrade request {number}")


def decode_upgrade_response(payload: bytes) -> UpgradeResponse:
    """A message of channel 2 from the server."""
    number, item = _tagged(payload, "upgrade response")
    match number:
        case 2:
            _, envelope, wrapped = as_array(item, "current", 3)
            return Current(
                envelope=as_bytes(envelope, "current envelope", 1, CURRENT_ENVELOPE_LIMIT),
                wrapped_key=as_bytes(wrapped, "wrapped key", WRAPPED_KEY_SIZE, WRAPPED_KEY_SIZE),
            )
        case 4:
            _, module, chunk, offset, data = as_array(item, "data", 5)
            return Data(
                module_id=as_u32(module, "data module"),
                chunk=as_u32(chunk, "data chunk"),
                offset=as_u32(offset, "data offset"),
                data=as_bytes(data, "data bytes", 1, DATA_LIMIT),
            )
        case 7:
            _, module, code = as_array(item, "refused", 3)
            return Refused(module_id=as_u32(module, "refused module"), code=as_u32(code, "refused code"))
        case _:
            raise RemoteProtocolError(f"unknown upgrade response {number}")
