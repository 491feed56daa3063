"""Keywords of the debug suites: debug clients, a stock GDB, and the command line of `fieldlink debug`."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sqlite3
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pexpect
from robot.api import logger
from robot.api.deco import keyword, library

from brownout.errors import DeadlineError, StateError, ViolationError
from brownout.lab import DebugKit
from fieldlink.debug_messages import Permission
from fieldlink.keys import KeyPair, KeyUse, save_key_pair
from lab_keywords import HOLDER, fieldlink_command

DEVICE = "dev-1"
CLIENT = "alice"
TIMEOUT_S = 30.0
GDB = os.environ.get("BROWNOUT_GDB", "gdb-multiarch")
PROMPT = "(gdb) "
_POLL_S = 0.02


KITS: dict[str, DebugKit] = {}
"""Debug clients of the running lab by name; DebugAdversaryLibrary works on them too."""


@dataclass(kw_only=True)
class _Session:
    """A `fieldlink debug` process and the GDB that is attached to it."""

    bridge: subprocess.Popen[str]
    port: int
    gdb: pexpect.spawn | None = None
    transcript: list[str] = field(default_factory=list)


@library(scope="SUITE", auto_keywords=False)
class DebugLibrary:
    """Works on the lab that UpgradeLibrary started. A client is named; ``alice`` when none is given."""

    def __init__(self) -> None:
        self._kits = KITS
        self._sessions: dict[str, _Session] = {}

    # -- clients -------------------------------------------------------------------------------------------

    @keyword
    def add_debug_client(self, client: str = CLIENT, device: str = DEVICE) -> None:
        """Registers a client with the server and gives it a token with all permissions for the device."""
        self._kits[client] = HOLDER.lab.add_debug_client(client, device)

    @keyword
    def give_token(
        self, *permissions: str, client: str = CLIENT, life: int = 3600, device: str | None = None
    ) -> None:
        """Replaces the token; permissions: read, write, control, reset. A negative life has expired."""
        mask = Permission(0)
        for name in permissions:
            mask |= Permission[name.upper()]
        self._kit(client).issue_token(mask, life_s=life, device_id=device)

    @keyword
    def give_token_of_another_fleet(self, client: str = CLIENT) -> None:
        """Replaces the token by one that a fleet key has signed which the device does not know."""
        self._kit(client).issue_token(fleet_key=KeyPair.generate(KeyUse.FLEET))

    @keyword
    def give_client_a_key_that_the_server_does_not_know(self, client: str = CLIENT) -> None:
        """Replaces the client's link key; the registered one stays what it was."""
        folder = self._kit(client).folder
        save_key_pair(KeyPair.generate(KeyUse.CLIENT), folder / "client.key", force=True)

    @keyword
    def audit_log_should_be_intact(self) -> None:
        """`fieldlink audit verify` finds the chain unbroken."""
        done = _audit("verify")
        if done.returncode != 0:
            raise ViolationError(f"fieldlink audit verify: {done.stdout}{done.stderr}")

    @keyword
    def audit_log_should_tell(self, event: str, client: str = CLIENT, device: str = DEVICE) -> None:
        """The log has an entry of this kind (opened, refused, ended) for client and device."""
        entries = json.loads(_audit("list", "--json").stdout)
        kinds = [item["event"] for item in entries if (item["client"], item["device_id"]) == (client, device)]
        if event not in kinds:
            raise ViolationError(f"audit log: expected '{event}' of {client} and {device}, found {kinds}")

    @keyword
    def change_an_entry_of_the_audit_log(self) -> None:
        """Edits one entry in the database, as somebody would who wants a session not to have been."""
        with contextlib.closing(sqlite3.connect(HOLDER.lab.folder / "store" / "fieldlink.db")) as database:
            database.execute("UPDATE audit SET client = 'nobody' WHERE sequence = 1")
            database.commit()

    @keyword
    def audit_log_should_be_broken(self) -> None:
        """`fieldlink audit verify` says so, with exit code 1."""
        done = _audit("verify")
        if done.returncode != 1:
            raise ViolationError(f"fieldlink audit verify: expected exit code 1, found {done.returncode}")

    # -- GDB -----------------------------------------------------------------------------------------------

    @keyword
    def attach_gdb(self, client: str = CLIENT) -> None:
        """Opens a session and connects a stock GDB to it; the app stops."""
        kit = self._kit(client)
        ready = kit.folder / f"ready-{len(self._sessions)}-{time.monotonic_ns()}.json"
        bridge = subprocess.Popen(
            [
                *fieldlink_command(),
                "debug",
                kit.device_id,
                "--profile",
                str(kit.profile),
                "--ready-file",
                str(ready),
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        session = _Session(bridge=bridge, port=0)
        self._sessions[client] = session
        session.port = _wait_ready(bridge, ready)
        elf = HOLDER.lab.builds.version("1.0.0").elf("app")
        session.gdb = pexpect.spawn(
            GDB,
            ["-nx", "-q", str(elf)],
            encoding="utf-8",
            timeout=TIMEOUT_S,
            echo=False,
            env=os.environ | {"TERM": "dumb"},  # no colours, no line editing
        )
        session.gdb.expect_exact(PROMPT)
        for command in ("set pagination off", "set confirm off", "set width 0"):
            self.gdb(command, client=client)
        self.gdb(f"target remote 127.0.0.1:{session.port}", r"\w+ \(|0x[0-9a-f]+ in", client=client)

    @keyword
    def gdb(self, command: str, expected: str = "", client: str = CLIENT, timeout: float = TIMEOUT_S) -> str:
        """Types a command into GDB and waits for its prompt; what it printed must match ``expected``."""
        session = self._session(client)
        if session.gdb is None:
            raise StateError("GDB is not attached: use 'Attach GDB'")
        session.gdb.sendline(command)
        try:
            session.gdb.expect_exact(PROMPT, timeout=timeout)
        except (pexpect.TIMEOUT, pexpect.EOF) as error:
            raise DeadlineError(
                f"gdb: '{command}' did not end within {timeout:g} s; it printed {session.gdb.before!r}"
            ) from error
        printed = str(session.gdb.before).replace("\r\n", "\n").strip()
        logger.info(f"(gdb) {command}\n{printed}")
        if not re.search(expected, printed):
            raise ViolationError(f"gdb: '{command}': expected text like '{expected}', found '{printed}'")
        return printed

    @keyword
    def gdb_continues(self, client: str = CLIENT) -> None:
        """Lets the app run and does not wait for a stop."""
        session = self._session(client)
        if session.gdb is None:
            raise StateError("GDB is not attached: use 'Attach GDB'")
        session.gdb.sendline("continue")
        session.gdb.expect_exact("Continuing.")

    @keyword
    def gdb_interrupts(self, expected: str = "SIGINT|SIGTRAP", client: str = CLIENT) -> str:
        """Types Ctrl-C; GDB must report a stop."""
        session = self._session(client)
        if session.gdb is None:
            raise StateError("GDB is not attached: use 'Attach GDB'")
        session.gdb.sendintr()
        session.gdb.expect_exact(PROMPT)
        printed = str(session.gdb.before)
        logger.info(f"(gdb) ^C\n{printed}")
        if not re.search(expected, printed):
            raise ViolationError(f"gdb: Ctrl-C: expected a stop like '{expected}', found '{printed}'")
        return printed

    @keyword
    def process_of_client(self, client: str = CLIENT) -> int:
        """Process id of the client's `fieldlink debug`."""
        return self._session(client).bridge.pid

    @keyword
    def kill_debug_client(self, client: str = CLIENT) -> None:
        """The client's `fieldlink debug` is gone at once: it tidies nothing up."""
        self._session(client).bridge.kill()

    @keyword
    def close_gdb(self, client: str = CLIENT) -> None:
        """Ends GDB and the client process, as a person who closes the window."""
        session = self._sessions.pop(client, None)
        if session is not None:
            _end(session)

    @keyword
    def close_all_gdbs(self) -> None:
        """For teardowns: ends what is left, and forgets the clients of the lab."""
        self.close_gdbs()
        self._kits.clear()

    @keyword
    def close_gdbs(self) -> None:
        """For teardowns of tests that share a lab: ends what is left; the clients stay."""
        for client in list(self._sessions):
            self.close_gdb(client)

    @keyword
    def debug_client_should_end(self, expected: str, client: str = CLIENT, timeout: float = TIMEOUT_S) -> str:
        """The client process ends by itself and says why in a line like ``expected``."""
        session = self._session(client)
        try:
            printed, _ = session.bridge.communicate(timeout=timeout)
        except subprocess.TimeoutExpired as error:
            raise DeadlineError(f"fieldlink debug of {client}: still running after {timeout:g} s") from error
        if not re.search(expected, printed):
            raise ViolationError(f"fieldlink debug: expected '{expected}', found '{printed.strip()}'")
        return printed

    # -- the command line ----------------------------------------------------------------------------------

    @keyword
    def fieldlink_debug(self, command: str, *arguments: str, client: str = CLIENT) -> object:
        """Runs ``fieldlink debug COMMAND DEVICE ... --json``; returns what it printed, decoded."""
        done = self._run(command, arguments, client)
        if done.returncode != 0:
            raise ViolationError(f"fieldlink debug {command}: {done.stderr.strip()}")
        logger.info(done.stdout)
        lines = [json.loads(line) for line in done.stdout.splitlines() if line.strip()]
        return lines[0] if len(lines) == 1 else lines

    @keyword
    def fieldlink_debug_should_fail(
        self, expected: str, command: str, *arguments: str, client: str = CLIENT
    ) -> None:
        """The command ends with exit code 2 and one line like ``expected``."""
        done = self._run(command, arguments, client)
        lines = done.stderr.strip().splitlines()
        if done.returncode != 2 or len(lines) != 1 or not re.search(expected, lines[0]):
            raise ViolationError(
                f"fieldlink debug {command}: expected exit code 2 and one line like '{expected}', "
                f"found {done.returncode} and {lines}"
            )

    # -- inside --------------------------------------------------------------------------------------------

    def _kit(self, client: str) -> DebugKit:
        if client not in self._kits:
            raise StateError(f"no debug client '{client}': use 'Add Debug Client'")
        return self._kits[client]

    def _session(self, client: str) -> _Session:
        if client not in self._sessions:
            raise StateError(f"client '{client}' has no session: use 'Attach GDB'")
        return self._sessions[client]

    def _run(self, command: str, arguments: tuple[str, ...], client: str) -> subprocess.CompletedProcess[str]:
        kit = self._kit(client)
        return subprocess.run(
            [
                *fieldlink_command(),
                "debug",
                command,
                kit.device_id,
                "--profile",
                str(kit.profile),
                "--json",
                *arguments,
            ],
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )


def _audit(command: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*fieldlink_command(), "audit", command, "--store", str(HOLDER.lab.folder / "store"), *options],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def _wait_ready(bridge: subprocess.Popen[str], ready: Path) -> int:
    deadline, pause = time.monotonic() + TIMEOUT_S, threading.Event()
    while not (ready.is_file() and ready.stat().st_size):
        if bridge.poll() is not None:
            raise ViolationError(f"fieldlink debug: {bridge.stdout.read().strip() if bridge.stdout else ''}")
        if time.monotonic() > deadline:
            bridge.kill()
            raise DeadlineError(f"fieldlink debug: not listening within {TIMEOUT_S:g} s")
        pause.wait(_POLL_S)
    return int(json.loads(ready.read_text())["port"])


def _end(session: _Session) -> None:
    if session.gdb is not None:
        try:
            session.gdb.close(force=True)
        except pexpect.ExceptionPexpect:
            session.gdb.wait()  # it was killed; a busy machine takes longer than pexpect's tenth of a second
    session.bridge.terminate()
    try:
        session.bridge.wait(TIMEOUT_S)
    except subprocess.TimeoutExpired:
        session.bridge.kill()
        session.bridge.wait(TIMEOUT_S)
    if session.bridge.stdout is not None:
        session.bridge.stdout.close()
