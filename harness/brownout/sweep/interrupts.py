"""Ctrl-C and SIGTERM while a machine runs in this process."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


_HELD: Final = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def held_interrupts() -> Iterator[None]:
    """Handle Ctrl-C and SIGTERM at the end of the block, not in the middle of it.

    An exception that is raised in a function that native code calls may be lost: Unicorn calls many. A signal
    that is ignored, or kills, still does.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: handler for number in _HELD if callable(handler := signal.getsignal(number))}
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        del frame
        came.append(number)

    for number in before:
        signal.signal(number, note)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if came:
        before[signal.Signals(came[0])](came[0], None)
