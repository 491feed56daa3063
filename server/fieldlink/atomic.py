"""Files that are there completely or not at all."""

import contextlib
import os
import tempfile
from pathlib import Path

from fieldlink.errors import ConfigError

PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644


def write_file(path: Path, data: bytes, *, mode: int = PUBLIC_MODE, replace: bool = True) -> None:
    """Writes `path` through a temporary file beside it: flushed to disk, then moved into place.

    With `replace=False` an existing file stays and is a FileExistsError. Other failures are OSErrors; no
    temporary file is left behind.
    """
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        if replace:
            Path(temporary).replace(path)
        else:
            os.link(temporary, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(temporary).unlink()
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Makes renames inside `path` durable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_input(path: Path, what: str, limit: int) -> bytes:
    """Bytes of a file that a person named.

    ConfigError when it cannot be read or has more than `limit` bytes.
    """
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except OSError as error:
        raise ConfigError(f"{what} {path}: cannot be read: {error.strerror}; check the path") from error
    if len(data) > limit:
        raise ConfigError(f"{what} {path}: larger than {limit} bytes; is it the right file?")
    return data
