"""A debug client of a lab: its keys, its token, its registration, and a profile for the command line."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from brownout.files import write_atomic
from fieldlink.debug_messages import Permission
from fieldlink.keys import KeyPair, KeyUse, save_key_pair
from fieldlink.store import ClientRecord
from fieldlink.token import issue_token

if TYPE_CHECKING:
    from pathlib import Path

    from brownout.lab.lab import Lab

ALL: Final = Permission.READ | Permission.WRITE | Permission.CONTROL | Permission.RESET
_TOKEN_LIFE_S: Final = 3600


class DebugKit:
    """One client for one device. The files are in `folder`; `profile` is what `fieldlink debug` takes."""

    def __init__(self, lab: Lab, folder: Path, *, name: str, device_id: str, elf: Path) -> None:
        """Make keys, register the client, issue a token with all permissions, write the profile."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lab: Final = lab
        self.folder: Final = folder
        self.name: Final = name
        self.device_id: Final = device_id
        self.link_key: Final = KeyPair.generate(KeyUse.CLIENT)
        self.e2e_key: Final = KeyPair.generate(KeyUse.CLIENT)
        save_key_pair(self.link_key, folder / "client.key")
        save_key_pair(self.e2e_key, folder / "client-e2e.key")
        save_key_pair(lab.keys[KeyUse.SERVER], folder / "server.key")
        lab.store.clients.add(
            ClientRecord(name=name, link_public=self.link_key.public, e2e_public=self.e2e_key.public)
        )
        self.profile: Final = folder / "debug.toml"
        self.issue_token()
        self.elf: Final = elf
        self.write_profile(
            elf, server=lab.server.address, device_key=lab.units[device_id].provisioned.record.debug_public
        )

    def issue_token(
        self,
        permissions: Permission = ALL,
        *,
        life_s: int = _TOKEN_LIFE_S,
        device_id: str | None = None,
        fleet_key: KeyPair | None = None,
    ) -> None:
        """Replace the token. A negative life makes one that has expired."""
        token = issue_token(
            fleet_key or self._lab.keys[KeyUse.FLEET],
            client=self.e2e_key.public,
            device_id=(self.device_id if device_id is None else device_id).encode(),
            permissions=permissions,
            expires=int(time.time()) + life_s,
        )
        write_atomic(self.folder / "client.token", token)

    def write_profile(self, elf: Path, *, server: tuple[str, int], device_key: bytes) -> None:
        """Write what `fieldlink debug --profile` takes."""
        host, port = server
        board = self._lab.board
        assets, app = board.flash.regions["assets"], board.flash.regions["app"]
        lines = [
            f'server = "{host}:{port}"',
            'server_key = "server.key.pub"',
            'key = "client.key"',
            'e2e_key = "client-e2e.key"',
            'token = "client.token"',
            f'device_key = "{device_key.hex()}"',
            f'elf = "{elf}"',
            f'rom = ["{board.flash.base + assets.offset:#x}:{assets.size:#x}"]',
            f"app_flash = {board.flash.base + app.offset:#x}",
        ]
        write_atomic(self.profile, "".join(f"{line}\n" for line in lines).encode())
