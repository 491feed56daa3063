"""The operation log: what happened to the flash, in order, and as JSON lines."""

from __future__ import annotations

import enum
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import LogError
from brownout.flash.faults_injected import FlashFault
from brownout.flash.faults_styles import Torn, parse_torn, torn_text
from brownout.flash.operations import (
    BadCommand,
    Effect,
    Erase,
    Operation,
    Phase,
    Program,
    Status,
    ViolationKind,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from brownout.flash.geometry import Region

_HEADER = {"format": "brownout-oplog", "version": 1}
_DIGEST_BYTES = 8


class RecordKind(enum.Enum):
    """What a record tells."""

    PROGRAM = "program"
    ERASE = "erase"
    BAD_COMMAND = "bad_command"
    POWER_ON = "power_on"
    POWER_OFF = "power_off"
    RESET = "reset"
    LOAD = "load"


_OPERATIONS = frozenset({RecordKind.PROGRAM, RecordKind.ERASE, RecordKind.BAD_COMMAND})


@dataclass(frozen=True, slots=True, kw_only=True)
class LogRecord:
    """One operation, or one event around it.

    Args:
        kind: what it was.
        sequence: number of the operation since the model was made; of an event: of the last one before it.
        session: number of the power session, 0 before the first power-on.
        ordinal: number of the operation within its power session; 0 for an event.
        offset: first byte, from the start of the array.
        length: bytes asked for; 0 where it means nothing.
        digest: BLAKE2b-64 of the data in hex; "" where there is none.
        data: the data, None where it was not kept or there is none.
        code: the command word of a bad command, else 0.
        status: what the firmware was told, None when the power was lost and for an event.
        cut: phase of the power loss.
        fail: phase of an injected device failure.
        torn: which part was done, when the phase was TORN.
        fault: what the flash did wrong, None for nothing.
        broken: rules that the operation broke.
    """

    kind: RecordKind
    sequence: int
    session: int
    ordinal: int = 0
    offset: int = 0
    length: int = 0
    digest: str = ""
    data: bytes | None = None
    code: int = 0
    status: Status | None = None
    cut: Phase | None = None
    fail: Phase | None = None
    torn: Torn | None = None
    fault: FlashFault | None = None
    broken: tuple[ViolationKind, ...] = ()

    @classmethod
    def of_effect(
        cls,
        effect: Effect,
        *,
        cut: Phase | None,
        fail: Phase | None,
        torn: Torn | None,
        fault: FlashFault | None = None,
        keep_data: bool,
    ) -> LogRecord:
        """Return the record of an operation."""
        operation = effect.operation
        data = operation.data if isinstance(operation, Program) else None
        return cls(
            kind=_kind_of(operation),
            sequence=effect.sequence,
            session=effect.session,
            ordinal=effect.ordinal,
            offset=operation.offset,
            length=operation.length,
            digest=digest_of(data),
            data=data if keep_data else None,
            code=operation.code if isinstance(operation, BadCommand) else 0,
            status=effect.status,
            cut=cut,
            fail=fail,
            torn=torn,
            fault=fault,
            broken=tuple(violation.kind for violation in effect.violations),
        )

    @classmethod
    def of_event(
        cls,
        kind: RecordKind,
        *,
        sequence: int,
        session: int,
        offset: int,
        data: bytes | None,
        keep_data: bool,
    ) -> LogRecord:
        """Return the record of an event; only the load of an image has an offset and data."""
        return cls(
            kind=kind,
            sequence=sequence,
            session=session,
            offset=offset,
            length=0 if data is None else len(data),
            digest=digest_of(data),
            data=data if keep_data else None,
        )

    @property
    def is_operation(self) -> bool:
        """True for what the firmware asked for, False for an event."""
        return self.kind in _OPERATIONS

    def touches(self, region: Region) -> bool:
        """Tell whether the record is an operation on at least one byte of `region`."""
        return self.is_operation and region.touches(self.offset, self.length)

    def operation(self) -> Operation:
        """Return what the firmware asked for, to do it again.

        Raises:
            LogError: the record is an event, or its data was not kept.
        """
        if self.kind is RecordKind.ERASE:
            return Erase(offset=self.offset, length=self.length)
        if self.kind is RecordKind.BAD_COMMAND:
            return BadCommand(code=self.code, offset=self.offset, length=self.length)
        if self.kind is RecordKind.PROGRAM and self.data is not None:
            return Program(offset=self.offset, data=self.data)
        raise LogError(
            f"log record {self.kind.value} {self.sequence}: expected an operation whose data was kept"
        )


class OperationLog:
    """Records in the order in which things happened."""

    def __init__(self, records: Iterable[LogRecord] = ()) -> None:
        self._records = list(records)

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[LogRecord]:
        return iter(self._records)

    def __getitem__(self, index: int) -> LogRecord:
        return self._records[index]

    def append(self, record: LogRecord) -> None:
        """Add what happened now."""
        self._records.append(record)

    def operations(self, session: int | None = None) -> tuple[LogRecord, ...]:
        """Return the operations, of one power session or of all."""
        return tuple(r for r in self._records if r.is_operation and session in (None, r.session))

    def touching(self, region: Region, session: int | None = None) -> tuple[LogRecord, ...]:
        """Return the operations on at least one byte of `region`, of one power session or of all."""
        return tuple(r for r in self._records if r.touches(region) and session in (None, r.session))

    def dump_lines(self) -> Iterator[str]:
        """Return the log as JSON lines without line ends, a header first."""
        yield json.dumps(_HEADER)
        for record in self._records:
            yield json.dumps(_to_json(record))

    @classmethod
    def parse_lines(cls, lines: Iterable[str]) -> OperationLog:
        """Read what `dump_lines` wrote; blank lines are skipped.

        Raises:
            LogError: a line that is not a record of this version; the message names it.
        """
        log = cls()
        expected_header = True
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                value = json.loads(line)
                if expected_header:
                    if value != _HEADER:
                        raise LogError(
                            f"operation log, line {number}: expected the header {json.dumps(_HEADER)}"
                        )
                    expected_header = False
                else:
                    log.append(_from_json(value))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise LogError(
                    f"operation log, line {number}: expected a log record, found {line[:60]!r}"
                ) from error
        if expected_header:
            raise LogError("operation log: expected a header line, found nothing; is this the right file?")
        return log


def digest_of(data: bytes | None) -> str:
    """Return the log's digest of some data: BLAKE2b-64 in hex, "" for None."""
    return "" if data is None else hashlib.blake2b(data, digest_size=_DIGEST_BYTES).hexdigest()


def _kind_of(operation: Operation) -> RecordKind:
    match operation:
        case Program():
            return RecordKind.PROGRAM
        case Erase():
            return RecordKind.ERASE
        case BadCommand():
            return RecordKind.BAD_COMMAND


def _to_json(record: LogRecord) -> dict[str, object]:
    """Keep what a record has; fields at their default are left out."""
    value: dict[str, object] = {
        "kind": record.kind.value,
        "sequence": record.sequence,
        "session": record.session,
        "ordinal": record.ordinal,
        "offset": record.offset,
        "length": record.length,
        "digest": record.digest or None,
        "data": None if record.data is None else record.data.hex(),
        "code": record.code,
        "status": None if record.status is None else int(record.status),
        "cut": record.cut and record.cut.value,
        "fail": record.fail and record.fail.value,
        "torn": None if record.torn is None else torn_text(record.torn),
        "fault": record.fault and record.fault.value,
        "broken": [kind.value for kind in record.broken],
    }
    return {key: item for key, item in value.items() if item is not None and item != []}


def _from_json(value: dict[str, object]) -> LogRecord:
    def number(key: str, *, least: int = 0) -> int:
        found = value[key]
        if not isinstance(found, int) or isinstance(found, bool) or found < least:
            raise ValueError(key)
        return found

    def text(key: str) -> str:
        found = value[key]
        if not isinstance(found, str):
            raise TypeError(key)
        return found

    broken = value.get("broken", [])
    if not isinstance(broken, list):
        raise TypeError("broken")
    return LogRecord(
        kind=RecordKind(text("kind")),
        sequence=number("sequence"),
        session=number("session"),
        ordinal=number("ordinal"),
        offset=number("offset", least=-(2**63)),
        length=number("length"),
        digest=text("digest") if "digest" in value else "",
        data=bytes.fromhex(text("data")) if "data" in value else None,
        code=number("code"),
        status=Status(number("status")) if "status" in value else None,
        cut=Phase(text("cut")) if "cut" in value else None,
        fail=Phase(text("fail")) if "fail" in value else None,
        torn=parse_torn(text("torn")) if "torn" in value else None,
        fault=FlashFault(text("fault")) if "fault" in value else None,
        broken=tuple(ViolationKind(kind) for kind in broken),
    )
