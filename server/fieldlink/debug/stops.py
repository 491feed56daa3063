"""The device's stops in GDB's terms, and in words."""

from typing import Final, Literal

from fieldlink.debug.rsp import Signal, StopReport
from fieldlink.debug.target import Target
from fieldlink.debug_messages import Stop, StopReason

_WATCHES: Final[dict[int, Literal["watch", "rwatch", "awatch"]]] = {
    StopReason.WATCH_WRITE: "watch",
    StopReason.WATCH_READ: "rwatch",
    StopReason.WATCH_ACCESS: "awatch",
}
_SIGNALS: Final[dict[int, Signal]] = {
    StopReason.MEMORY_FAULT: Signal.SEGV,
    StopReason.BUS_FAULT: Signal.SEGV,
    StopReason.STACK_OVERFLOW: Signal.SEGV,
    StopReason.HARD_FAULT: Signal.SEGV,
    StopReason.USAGE_FAULT: Signal.ILL,
    StopReason.EXITED: Signal.TERM,
}
_WORDS: Final[dict[int, str]] = {
    StopReason.MEMORY_FAULT: "memory fault at {address:#010x}",
    StopReason.BUS_FAULT: "bus fault at {address:#010x}",
    StopReason.USAGE_FAULT: "usage fault (undefined instruction or state)",
    StopReason.HARD_FAULT: "hard fault",
    StopReason.STACK_OVERFLOW: "stack overflow at {address:#010x}",
    StopReason.EXITED: "the app has exited; `monitor reset` starts it again",
}
_PC: Final = slice(60, 64)


def reason_name(stop: Stop) -> str:
    """Such as `breakpoint` or `memory-fault`."""
    try:
        return StopReason(stop.reason).name.lower().replace("_", "-")
    except ValueError:
        return f"reason-{stop.reason}"


def describe_stop(stop: Stop) -> str:
    """A line for faults and exits; empty for the stops that a debugger asks for."""
    return _WORDS.get(stop.reason, "").format(address=stop.address)


def stop_report(stop: Stop, target: Target, *, interrupted: bool) -> StopReport:
    """`interrupted`: GDB asked for the stop, and shows it as SIGINT."""
    cause: Literal["swbreak", "hwbreak", "watch", "rwatch", "awatch"] | None = _WATCHES.get(stop.reason)
    if stop.reason == StopReason.BREAKPOINT:
        pc = int.from_bytes(stop.registers[_PC], "little")
        if target.has_point(0, pc):
            cause = "swbreak"
        elif target.has_point(1, pc):
            cause = "hwbreak"
    signal = _SIGNALS.get(stop.reason, Signal.TRAP)
    if interrupted and stop.reason == StopReason.HALTED:
        signal = Signal.INT
    return StopReport(signal=signal, registers=stop.registers, cause=cause, watched=stop.address)
