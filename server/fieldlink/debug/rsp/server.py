"""The core: packets in and out, the queries that need no device, and who waits for what."""

from collections import deque
from enum import IntEnum
from typing import Final

from fieldlink.debug.rsp.commands import (
    Command,
    CommandError,
    Detach,
    Interrupt,
    Kill,
    Restart,
    Resume,
    number,
    parse_command,
)
from fieldlink.debug.rsp.documents import MemoryRegion, memory_map, target_description
from fieldlink.debug.rsp.packet import PACKET_LIMIT, Damaged, Packet, PacketDecoder, Token, encode_packet
from fieldlink.debug.rsp.stops import StopReport
from fieldlink.errors import LocalProtocolError

_QUEUE_LIMIT: Final = 64
_OUTPUT_LIMIT: Final = 8192
_OUTPUT_PIECE: Final = 1024
_FEATURES: Final = (
    f"PacketSize={PACKET_LIMIT:x};QStartNoAckMode+;qXfer:features:read+;qXfer:memory-map:read+;"
    "vContSupported+;swbreak+;hwbreak+"
)


class ErrorNumber(IntEnum):
    """Numbers in `E` replies: those of errno where one fits."""

    NOT_PERMITTED = 1
    IO = 5
    BUSY = 16
    BAD_ADDRESS = 14
    INVALID = 22
    NO_RESOURCES = 28


