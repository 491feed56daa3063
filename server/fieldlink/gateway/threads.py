"""Blocking calls of the store, in threads and with a deadline."""

import asyncio
from collections.abc import Callable
from typing import ParamSpec, TypeVar

from fieldlink.errors import StoreError

P = ParamSpec("P")
R = TypeVar("R")


async def in_thread(timeout_s: float, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
    """`function(...)` in a thread. StoreError when it does not answer in time."""
    try:
        async with asyncio.timeout(timeout_s):
            return await asyncio.to_thread(function, *args, **kwargs)
    except TimeoutError as error:
        raise StoreError(f"store: no answer in {timeout_s:g} s") from error
