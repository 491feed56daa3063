"""Finds boards and loads them."""

from __future__ import annotations

import difflib
from pathlib import Path

from brownout.board.model import Board
from brownout.board.validate import board_problems
from brownout.errors import BoardError
from brownout.settings import load_settings


def find_platform(platform: Path | None = None) -> Path:
    """The folder with the board folders: `platform`, else the repository's, else the installed package's.

    Raises BoardError when there is none.
    """
    if platform is not None:
        if not platform.is_dir():
            raise BoardError(f"{platform}: is not a folder: expected one that holds <board>/board.toml")
        return platform
    package = Path(__file__).resolve().parent.parent
    candidates = (package.parent.parent / "platform", package / "_platform")
    for candidate in candidates:
        if any(candidate.glob("*/board.toml")):
            return candidate
    raise BoardError(
        f"no boards found in {candidates[0]} nor {candidates[1]}: reinstall, or name a folder yourself"
    )


def list_boards(platform: Path | None = None) -> tuple[str, ...]:
    """Names of the boards, sorted."""
    return tuple(sorted(path.parent.name for path in find_platform(platform).glob("*/board.toml")))


def load_board(name: str, platform: Path | None = None) -> Board:
    """Load and check the board `name`. Raises BoardError, SettingsError."""
    folder = find_platform(platform)
    path = folder / name / "board.toml"
    if not path.is_file():
        known = list_boards(folder)
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"known boards: {', '.join(known) or 'none'}"
        raise BoardError(f"board '{name}': not found in {folder}; {hint}")
    board = load_board_file(path)
    if board.name != name:
        raise BoardError(f"{path}: name: is '{board.name}', expected the folder's name '{name}'")
    return board


def load_board_file(path: Path) -> Board:
    """Load and check one board file. Raises SettingsError, and BoardError for the first problem found."""
    board = load_settings(path, Board)
    problems = board_problems(board)
    if problems:
        more = f" (and {len(problems) - 1} more: see 'brownout board check')" if len(problems) > 1 else ""
        raise BoardError(f"{path}: {problems[0]}{more}")
    return board
