"""What GDB asks for, as values, and how it is written in packets."""

from dataclasses import dataclass
from typing import Final

from fieldlink.debug.rsp.documents import REGISTER_NAMES
from fieldlink.errors import RemoteProtocolError

ADDRESS_LIMIT: Final = 2**32
_REGISTER_FILE: Final = 4 * len(REGISTER_NAMES)


class CommandError(RemoteProtocolError):
    """A packet that is known but wrong inside; GDB gets an error reply."""


@dataclass(frozen=True, slots=True)
class QueryStop:
    """Why is the app stopped? Answer with `answer_stop`."""


@dataclass(frozen=True, slots=True)
class ReadAllRegisters:
    """Answer with 68 bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteAllRegisters:
    """Answer with ok."""

    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadRegister:
    """Answer with 4 bytes."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteRegister:
    """Answer with ok."""

    number: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadMemory:
    """Answer with up to `length` bytes."""

    address: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WriteMemory:
    """Answer with ok."""

    address: int
    data: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Resume:
    """Go on, from `address` if one is given. Its answer is the stop that follows."""

    step: bool
    address: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class InsertPoint:
    """Kinds: 0 software, 1 hardware breakpoint, 2 write, 3 read, 4 access watchpoint. Answer with ok."""

    kind: int
    address: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RemovePoint:
    """Answer with ok."""

    kind: int
    address: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Monitor:
    """`monitor TEXT`. Answer with `answer_monitor`."""

    text: str


@dataclass(frozen=True, slots=True)
class Interrupt:
    """Ctrl-C while the app runs. No answer of its own: the stop is Resume's."""


@dataclass(frozen=True, slots=True)
class Detach:
    """Answer with ok."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kill:
    """Answer with ok when `wants_answer`."""

    wants_answer: bool


@dataclass(frozen=True, slots=True)
class Restart:
    """Restart the app. No answer."""


@dataclass(frozen=True, slots=True)
class Run:
    """Start the app from its beginning and hold it there. Answer with the stop."""


Command = (
    QueryStop
    | ReadAllRegisters
    | WriteAllRegisters
    | ReadRegister
    | WriteRegister
    | ReadMemory
    | WriteMemory
    | Resume
    | InsertPoint
    | RemovePoint
    | Monitor
    | Interrupt
    | Detach
    | Kill
    | Restart
    | Run
)


def parse_command(packet: bytes) -> Command | None:
    """The command in a packet, None when it is none of these. CommandError for wrong arguments."""
    if not packet:
        return None
    body = packet[1:]
    match packet[:1]:
        case b"?":
            return QueryStop()
        case b"g":
            return ReadAllRegisters()
        case b"G" | b"p" | b"P":
            return _registers(packet[:1], body)
        case b"m":
            address, length = _pair(body)
            return ReadMemory(address=address, length=length)
        case b"M" | b"X":
            return _write_memory(packet[:1], body)
        case b"c" | b"s" | b"C" | b"S":
            return _resume(packet[:1], body)
        case b"Z" | b"z":
            return _point(packet[:1], body)
        case b"D":
            return Detach()
        case b"k":
            return Kill(wants_answer=False)
        case b"R" | b"r":
            return Restart()
        case _:
            return _long(packet)


def _long(packet: bytes) -> Command | None:
    if packet.startswith(b"vKill"):
        return Kill(wants_answer=True)
    if packet == b"vRun" or packet.startswith(b"vRun;"):  # its file and arguments mean nothing here
        return Run()
    if packet.startswith(b"vCont;"):
        return _continue(packet[6:])
    if packet.startswith(b"qRcmd,"):
        return Monitor(text=_hex(packet[6:]).decode("utf-8", "replace"))
    return None


def number(text: bytes) -> int:
    """An unsigned hex number below 2**32."""
    # int() alone would also take signs, spaces, underscores and 0x.
    if not text or len(text) > 16 or not all(digit in b"0123456789abcdefABCDEF" for digit in text):
        raise CommandError("expected a hex number")
    value = int(text, 16)
    if value >= ADDRESS_LIMIT:
        raise CommandError("number does not fit in 32 bits")
    return value


def _hex(text: bytes) -> bytes:
    try:
        return bytes.fromhex(text.decode("ascii"))
    except ValueError as error:
        raise CommandError("expected hex digits") from error


def _pair(text: bytes) -> tuple[int, int]:
    first, comma, second = text.partition(b",")
    if not comma:
        raise CommandError("expected two numbers")
    address, length = number(first), number(second)
    if address + length > ADDRESS_LIMIT:
        raise CommandError("range beyond the address space")
    return address, length


def _registers(kind: bytes, body: bytes) -> Command:
    if kind == b"G":
        data = _hex(body)
        if len(data) != _REGISTER_FILE:
            raise CommandError(f"expected {_REGISTER_FILE} bytes of registers")
        return WriteAllRegisters(data=data)
    index, _, value = body.partition(b"=")
    which = number(index)
    if which >= len(REGISTER_NAMES):
        raise CommandError("no such register")
    if kind == b"p":
        return ReadRegister(number=which)
    data = _hex(value)
    if len(data) != 4:
        raise CommandError("expected 4 bytes of register")
    return WriteRegister(number=which, data=data)


def _write_memory(kind: bytes, body: bytes) -> Command:
    where, colon, payload = body.partition(b":")
    if not colon:
        raise CommandError("expected address,length:data")
    address, length = _pair(where)
    data = _hex(payload) if kind == b"M" else payload
    if len(data) != length:
        raise CommandError("length and data differ")
    return WriteMemory(address=address, data=data)


def _resume(kind: bytes, body: bytes) -> Command:
    if kind in (b"C", b"S"):
        signal, _, body = body.partition(b";")
        number(signal)  # nothing here takes a signal: the app goes on without it
    return Resume(step=kind in (b"s", b"S"), address=number(body) if body else None)


def _continue(actions: bytes) -> Command:
    for action in actions.split(b";"):
        verb, _, thread = action.partition(b":")
        if thread not in (b"", b"1", b"-1", b"0"):
            continue
        match verb[:1]:
            case b"c" | b"C":
                return Resume(step=False)
            case b"s" | b"S":
                return Resume(step=True)
            case b"t":
                return Interrupt()
            case _:
                break
    raise CommandError("no action for the thread")


def _point(kind: bytes, body: bytes) -> Command:
    which, comma, where = body.partition(b",")
    if not comma or which not in (b"0", b"1", b"2", b"3", b"4"):
        raise CommandError("expected kind,address,length")
    address, length = _pair(where.partition(b";")[0])  # conditions are GDB's own to evaluate
    point = InsertPoint if kind == b"Z" else RemovePoint
    return point(kind=int(which), address=address, length=length)
