"""A debug client of its own that times reads of the app's memory.

A process, as a user's client is one: it must not share an interpreter with the lab's server and modem.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from brownout.errors import StateError
from fieldlink.debug import open_client
from fieldlink.debug.profile import client_config, load_profile

_TIMEOUT_S: Final = 60.0
_PROGRAM: Final = "from brownout.bench.memory_probe import main; main()"


def read_rates(profile: Path, device: str, *, size: int, count: int) -> tuple[float, ...]:
    """Bytes per second of `count` reads of `size` bytes of a halted app's data. Raises StateError."""
    try:
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM, str(profile), device, str(size), str(count)],
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise StateError(f"memory read: not done within {_TIMEOUT_S:g} s") from error
    if done.returncode != 0:
        raise StateError(f"memory read: {(done.stderr.strip().splitlines() or ['failed'])[-1]}")
    return tuple(json.loads(done.stdout))


async def _measure(profile: Path, device: str, size: int, count: int) -> list[float]:
    async with open_client(client_config(load_profile(profile), device)) as client:
        target = await client.ready()
        await target.halt()
        base = target.agent.data_base
        await target.fetch_memory(base, size)
        rates = []
        for _ in range(count):
            started = time.perf_counter()
            await target.fetch_memory(base, size)  # pipelined; never from the cache
            rates.append(size / (time.perf_counter() - started))
        await target.release()
        return rates


def main() -> None:
    """The probe's process: PROFILE DEVICE SIZE COUNT; prints the rates as JSON."""
    profile, device, size, count = sys.argv[1:]
    sys.stdout.write(json.dumps(asyncio.run(_measure(Path(profile), device, int(size), int(count)))))
