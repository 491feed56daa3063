"""Memory shared with an emulator process by file descriptor, so that nothing is left on disk."""

from __future__ import annotations

import mmap
import os
import tempfile


class SharedMemory:
    """`size` zero bytes that this process maps and that a child opens as `path` when it inherits `fd`."""

    def __init__(self, name: str, size: int, content: bytes = b"") -> None:
        self.fd = _anonymous_file(name)
        self.size = size
        try:
            os.ftruncate(self.fd, size)
            self.map = mmap.mmap(self.fd, size)
        except BaseException:
            os.close(self.fd)
            raise
        self.map[: len(content)] = content

    @property
    def path(self) -> str:
        """Path of the memory inside a process that inherited `fd`."""
        return f"/proc/self/fd/{self.fd}"

    def close(self) -> None:
        """Give the memory back; later calls do nothing. Views of `map` must have been released."""
        if self.fd >= 0:
            self.map.close()
            os.close(self.fd)
            self.fd = -1


def _anonymous_file(name: str) -> int:
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    # An unlinked file: gone with its last descriptor, like a memfd.
    with tempfile.TemporaryFile(prefix=f"brownout-{name}-") as stream:
        return os.dup(stream.fileno())
