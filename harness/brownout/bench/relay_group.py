"""The group `relay`: one gateway process between a debug client and many devices."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from brownout.bench.debug_bench import end_process, wait_ready
from brownout.bench.relay_load import DeviceCrowd, LoadClient
from brownout.bench.samples import Measurement
from fieldlink.debug_messages import Permission
from fieldlink.keys import KeyPair, KeyUse, save_key_pair
from fieldlink.provision import TrustedKeys, provision_device
from fieldlink.store import ClientRecord, Store
from fieldlink.token import issue_token

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from brownout.bench.workbench import Workbench
    from fieldlink.provision import ProvisionedDevice

CROWDS: Final = (1, 100, 1000)
"""Device connections; without the last with --quick."""
_SESSIONS: Final = 8
"""What one client link may have; so many devices are debugged, the others are connected."""
_WINDOW: Final = 32
_TRIPS, _SINGLE_TRIPS = 1000, 200
_FILES_NEEDED: Final = 4096
_PROGRAM: Final = "from fieldlink.cli import main; main()"
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Process:
    """A gateway process, seen from outside."""

    pid: int
    port: int

    def memory(self) -> int:
        """Resident bytes."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def cpu_s(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * _TICK_S


class _Fleet:
    """Keys, a store with devices and a client, and a gateway on it."""

    def __init__(self, folder: Path, board: str, count: int) -> None:
        self.folder = folder
        self.keys = {use: KeyPair.generate(use) for use in KeyUse}
        self.e2e = KeyPair.generate(KeyUse.CLIENT)
        public = {use: pair.public for use, pair in self.keys.items()}
        trusted = TrustedKeys(
            server=public[KeyUse.SERVER], release=public[KeyUse.RELEASE], fleet=public[KeyUse.FLEET]
        )
        save_key_pair(self.keys[KeyUse.SERVER], folder / "server.key")
        with Store.open(folder / "store", create=True) as store:
            store.clients.add(
                ClientRecord(name="bench", link_public=public[KeyUse.CLIENT], e2e_public=self.e2e.public)
            )
            self.devices: list[ProvisionedDevice] = [
                provision_device(store, device_id=f"bench-{number}", board=board, trusted=trusted)
                for number in range(count)
            ]

    def tokens(self, count: int) -> dict[str, bytes]:
        """Tokens for the first devices."""
        return {
            one.record.device_id: issue_token(
                self.keys[KeyUse.FLEET],
                client=self.e2e.public,
                device_id=one.record.device_id.encode(),
                permissions=Permission.READ,
                expires=int(time.time()) + 3600,
            )
            for one in self.devices[:count]
        }

    @contextlib.contextmanager
    def gateway(self) -> Iterator[_Process]:
        """Run `fieldlink serve`. Raises StateError."""
        ready, log = self.folder / "ready.json", self.folder / "serve.log"
        command = [sys.executable, "-c", _PROGRAM, "serve", "--store", str(self.folder / "store")]
        command += ["--key", str(self.folder / "server.key"), "--port", "0", "--ready-file", str(ready)]
        with log.open("w") as errors:
            process = subprocess.Popen(
                [*command, "--log-level", "error"], stdout=errors, stderr=errors, text=True
            )
        try:
            yield _Process(pid=process.pid, port=wait_ready(process, ready, f"fieldlink serve ({log})"))
        finally:
            end_process(process)


def measure_relay(bench: Workbench) -> list[Measurement]:
    """Round trips through `fieldlink serve` with more and more devices connected."""
    crowds = CROWDS[:-1] if bench.quick else CROWDS
    bench.progress("relay: provisioning")
    fleet = _Fleet(bench.subfolder("relay"), bench.board.name, crowds[-1])
    with _open_files(), fleet.gateway() as gateway:
        return asyncio.run(_measure(bench, fleet, gateway, crowds))


async def _measure(
    bench: Workbench, fleet: _Fleet, gateway: _Process, crowds: Sequence[int]
) -> list[Measurement]:
    address, server = ("127.0.0.1", gateway.port), fleet.keys[KeyUse.SERVER].public
    measured: list[Measurement] = []
    connected, memory = 0, 0
    crowd = DeviceCrowd(address, server_public=server, release_public=fleet.keys[KeyUse.RELEASE].public)
    async with crowd:
        for count in crowds:
            bench.progress(f"relay: {count} devices")
            await crowd.join(fleet.devices[connected:count])
            if connected == 0:
                memory = gateway.memory()  # after the first device: what all of them share is loaded
            connected = count
            grown = gateway.memory() - memory
            tokens = fleet.tokens(min(count, _SESSIONS))
            client = LoadClient(address, key=fleet.keys[KeyUse.CLIENT], server_public=server, tokens=tokens)
            async with client:
                measured += await _load(client, gateway, count, bench.few)
            crowd.check()
    each = grown / (crowds[-1] - crowds[0])
    return [
        *measured,
        Measurement(
            name="relay.memory", samples=(each,), note=f"{grown} B for {crowds[-1] - crowds[0]} devices"
        ),
    ]


async def _load(client: LoadClient, gateway: _Process, count: int, runs: int) -> list[Measurement]:
    samples: dict[str, list[float]] = {"rate": [], "cpu": [], "p50": [], "p99": []}
    await client.run(_SINGLE_TRIPS, window=_WINDOW)
    for _ in range(runs):
        cpu = gateway.cpu_s()
        run = await client.run(_TRIPS, window=_WINDOW)
        samples["cpu"].append((gateway.cpu_s() - cpu) / (2 * _TRIPS) * 1e6)
        samples["rate"].append(2 * _TRIPS / run.duration_s)
        single = await client.run(_SINGLE_TRIPS, window=1)
        cuts = statistics.quantiles(single.latencies_s, n=100)
        samples["p50"].append(cuts[49] * 1e3)
        samples["p99"].append(cuts[98] * 1e3)
    return [
        Measurement(name=f"relay.{key}-{count}", samples=tuple(values)) for key, values in samples.items()
    ]


@contextlib.contextmanager
def _open_files() -> Iterator[None]:
    """Let this process and its children have a socket for each device."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_NEEDED if hard == resource.RLIM_INFINITY else min(_FILES_NEEDED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
