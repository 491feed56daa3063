"""Errors as the reader of a test report wants them: one line, or a traceback that ends in the test."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from brownout.pytest_plugin.options import OptionError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

_PACKAGE: Final = str(Path(__file__).resolve().parents[1])


@contextlib.contextmanager
def collecting() -> Iterator[None]:
    """What goes wrong is a collection error of one line."""
    try:
        yield
    except Exception as error:
        if not _is_ours(error):
            raise
        raise pytest.Collector.CollectError(f"brownout: {error}") from None


@contextlib.contextmanager
def running() -> Iterator[None]:
    """What goes wrong fails the test with one line."""
    try:
        yield
    except Exception as error:
        if not _is_ours(error):
            raise
        raise pytest.fail.Exception(f"brownout: {error}", pytrace=False) from None


def _is_ours(error: BaseException) -> bool:
    if isinstance(error, OptionError):
        return True
    # Whose module was never imported was never raised.
    for module, name in (("brownout.errors", "BrownoutError"), ("fieldlink.errors", "FieldlinkError")):
        loaded = sys.modules.get(module)
        if loaded is not None and isinstance(error, getattr(loaded, name)):
            return True
    return False


def end_in_the_test(error: BaseException) -> None:
    """Cut the frames of the harness off the end of the traceback: the message says what they would."""
    if not _is_ours(error) and not isinstance(error, AssertionError):
        return
    last: TracebackType | None = None
    trace = error.__traceback__
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        if name.startswith(_PACKAGE):
            if last is not None:
                last.tb_next = None
                return
        elif _is_of_the_user(trace):
            last = trace
        trace = trace.tb_next


def _is_of_the_user(trace: TracebackType) -> bool:
    return trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] not in (
        "_pytest",
        "pytest",
        "pluggy",
    )
