"""The debug client: sessions with devices through a server that cannot read them, and GDB's way in."""

from fieldlink.debug.client import ClientConfig, DebugClient, open_client
from fieldlink.debug.errors import DebugError, ElfMismatchError, RequestRefusedError, SessionEndedError
from fieldlink.debug.monitor import SessionFacts
from fieldlink.debug.service import GdbService
from fieldlink.debug.session import AgentInfo, DebugSession, SessionConfig
from fieldlink.debug.target import Target

__all__ = [
    "AgentInfo",
    "ClientConfig",
    "DebugClient",
    "DebugError",
    "DebugSession",
    "ElfMismatchError",
    "GdbService",
    "RequestRefusedError",
    "SessionConfig",
    "SessionEndedError",
    "SessionFacts",
    "Target",
    "open_client",
]
