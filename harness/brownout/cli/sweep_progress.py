"""Progress of a sweep for who waits: a bar with rate and time left on a terminal, nothing in a pipe."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Self

import click

if TYPE_CHECKING:
    from types import TracebackType

    from click._termui_impl import ProgressBar

_REDRAW_S: Final = 0.1


class SweepProgress:
    """Use it as a context manager, and call it with how far the sweep is."""

    def __init__(self, label: str = "sweep") -> None:
        self._label = label
        self._shown = sys.stderr.isatty()
        self._bar: ProgressBar[int] | None = None
        self._rate = 0.0
        self._done = 0
        self._drawn = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._finish()

    def __call__(self, done: int, total: int, rate: float) -> None:
        """Show that `done` of `total` points are done, `rate` of them a second; the total may grow."""
        if not self._shown or total <= 0:
            return
        bar = self._bar or self._begin(total)
        now = time.monotonic()
        if done < total and now - self._drawn < _REDRAW_S:
            return
        self._drawn, self._rate = now, rate
        bar.length = total
        step, self._done = done - self._done, done
        bar.update(step)

    def _begin(self, total: int) -> ProgressBar[int]:
        self._bar = click.progressbar(
            length=total,
            label=self._label,
            file=sys.stderr,
            show_pos=True,
            item_show_func=lambda _: f"{self._rate:,.0f}/s" if self._rate else "",
            width=30,
        )
        return self._bar.__enter__()

    def _finish(self) -> None:
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.__exit__(None, None, None)
