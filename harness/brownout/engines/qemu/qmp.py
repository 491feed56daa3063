"""A client for QEMU's machine protocol over a connected socket."""

from __future__ import annotations

import json
import logging
import queue
import threading
import time
from typing import TYPE_CHECKING

from brownout.errors import EngineError

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

_log = logging.getLogger(__name__)

_Message = dict[str, object]


class QmpClient:
    """Sends one command at a time and collects events. The reader thread ends with the connection."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._replies: queue.SimpleQueue[_Message | None] = queue.SimpleQueue()
        self._events: list[_Message] = []
        self._lock = threading.Lock()
        self._reader = threading.Thread(target=self._read, name="brownout-qmp", daemon=True)
        self._reader.start()

    def handshake(self, deadline: float) -> None:
        """Wait for the greeting and enter command mode.

        `deadline` is a time.monotonic() time. Raises EngineError.
        """
        self._reply("greeting", deadline)
        self.execute("qmp_capabilities", deadline)

    def execute(self, command: str, deadline: float, arguments: Mapping[str, object] | None = None) -> object:
        """Run `command` and return its result. Raises EngineError: refused, disconnected, or late."""
        request: _Message = {"execute": command}
        if arguments:
            request["arguments"] = dict(arguments)
        with self._lock:
            try:
                self._connection.sendall(json.dumps(request).encode() + b"\n")
            except OSError as error:
                raise EngineError(f"QEMU closed its control connection before '{command}'") from error
            reply = self._reply(command, deadline)
        if "error" in reply:
            raise EngineError(f"QEMU refused '{command}': {reply['error']}")
        return reply.get("return")

    def join(self, timeout: float) -> None:
        """Wait until the connection has ended and all events are in."""
        self._reader.join(timeout)

    def shutdown_reason(self) -> str:
        """Reason of the last SHUTDOWN event, such as 'guest-reset'; '' when there was none."""
        for event in reversed(self._events):
            data = event.get("data")
            if event.get("event") == "SHUTDOWN" and isinstance(data, dict):
                return str(data.get("reason", ""))
        return ""

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _reply(self, what: str, deadline: float) -> _Message:
        try:
            reply = self._replies.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            raise EngineError(f"QEMU did not answer '{what}' in time") from None
        if reply is None:
            self._replies.put(None)
            raise EngineError(f"QEMU ended before it answered '{what}'")
        return reply

    def _read(self) -> None:
        try:
            with self._connection.makefile("rb") as stream:
                for line in stream:
                    message: _Message = json.loads(line)
                    _log.debug("%s", message)
                    if "event" in message:
                        self._events.append(message)
                    else:
                        self._replies.put(message)
        except (OSError, ValueError) as error:
            _log.debug("control connection ended: %s", error)
        self._replies.put(None)
