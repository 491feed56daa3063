"""The server's end of GDB's remote serial protocol, for one ARM M-profile thread.

Sans-IO: bytes go in, commands come out, the owner answers them, bytes come out. ::

    server.receive_data(data)
    while (command := server.next_command()) is not None:
        ...                                    # then one of server.answer_*, or nothing for Resume
    stream.write(server.data_to_send())
"""

from fieldlink.debug.rsp.commands import (
    Command,
    Detach,
    InsertPoint,
    Interrupt,
    Kill,
    Monitor,
    QueryStop,
    ReadAllRegisters,
    ReadMemory,
    ReadRegister,
    RemovePoint,
    Restart,
    Resume,
    Run,
    WriteAllRegisters,
    WriteMemory,
    WriteRegister,
)
from fieldlink.debug.rsp.documents import REGISTER_NAMES, MemoryRegion, memory_map, target_description
from fieldlink.debug.rsp.packet import PACKET_LIMIT, Damaged, Packet, PacketDecoder, encode_packet
from fieldlink.debug.rsp.server import ErrorNumber, RspServer
from fieldlink.debug.rsp.stops import Signal, StopReport

__all__ = [
    "PACKET_LIMIT",
    "REGISTER_NAMES",
    "Command",
    "Damaged",
    "Detach",
    "ErrorNumber",
    "InsertPoint",
    "Interrupt",
    "Kill",
    "MemoryRegion",
    "Monitor",
    "Packet",
    "PacketDecoder",
    "QueryStop",
    "ReadAllRegisters",
    "ReadMemory",
    "ReadRegister",
    "RemovePoint",
    "Restart",
    "Resume",
    "RspServer",
    "Run",
    "Signal",
    "StopReport",
    "WriteAllRegisters",
    "WriteMemory",
    "WriteRegister",
    "encode_packet",
    "memory_map",
    "target_description",
]
