"""How many flash operations this process has carried out, on all of its boards together."""

from __future__ import annotations

import threading


class OperationTally:
    """A count that only grows. Any thread may add to it and read it."""

    def __init__(self) -> None:
        self._count = 0
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Operations so far, those that a power cut ended included."""
        return self._count

    def add(self) -> None:
        """One more."""
        with self._lock:
            self._count += 1


TALLY = OperationTally()
"""For reports that do not know who made the boards: what a test took is the difference of two readings."""
