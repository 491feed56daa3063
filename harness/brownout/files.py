"""Files that are either whole or not there."""

from __future__ import annotations

import contextlib
import secrets
import shutil
from typing import TYPE_CHECKING

from brownout.errors import BrownoutError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def make_parent(output: Path) -> None:
    """Make the folder of a file that is to be written later: a wrong path must not cost the work before it.

    Raises BrownoutError: it cannot be made, or `output` is a folder itself.
    """
    if output.is_dir():
        raise BrownoutError(f"{output}: is a folder, expected a file name")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BrownoutError(f"{output.parent}: cannot be made ({error.strerror})") from error


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


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Put `files` (by name) into `folder`, which is made when it is missing: all of them or none.

    Equal files (and their times) and all other files are left alone. Raises BrownoutError.
    """
    for path in (folder, *(folder / name for name in files)):
        if path.exists() and path.is_dir() is not (path == folder):
            kind = "a folder" if path == folder else "a file"
            raise BrownoutError(f"{path}: cannot be written: expected {kind} or nothing there")
    stage = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}")
    try:
        try:
            stage.mkdir()
            for name, data in files.items():
                (stage / name).write_bytes(data)
            if not folder.exists():
                stage.rename(folder)
                return
            for name, data in files.items():
                if not (folder / name).exists() or (folder / name).read_bytes() != data:
                    (stage / name).replace(folder / name)
        finally:
            shutil.rmtree(stage, ignore_errors=True)
    except OSError as error:
        raise BrownoutError(
            f"{folder}: cannot be written ({error.strerror}): does the folder around it exist?"
        ) from error


def read_file(path: Path, what: str) -> bytes:
    """Read the file at `path`; `what` names its meaning in the error. Raises BrownoutError."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise BrownoutError(f"{path}: cannot be read as {what} ({error.strerror})") from error
