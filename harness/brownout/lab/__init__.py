"""A whole installation on one machine: upgrade server, releases, and devices on an engine, joined.

The Robot suites, the benchmark and the mutants stand on this; it holds no test of its own.
"""

from brownout.lab.debugging import DebugKit
from brownout.lab.firmware import FirmwareBuild, FirmwareBuilds
from brownout.lab.lab import Lab
from brownout.lab.link_tap import LinkTap
from brownout.lab.lying_relay import Lie, LyingRelay
from brownout.lab.releases import ReleaseDesk
from brownout.lab.server import LabServer, TimedEvent
from brownout.lab.telemetry import Telemetry, decode_telemetry
from brownout.lab.unit import Unit

__all__ = [
    "DebugKit",
    "FirmwareBuild",
    "FirmwareBuilds",
    "Lab",
    "LabServer",
    "Lie",
    "LinkTap",
    "LyingRelay",
    "ReleaseDesk",
    "Telemetry",
    "TimedEvent",
    "Unit",
    "decode_telemetry",
]
