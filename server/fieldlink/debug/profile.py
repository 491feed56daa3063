"""What a debug session needs, from a TOML profile and from options (which win).

::

    server = "debug.example.com:7400"
    server_key = "server.key.pub"      # files are relative to the profile's folder
    key = "client.key"                 # P2P with the server
    e2e_key = "client-e2e.key"         # end to end with the device; named in the token
    token = "dev-1.token"
    device_key = "dev-1.debug.pub"     # or 64 hex digits
    elf = "app.elf"
    manifest = "release-1.manifest"
    rom = ["0x21050000:0x10000"]       # readable flash, for GDB's memory map
    app_flash = 0x21040000             # where the app's image lies in flash
"""

import difflib
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final, TypeVar

import tomli

from fieldlink.atomic import read_input
from fieldlink.debug.client import ClientConfig
from fieldlink.debug.rsp import MemoryRegion
from fieldlink.debug_messages import DEVICE_ID_LIMIT, TOKEN_LIMIT
from fieldlink.errors import ConfigError
from fieldlink.fields import U32_MAX
from fieldlink.keys import KEY_SIZE, KeyUse, load_private_key, load_public_key
from fieldlink.token import read_unverified_token

T = TypeVar("T")
_FILE_LIMIT: Final = 65536
_FILES: Final = ("server_key", "key", "e2e_key", "token", "elf", "manifest")


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """Everything optional; `client_config` says what is missing. Texts are as a person gave them."""

    server: str | None = None
    server_key: Path | None = None
    key: Path | None = None
    e2e_key: Path | None = None
    token: Path | None = None
    device_key: str | None = None
    elf: Path | None = None
    manifest: Path | None = None
    rom: tuple[MemoryRegion, ...] = ()
    app_flash: int | None = None

    def override(self, options: "Profile") -> "Profile":
        """This profile with every field that `options` sets."""
        chosen = {
            field.name: getattr(options, field.name) or getattr(self, field.name) for field in fields(Profile)
        }
        return Profile(**chosen)


def load_profile(path: Path) -> Profile:
    """ConfigError says what is wrong; an unknown key names the nearest known one."""
    where = f"profile {path}"
    try:
        content = tomli.loads(read_input(path, "profile", _FILE_LIMIT).decode())
    except (tomli.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}: not valid TOML: {error}") from error
    known = [field.name for field in fields(Profile)]
    for key in content:
        if key not in known:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)[0]
            raise ConfigError(f"{where}: unknown key {key!r}; did you mean {nearest!r}?")
    values: dict[str, object] = {}
    for key, value in content.items():
        values[key] = _value(where, path.parent, key, value)
    return Profile(**values)  # type: ignore[arg-type]  # each was checked by its key


def _value(where: str, folder: Path, key: str, value: object) -> object:
    if key == "app_flash":
        if type(value) is not int or not 0 <= value <= U32_MAX:
            raise ConfigError(f"{where}: app_flash: expected an address, such as 0x21040000")
        return value
    if key == "rom":
        if not isinstance(value, list):
            raise ConfigError(f'{where}: rom: expected a list such as ["0x21050000:0x10000"]')
        return tuple(parse_region(str(entry)) for entry in value)
    if not isinstance(value, str) or not value:
        raise ConfigError(f"{where}: {key}: expected a text")
    if key in _FILES:
        return folder / value
    if key == "device_key" and not _is_hex_key(value):
        return str(folder / value)
    return value


def parse_number(text: str) -> int:
    """An address or a size, decimal or with 0x. ConfigError otherwise."""
    try:
        value = int(text, 0)
    except ValueError:
        value = -1
    if not 0 <= value <= U32_MAX:
        raise ConfigError(f"{text!r}: expected a number up to 0xffffffff, such as 0x20030000")
    return value


def parse_region(text: str) -> MemoryRegion:
    """`BASE:SIZE`. ConfigError otherwise."""
    base, colon, size = text.partition(":")
    if not colon:
        raise ConfigError(f"memory {text!r}: expected BASE:SIZE, such as 0x21050000:0x10000")
    return MemoryRegion(kind="rom", base=parse_number(base), size=parse_number(size))


def _is_hex_key(text: str) -> bool:
    return re.fullmatch(rf"[0-9a-fA-F]{{{2 * KEY_SIZE}}}", text) is not None


def parse_server(text: str) -> tuple[str, int]:
    """`HOST:PORT`, also `[::1]:7400`. ConfigError otherwise."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isascii() or not port.isdigit() or not 0 < int(port) < 65536:
        raise ConfigError(f"server {text!r}: expected HOST:PORT, such as 127.0.0.1:7400")
    return host.strip("[]"), int(port)


def read_device_key(text: str) -> bytes:
    """A device's public debug key: 64 hex digits, a file with them, or a key file."""
    if _is_hex_key(text):
        return bytes.fromhex(text)
    path = Path(text)
    content = read_input(path, "device key", _FILE_LIMIT)
    written = content.decode("ascii", "replace").strip()
    if _is_hex_key(written):
        return bytes.fromhex(written)
    if content[:1] == b"{":
        return load_public_key(path, KeyUse.DEVICE)
    raise ConfigError(
        f"device key {path}: expected {2 * KEY_SIZE} hex digits: `debug_public` of `fieldlink devices --json`"
    )


def read_token(path: Path) -> bytes:
    """The envelope in a token file: as it is, or as hex digits."""
    content = read_input(path, "token", 4 * TOKEN_LIMIT)
    written = content.strip()
    if re.fullmatch(rb"(?:[0-9a-fA-F]{2})+", written):
        return bytes.fromhex(written.decode("ascii"))
    return content


def client_config(profile: Profile, device: str) -> ClientConfig:
    """The keys and the token, read and checked against each other.

    ConfigError (or KeyFileError, TokenError) names the option that is missing or wrong.
    """
    server = _given(profile.server, "server")
    host, port = parse_server(server)
    device_id = device.encode()
    if not 1 <= len(device_id) <= DEVICE_ID_LIMIT:
        raise ConfigError(f"device {device!r:.40}: expected a name of 1 to {DEVICE_ID_LIMIT} bytes")
    token_path = _given(profile.token, "token")
    envelope = read_token(token_path)
    token = read_unverified_token(envelope)
    e2e = load_private_key(_given(profile.e2e_key, "e2e_key"), KeyUse.CLIENT)
    if token.client != e2e.public:
        raise ConfigError(
            f"token {token_path}: not authorised: it is for another client key than {profile.e2e_key}"
        )
    if not token.allows_device(device_id):
        raise ConfigError(
            f"token {token_path}: not authorised: it is for device {token.device_id.decode(errors='replace')}"
        )
    return ClientConfig(
        host=host,
        port=port,
        server_public=load_public_key(_given(profile.server_key, "server_key"), KeyUse.SERVER),
        client_private=load_private_key(_given(profile.key, "key"), KeyUse.CLIENT).private,
        client_name="fieldlink debug",
        e2e_private=e2e.private,
        device_id=device_id,
        device_public=read_device_key(_given(profile.device_key, "device_key")),
        token=envelope,
        permissions=token.permissions,
    )


def _given(value: T | None, key: str) -> T:
    if value is None:
        option = f"--{key.replace('_', '-')}"
        raise ConfigError(f"missing {option}: give the option, or {key} in the --profile file")
    return value
