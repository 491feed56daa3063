"""Module versions: `major.minor.patch`, packed as major << 24 | minor << 16 | patch."""

import re

from fieldlink.errors import ConfigError

_VERSION = re.compile(r"(\d{1,3})\.(\d{1,3})\.(\d{1,5})", re.ASCII)


def pack_version(text: str) -> int:
    """Packed form of `text`. ConfigError for anything but numbers up to 255.255.65535."""
    match = _VERSION.fullmatch(text)
    numbers = [int(part) for part in match.groups()] if match else []
    if not numbers or any(value > most for value, most in zip(numbers, (255, 255, 65535), strict=True)):
        raise ConfigError(
            f"version {text!r}: expected MAJOR.MINOR.PATCH, at most 255.255.65535, such as 1.4.0"
        )
    major, minor, patch = numbers
    return major << 24 | minor << 16 | patch


def format_version(packed: int) -> str:
    """`major.minor.patch` of a packed version."""
    return f"{packed >> 24}.{packed >> 16 & 0xFF}.{packed & 0xFFFF}"
