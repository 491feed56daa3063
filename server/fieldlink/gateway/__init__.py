"""The asyncio edge: a TCP server for many devices, and the upgrade service behind it."""

from fieldlink.gateway.config import GatewayConfig
from fieldlink.gateway.counters import DeviceCounters, TelemetryLog
from fieldlink.gateway.debug import DebugBackend, reason_text
from fieldlink.gateway.events import (
    CheckReceived,
    ClientOffline,
    ClientOnline,
    DebugSessionEnded,
    DebugSessionOpened,
    DebugSessionRefused,
    DeviceOffline,
    DeviceOnline,
    FetchRefused,
    GatewayEvent,
    HandshakeRejected,
    ModuleRequested,
    ModuleServed,
    ReportReceived,
    StoreFault,
    TelemetryReceived,
    event_to_dict,
)
from fieldlink.gateway.gateway import Gateway
from fieldlink.gateway.sources import DeviceRegistry, ReleaseSource
from fieldlink.gateway.upgrade import RefusedCode, ReportCode

__all__ = [
    "CheckReceived",
    "ClientOffline",
    "ClientOnline",
    "DebugBackend",
    "DebugSessionEnded",
    "DebugSessionOpened",
    "DebugSessionRefused",
    "DeviceCounters",
    "DeviceOffline",
    "DeviceOnline",
    "DeviceRegistry",
    "FetchRefused",
    "Gateway",
    "GatewayConfig",
    "GatewayEvent",
    "HandshakeRejected",
    "ModuleRequested",
    "ModuleServed",
    "RefusedCode",
    "ReleaseSource",
    "ReportCode",
    "ReportReceived",
    "StoreFault",
    "TelemetryLog",
    "TelemetryReceived",
    "event_to_dict",
    "reason_text",
]
