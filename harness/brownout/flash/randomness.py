"""Seeded bytes: all of the harness's randomness comes from one seed and a path that names its use.

A keyed hash, not a generator with a state: what one use draws never depends on how often or in which order
the others drew, so the same replay id gives the same bytes.
"""

from __future__ import annotations

import hashlib


def seeded_bytes(seed: int, size: int, *path: str | int) -> bytes:
    """Return `size` bytes that depend on `seed` and `path` only.

    Args:
        seed: any integer.
        size: bytes wanted; a longer draw starts with the shorter one.
        path: names the use, such as ("torn", session, sequence). The integer 1 and the text "1" differ.
    """
    key = repr((seed, *path)).encode()
    return hashlib.shake_128(key).digest(size)
