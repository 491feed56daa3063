"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import secrets
from typing import TYPE_CHECKING

from brownout.errors import BrownoutError

if TYPE_CHECKING:
    from pathlib import Path


def write_atomic(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader finds the old or the new content, never a part.

    Raises BrownoutError when the folder is missing or not writable.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        try:
            with partial.open("xb") as stream:
                stream.write(data)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise BrownoutError(
            f"{path}: cannot be written ({error.strerror}): does its folder exist?"
        ) from error


def write_if_changed(path: Path, data: bytes) -> bool:
    """Like write_atomic(), but leave an equal file (and its time) alone. True when the file was written."""
    with contextlib.suppress(OSError):
        if path.read_bytes() == data:
            return False
    write_atomic(path, data)
    return True


def read_file(path: Path, what: str) -> bytes:
    """Read the file at `path`; `what` names its meaning in the error. Raises BrownoutError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrownoutError(f"{path}: cannot be read as {what} ({error.strerror})") from error
