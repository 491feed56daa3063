"""What the lab's server hands out: the store's releases, unless a scenario makes the server misbehave."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from brownout.errors import StateError

if TYPE_CHECKING:
    from fieldlink.store import ReleaseRecord, Store


class ReleaseDesk:
    """A ReleaseSource of fieldlink over the store, with a hand in it.

    A scenario can pin an older release, put another envelope in front of the devices, or change blobs. The
    store itself stays as it is. Thread-safe: the gateway reads in worker threads.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._pinned: int | None = None
        self._envelope: bytes | None = None
        self._blobs: dict[str, bytes] = {}

    def newest_release(self, board: str) -> ReleaseRecord | None:
        """The newest release, or what the scenario wants the devices to see."""
        with self._lock:
            pinned, envelope = self._pinned, self._envelope
        release = self._find(board, pinned) if pinned is not None else self._store.newest_release(board)
        if release is not None and envelope is not None:
            release = replace(release, envelope=envelope)
        return release

    def read_blob(self, name: str) -> bytes:
        """The encrypted module, changed if the scenario wants so."""
        with self._lock:
            changed = self._blobs.get(name)
        return self._store.read_blob(name) if changed is None else changed

    def behave(self) -> None:
        """Hand out the store's releases again."""
        with self._lock:
            self._pinned = None
            self._envelope = None
            self._blobs.clear()

    def pin(self, sequence: int) -> None:
        """Offer this release although there may be newer ones."""
        with self._lock:
            self._pinned = sequence

    def unpin(self) -> None:
        """Offer the newest release."""
        with self._lock:
            self._pinned = None

    def offer_envelope(self, envelope: bytes) -> None:
        """Offer this envelope in place of the release's own."""
        with self._lock:
            self._envelope = envelope

    def change_blob(self, name: str, content: bytes) -> None:
        """Hand out `content` for the blob `name`."""
        with self._lock:
            self._blobs[name] = content

    def _find(self, board: str, sequence: int) -> ReleaseRecord:
        for release in self._store.list_releases():
            if release.board == board and release.sequence == sequence:
                return release
        raise StateError(f"release {sequence} of board {board}: not published")
