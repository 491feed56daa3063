"""The messages of PROTOCOL.md sections 6 to 8 as values; `fieldlink.debug_messages` has their CBOR."""

from dataclasses import dataclass
from enum import IntEnum, IntFlag
from typing import Final

DEVICE_ID_LIMIT: Final = 16
SESSION_ID_SIZE: Final = 16
TOKEN_LIMIT: Final = 400
RELAY_LIMIT: Final = 992
"""Most bytes of an E2E frame."""
MANIFEST_DIGEST_SIZE: Final = 32

REGISTERS_SIZE: Final = 68
"""r0-r12, sp, lr, pc, xpsr: 17 words, little-endian."""
WRITE_LIMIT: Final = 900
REPLY_LIMIT: Final = 900
STACK_LIMIT: Final = 256
CODE_LIMIT: Final = 64
OUTPUT_LIMIT: Final = 512


class EndReason(IntEnum):
    """Why a debug session ended or was refused (PROTOCOL.md, section 6)."""

    CLOSED = 0
    OFFLINE = 1
    NO_SUCH_DEVICE = 2
    BUSY = 3
    NOT_AUTHORISED = 4
    EXPIRED = 5
    E2E_FAILED = 6
    LINK_LOST = 7
    SHUTTING_DOWN = 8
    DEVICE_RESETTING = 9
    PROTOCOL_ERROR = 10
    UNAVAILABLE = 11


class Permission(IntFlag):
    """What a token allows; the device checks it for each request (PROTOCOL.md, section 7)."""

    READ = 1
    WRITE = 2
    CONTROL = 4
    RESET = 8


class ReplyStatus(IntEnum):
    """Status of a `Reply` (PROTOCOL.md, section 8)."""

    DONE = 0
    NOT_PERMITTED = 1
    BAD_ADDRESS = 2
    NO_RESOURCES = 3
    WRONG_STATE = 4
    UNKNOWN_REQUEST = 5


class StopReason(IntEnum):
    """Reason of a `Stop` (PROTOCOL.md, section 8)."""

    HALTED = 1
    BREAKPOINT = 2
    STEP = 3
    WATCH_WRITE = 4
    WATCH_READ = 5
    WATCH_ACCESS = 6
    MEMORY_FAULT = 7
    BUS_FAULT = 8
    USAGE_FAULT = 9
    HARD_FAULT = 10
    STACK_OVERFLOW = 11
    EXITED = 12


class ResetTarget(IntEnum):
    """What `Reset` restarts."""

    APP = 0
    DEVICE = 1


# ---- frames on channel 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Open:
    """Client: open a session with a device. `session_id`: 16 random bytes; `token`: its envelope."""

    session: int
    device_id: bytes
    session_id: bytes
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Relay:
    """An E2E frame (1 to 992 bytes) of a session, either way."""

    session: int
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A session is over, or was refused. `reason` is an `EndReason`, or a number that is not known yet."""

    session: int
    reason: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenDevice:
    """Server to device: a client asks for a session. `session` is numbered for that link."""

    session: int
    session_id: bytes
    token: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Server to client: the session is there. `manifest`: BLAKE2b-256 of the installed envelope."""

    session: int
    manifest: bytes


# ---- requests, client to device


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """The first request: proves the client's fresh ephemeral."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Halt:
    """Stop the app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Let the app run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """Execute one instruction."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRegisters:
    """Registers of the stopped app."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRegisters:
    """Set all registers: 68 bytes."""

    registers: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMemory:
    """Read `length` bytes."""

    address: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteMemory:
    """Write 0 to 900 bytes."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Insert:
    """Set a breakpoint or watchpoint; `kind` as in GDB's Z packets (0 to 4)."""

    kind: int
    address: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Remove:
    """Remove a breakpoint or watchpoint; `kind` as in GDB's z packets (0 to 4)."""

    kind: int
    address: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reset:
    """Restart the app or the device (`ResetTarget`)."""

    target: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Ask for the agent's state."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Detach:
    """Remove all patches, let the app run."""


# ---- responses, device to client


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """Answer to the oldest request that has none; `status` is a `ReplyStatus` or not known yet."""

    status: int
    data: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stop:
    """The app stopped. `reason` is a `StopReason` or not known yet; windows of stack and code come along."""

    reason: int
    address: int
    registers: bytes
    stack_address: int
    stack: bytes
    code_address: int
    code: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Output:
    """Console output of the app, 1 to 512 bytes."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """The device tells something. Code 1: an upgrade waits for the end of this session."""

    code: int


DebugFrame = Open | Relay | Ended | OpenDevice | Opened
BareRequest = Hello | Halt | Resume | Step | ReadRegisters | Status | Detach
DebugRequest = BareRequest | WriteRegisters | ReadMemory | WriteMemory | Insert | Remove | Reset
DebugResponse = Reply | Stop | Output | Notice
DebugMessage = DebugFrame | DebugRequest | DebugResponse
