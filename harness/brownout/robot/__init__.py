"""Keywords for Robot Framework suites of your own, and evidence of failed tests in their log (docs/robot.md).

Library    brownout.robot.BrownoutLibrary
Library    brownout.robot.SweepLibrary
robot --listener brownout.robot.EvidenceListener
"""

from brownout.robot.brownout_library import BrownoutLibrary
from brownout.robot.devices import watch
from brownout.robot.listener import EvidenceListener
from brownout.robot.sweep_library import SweepLibrary
from brownout.robot.words import Engine, LiveEngine

__all__ = ["BrownoutLibrary", "Engine", "EvidenceListener", "LiveEngine", "SweepLibrary", "watch"]
