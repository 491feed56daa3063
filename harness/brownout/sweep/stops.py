"""A sweep that ends before it is done: why, and with what it knows until then."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

from brownout.errors import SweepError

if TYPE_CHECKING:
    from brownout.sweep.result import SweepResult


class StopReason(enum.Enum):
    """Why a sweep ended early; the values stand in SweepResult.stopped."""

    INTERRUPTED = "interrupted"
    DEADLINE = "deadline"
    ERROR = "error"
    MAX_FINDINGS = "max-findings"


class DeadlineError(SweepError):
    """The sweep's time is over."""


class SweepStoppedError(SweepError):
    """The deadline passed, or workers failed. `result` has what is known, and is marked as not complete."""

    def __init__(self, message: str, result: SweepResult) -> None:
        super().__init__(message)
        self.result = result


class SweepInterruptedError(KeyboardInterrupt):
    """Ctrl-C. `result` has what is known, and is marked as not complete.

    No BrownoutError: who goes on after errors must not go on after this.
    """

    def __init__(self, result: SweepResult) -> None:
        super().__init__()
        self.result = result
