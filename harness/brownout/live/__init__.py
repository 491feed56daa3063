"""Targets on an engine that runs in real time, cut by cut: slow, but nothing is derived."""

from brownout.live.sessions import LiveTarget, Session
from brownout.live.surroundings import Surroundings
from brownout.live.sweep import LiveVerdict, replay_live, sweep_live

__all__ = ["LiveTarget", "LiveVerdict", "Session", "Surroundings", "replay_live", "sweep_live"]
