"""The messages of PROTOCOL.md sections 6 to 8 and their CBOR (server/cddl/debug.cddl).

Frames travel on channel 3 of both P2P links; requests and responses travel inside the E2E channel, which
the server cannot open. `encode` is deterministic; every `decode_*` raises RemoteProtocolError for whatever
the CDDL does not allow. The values check their own bounds when encoded: LocalProtocolError then.
"""

from typing import Final

from fieldlink import cbor
from fieldlink.debug_values import (
    CODE_LIMIT,
    DEVICE_ID_LIMIT,
    MANIFEST_DIGEST_SIZE,
    OUTPUT_LIMIT,
    REGISTERS_SIZE,
    RELAY_LIMIT,
    REPLY_LIMIT,
    SESSION_ID_SIZE,
    STACK_LIMIT,
    TOKEN_LIMIT,
    WRITE_LIMIT,
    BareRequest,
    DebugFrame,
    DebugMessage,
    DebugRequest,
    DebugResponse,
    Detach,
    Ended,
    EndReason,
    Halt,
    Hello,
    Insert,
    Notice,
    Open,
    OpenDevice,
    Opened,
    Output,
    Permission,
    ReadMemory,
    ReadRegisters,
    Relay,
    Remove,
    Reply,
    ReplyStatus,
    Reset,
    ResetTarget,
    Resume,
    Status,
    Step,
    Stop,
    StopReason,
    WriteMemory,
    WriteRegisters,
)
from fieldlink.errors import LocalProtocolError, RemoteProtocolError
from fieldlink.fields import as_array, as_bytes, as_u32, as_u32s

__all__ = [
    "CODE_LIMIT",
    "DEVICE_ID_LIMIT",
    "MANIFEST_DIGEST_SIZE",
    "OUTPUT_LIMIT",
    "REGISTERS_SIZE",
    "RELAY_LIMIT",
    "REPLY_LIMIT",
    "SESSION_ID_SIZE",
    "STACK_LIMIT",
    "TOKEN_LIMIT",
    "WRITE_LIMIT",
    "BareRequest",
    "DebugFrame",
    "DebugMessage",
    "DebugRequest",
    "DebugResponse",
    "Detach",
    "EndReason",
    "Ended",
    "Halt",
    "Hello",
    "Insert",
    "Notice",
    "Open",
    "OpenDevice",
    "Opened",
    "Output",
    "Permission",
    "ReadMemory",
    "ReadRegisters",
    "Relay",
    "Remove",
    "Reply",
    "ReplyStatus",
    "Reset",
    "ResetTarget",
    "Resume",
    "Status",
    "Step",
    "Stop",
    "StopReason",
    "WriteMemory",
    "WriteRegisters",
    "decode_frame",
    "decode_request",
    "decode_response",
    "encode",
]

_BARE_REQUESTS: Final[dict[int, type[BareRequest]]] = {
    0: Hello,
    1: Halt,
    2: Resume,
    3: Step,
    4: ReadRegisters,
    11: Status,
    12: Detach,
}
_BARE_NUMBERS: Final = {kind: number for number, kind in _BARE_REQUESTS.items()}


def encode(message: DebugMessage) -> bytes:
    """CBOR of `message`. LocalProtocolError when a field is out of its bounds."""
    try:
        return cbor.dumps(_to_array(message))
    except RemoteProtocolError as error:  # the same checks serve both directions
        raise LocalProtocolError(f"cannot encode {type(message).__name__}: {error}") from error


def _to_array(message: DebugMessage) -> list[object]:
    match message:
        case Open() | Relay() | Ended() | OpenDevice() | Opened():
            return _frame_to_array(message)
        case Reply() | Stop() | Output() | Notice():
            return _response_to_array(message)
        case _:
            return _request_to_array(message)


def _frame_to_array(frame: DebugFrame) -> list[object]:
    match frame:
        case Open():
            device_id = as_bytes(frame.device_id, "device id", 1, DEVICE_ID_LIMIT)
            return [*as_u32s(1, frame.session), device_id, _session_id(frame.session_id), _token(frame.token)]
        case Relay():
            return [*as_u32s(2, frame.session), as_bytes(frame.payload, "relay payload", 1, RELAY_LIMIT)]
        case Ended():
            return as_u32s(3, frame.session, frame.reason)
        case OpenDevice():
            return [*as_u32s(4, frame.session), _session_id(frame.session_id), _token(frame.token)]
        case Opened():
            return [*as_u32s(5, frame.session), _manifest(frame.manifest)]


def _session_id(value: object) -> bytes:
    return as_bytes(value, "session id", SESSION_ID_SIZE, SESSION_ID_SIZE)


def _token(value: object) -> bytes:
    return as_bytes(value, "token", 1, TOKEN_LIMIT)


def _manifest(value: object) -> bytes:
    return as_bytes(value, "manifest digest", MANIFEST_DIGEST_SIZE, MANIFEST_DIGEST_SIZE)


def _registers(value: object) -> bytes:
    return as_bytes(value, "registers", REGISTERS_SIZE, REGISTERS_SIZE)


