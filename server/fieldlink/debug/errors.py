"""What goes wrong in a debug session, as a person is told.

::

    FieldlinkError
    └── DebugError                root of this package
        ├── SessionEndedError     the session is over; says why
        ├── RequestRefusedError   the device answered a request with a status other than done
        └── ElfMismatchError      the ELF is not what the device runs
"""

from typing import Final

from fieldlink.debug_messages import EndReason, ReplyStatus
from fieldlink.errors import FieldlinkError

_END_TEXTS: Final = {
    EndReason.CLOSED: "closed",
    EndReason.OFFLINE: "the device is offline; wait until `fieldlink devices` shows it",
    EndReason.NO_SUCH_DEVICE: "the server knows no such device; check the name with `fieldlink devices`",
    EndReason.BUSY: "another session controls the device; wait for its end, or use a read-only token",
    EndReason.NOT_AUTHORISED: "not authorised: the token is not for this device or client key, or not signed "
    "by the fleet key",
    EndReason.EXPIRED: "the token has expired; ask for a new one",
    EndReason.E2E_FAILED: "the end-to-end channel failed: wrong --device-key or --e2e-key, or the server "
    "changed a message",
    EndReason.LINK_LOST: "the link to the device or the server was lost; the app runs on",
    EndReason.SHUTTING_DOWN: "the server shuts down; the app runs on",
    EndReason.DEVICE_RESETTING: "the device resets; attach again when it is back",
    EndReason.PROTOCOL_ERROR: "protocol error: client, server and device do not fit together",
}

_STATUS_TEXTS: Final = {
    ReplyStatus.NOT_PERMITTED: "the token does not permit it",
    ReplyStatus.BAD_ADDRESS: "bad address or length",
    ReplyStatus.NO_RESOURCES: "the device has no more breakpoints or watchpoints of that kind",
    ReplyStatus.WRONG_STATE: "wrong state: it needs the app stopped (or running)",
    ReplyStatus.UNKNOWN_REQUEST: "the device's agent does not know the request",
}


def end_text(reason: int, *, only_reads: bool = False) -> str:
    """One line for a reason in `ended` (PROTOCOL.md, section 6); `only_reads`: so does the token."""
    if reason == EndReason.BUSY and only_reads:
        return (
            "the device has as many read-only sessions as it takes (its last place is kept for a session "
            "that controls); wait for the end of one"
        )
    try:
        return _END_TEXTS[EndReason(reason)]
    except ValueError:
        return f"ended for a reason that this client does not know ({reason})"


class DebugError(FieldlinkError):
    """Root of what the debug client raises."""


class SessionEndedError(DebugError):
    """The session is over.

    `reason` is an `EndReason` or a number not known yet.
    """

    def __init__(self, reason: int, detail: str = "", *, only_reads: bool = False) -> None:
        text = end_text(reason, only_reads=only_reads)
        super().__init__(f"debug session: {text}" + (f" ({detail})" if detail else ""))
        self.reason = reason


class RequestRefusedError(DebugError):
    """The device refused a request. `status` is a `ReplyStatus` or a number not known yet."""

    def __init__(self, status: int, what: str) -> None:
        try:
            text = _STATUS_TEXTS[ReplyStatus(status)]
        except (ValueError, KeyError):
            text = f"status {status}"
        super().__init__(f"{what}: {text}")
        self.status = status


class ElfMismatchError(DebugError):
    """The ELF file is not what is installed on the device."""
