"""What the firmware's build tools share: the version and careful file writing."""

from __future__ import annotations

import argparse
import os
import re
import tempfile
from dataclasses import dataclass
from pathlib import Path

_LIMITS = (255, 255, 65535)


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """A firmware version.

    Args:
        major: 0..255.
        minor: 0..255.
        patch: 0..65535.
    """

    major: int
    minor: int
    patch: int

    @property
    def packed(self) -> int:
        """The version as manifests and messages carry it."""
        return self.major << 24 | self.minor << 16 | self.patch

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}"


def parse_version(text: str) -> Version:
    """Parse "MAJOR.MINOR.PATCH". Raises argparse.ArgumentTypeError."""
    match = re.fullmatch(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)", text)
    numbers = tuple(int(number) for number in match.groups()) if match else ()
    if not match or any(number > limit for number, limit in zip(numbers, _LIMITS, strict=True)):
        raise argparse.ArgumentTypeError(
            f'version "{text}": expected MAJOR.MINOR.PATCH up to 255.255.65535, for example 1.0.0'
        )
    return Version(major=numbers[0], minor=numbers[1], patch=numbers[2])


def write_if_changed(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all, and leave a file alone that has it already."""
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content)
        Path(name).chmod(0o644)
        Path(name).replace(path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
