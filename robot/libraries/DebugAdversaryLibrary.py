"""Keywords for a debug server that lies, and for what stands readable in its memory and on its links."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

from robot.api import logger
from robot.api.deco import keyword, library

from brownout.errors import DeadlineError, StateError, ViolationError
from brownout.lab import Lie, LinkTap, LyingRelay
from DebugLibrary import KITS
from fieldlink.keys import KeyUse, save_key_pair
from lab_keywords import HOLDER, fieldlink_command

DEVICE = "dev-1"
CLIENT = "alice"
TIMEOUT_S = 30.0
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw")


@library(scope="SUITE", auto_keywords=False)
class DebugAdversaryLibrary:
    """Works on the lab and the clients of UpgradeLibrary and DebugLibrary."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None
        self._tap: LinkTap | None = None

    @keyword
    def start_lab_with_lying_server(self, engine: str = "qemu") -> None:
        """Starts a lab whose server can lie about what it relays; honest until it is told to."""
        HOLDER.start(engine, None, LyingRelay())

    @keyword
    def server_lies_once(self, lie: Lie, skip: int = 1) -> None:
        """What the server does to one instruction: replay, drop, reorder, change, splice, recorded, cross.

        ``skip`` frames are passed on honestly before; 1 leaves a new session its first message.
        """
        self._relay().lie(lie, skip=skip)

    @keyword
    def server_should_have_lied(self) -> None:
        """The lie was told: without it the test would show nothing."""
        if self._relay().told != 1:
            raise ViolationError("the server had no occasion to lie: the scenario does not show anything")

    @keyword
    def server_leads_client_to_another_device(self, device: str, client: str = CLIENT) -> None:
        """The client means its device, and holds its key; the server connects it with ``device``."""
        kit = KITS[client]
        kit.issue_token(device_id="")
        kit.device_id = device

    # -- what a server can read ----------------------------------------------------------------------------

    @keyword
    def move_server_into_its_own_process(self) -> None:
        """Stops the lab's server and starts ``fieldlink serve`` on the same port, store and key."""
        HOLDER.lab.server.stop()
        self.start_server_process()

    @keyword
    def start_server_process(self) -> None:
        """Starts ``fieldlink serve`` on the port, store and key of the lab's server."""
        lab = HOLDER.lab
        host, port = lab.server.address
        key, ready = lab.folder / "server.key", lab.folder / "server-ready.json"
        ready.unlink(missing_ok=True)
        save_key_pair(lab.keys[KeyUse.SERVER], key, force=True)
        arguments = ["serve", "--store", str(lab.folder / "store"), "--key", str(key), "--host", host]
        self._server = subprocess.Popen(
            [
                *fieldlink_command(),
                *(*arguments, "--port", str(port), "--ready-file", str(ready)),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        _wait_for(lambda: ready.is_file(), "fieldlink serve is not listening")

    @keyword
    def kill_server_process(self) -> None:
        """The server process is gone at once: it tells nobody."""
        if self._server is None:
            raise StateError("the server runs in this process: use 'Move Server Into Its Own Process'")
        self._server.kill()
        self._server.wait(TIMEOUT_S)

    @keyword
    def stop_server_process(self) -> None:
        """For teardowns."""
        if self._server is not None:
            self._server.terminate()
            try:
                self._server.wait(TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._server.kill()
                self._server.wait(TIMEOUT_S)
            self._server = None
        if self._tap is not None:
            self._tap.close()
            self._tap = None

    @keyword
    def capture_link_of_client(self, client: str = CLIENT) -> None:
        """From now on the client talks to the server through a port that keeps a copy."""
        lab, kit = HOLDER.lab, KITS[client]
        self._tap = LinkTap(lab.server.address)
        device_key = lab.units[kit.device_id].provisioned.record.debug_public
        kit.write_profile(kit.elf, server=self._tap.address, device_key=device_key)

    @keyword
    def device_should_check_in_with_server_process(self, device: str = DEVICE) -> None:
        """The device has told the server process what it runs."""
        store = HOLDER.lab.folder / "store"

        def seen() -> bool:
            done = subprocess.run(
                [
                    *fieldlink_command(),
                    *("devices", "--store", str(store), "--json"),
                ],
                capture_output=True,
                text=True,
                timeout=TIMEOUT_S,
                check=True,
            )
            states = {item["device_id"]: item for item in json.loads(done.stdout)}
            return states[device]["last_seen"] is not None and states[device]["last_seen"] > started

        started = time.time()
        _wait_for(seen, f"{device} did not check in")

    @keyword
    def server_process_should_not_hold(self, secret: str) -> None:
        """Searches all writable memory of the server process."""
        if self._server is None:
            raise StateError("the server runs in this process: use 'Move Server Into Its Own Process'")
        size, found = _search_process(self._server.pid, secret.encode())
        logger.info(f"searched {size} bytes of the server process")
        if found:
            raise ViolationError(f"server process: holds '{secret}'")

    @keyword
    def client_process_should_hold(self, process: int, secret: str) -> None:
        """The same search finds the text in the client's process: it can tell."""
        size, found = _search_process(process, secret.encode())
        logger.info(f"searched {size} bytes of the client process")
        if not found:
            raise ViolationError(f"client process: expected '{secret}' in {size} bytes, found it nowhere")

    @keyword
    def links_should_not_carry(self, secret: str, device: str = DEVICE) -> None:
        """Searches the captures of the device's link and of the client's link."""
        if self._tap is None:
            raise StateError("the client's link is not captured: use 'Capture Link Of Client'")
        captures = {
            "device's link": b"".join(item.data for item in HOLDER.unit(device).modem.captured),
            "client's link": self._tap.captured,
        }
        for name, data in captures.items():
            logger.info(f"searched {len(data)} bytes of the {name}")
            if len(data) < 1000:
                raise StateError(f"{name}: only {len(data)} bytes were captured: the search shows nothing")
            if secret.encode() in data:
                raise ViolationError(f"{name}: carries '{secret}' readable")

    def _relay(self) -> LyingRelay:
        relay = HOLDER.lab.relay
        if relay is None:
            raise StateError("this lab's server cannot lie: use 'Start Lab With Lying Server'")
        return relay


def _wait_for(holds: Callable[[], bool], otherwise: str) -> None:
    deadline, pause = time.monotonic() + TIMEOUT_S, threading.Event()
    while not holds():
        if time.monotonic() > deadline:
            raise DeadlineError(f"{otherwise} within {TIMEOUT_S:g} s")
        pause.wait(0.1)


def _search_process(process: int, needle: bytes) -> tuple[int, bool]:
    """Bytes searched, and whether `needle` stands in the writable memory of a process of ours."""
    searched, found = 0, False
    folder = Path("/proc") / str(process)
    with (folder / "mem").open("rb", buffering=0) as memory:
        for line in (folder / "maps").read_text().splitlines():
            mapping = _MAPPING.match(line)
            if mapping is None:
                continue
            start, end = int(mapping[1], 16), int(mapping[2], 16)
            try:
                memory.seek(start)
                data = memory.read(end - start)
            except (OSError, ValueError, OverflowError):
                continue  # a mapping that went meanwhile, or that cannot be read
            searched += len(data)
            found = found or needle in data
    return searched, found
