"""Ids of runs: they sort by time, and a person can say the end of one."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime
from typing import Final

_LETTERS: Final = "0123456789abcdefghjkmnpqrstvwxyz"
"""Without i, l, o and u: nobody has to ask which letter that is."""
_RANDOM_LENGTH: Final = 6


def new_run_id(started: datetime | None = None) -> str:
    """An id such as "20261124-001631042-7k3x9q": UTC to the millisecond, and 30 random bits.

    `started` is when the run began (aware; default: now), so that a run that is imported later sorts where it
    belongs.
    """
    when = (started or datetime.now(UTC)).astimezone(UTC)
    tail = "".join(secrets.choice(_LETTERS) for _ in range(_RANDOM_LENGTH))
    return f"{when:%Y%m%d-%H%M%S}{when.microsecond // 1000:03d}-{tail}"
