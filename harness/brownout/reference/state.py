"""Everything the reference firmware keeps in flash, read from an image."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from brownout.errors import ImageError
from brownout.reference.flag import Progress, UpgradeFlag, read_flag, read_progress
from brownout.reference.identity import Identity, read_identity
from brownout.reference.sets import InstalledSet, read_set

if TYPE_CHECKING:
    from brownout.board import Board


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceState:
    """Contents of a flash image. What cannot be read is None and has a line in `problems`."""

    identity: Identity | None
    flag: UpgradeFlag
    progress: Progress
    installed: InstalledSet | None
    staged: InstalledSet | None
    problems: tuple[str, ...]


def read_state(board: Board, image: bytes, *, release_public_key: bytes | None = None) -> DeviceState:
    """Read a flash image. Signatures are checked with `release_public_key`, else with the identity's own key.

    Raises ImageError when the image is not one of the board, or the board has no reference layout.
    """
    if len(image) != board.flash.size:
        raise ImageError(
            f"flash image: {len(image)} bytes, expected {board.flash.size}, the array of board '{board.name}'"
        )
    missing = [
        name for name in ("identity", "flag", "progress", "manifest") if name not in board.flash.regions
    ]
    if missing:
        raise ImageError(f"board '{board.name}': has no flash region {', '.join(missing)} (reference layout)")
    contents = {name: image[region.offset : region.end] for name, region in board.flash.regions.items()}
    problems: list[str] = []
    identity: Identity | None = None
    try:
        identity = read_identity(contents["identity"])
    except ImageError as error:
        problems.append(str(error))
    key = release_public_key or (identity.release_public_key if identity is not None else None)
    installed = _set(board, image, key, problems, staged=False)
    staged = _set(board, image, key, problems, staged=True)
    return DeviceState(
        identity=identity,
        flag=read_flag(contents["flag"]),
        progress=read_progress(contents["progress"]),
        installed=installed,
        staged=staged,
        problems=tuple(problems),
    )


def _set(
    board: Board, image: bytes, key: bytes | None, problems: list[str], *, staged: bool
) -> InstalledSet | None:
    try:
        return read_set(board, image, staged=staged, release_public_key=key)
    except ImageError as error:
        problems.append(f"{'staged' if staged else 'installed'} {error}")
        return None
