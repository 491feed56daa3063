"""What travelled, counted for each device. Payload bytes: without framing, encryption and channel numbers."""

from collections import Counter, deque
from dataclasses import dataclass, field

from fieldlink.mux import Channel


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCounters:
    """Totals of one device since the gateway started, over all its sessions.

    `stream_bytes_*` count TCP bytes while the device's session was up; `module_bytes` counts encrypted
    module bytes handed to the link, by module id.
    """

    sessions: int
    stream_bytes_in: int
    stream_bytes_out: int
    channel_bytes_in: dict[Channel, int]
    channel_bytes_out: dict[Channel, int]
    channel_messages_in: dict[Channel, int]
    channel_messages_out: dict[Channel, int]
    module_bytes: dict[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetryLog:
    """What came on the application channel: how many messages, and the newest of them, oldest first."""

    count: int
    messages: tuple[bytes, ...]

    @property
    def last(self) -> bytes | None:
        """The newest message."""
        return self.messages[-1] if self.messages else None


@dataclass(slots=True, kw_only=True)
class DeviceTally:
    """The counters while they count."""

    telemetry: deque[bytes]
    telemetry_count: int = 0
    sessions: int = 0
    stream_in: int = 0
    stream_out: int = 0
    bytes_in: Counter[Channel] = field(default_factory=Counter)
    bytes_out: Counter[Channel] = field(default_factory=Counter)
    messages_in: Counter[Channel] = field(default_factory=Counter)
    messages_out: Counter[Channel] = field(default_factory=Counter)
    module_bytes: Counter[int] = field(default_factory=Counter)
    saved: tuple[int, int, int] = (0, 0, 0)
    """Telemetry, stream in, stream out that the registry has been told of."""

    def received(self, channel: Channel, size: int) -> None:
        """Counts a message from the device."""
        self.bytes_in[channel] += size
        self.messages_in[channel] += 1

    def sent(self, channel: Channel, size: int) -> None:
        """Counts a message to the device."""
        self.bytes_out[channel] += size
        self.messages_out[channel] += 1

    def unsaved(self) -> tuple[int, int, int]:
        """What was counted since the last call (telemetry, stream in, stream out)."""
        now = (self.telemetry_count, self.stream_in, self.stream_out)
        before, self.saved = self.saved, now
        return now[0] - before[0], now[1] - before[1], now[2] - before[2]

    def snapshot(self) -> DeviceCounters:
        """A copy."""
        return DeviceCounters(
            sessions=self.sessions,
            stream_bytes_in=self.stream_in,
            stream_bytes_out=self.stream_out,
            channel_bytes_in=dict(self.bytes_in),
            channel_bytes_out=dict(self.bytes_out),
            channel_messages_in=dict(self.messages_in),
            channel_messages_out=dict(self.messages_out),
            module_bytes=dict(self.module_bytes),
        )
