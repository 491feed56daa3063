"""What the reference application sends on the application channel (server/PROTOCOL.md section 4)."""

from __future__ import annotations

from dataclasses import dataclass

import cbor2

from brownout.errors import BrownoutError

_KIND = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Telemetry:
    """A measurement: `counter` grows by one each time, `uptime_ms` is the kernel's, `value` is calibrated."""

    counter: int
    uptime_ms: int
    value: int


def decode_telemetry(payload: bytes) -> Telemetry:
    """Read a message. Raises BrownoutError for anything else."""
    try:
        match cbor2.loads(payload):
            case [1, int(counter), int(uptime_ms), int(value)]:
                return Telemetry(counter=counter, uptime_ms=uptime_ms, value=value)
    except (cbor2.CBORDecodeError, ValueError, EOFError):
        pass
    raise BrownoutError(f"telemetry {payload.hex()}: expected CBOR [{_KIND}, counter, uptime_ms, value]")