def _request_to_array(request: DebugRequest) -> list[object]:
    match request:
        case WriteRegisters():
            return [5, _registers(request.registers)]
        case ReadMemory():
            return as_u32s(6, request.address, request.length)
        case WriteMemory():
            return [*as_u32s(7, request.address), as_bytes(request.data, "bytes to write", 0, WRITE_LIMIT)]
        case Insert():
            return as_u32s(8, request.kind, request.address, request.length)
        case Remove():
            return as_u32s(9, request.kind, request.address, request.length)
        case Reset():
            return as_u32s(10, request.target)
        case _:
            return [_BARE_NUMBERS[type(request)]]


def _response_to_array(response: DebugResponse) -> list[object]:
    match response:
        case Reply():
            return [*as_u32s(1, response.status), as_bytes(response.data, "reply bytes", 0, REPLY_LIMIT)]
        case Stop():
            return [
                *as_u32s(2, response.reason, response.address),
                _registers(response.registers),
                *as_u32s(response.stack_address),
                as_bytes(response.stack, "stack bytes", 0, STACK_LIMIT),
                *as_u32s(response.code_address),
                as_bytes(response.code, "code bytes", 0, CODE_LIMIT),
            ]
        case Output():
            return [3, as_bytes(response.data, "output bytes", 1, OUTPUT_LIMIT)]
        case Notice():
            return as_u32s(4, response.code)


def _tagged(payload: bytes, kind: str) -> tuple[int, list[object]]:
    item = cbor.loads(payload)
    if not isinstance(item, list) or not item:
        raise RemoteProtocolError(f"{kind}: expected an array with a type number first")
    return as_u32(item[0], f"{kind} type"), item


def decode_frame(payload: bytes) -> DebugFrame:
    """A message of channel 3."""
    number, item = _tagged(payload, "debug frame")
    match number:
        case 1:
            _, session, device_id, session_id, token = as_array(item, "open", 5)
            return Open(
                session=as_u32(session, "open session"),
                device_id=as_bytes(device_id, "open device id", 1, DEVICE_ID_LIMIT),
                session_id=_session_id(session_id),
                token=_token(token),
            )
        case 2:
            _, session, body = as_array(item, "relay", 3)
            return Relay(
                session=as_u32(session, "relay session"),
                payload=as_bytes(body, "relay payload", 1, RELAY_LIMIT),
            )
        case 3:
            _, session, reason = as_array(item, "ended", 3)
            return Ended(session=as_u32(session, "ended session"), reason=as_u32(reason, "ended reason"))
        case 4:
            _, session, session_id, token = as_array(item, "open-device", 4)
            return OpenDevice(
                session=as_u32(session, "device session"),
                session_id=_session_id(session_id),
                token=_token(token),
            )
        case 5:
            _, session, manifest = as_array(item, "opened", 3)
            return Opened(session=as_u32(session, "opened session"), manifest=_manifest(manifest))
        case _:
            raise RemoteProtocolError(f"unknown debug frame {number}")


def decode_request(payload: bytes) -> DebugRequest:
    """A request inside the E2E channel."""
    number, item = _tagged(payload, "debug request")
    if number in _BARE_REQUESTS:
        as_array(item, f"debug request {number}", 1)
        return _BARE_REQUESTS[number]()
    match number:
        case 5:
            return WriteRegisters(registers=_registers(as_array(item, "write-registers", 2)[1]))
        case 6:
            _, address, length = as_array(item, "read-memory", 3)
            return ReadMemory(address=as_u32(address, "address"), length=as_u32(length, "length"))
        case 7:
            _, address, data = as_array(item, "write-memory", 3)
            return WriteMemory(
                address=as_u32(address, "address"), data=as_bytes(data, "bytes to write", 0, WRITE_LIMIT)
            )
        case 8 | 9:
            _, kind, address, length = as_array(item, "insert or remove", 4)
            point = Insert if number == 8 else Remove
            return point(
                kind=as_u32(kind, "kind"), address=as_u32(address, "address"), length=as_u32(length, "length")
            )
        case 10:
            return Reset(target=as_u32(as_array(item, "reset", 2)[1], "reset target"))
        case _:
            raise RemoteProtocolError(f"unknown debug request {number}")


def decode_response(payload: bytes) -> DebugResponse:
    """A response inside the E2E channel."""
    number, item = _tagged(payload, "debug response")
    match number:
        case 1:
            _, status, data = as_array(item, "reply", 3)
            return Reply(
                status=as_u32(status, "reply status"), data=as_bytes(data, "reply bytes", 0, REPLY_LIMIT)
            )
        case 2:
            _, reason, address, registers, stack_at, stack, code_at, code = as_array(item, "stop", 8)
            return Stop(
                reason=as_u32(reason, "stop reason"),
                address=as_u32(address, "stop address"),
                registers=_registers(registers),
                stack_address=as_u32(stack_at, "stack address"),
                stack=as_bytes(stack, "stack bytes", 0, STACK_LIMIT),
                code_address=as_u32(code_at, "code address"),
                code=as_bytes(code, "code bytes", 0, CODE_LIMIT),
            )
        case 3:
            return Output(data=as_bytes(as_array(item, "output", 2)[1], "output bytes", 1, OUTPUT_LIMIT))
        case 4:
            return Notice(code=as_u32(as_array(item, "notice", 2)[1], "notice code"))
        case _:
            raise RemoteProtocolError(f"unknown debug response {number}")
