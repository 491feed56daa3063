"""Helpers for tests: both ends of a link in one process, and a simulated device. Not used by the product."""

from fieldlink.testing.client import Installed, UpgradeClient
from fieldlink.testing.debug_client import FrameClient
from fieldlink.testing.device import SimulatedDevice
from fieldlink.testing.pair import ConnectionPair

__all__ = ["ConnectionPair", "FrameClient", "Installed", "SimulatedDevice", "UpgradeClient"]
