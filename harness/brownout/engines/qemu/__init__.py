"""The QEMU engine: one process for each power-on and reset, the flash in memory shared with it."""

from brownout.engines.qemu.engine import QemuEngine, find_qemu

__all__ = ["QemuEngine", "find_qemu"]
