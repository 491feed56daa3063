"""A flash state as a short key: equal keys, equal behaviour of what runs on it."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from brownout.flash.bits import to_bytes, to_int

if TYPE_CHECKING:
    from collections.abc import Sequence

    from brownout.flash import Geometry, Snapshot

_SIZE = 16
_LIMIT = (1 << (8 * _SIZE)) - 1


class FlashKeys:
    """Makes keys of snapshots. The digest of a sector is kept while snapshots share the sector's bytes."""

    def __init__(self, geometry: Geometry) -> None:
        # How often a word was programmed decides something only where the flash counts it.
        self._counts = geometry.write_once or geometry.max_programs > 0
        self._sectors: list[bytes] = [b""] * geometry.sector_count
        self._digests = [0] * geometry.sector_count
        self._total = 0

    def key(self, snapshot: Snapshot) -> bytes:
        """Key of everything that decides what a processor on this flash does, power-ons to come included."""
        array = snapshot.array
        rest: list[object] = []
        if array.unstable:
            # What the power-ons to come draw depends on their number.
            rest.append((snapshot.session, sorted(array.unstable)))
        if self._counts:
            rest.append(sorted(array.programs))
        if snapshot.worn:
            rest.append([(part.offset, part.size) for part in snapshot.worn])
        total = self._content(snapshot)
        if rest:
            total += _digest(-1, repr(rest).encode())
        return to_bytes(total & _LIMIT, _SIZE)

    def part(self, snapshot: Snapshot, sectors: Sequence[int]) -> int:
        """Key of what these sectors read."""
        self._content(snapshot)
        digests = self._digests
        return sum([digests[index] for index in sectors]) & _LIMIT

    def stable(self, snapshot: Snapshot) -> bytes:
        """Key of what the cells hold, whatever unstable bits happen to read."""
        array = snapshot.array
        total = self._content(snapshot)
        for index, mask in array.unstable:
            value = array.sectors[index]
            settled = to_bytes(to_int(value) & ~to_int(mask), len(value))
            total += _digest(index, settled) + _digest(~index, mask) - self._digests[index]
        return to_bytes(total & _LIMIT, _SIZE)

    def _content(self, snapshot: Snapshot) -> int:
        known = self._sectors
        for index, value in enumerate(snapshot.array.sectors):
            if known[index] is not value:
                digest = _digest(index, value)
                self._total += digest - self._digests[index]
                self._digests[index] = digest
                known[index] = value
        return self._total


def _digest(index: int, data: bytes) -> int:
    hashed = hashlib.blake2b(data, digest_size=_SIZE, salt=(index & 0xFFFFFFFF).to_bytes(16, "little"))
    return int.from_bytes(hashed.digest(), "little")
