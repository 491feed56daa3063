"""Sans-IO model of a NOR flash that loses power: an operation goes in, its effect comes out.

    model = FlashModel(Geometry(size=0x400000, sector_size=0x1000, write_unit=4, program_buffer=256), seed=1)
    model.load_image(0x20000, kernel)              # the factory: no operation
    model.power_on()                               # patches: what unstable bits read now
    effect = model.apply(Program(offset=0x1000, data=record), cut=Phase.TORN)
    effect.patches, effect.status, effect.power_lost
    model.power_on()
    model.check_array(array)                       # stores that bypassed the controller

What is modelled and why: docs/fault-model.md.
"""

from brownout.flash.faults_injected import FlashFault
from brownout.flash.faults_styles import Torn, TornBits, TornDraw, TornStyle, parse_torn, torn_text
from brownout.flash.geometry import Geometry, Region
from brownout.flash.model import FlashModel
from brownout.flash.operations import (
    BadCommand,
    Command,
    Effect,
    Erase,
    Operation,
    Patch,
    Phase,
    Program,
    Resolve,
    Status,
    Violation,
    ViolationKind,
    decode_command,
)
from brownout.flash.oplog import LogRecord, OperationLog, RecordKind
from brownout.flash.randomness import seeded_bytes
from brownout.flash.snapshot import Snapshot

__all__ = [
    "BadCommand",
    "Command",
    "Effect",
    "Erase",
    "FlashFault",
    "FlashModel",
    "Geometry",
    "LogRecord",
    "Operation",
    "OperationLog",
    "Patch",
    "Phase",
    "Program",
    "RecordKind",
    "Region",
    "Resolve",
    "Snapshot",
    "Status",
    "Torn",
    "TornBits",
    "TornDraw",
    "TornStyle",
    "Violation",
    "ViolationKind",
    "decode_command",
    "parse_torn",
    "seeded_bytes",
    "torn_text",
]