class RspServer:
    """One GDB connection.

    A command waits for its answer before the next one is handed out. Resume is answered by the stop; until
    then only Interrupt, Detach and Kill come through.
    """

    def __init__(self, regions: tuple[MemoryRegion, ...]) -> None:
        self._decoder = PacketDecoder()
        self._packets: deque[bytes] = deque()
        self._interrupts: deque[Command] = deque()
        self._out = bytearray()
        self._last_packet = b""
        self._ack_mode = True
        self._pending: Command | None = None
        self._running = False
        self._output = bytearray()
        self._swbreak = self._hwbreak = False
        self._extended = False
        self._documents = {
            b"features:read:target.xml": target_description(),
            b"memory-map:read:": memory_map(regions),
        }

    # ---- the stream

    @property
    def running(self) -> bool:
        """Whether GDB waits for a stop."""
        return self._running

    @property
    def extended(self) -> bool:
        """Whether GDB stays after a kill or a detach (`target extended-remote`)."""
        return self._extended

    def receive_data(self, data: bytes) -> None:
        """Takes bytes from GDB, cut anywhere. Nothing in them raises."""
        for item in self._decoder.feed(data):
            match item:
                case Packet(data=packet):
                    if self._ack_mode:
                        self._out += b"+"
                    if len(self._packets) < _QUEUE_LIMIT:  # GDB sends one at a time; a flood is dropped
                        self._packets.append(packet)
                case Damaged():
                    self._damaged()
                case Token():
                    self._token(item)

    def _damaged(self) -> None:
        if self._ack_mode:
            self._out += b"-"
        elif self._pending is None and not self._running:
            self._error(ErrorNumber.INVALID)

    def _token(self, token: Token) -> None:
        if token is Token.NACK and self._ack_mode:
            self._out += self._last_packet
        elif token is Token.INTERRUPT and self._running and not self._interrupts:
            self._interrupts.append(Interrupt())

    def data_to_send(self) -> bytes:
        """Bytes for GDB; they are handed out once."""
        data = bytes(self._out)
        self._out.clear()
        return data

    def next_command(self) -> Command | None:
        """The next command that needs the owner; None: nothing (more) to do now."""
        if self._interrupts:
            return self._interrupts.popleft()
        while self._packets and self._pending is None:
            packet = self._packets.popleft()
            if self._running and not self._may_interrupt(packet):
                self._packets.appendleft(packet)
                return None
            command = self._command(packet)
            if command is not None:
                return command
        return None

    @staticmethod
    def _may_interrupt(packet: bytes) -> bool:
        return packet[:1] in (b"k", b"D") or packet.startswith((b"vKill", b"vCont;t"))

    def _command(self, packet: bytes) -> Command | None:
        try:
            command = parse_command(packet)
            if command is None:
                self._send(self._query(packet))
                if packet == b"QStartNoAckMode":  # GDB acks the reply still; acks are ignored in either mode
                    self._ack_mode = False
                return None
        except CommandError:
            self._error(ErrorNumber.INVALID)
            return None
        match command:
            case Resume():
                self._running = True
                self._flush_output()
            case Interrupt():
                self._send(b"OK")
            case Restart() | Kill(wants_answer=False):
                self._running = False
            case Detach() | Kill():
                self._running = False
                self._pending = command
            case _:
                self._pending = command
        return command

    # ---- queries that need no device

    def _query(self, packet: bytes) -> bytes:
        if packet.startswith(b"qXfer:"):
            return self._transfer(packet[6:])
        if packet.startswith(b"qSupported"):
            offered = packet.partition(b":")[2].split(b";")
            self._swbreak, self._hwbreak = b"swbreak+" in offered, b"hwbreak+" in offered
            return _FEATURES.encode("ascii")
        if packet == b"!":
            self._extended = True
            return b"OK"
        if packet[:1] == b"H" or (packet[:1] == b"T" and packet[1:] in (b"1", b"-1", b"0")):
            return b"OK"
        simple = {
            b"QStartNoAckMode": b"OK",
            b"vCont?": b"vCont;c;C;s;S;t",
            b"qAttached": b"1",
            b"qC": b"QC1",
            b"qfThreadInfo": b"m1",
            b"qsThreadInfo": b"l",
            b"qThreadExtraInfo,1": b"app".hex().encode("ascii"),
            b"qSymbol::": b"OK",
        }
        return simple.get(packet, b"")  # empty: not supported, which vMustReplyEmpty wants too

    def _transfer(self, body: bytes) -> bytes:
        name, _, where = body.rpartition(b":")
        document = self._documents.get(name)
        if document is None:
            known = (b"features:read:", b"memory-map:read:")
            return b"E00" if body.startswith(known) else b""
        first, comma, second = where.partition(b",")
        if not comma:
            raise CommandError("expected offset,length")
        offset, length = number(first), min(number(second), PACKET_LIMIT // 2)
        piece = document[offset : offset + length]
        return (b"m" if offset + length < len(document) else b"l") + piece

    # ---- answers

    def _send(self, data: bytes) -> None:
        self._last_packet = encode_packet(data)
        self._out += self._last_packet

    def _error(self, code: ErrorNumber) -> None:
        self._send(b"E%02x" % code)

    def _answered(self) -> None:
        if self._pending is None:
            raise LocalProtocolError("GDB waits for no answer")
        self._pending = None

    def answer_ok(self) -> None:
        """Done."""
        self._answered()
        self._send(b"OK")

    def answer_error(self, code: ErrorNumber) -> None:
        """Not done."""
        self._answered()
        self._error(code)

    def answer_bytes(self, data: bytes) -> None:
        """Registers or memory."""
        self._answered()
        self._send(data.hex().encode("ascii"))

    def answer_stop(self, report: StopReport) -> None:
        """To QueryStop and Run."""
        self._answered()
        self._send_stop(report)

    def answer_monitor(self, text: str) -> None:
        """To Monitor: shows `text`, then done."""
        self._answered()
        self._console(text.encode())
        self._send(b"OK")

    def stopped(self, report: StopReport) -> None:
        """The app stopped. Nothing is sent unless GDB waits for it."""
        if self._running:
            self._running = False
            self._interrupts.clear()
            self._send_stop(report)

    def resume_failed(self, code: ErrorNumber) -> None:
        """Resume was refused: GDB stops waiting."""
        if self._running:
            self._running = False
            self._error(code)

    def _send_stop(self, report: StopReport) -> None:
        self._send(report.encode(swbreak=self._swbreak, hwbreak=self._hwbreak))

    def console(self, data: bytes) -> None:
        """The app's output.

        GDB takes it only while it waits for a stop: until then the newest 8 KiB are kept.
        """
        self._output += data
        del self._output[:-_OUTPUT_LIMIT]
        if self._running:
            self._flush_output()

    def _flush_output(self) -> None:
        self._console(bytes(self._output))
        self._output.clear()

    def _console(self, data: bytes) -> None:
        for start in range(0, len(data), _OUTPUT_PIECE):
            self._send(b"O" + data[start : start + _OUTPUT_PIECE].hex().encode("ascii"))
