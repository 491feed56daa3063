"""Keywords for what the device must refuse by itself: a client and a server that check nothing before it."""

from __future__ import annotations

import asyncio
import time
from contextlib import ExitStack
from dataclasses import replace
from unittest import mock

from robot.api.deco import keyword, library

from brownout.errors import ViolationError
from DebugLibrary import KITS
from fieldlink import debug_messages as messages
from fieldlink.debug import ClientConfig, SessionEndedError, open_client
from fieldlink.debug.profile import client_config, load_profile
from fieldlink.debug_messages import EndReason, ReplyStatus
from fieldlink.token import Token, read_unverified_token
from lab_keywords import HOLDER

CLIENT = "alice"
_LATE_S = 86_400


@library(scope="SUITE", auto_keywords=False)
class DebugDistrustLibrary:
    """Works on the lab and the clients of UpgradeLibrary and DebugLibrary."""

    def __init__(self) -> None:
        self._careless = ExitStack()

    @keyword
    def device_should_not_permit(self, *requests: str, client: str = CLIENT) -> None:
        """A client that does not look at its own token sends the requests: the device must refuse each."""
        asyncio.run(_send(client, requests))

    @keyword
    def device_should_not_authorise(self, client: str = CLIENT) -> None:
        """A client that does not look at its own token opens a session with it: that is refused."""
        try:
            asyncio.run(_open(client))
        except SessionEndedError as error:
            if error.reason == EndReason.NOT_AUTHORISED:
                return
            raise
        raise ViolationError("device: expected the token to be refused, found a session")

    @keyword
    def server_checks_no_tokens(self) -> None:
        """From now on the server lets tokens for any device pass, and its clock is a day late."""

        class LateClock:
            @staticmethod
            def time() -> float:
                return time.time() - _LATE_S

        self._careless.enter_context(mock.patch.object(Token, "allows_device", return_value=True))
        self._careless.enter_context(mock.patch("fieldlink.gateway.debug.time", LateClock))

    @keyword
    def server_checks_tokens_again(self) -> None:
        """For teardowns."""
        self._careless.close()


def _requests() -> dict[str, messages.DebugRequest]:
    memory = HOLDER.lab.board.memory
    code, data = memory["app_code"].base, memory["app_data"].base
    return {
        "write memory": messages.WriteMemory(address=data, data=bytes(4)),
        "write registers": messages.WriteRegisters(registers=bytes(messages.REGISTERS_SIZE)),
        "insert breakpoint": messages.Insert(kind=0, address=code + 0x40, length=2),
        "insert watchpoint": messages.Insert(kind=2, address=data, length=4),
        "halt": messages.Halt(),
        "resume": messages.Resume(),
        "step": messages.Step(),
        "reset": messages.Reset(target=messages.ResetTarget.APP),
    }


def _config(name: str) -> ClientConfig:
    """The client's configuration without the checks of `client_config`: a sound token is exchanged for it."""
    kit = KITS[name]
    given = (kit.folder / "client.token").read_bytes()
    kit.issue_token()
    config = client_config(load_profile(kit.profile), kit.device_id)
    permissions = read_unverified_token(given).permissions
    return replace(config, token=given, permissions=permissions)


async def _open(name: str) -> None:
    async with open_client(_config(name)):
        pass


async def _send(name: str, names: tuple[str, ...]) -> None:
    known = _requests()
    async with open_client(_config(name)) as client:
        for request in names:
            reply = await client.submit(known[request])
            if reply.status != ReplyStatus.NOT_PERMITTED:
                raise ViolationError(
                    f"device: expected '{request}' not to be permitted, found status {reply.status}"
                )
